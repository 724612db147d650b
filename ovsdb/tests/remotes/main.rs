//! Who may connect, and how: TLS, connections that the server makes, limits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
mod dialing;
mod limits;
mod pki;
mod tls;
mod tools;
