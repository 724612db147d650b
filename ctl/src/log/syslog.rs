//! How messages reach the system log (ovs-vsctl(8), `--syslog-method`, `--syslog-target`).

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

/// Socket of the system's logger.
const DEV_LOG: &str = "/dev/log";
/// Facility `daemon` (RFC 5424 §6.2.1), and `local0` for the `--syslog-target`.
const DAEMON: u8 = 3;
const LOCAL0: u8 = 16;

/// Where the system's logger listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// The usual socket, as the C library does it.
    Libc,
    /// A datagram socket in the file system.
    Unix(PathBuf),
    /// A UDP port.
    Udp(SocketAddr),
    /// Nowhere.
    Null,
}

/// Not a way to the system log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unsupported syslog method '{0}'")]
pub struct MethodError(String);

impl FromStr for Method {
    type Err = MethodError;

    fn from_str(text: &str) -> Result<Method, MethodError> {
        let unsupported = || MethodError(text.to_owned());
        match text.split_once(':') {
            None if text == "libc" => Ok(Method::Libc),
            None if text == "null" => Ok(Method::Null),
            Some(("unix", path)) => Ok(Method::Unix(path.into())),
            Some(("udp", address)) => address.parse().map(Method::Udp).map_err(|_| unsupported()),
            _ => Err(unsupported()),
        }
    }
}

/// What a message looks like on the way.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Severity (RFC 5424 §6.2.1).
    pub severity: u8,
    /// Time as `Nov 22 15:04:05` (RFC 3164 §4.1.2).
    pub time: &'a str,
    /// The program.
    pub program: &'a str,
    /// The text.
    pub text: &'a str,
}

impl Entry<'_> {
    fn bytes(&self, facility: u8) -> Vec<u8> {
        let Entry {
            severity,
            time,
            program,
            text,
        } = self;
        let priority = facility * 8 + severity;
        format!("<{priority}>{time} {program}: {text}").into_bytes()
    }
}

/// Sends an entry. A logger that isn't there loses it, as with the C library.
pub fn send(method: &Method, target: Option<&SocketAddr>, entry: &Entry<'_>) {
    let unix = |path: &PathBuf| -> io::Result<()> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.send_to(&entry.bytes(DAEMON), path).map(|_| ())
    };
    let udp = |address: &SocketAddr, facility| -> io::Result<()> {
        let any = match address {
            SocketAddr::V4(_) => "0.0.0.0:0",
            SocketAddr::V6(_) => "[::]:0",
        };
        let socket = UdpSocket::bind(any)?;
        socket.send_to(&entry.bytes(facility), address).map(|_| ())
    };
    let _ = match method {
        Method::Null => Ok(()),
        Method::Libc => unix(&DEV_LOG.into()),
        Method::Unix(path) => unix(path),
        Method::Udp(address) => udp(address, DAEMON),
    };
    let _ = target.map(|address| udp(address, LOCAL0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_read() {
        assert_eq!("null".parse(), Ok(Method::Null));
        assert_eq!("unix:/x".parse(), Ok(Method::Unix("/x".into())));
        assert!(matches!("udp:127.0.0.1:514".parse(), Ok(Method::Udp(_))));
        let refused = "nope".parse::<Method>().unwrap_err().to_string();
        assert_eq!(refused, "unsupported syslog method 'nope'");
    }

    #[test]
    fn an_entry_arrives_with_its_priority() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("log");
        let socket = UnixDatagram::bind(&path).unwrap();
        let entry = Entry {
            severity: 6,
            time: "Nov 22 15:04:05",
            program: "vsctl",
            text: "hello",
        };
        send(&Method::Unix(path), None, &entry);
        let mut buffer = [0; 100];
        let n = socket.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..n], b"<30>Nov 22 15:04:05 vsctl: hello");
    }
}
