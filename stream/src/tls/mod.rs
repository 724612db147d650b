//! TLS as Open vSwitch uses it: both sides present certificates that chain to the CA certificate
//! configured; names are not compared, so the CA is to be one of the operator's own. TLS 1.2 and
//! 1.3, keys in PKCS#1, PKCS#8 or SEC1, everything in PEM files, which are read again when they
//! change.
mod context;
mod der;
mod files;
mod verify;

use std::io;
use std::path::PathBuf;

use tokio_rustls::rustls;

pub use context::{BlockingServerStream, BlockingStream, Tls};
pub use files::TlsFiles;

/// Why TLS can't be had.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that is needed was not named.
    #[error("no {what} is configured: name it with {option} or with ovs-vsctl set-ssl")]
    Unset {
        /// What is missing.
        what: &'static str,
        /// Option of the command line that would name it.
        option: &'static str,
    },
    /// A file can't be read.
    #[error("{what} {path}: can't be read")]
    Read {
        /// What should be in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A file has something else in it.
    #[error("{what} {path}: {reason}")]
    Content {
        /// What should be in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The private key isn't that of the certificate, or of a kind that is not supported.
    #[error("private key {key} does not go with certificate {certificate}")]
    Identity {
        /// File of the private key.
        key: PathBuf,
        /// File of the certificate.
        certificate: PathBuf,
        /// What is wrong with them.
        source: rustls::Error,
    },
    /// Clients can't be judged before a connection to somewhere has brought the CA certificate.
    #[error("CA certificate {path}: not there yet; the first connection to a peer will bring it")]
    NotBootstrapped {
        /// Where it will be.
        path: PathBuf,
    },
    /// The CA certificate that a peer sent can't be kept.
    #[error("CA certificate {path}: can't be written")]
    Write {
        /// Where it should be.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The library refuses the combination of algorithms.
    #[error("TLS can't be set up")]
    Setup(#[source] rustls::Error),
    /// The peer's or our own certificate was refused, or the connection broke.
    #[error("TLS handshake failed")]
    Handshake(#[source] io::Error),
}
