//! The management API: JSON-RPC 2.0 over HTTP and WebSocket on a unix socket.

use std::future::pending;
use std::path::Path;
use std::time::Instant;
use std::{fs, io};

use aorta_api::{ERROR_NO_BRIDGE, METHOD_FDB, METHOD_STATUS, SOCKET_NAME, Status};
use jsonrpsee::RpcModule;
use jsonrpsee::server::{Server, serve_with_graceful_shutdown, stop_channel};
use jsonrpsee::types::ErrorObjectOwned;
use jsonrpsee::types::error::INTERNAL_ERROR_CODE;
use tracing::{debug, warn};

use crate::control::{Control, FdbError, Gone, Request};
use crate::unixctl::listen;

/// The API's socket; its file goes away with the value.
#[derive(Debug)]
pub struct ApiSocket(std::path::PathBuf);

impl Drop for ApiSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

struct Context {
    control: Control,
    started: Instant,
}

fn internal(error: &dyn std::error::Error) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(INTERNAL_ERROR_CODE, error.to_string(), None::<()>)
}

impl From<Gone> for ErrorObjectOwned {
    fn from(error: Gone) -> Self {
        internal(&error)
    }
}

impl From<FdbError> for ErrorObjectOwned {
    fn from(error: FdbError) -> Self {
        match error {
            FdbError::NoBridge(_) => {
                ErrorObjectOwned::owned(ERROR_NO_BRIDGE, error.to_string(), None::<()>)
            }
            FdbError::Datapath(_) => internal(&error),
        }
    }
}

fn module(
    control: Control,
    started: Instant,
) -> Result<RpcModule<Context>, jsonrpsee::core::RegisterMethodError> {
    let mut module = RpcModule::new(Context { control, started });
    module.register_async_method(METHOD_STATUS, |_, context, _| async move {
        let (bridges, problems) = context.control.ask(Request::Status).await?;
        Ok::<_, ErrorObjectOwned>(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_s: context.started.elapsed().as_secs(),
            datapath: "kernel".to_owned(),
            problems,
            bridges,
        })
    })?;
    module.register_async_method(METHOD_FDB, |params, context, _| async move {
        let bridge: String = params.one()?;
        let answer = context.control.ask(|to| Request::Fdb(bridge, to)).await?;
        Ok::<_, ErrorObjectOwned>(answer?)
    })?;
    Ok(module)
}

/// Listens in the rundir and answers until the runtime ends.
pub fn serve(rundir: &Path, control: Control) -> io::Result<ApiSocket> {
    let path = rundir.join(SOCKET_NAME);
    let listener = listen(&path)?;
    let module = module(control, Instant::now()).map_err(io::Error::other)?;
    tokio::spawn(async move {
        let (stop, _server) = stop_channel();
        let builder = Server::builder().to_service_builder();
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let service = builder.clone().build(module.clone(), stop.clone());
                    tokio::spawn(async move {
                        let served = serve_with_graceful_shutdown(stream, service, pending());
                        if let Err(error) = served.await {
                            debug!("API connection ended: {error}");
                        }
                    });
                }
                Err(error) => {
                    warn!("cannot accept on the API's socket: {error}");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    });
    Ok(ApiSocket(path))
}

#[cfg(test)]
mod tests {
    use jsonrpsee_core::client::ClientT;
    use jsonrpsee_core::rpc_params;
    use jsonrpsee_ws_client::WsClientBuilder;
    use tokio::net::UnixStream;

    use super::*;
    use crate::reconcile::Fdb;

    #[tokio::test]
    async fn answers_over_the_socket() {
        let dir = tempfile::tempdir().unwrap();
        let (control, mut requests) = Control::new();
        let socket = serve(dir.path(), control).unwrap();
        tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                match request {
                    Request::Status(to) => to.send((vec![], vec!["trouble".into()])).unwrap(),
                    Request::Fdb(name, to) => to.send(Err(FdbError::NoBridge(name))).unwrap(),
                    other => panic!("{other:?}"),
                }
            }
        });
        let stream = UnixStream::connect(&socket.0).await.unwrap();
        let client = WsClientBuilder::default()
            .build_with_stream("ws://localhost", stream)
            .await
            .unwrap();
        let status: Status = client.request(METHOD_STATUS, rpc_params![]).await.unwrap();
        assert_eq!(
            (status.pid, status.problems),
            (std::process::id(), vec!["trouble".into()])
        );
        let fdb = client
            .request::<Vec<Fdb>, _>(METHOD_FDB, rpc_params!["br7"])
            .await;
        let jsonrpsee_core::ClientError::Call(error) = fdb.unwrap_err() else {
            panic!()
        };
        assert_eq!(
            (error.code(), error.message()),
            (ERROR_NO_BRIDGE, "no such bridge: br7")
        );
    }
}
