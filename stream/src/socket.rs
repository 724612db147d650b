//! Binding sockets to listen on.
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, fchmod};
use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket, UnixStream};

use crate::remote::Remote;

/// How many clients wait to be accepted before the kernel refuses more.
const PENDING: u32 = 1024;

/// A socket that can't be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The operating system refused.
    #[error("can't listen on {remote}{}", listening_needs(source))]
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

/// What to look at when the operating system doesn't have a program listen, to follow what it can't;
/// nothing if its own words say it all.
pub fn listening_needs(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another program has that port (`ss -ltnp` tells which)",
        io::ErrorKind::AddrNotAvailable => "; no interface has that address (`ip address`)",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need CAP_NET_BIND_SERVICE",
        _ => "",
    }
}

/// A socket that is bound.
pub(crate) enum Socket {
    Unix(UnixListener, PathBuf),
    Tcp(TcpListener),
}

/// Binds a remote's socket.
pub(crate) async fn bind(remote: &Remote, group: Option<u32>) -> Result<Socket, ListenError> {
    let failed = |source| ListenError::Io {
        remote: remote.clone(),
        source,
    };
    match remote {
        Remote::ListenUnix(path) => {
            if UnixStream::connect(path).await.is_ok() {
                let remote = remote.clone();
                return Err(ListenError::InUse { remote });
            }
            let listener = bind_unix(path, group).map_err(failed)?;
            Ok(Socket::Unix(listener, path.clone()))
        }
        Remote::ListenTcp(ip, port) | Remote::ListenTls(ip, port) => {
            let listener = bind_tcp(SocketAddr::new(*ip, *port)).map_err(failed)?;
            Ok(Socket::Tcp(listener))
        }
        _ => Err(ListenError::NotPassive {
            remote: remote.clone(),
        }),
    }
}

/// Binds a socket that only its owner, and the group's members if there is one, may connect to, in
/// place of one that a dead server left.
fn bind_unix(path: &Path, group: Option<u32>) -> io::Result<UnixListener> {
    use std::os::unix::fs::{FileTypeExt, chown};
    if std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket()) {
        std::fs::remove_file(path)?;
    }
    let socket = UnixSocket::new_stream()?;
    // The file inherits the mode from the socket: there is no moment at which others may connect.
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    socket.bind(path)?;
    if group.is_some() {
        chown(path, None, group)?;
        rustix::fs::chmod(path, Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP)?;
    }
    socket.listen(PENDING)
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(PENDING)
}
