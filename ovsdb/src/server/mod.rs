//! Listening for clients.
mod connection;
mod listener;

pub(crate) use listener::listen;
pub use listener::{ListenError, Listener};
