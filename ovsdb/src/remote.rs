//! Where servers listen and clients connect, in OVS's notation.
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::str::FromStr;

/// The registered port of OVSDB (RFC 7047 §6).
pub const DEFAULT_PORT: u16 = 6640;

/// A way to listen or to connect.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Remote {
    /// `punix:PATH`: listen on a stream socket in the file system.
    ListenUnix(PathBuf),
    /// `ptcp:[PORT][:IP]`: listen on TCP, by default on every IPv4 address.
    ListenTcp(IpAddr, u16),
    /// `unix:PATH`: connect to a stream socket in the file system.
    Unix(PathBuf),
    /// `tcp:IP[:PORT]`: connect by TCP.
    Tcp(IpAddr, u16),
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

    fn from_str(s: &str) -> Result<Self, RemoteError> {
        let fault = |problem| RemoteError {
            remote: s.to_owned(),
            problem,
        };
        let (method, rest) = s.split_once(':').ok_or_else(|| fault("no method"))?;
        match method {
            "punix" => Ok(Self::ListenUnix(rest.into())),
            "unix" => Ok(Self::Unix(rest.into())),
            "ptcp" => {
                let (port, ip) = rest.split_once(':').unwrap_or((rest, ""));
                let ip = parse_ip(ip, IpAddr::V4(Ipv4Addr::UNSPECIFIED));
                let ip = ip.ok_or_else(|| fault("not an IP address"))?;
                Ok(Self::ListenTcp(
                    ip,
                    parse_port(port).ok_or_else(|| fault("not a port"))?,
                ))
            }
            "tcp" => {
                let bracketed = rest.find(']').map(|at| rest.split_at(at + 1));
                let (ip, port) = bracketed
                    .or_else(|| rest.find(':').map(|at| rest.split_at(at)))
                    .unwrap_or((rest, ""));
                let port = parse_port(port.trim_start_matches(':'));
                let ip = parse_ip(ip, IpAddr::V4(Ipv4Addr::LOCALHOST));
                let ip = ip.ok_or_else(|| fault("not an IP address"))?;
                Ok(Self::Tcp(ip, port.ok_or_else(|| fault("not a port"))?))
            }
            "ssl" | "pssl" => Err(fault("TLS is not supported yet")),
            _ => Err(fault("unknown method")),
        }
    }
}

fn parse_ip(text: &str, default: IpAddr) -> Option<IpAddr> {
    if text.is_empty() {
        return Some(default);
    }
    text.trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .ok()
}

fn parse_port(text: &str) -> Option<u16> {
    if text.is_empty() {
        Some(DEFAULT_PORT)
    } else {
        text.parse().ok()
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bracket = |ip: &IpAddr| match ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        match self {
            Self::ListenUnix(path) => write!(f, "punix:{}", path.display()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::ListenTcp(ip, port) => write!(f, "ptcp:{port}:{}", bracket(ip)),
            Self::Tcp(ip, port) => write!(f, "tcp:{}:{port}", bracket(ip)),
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
            "tcp:[::1]:6641",
        ] {
            assert_eq!(text.parse::<Remote>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let text = |s: &str| s.parse::<Remote>().unwrap().to_string();
        assert_eq!(text("ptcp:"), "ptcp:6640:0.0.0.0");
        assert_eq!(text("ptcp:0:127.0.0.1"), "ptcp:0:127.0.0.1");
        assert_eq!(text("tcp:10.0.0.1"), "tcp:10.0.0.1:6640");
        assert_eq!(text("tcp:[::1]"), "tcp:[::1]:6640");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "db.sock",
            "ptcp:70000",
            "ptcp:1:nowhere",
            "ssl:1.2.3.4",
            "x:y",
        ] {
            assert!(text.parse::<Remote>().is_err(), "{text}");
        }
    }
}
