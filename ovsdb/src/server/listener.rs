//! Sockets that clients connect to.
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::fs::{Mode, fchmod};
use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use super::connection::serve;
use crate::engine::{Command, SessionId};
use crate::remote::Remote;

/// Silent TCP clients are asked for a sign of life after this long.
const PROBE: Duration = Duration::from_secs(5);

/// A socket that can't be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The operating system refused.
    #[error("can't listen on {remote}")]
    Io {
        /// Where.
        remote: Remote,
        /// Why it failed.
        source: io::Error,
    },
    /// A server is listening there.
    #[error("{remote}: another server listens there")]
    InUse {
        /// Where.
        remote: Remote,
    },
    /// The remote is one to connect to.
    #[error("{remote} is not for listening")]
    NotPassive {
        /// The remote.
        remote: Remote,
    },
}

/// A socket that is being listened on; dropping it closes it and its connections.
#[derive(Debug)]
pub struct Listener {
    task: JoinHandle<()>,
    clients: Arc<AtomicUsize>,
    address: Option<SocketAddr>,
    path: Option<PathBuf>,
}

impl Listener {
    /// How many clients are connected through it.
    pub fn clients(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    /// The address of a TCP socket.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(path) = &self.path {
            // It may have been removed already.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// What every accepted connection gets.
#[derive(Clone)]
struct Acceptor {
    engine: mpsc::Sender<Command>,
    sessions: Arc<AtomicU64>,
    clients: Arc<AtomicUsize>,
}

/// Starts to listen.
pub(crate) async fn listen(
    remote: &Remote,
    engine: mpsc::Sender<Command>,
    sessions: Arc<AtomicU64>,
) -> Result<Listener, ListenError> {
    let clients = Arc::new(AtomicUsize::new(0));
    let acceptor = Acceptor {
        engine,
        sessions,
        clients: Arc::clone(&clients),
    };
    let failed = |source| ListenError::Io {
        remote: remote.clone(),
        source,
    };
    match remote {
        Remote::ListenUnix(path) => {
            if tokio::net::UnixStream::connect(path).await.is_ok() {
                return Err(ListenError::InUse {
                    remote: remote.clone(),
                });
            }
            let listener = bind_unix(path).map_err(failed)?;
            let task = tokio::spawn(accept_unix(listener, acceptor));
            Ok(Listener {
                task,
                clients,
                address: None,
                path: Some(path.clone()),
            })
        }
        Remote::ListenTcp(ip, port) => {
            let listener = bind_tcp(SocketAddr::new(*ip, *port)).map_err(failed)?;
            let address = listener.local_addr().ok();
            let task = tokio::spawn(accept_tcp(listener, acceptor));
            Ok(Listener {
                task,
                clients,
                address,
                path: None,
            })
        }
        _ => Err(ListenError::NotPassive {
            remote: remote.clone(),
        }),
    }
}

/// Binds a socket that only its owner may connect to, in place of one that a dead server left.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::FileTypeExt;
    if std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket()) {
        std::fs::remove_file(path)?;
    }
    let socket = UnixSocket::new_stream()?;
    // The file inherits the mode from the socket: there is no moment at which others may connect.
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    socket.bind(path)?;
    socket.listen(64)
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(64)
}

async fn accept_unix(listener: UnixListener, acceptor: Acceptor) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => acceptor.spawn(&mut connections, stream, None),
            Err(error) => acceptor.pause(&error).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn accept_tcp(listener: TcpListener, acceptor: Acceptor) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!("TCP_NODELAY: {error}");
                }
                acceptor.spawn(&mut connections, stream, Some(PROBE));
            }
            Err(error) => acceptor.pause(&error).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

impl Acceptor {
    fn spawn<S>(&self, connections: &mut JoinSet<()>, stream: S, probe: Option<Duration>)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + 'static,
    {
        let session: SessionId = self.sessions.fetch_add(1, Ordering::Relaxed);
        let (engine, guest) = (self.engine.clone(), Guest::new(&self.clients));
        connections.spawn(async move {
            serve(stream, session, engine, probe).await;
            drop(guest);
        });
    }

    /// Waits a little after a failure to accept, such as for want of file descriptors.
    async fn pause(&self, error: &io::Error) {
        tracing::warn!("a client could not be accepted: {error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Counts a client for as long as it exists.
struct Guest(Arc<AtomicUsize>);

impl Guest {
    fn new(clients: &Arc<AtomicUsize>) -> Self {
        clients.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(clients))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
