//! The management API: JSON-RPC 2.0 over HTTP and WebSocket, on a unix socket and, where asked
//! for, on TCP.

mod database;
mod flows;
mod guard;
mod methods;
mod paced;

use std::future::pending;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io};

use aorta_api::SOCKET_NAME;
use aorta_ovsdb::StoreHandle;
use aorta_stream::listening_needs;
use jsonrpsee::server::middleware::rpc::RpcServiceBuilder;
use jsonrpsee::server::{
    BatchRequestConfig, Methods, PingConfig, Server, ServerConfig, StopHandle, TowerServiceBuilder,
    serve_with_graceful_shutdown, stop_channel,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tower::layer::util::Identity;
use tracing::{debug, info, warn};

use crate::control::Control;
use crate::coverage;
use crate::metrics::Source;
use crate::options::Options;
use crate::unixctl::listen;
use guard::{Guard, Peers};

use paced::{Counted, Pace, Paced};

/// So many may be connected to each socket at a time.
const MAX_CONNECTIONS: usize = 64;
/// Longest request, in bytes: as long as the database's own socket takes.
const MAX_REQUEST: u32 = 32 << 20;
/// Longest answer, in bytes: room for the first contents of a monitor.
const MAX_ANSWER: u32 = 256 << 20;
/// Calls in one batch.
const MAX_BATCH: u32 = 100;
/// Subscriptions of one connection.
const MAX_SUBSCRIPTIONS: u32 = 8;
/// Messages that wait for a WebSocket client before their senders do.
const QUEUE: u32 = 4;
/// A WebSocket client that gives no sign of life for so long is gone.
const SILENCE: Duration = Duration::from_secs(60);

/// The address on which the API is served by TCP, if it is.
///
/// # Errors
/// If other machines reach it and that was not allowed.
pub fn tcp_address(options: &Options) -> Result<Option<SocketAddr>, ApiError> {
    match options.api_listen {
        Some(address) if !address.ip().is_loopback() && !options.api_allow_remote => {
            Err(ApiError::Exposed(address))
        }
        address => Ok(address),
    }
}

/// The API's sockets; they are closed with the value.
#[derive(Debug)]
pub struct ApiSocket {
    path: PathBuf,
    tasks: Vec<JoinHandle<()>>,
    metrics: Source,
}

impl Drop for ApiSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Why the API can't be served.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The unix socket can't be had.
    #[error("cannot listen on {path}")]
    Unix {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The TCP socket can't be had.
    #[error("cannot listen on {address}{}", listening_needs(source))]
    Tcp {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Strangers could change the switch.
    #[error(
        "--api-listen {0} can be reached from other machines, and the API asks nobody for a \
         password: use 127.0.0.1 or [::1], or add --api-allow-remote if a firewall is in front"
    )]
    Exposed(SocketAddr),
    /// The methods can't be put together.
    #[error("the management API is inconsistent")]
    Methods(#[from] methods::ModuleError),
}

/// Listens, and answers until the value is dropped.
///
/// # Errors
/// If a socket can't be had.
pub async fn serve(
    rundir: &Path,
    tcp: Option<SocketAddr>,
    control: Control,
    store: StoreHandle,
    metrics: Source,
) -> Result<ApiSocket, ApiError> {
    let path = rundir.join(SOCKET_NAME);
    let methods = methods::module(control, store, Instant::now(), metrics.datapath())?;
    let methods = Methods::from(methods);
    let mut socket = ApiSocket {
        tasks: vec![serve_unix(&path, &methods, &metrics)?],
        path,
        metrics,
    };
    if let Some(address) = tcp {
        let acceptor = Acceptor::new(&methods, Peers::Network, &socket.metrics);
        let (task, bound) = serve_tcp(address, acceptor).await?;
        info!("the management API is on http://{bound}, for whoever can reach it");
        socket.tasks.push(task);
    }
    Ok(socket)
}

impl ApiSocket {
    /// Serves metrics, and nothing else, on one more address, which is returned with its port.
    ///
    /// # Errors
    /// If it can't be had.
    pub async fn serve_metrics(&mut self, address: SocketAddr) -> Result<SocketAddr, ApiError> {
        let acceptor = Acceptor::new(&Methods::new(), Peers::Scrapers, &self.metrics);
        let (task, bound) = serve_tcp(address, acceptor).await?;
        info!("metrics are on http://{bound}/metrics");
        self.tasks.push(task);
        Ok(bound)
    }
}

/// Serves what comes to an address; the task that does, and the address with its port.
async fn serve_tcp(
    address: SocketAddr,
    acceptor: Acceptor,
) -> Result<(JoinHandle<()>, SocketAddr), ApiError> {
    let failed = |source| ApiError::Tcp { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let task = tokio::spawn(async move {
        loop {
            let stream = listener.accept().await.map(|(stream, _)| stream);
            acceptor.take(stream).await;
        }
    });
    Ok((task, bound))
}

fn serve_unix(
    path: &Path,
    methods: &Methods,
    metrics: &Source,
) -> Result<JoinHandle<()>, ApiError> {
    let listener = listen(path).map_err(|source| ApiError::Unix {
        path: path.to_owned(),
        source,
    })?;
    let acceptor = Acceptor::new(methods, Peers::Host, metrics);
    Ok(tokio::spawn(async move {
        loop {
            let stream = listener.accept().await.map(|(stream, _)| stream);
            acceptor.take(stream).await;
        }
    }))
}

/// Serves the connections of one socket.
struct Acceptor {
    methods: Methods,
    peers: Peers,
    metrics: Source,
    builder: TowerServiceBuilder<Identity, Identity>,
    places: Arc<Semaphore>,
    stop: StopHandle,
    _server: jsonrpsee::server::ServerHandle,
}

impl Acceptor {
    fn new(methods: &Methods, peers: Peers, metrics: &Source) -> Acceptor {
        let config = ServerConfig::builder()
            .max_request_body_size(MAX_REQUEST)
            .max_response_body_size(MAX_ANSWER)
            .set_batch_request_config(BatchRequestConfig::Limit(MAX_BATCH))
            .max_subscriptions_per_connection(MAX_SUBSCRIPTIONS)
            .set_message_buffer_capacity(QUEUE)
            .enable_ws_ping(
                PingConfig::new()
                    .ping_interval(SILENCE / 2)
                    .inactive_limit(SILENCE),
            );
        let (stop, server) = stop_channel();
        Acceptor {
            methods: methods.clone(),
            peers,
            metrics: metrics.clone(),
            builder: Server::builder()
                .set_config(config.build())
                .to_service_builder(),
            places: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            stop,
            _server: server,
        }
    }

    async fn take<S>(&self, stream: io::Result<S>)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                warn!("cannot accept a connection of the management API: {error}");
                return tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            coverage::CONNECTION_REFUSED.hit();
            return refuse(stream).await;
        };
        // A place is taken as long as the stream exists, also after it became a WebSocket's.
        let pace = Pace::default();
        let stream = Paced::new(stream, pace.clone(), place);
        let counted =
            RpcServiceBuilder::new().layer_fn(move |service| Counted::new(service, pace.clone()));
        let builder = self.builder.clone().set_rpc_middleware(counted);
        let service = builder.build(self.methods.clone(), self.stop.clone());
        let service = Guard::new(service, self.peers, self.metrics.clone());
        tokio::spawn(async move {
            let served = serve_with_graceful_shutdown(stream, service, pending());
            if let Err(error) = served.await {
                debug!("API connection ended: {error}");
            }
        });
    }
}

/// Says why the connection is closed, if the client is there to read it.
async fn refuse(mut stream: impl AsyncWrite + Unpin) {
    let words = format!("too many connections: {MAX_CONNECTIONS} are open already\n");
    let reply = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{words}",
        words.len()
    );
    // It fits into any socket's buffer.
    let written = stream.write_all(reply.as_bytes());
    let _ = tokio::time::timeout(Duration::from_millis(100), written).await;
}

#[cfg(test)]
mod tests;
