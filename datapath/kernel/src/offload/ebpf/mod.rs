//! Cards that run eBPF programs: XDP in hardware mode.

mod objects;

pub use objects::{CardObjects, ObjectError};
