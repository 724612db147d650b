//! Flow tables compiled: a bridge's tables become one program, with the rules of its larger
//! tables in memory that programs read and the daemon writes.

pub mod layout;
pub mod maps;
pub mod memory;
pub mod record;
