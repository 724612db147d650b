//! The switch's configuration store: an OVSDB database (RFC 7047) that unmodified Open vSwitch
//! clients and tools work with.
//!
//! Levels, each using only those before it:
//! - values and schemas: [`Atom`], [`Datum`], [`ColumnType`], [`DatabaseSchema`], [`Row`]
#![forbid(unsafe_code)]

pub mod error;
mod row;
pub mod schema;
pub mod value;

pub use error::{ErrorKind, OpError};
pub use row::Row;
pub use schema::{
    BaseType, ColumnSchema, ColumnType, DatabaseSchema, RefTable, SchemaError, TableSchema,
};
pub use uuid::Uuid;
pub use value::{Atom, AtomMap, AtomSet, AtomType, Datum, NoSymbols, Real, Symbols};
