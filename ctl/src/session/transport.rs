//! The ways to a server (ovsdb(7), Connection Methods).

use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aorta_ovsdb::tls::{BlockingServerStream, BlockingStream};
use aorta_ovsdb::{Endpoint, Remote, Tls};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::SessionError;

/// A stream whose reads and writes end after some time.
pub trait Transport: Read + Write + Debug + Send {
    /// Limits each read and write from now on.
    fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// What is readable when something has come.
    fn fd(&self) -> BorrowedFd<'_>;
}

impl Transport for UnixStream {
    fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(timeout)?;
        self.set_write_timeout(timeout)
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}

impl Transport for TcpStream {
    fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(timeout)?;
        self.set_write_timeout(timeout)
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}

impl Transport for BlockingStream {
    fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.get_ref().set_timeout(timeout)
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}

impl Transport for BlockingServerStream {
    fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.get_ref().set_timeout(timeout)
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}

/// All ways to a server, in the order to try them.
#[derive(Debug)]
pub struct Ways(Vec<Way>);

impl Ways {
    /// Makes ready for connections; listens where it is the server that connects.
    ///
    /// # Errors
    /// If it can't listen.
    pub fn open(remotes: &[Remote], tls: &Tls) -> Result<Ways, SessionError> {
        let ways = remotes.iter().map(|remote| Way::open(remote, tls));
        ways.collect::<Result<_, _>>().map(Ways)
    }

    /// TCP addresses that servers are awaited at.
    pub fn listening(&self) -> Vec<SocketAddr> {
        let address = |way: &Way| match &way.listener {
            Some(Listener::Tcp(listener)) => listener.local_addr().ok(),
            _ => None,
        };
        self.0.iter().filter_map(address).collect()
    }

    /// Connects by the first way.
    ///
    /// # Errors
    /// If nobody is there, or it can't be encrypted.
    pub fn connect_first(
        &self,
        limit: Option<Duration>,
    ) -> Result<Box<dyn Transport>, SessionError> {
        match self.0.first() {
            Some(way) => way.connect(limit),
            None => Err(SessionError::Lost(io::ErrorKind::NotConnected.into())),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Way> {
        self.0.iter()
    }
}

/// One way to a server.
#[derive(Debug)]
pub(super) struct Way {
    remote: Remote,
    listener: Option<Listener>,
    tls: Tls,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix(_, path) = self {
            // Nobody listens any more; somebody else may have removed it already.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Way {
    fn open(remote: &Remote, tls: &Tls) -> Result<Way, SessionError> {
        let listener = match remote {
            Remote::ListenTcp(ip, port) | Remote::ListenTls(ip, port) => {
                TcpListener::bind((*ip, *port)).map(|listener| Some(Listener::Tcp(listener)))
            }
            Remote::ListenUnix(path) => {
                remove_socket(path);
                let bound = UnixListener::bind(path);
                bound.map(|listener| Some(Listener::Unix(listener, path.clone())))
            }
            Remote::Unix(_) | Remote::Tcp(_) | Remote::Tls(_) => Ok(None),
        };
        Ok(Way {
            remote: remote.clone(),
            listener: listener.map_err(|cause| connect_error(remote, cause))?,
            tls: tls.clone(),
        })
    }

    /// Connects, or waits for a connection.
    pub(super) fn connect(
        &self,
        limit: Option<Duration>,
    ) -> Result<Box<dyn Transport>, SessionError> {
        let failed = |cause| connect_error(&self.remote, cause);
        let refused = |source| SessionError::Tls {
            remote: self.remote.to_string(),
            source,
        };
        Ok(match (&self.remote, &self.listener) {
            (Remote::Unix(path), _) => Box::new(UnixStream::connect(path).map_err(failed)?),
            (Remote::Tcp(endpoint), _) => Box::new(tcp(endpoint, limit).map_err(failed)?),
            (Remote::Tls(endpoint), _) => {
                if let Some(problem) = self.tls.problem() {
                    return Err(refused(problem));
                }
                let stream = tcp(endpoint, limit).map_err(failed)?;
                Box::new(self.tls.connect_blocking(stream).map_err(refused)?)
            }
            (_, Some(Listener::Unix(listener, _))) => {
                wait_for_peer(listener, limit).map_err(failed)?;
                Box::new(listener.accept().map_err(failed)?.0)
            }
            (remote, Some(Listener::Tcp(listener))) => {
                let stream = accept(listener, limit).map_err(failed)?;
                match remote.is_tls() {
                    true => Box::new(self.tls.accept_blocking(stream).map_err(refused)?),
                    false => Box::new(stream),
                }
            }
            (_, None) => return Err(failed(io::ErrorKind::NotConnected.into())),
        })
    }
}

fn tcp(endpoint: &Endpoint, limit: Option<Duration>) -> io::Result<TcpStream> {
    let stream = endpoint.connect(limit)?;
    stream.set_nodelay(true)?;
    stream.set_timeout(limit)?;
    Ok(stream)
}

fn accept(listener: &TcpListener, limit: Option<Duration>) -> io::Result<TcpStream> {
    wait_for_peer(listener, limit)?;
    let (stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    stream.set_timeout(limit)?;
    Ok(stream)
}

/// Removes a socket that an earlier program has left behind.
fn remove_socket(path: &Path) {
    let is_socket = path
        .symlink_metadata()
        .map(|data| data.file_type().is_socket());
    if is_socket.unwrap_or(false) {
        // If it stays, listening says why it can't be done.
        let _ = std::fs::remove_file(path);
    }
}

/// Waits until a connection can be accepted.
fn wait_for_peer(listener: &impl AsFd, limit: Option<Duration>) -> io::Result<()> {
    let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
    let mut fds = [PollFd::new(listener, PollFlags::IN)];
    match poll(&mut fds, limit.as_ref())? {
        0 => Err(io::ErrorKind::TimedOut.into()),
        _ => Ok(()),
    }
}

fn connect_error(remote: &Remote, cause: io::Error) -> SessionError {
    let absent = matches!(
        cause.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    );
    match remote {
        Remote::Unix(path) if absent => SessionError::NotRunning {
            remote: remote.to_string(),
            rundir: path
                .parent()
                .unwrap_or(Path::new("/"))
                .display()
                .to_string(),
            cause,
        },
        _ => SessionError::Connect {
            remote: remote.to_string(),
            cause,
        },
    }
}
