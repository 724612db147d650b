//! The database file: a log of transactions that OVS's own tools read and write.
//!
//! Every record is a line `OVSDB JSON LENGTH SHA1` and one line of JSON of LENGTH bytes, its line
//! feed included. The first record is the schema; each later one is a transaction:
//! `{"TABLE": {"UUID": null | {"COLUMN": value}}, "_date": ms, "_comment": text, "_is_diff": true}`.
mod compact;
mod disk;
mod error;
#[cfg(test)]
pub(crate) mod faulty;
mod file;
mod read;
mod record;
mod target;
mod upgrade;

pub use compact::{CompactionJob, CompactionJobDone, CompactionStep};
pub use disk::{Disk, DiskFile};
pub use error::LogError;
pub use file::Log;
pub use read::{parse_log, salvage};
pub(crate) use record::append_transaction;
pub use record::{Fault, Reader, Record, encode, encode_transaction};
pub use target::SyncHandle;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod upgrade_tests;
