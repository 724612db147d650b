//! Tells the service manager how the daemon does (sd_notify(3)): one datagram to the socket that the
//! environment names.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Where the service manager listens; without it, nobody wants to know.
const SOCKET: &str = "NOTIFY_SOCKET";

/// Clients can connect now.
pub fn ready() -> io::Result<()> {
    tell("READY=1\n")
}

/// The daemon ends, as it was asked to.
pub fn stopping() -> io::Result<()> {
    tell("STOPPING=1\n")
}

fn tell(state: &str) -> io::Result<()> {
    match std::env::var(SOCKET) {
        Ok(name) if !name.is_empty() => send(&name, state),
        _ => Ok(()),
    }
}

fn send(name: &str, state: &str) -> io::Result<()> {
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 64];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[test]
    fn sockets_have_paths_or_abstract_names() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        send(path.to_str().unwrap(), "READY=1\n").unwrap();
        assert_eq!(heard(&socket), "READY=1\n");

        let name = format!("aorta-notify-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        send(&format!("@{name}"), "STOPPING=1\n").unwrap();
        assert_eq!(heard(&socket), "STOPPING=1\n");
    }

    #[test]
    fn a_socket_that_is_gone_is_an_error() {
        assert!(send("/nonexistent/notify", "READY=1\n").is_err());
    }
}
