//! Byte streams between the switch and those that talk to it: remotes in Open vSwitch's notation,
//! sockets that are listened on, connections that are made again whenever they end, TLS. What is
//! said over them is the matter of a [`Service`].
#![forbid(unsafe_code)]

mod backoff;
mod connect;
mod dialer;
mod listener;
mod remote;
mod service;
mod socket;
pub mod tls;

pub use backoff::Backoff;
pub use dialer::{DialState, Dialer, DialerStatus, dial};
pub use listener::{Listener, ListenerStatus, listen};
pub use remote::{Endpoint, Host, OPENFLOW_PORT, OVSDB_PORT, Remote, RemoteError};
pub use service::{Admission, Peer, RemoteOptions, Service, Setup, Stream};
pub use socket::{ListenError, listening_needs};
pub use tls::{Tls, TlsError, TlsFiles};

use std::io;

/// An error and its causes in one line.
pub fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// An error of the system as other programs have it: without its number.
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" (os error ") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}
