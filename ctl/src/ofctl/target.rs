//! Where a switch listens.

use std::path::{Path, PathBuf};

use aorta_ovsdb::Remote;

use super::error::OfctlError;

/// Which of a bridge's sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Socket {
    /// For whoever manages it.
    Management,
    /// For whoever listens to what it and its controllers say.
    Snoop,
}

impl Socket {
    fn suffix(self) -> &'static str {
        match self {
            Socket::Management => "mgmt",
            Socket::Snoop => "snoop",
        }
    }
}

/// Port of switches that name none (OpenFlow 1.3.5 §6.3.3).
const DEFAULT_PORT: u16 = 6653;

/// A switch's address: a connection method, a bridge, or a socket's path.
///
/// # Errors
/// If it is none of these.
pub fn find(rundir: &Path, name: &str, socket: Socket) -> Result<Remote, OfctlError> {
    let no_bridge = || OfctlError::NoBridge(name.to_owned());
    if let Some(path) = name.strip_prefix("unix:") {
        return Ok(Remote::Unix(under(rundir, path)));
    }
    if let Some((kind @ ("tcp" | "ssl"), address)) = name.split_once(':') {
        let text = with_port(kind, address);
        return text.parse().map_err(|_| OfctlError::Negotiation {
            target: name.to_owned(),
            cause: "Address family not supported by protocol".to_owned(),
        });
    }
    let bridge = rundir.join(format!("{name}.{}", socket.suffix()));
    for path in [PathBuf::from(name), bridge] {
        if is_socket(&path) {
            return Ok(Remote::Unix(path));
        }
    }
    Err(no_bridge())
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    path.metadata()
        .is_ok_and(|data| data.file_type().is_socket())
}

fn under(rundir: &Path, path: &str) -> PathBuf {
    match path.starts_with('/') {
        true => PathBuf::from(path),
        false => rundir.join(path),
    }
}

/// An address with the usual port if it names none.
fn with_port(kind: &str, address: &str) -> String {
    let inside = address.rfind(']').map_or(address, |at| &address[at..]);
    match inside.contains(':') {
        true => format!("{kind}:{address}"),
        false => format!("{kind}:{address}:{DEFAULT_PORT}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_added_where_they_are_missing() {
        assert_eq!(with_port("tcp", "1.2.3.4"), "tcp:1.2.3.4:6653");
        assert_eq!(with_port("ssl", "host:7"), "ssl:host:7");
        assert_eq!(with_port("tcp", "[::1]"), "tcp:[::1]:6653");
        assert_eq!(with_port("tcp", "[::1]:9"), "tcp:[::1]:9");
    }

    #[test]
    fn what_is_no_socket_is_no_bridge() {
        let dir = tempfile::TempDir::new().unwrap();
        let refused = find(dir.path(), "br0", Socket::Management).unwrap_err();
        assert_eq!(refused.to_string(), "br0 is not a bridge or a socket");
        let path = dir.path().join("br0.snoop");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let found = find(dir.path(), "br0", Socket::Snoop).unwrap();
        assert_eq!(found, Remote::Unix(path));
    }
}
