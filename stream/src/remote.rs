//! Where servers listen and clients connect, in OVS's notation.
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::str::FromStr;

/// The registered port of OVSDB (RFC 7047 §6).
pub const OVSDB_PORT: u16 = 6640;
/// The registered port of OpenFlow.
pub const OPENFLOW_PORT: u16 = 6653;

/// A way to listen or to connect.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Remote {
    /// `punix:PATH`: listen on a stream socket in the file system.
    ListenUnix(PathBuf),
    /// `ptcp:[PORT][:IP]`: listen on TCP, by default on every IPv4 address.
    ListenTcp(IpAddr, u16),
    /// `pssl:[PORT][:IP]`: the same with TLS.
    ListenTls(IpAddr, u16),
    /// `unix:PATH`: connect to a stream socket in the file system.
    Unix(PathBuf),
    /// `tcp:HOST[:PORT]`: connect by TCP.
    Tcp(Endpoint),
    /// `ssl:HOST[:PORT]`: connect by TLS.
    Tls(Endpoint),
}

impl Remote {
    /// Reads a remote whose TCP port, where none is given, is this one.
    ///
    /// # Errors
    /// If the method is unknown or its address makes no sense.
    pub fn parse(text: &str, default_port: u16) -> Result<Self, RemoteError> {
        let fault = |problem| RemoteError {
            remote: text.to_owned(),
            problem,
        };
        let (method, rest) = text.split_once(':').ok_or_else(|| fault("no method"))?;
        let passive = || passive(rest, default_port).map_err(fault);
        let active = || active(rest, default_port).map_err(fault);
        match method {
            "punix" => Ok(Self::ListenUnix(rest.into())),
            "unix" => Ok(Self::Unix(rest.into())),
            "ptcp" => passive().map(|(ip, port)| Self::ListenTcp(ip, port)),
            "pssl" => passive().map(|(ip, port)| Self::ListenTls(ip, port)),
            "tcp" => active().map(Self::Tcp),
            "ssl" => active().map(Self::Tls),
            _ => Err(fault(
                "unknown method; there are punix, ptcp, pssl, unix, tcp and ssl",
            )),
        }
    }

    /// Whether it is one to listen on.
    pub fn is_passive(&self) -> bool {
        matches!(
            self,
            Self::ListenUnix(_) | Self::ListenTcp(..) | Self::ListenTls(..)
        )
    }

    /// Whether it is within this machine, so that a peer that dies is noticed at once.
    pub fn is_unix(&self) -> bool {
        matches!(self, Self::ListenUnix(_) | Self::Unix(_))
    }

    /// Whether it needs a key and certificates.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::ListenTls(..) | Self::Tls(_))
    }
}

/// A TCP port of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The machine.
    pub host: Host,
    /// Its port.
    pub port: u16,
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// By address.
    Ip(IpAddr),
    /// By name; it is looked up with each attempt to connect.
    Name(String),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A remote that can't be understood or isn't supported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{remote:?} is not a remote ({problem})")]
pub struct RemoteError {
    remote: String,
    problem: &'static str,
}

impl FromStr for Remote {
    type Err = RemoteError;

    /// Reads a remote of OVSDB.
    fn from_str(text: &str) -> Result<Self, RemoteError> {
        Self::parse(text, OVSDB_PORT)
    }
}

/// `[PORT][:IP]`
fn passive(text: &str, default_port: u16) -> Result<(IpAddr, u16), &'static str> {
    let (port, ip) = text.split_once(':').unwrap_or((text, ""));
    let ip = if ip.is_empty() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    } else {
        parse_ip(ip).ok_or("not an IP address")?
    };
    Ok((ip, parse_port(port, default_port)?))
}

/// `HOST[:PORT]`, an IPv6 address in brackets.
fn active(text: &str, default_port: u16) -> Result<Endpoint, &'static str> {
    let bracketed = text.find(']').map(|at| text.split_at(at + 1));
    let (host, port) = bracketed
        .or_else(|| text.find(':').map(|at| text.split_at(at)))
        .unwrap_or((text, ""));
    let port = match port.strip_prefix(':') {
        Some(port) => parse_port(port, default_port)?,
        None if port.is_empty() => default_port,
        None => return Err("not a port"),
    };
    let host = match parse_ip(host) {
        Some(ip) => Host::Ip(ip),
        None if host.is_empty() => Host::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        None if is_name(host) => Host::Name(host.to_owned()),
        None => return Err("neither an IP address nor the name of a host"),
    };
    Ok(Endpoint { host, port })
}

fn parse_ip(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    inner.unwrap_or(text).parse().ok()
}

/// Whether a text may be a host's name (RFC 1123 §2.1). What is all digits and dots is an address
/// gone wrong.
fn is_name(text: &str) -> bool {
    let label = |l: &str| {
        !l.is_empty()
            && l.len() < 64
            && l.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let named = text.bytes().any(|b| b.is_ascii_alphabetic());
    named && text.strip_suffix('.').unwrap_or(text).split('.').all(label)
}

fn parse_port(text: &str, default_port: u16) -> Result<u16, &'static str> {
    if text.is_empty() {
        return Ok(default_port);
    }
    text.parse().map_err(|_| "not a port")
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ListenUnix(path) => write!(f, "punix:{}", path.display()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::ListenTcp(ip, port) => write!(f, "ptcp:{port}:{}", Host::Ip(*ip)),
            Self::ListenTls(ip, port) => write!(f, "pssl:{port}:{}", Host::Ip(*ip)),
            Self::Tcp(endpoint) => write!(f, "tcp:{endpoint}"),
            Self::Tls(endpoint) => write!(f, "ssl:{endpoint}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes_survive_text() {
        for text in [
            "punix:/a/db.sock",
            "unix:/a/db.sock",
            "ptcp:6640:127.0.0.1",
            "pssl:6640:[::]",
            "tcp:[::1]:6641",
            "tcp:controller-1.example:6641",
            "ssl:10.0.0.1:6640",
        ] {
            assert_eq!(text.parse::<Remote>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let text = |s: &str| s.parse::<Remote>().unwrap().to_string();
        assert_eq!(text("ptcp:"), "ptcp:6640:0.0.0.0");
        assert_eq!(text("pssl:"), "pssl:6640:0.0.0.0");
        assert_eq!(text("ptcp:0:127.0.0.1"), "ptcp:0:127.0.0.1");
        assert_eq!(text("tcp:10.0.0.1"), "tcp:10.0.0.1:6640");
        assert_eq!(text("ssl:[::1]"), "ssl:[::1]:6640");
        assert_eq!(text("tcp:"), "tcp:127.0.0.1:6640");
        let openflow = |s: &str| Remote::parse(s, OPENFLOW_PORT).unwrap().to_string();
        assert_eq!(openflow("tcp:10.0.0.1"), "tcp:10.0.0.1:6653");
        assert_eq!(openflow("pssl:"), "pssl:6653:0.0.0.0");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "db.sock",
            "ptcp:70000",
            "ptcp:1:nowhere",
            "ssl:1.2.3",
            "tcp:a..b",
            "tcp:[::1]6640",
            "tcp:a b:1",
            "x:y",
        ] {
            assert!(text.parse::<Remote>().is_err(), "{text}");
        }
    }

    #[test]
    fn kinds_of_remotes() {
        let kind = |s: &str| {
            let remote: Remote = s.parse().unwrap();
            (remote.is_passive(), remote.is_unix(), remote.is_tls())
        };
        assert_eq!(kind("punix:/x"), (true, true, false));
        assert_eq!(kind("pssl:"), (true, false, true));
        assert_eq!(kind("tcp:x"), (false, false, false));
    }
}
