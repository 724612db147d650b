//! Values as the database holds them: atoms, and the sets and maps that every column is made of.
mod atom;
mod collections;
mod datum;
mod diff;
mod text;

pub use atom::{Atom, AtomType, NoSymbols, Real, Symbols};
pub use collections::{AtomMap, AtomSet};
pub use datum::Datum;
pub(crate) use diff::differences;
pub(crate) use text::{write_array, write_string, write_uuid, write_value};
