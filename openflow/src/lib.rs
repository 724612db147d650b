//! OpenFlow 1.0 to 1.5 with the extensions that `ovs-ofctl` and controllers use: messages as
//! values, and these values as bytes.
//!
//! Pure: no clock, no I/O. All numbers on the wire are big-endian.
#![forbid(unsafe_code)]

pub mod error;
mod framing;
pub mod fuzzing;
mod header;
pub mod message;
pub mod session;
pub mod text;
pub mod version;
mod wire;

pub use framing::{Framer, FramingError};
pub use header::Header;
pub use message::{Envelope, Message};
pub use version::{Version, Versions};
pub use wire::{
    Context, DecodeError, EncodeError, OptionLengths, QUOTE_LEN, decode, encode, encode_into,
};
