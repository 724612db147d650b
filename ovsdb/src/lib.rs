//! The switch's configuration store: an OVSDB database (RFC 7047) that unmodified Open vSwitch
//! clients and tools work with.
//!
//! Levels, each using only those before it:
//! - values and schemas (pure): [`Atom`], [`Datum`], [`ColumnType`], [`DatabaseSchema`], [`Row`]
//! - the database (pure): [`Db`] executes transactions and yields a [`Delta`]; [`Monitor`] tells
//!   what a delta means to a client; [`log`] says it as bytes; [`jsonrpc`] finds messages in a
//!   stream
//! - effects: [`Store`] opens a file and serves it, [`Client`] talks to a server
//!
//! A daemon opens a [`Store`], subscribes to its changes, and writes with the builders in [`op`].
#![forbid(unsafe_code)]

pub mod client;
pub mod coverage;
pub mod db;
mod engine;
pub mod error;
pub mod fuzzing;
pub mod histogram;
pub mod json;
pub mod jsonrpc;
pub mod log;
mod monitor;
pub mod op;
mod row;
pub mod schema;
mod server;
mod session;
mod store;
pub mod value;

pub use aorta_stream::tls;
pub use aorta_stream::{
    DialState, Dialer, DialerStatus, Endpoint, Host, ListenError, Listener, ListenerStatus,
    OVSDB_PORT as DEFAULT_PORT, Remote, RemoteError, RemoteOptions, Setup, Tls, TlsError, TlsFiles,
};
pub use client::{Client, ClientError, Notification};
pub use db::{Change, Condition, Context, Db, Delta, Execution, Outcome, Table};
pub use engine::{LockStatus, Usage};
pub use error::{ErrorKind, OpError};
pub use monitor::{Monitor, MonitorVersion};
pub use row::Row;
pub use schema::{
    BaseType, ColumnSchema, ColumnType, DatabaseSchema, RefTable, SchemaError, TableSchema,
};
pub use server::MAX_CLIENTS;
pub use session::{LocalSession, SessionError};
pub use store::{Store, StoreError, StoreHandle};
pub use uuid::Uuid;
pub use value::{Atom, AtomMap, AtomSet, AtomType, Datum, NoSymbols, Real, Symbols};
