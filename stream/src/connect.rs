//! Connecting to an endpoint.
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::remote::{Endpoint, Host};

impl Endpoint {
    /// Connects, and blocks until that is done; each address may take as long as `limit`.
    ///
    /// # Errors
    /// If no address answers, or there is none.
    pub fn connect(&self, limit: Option<Duration>) -> io::Result<TcpStream> {
        let addresses = match &self.host {
            Host::Ip(ip) => vec![SocketAddr::new(*ip, self.port)],
            Host::Name(name) => (name.as_str(), self.port).to_socket_addrs()?.collect(),
        };
        let mut failure = no_address();
        for address in addresses {
            let attempt = match limit {
                Some(limit) => TcpStream::connect_timeout(&address, limit),
                None => TcpStream::connect(address),
            };
            match attempt {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Connects, for messages that are sent at once.
    ///
    /// # Errors
    /// If no address answers, or there is none.
    pub async fn dial(&self) -> io::Result<tokio::net::TcpStream> {
        let addresses: Vec<SocketAddr> = match &self.host {
            Host::Ip(ip) => vec![SocketAddr::new(*ip, self.port)],
            Host::Name(name) => {
                let found = tokio::net::lookup_host((name.as_str(), self.port));
                found.await?.collect()
            }
        };
        let mut failure = no_address();
        for address in addresses {
            match tokio::net::TcpStream::connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the host has no address")
}
