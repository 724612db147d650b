//! Entries for fuzzers. Each takes any bytes, and panics if a promise of the daemon is broken. The
//! corpora under `corpus/` are replayed by the tests.

mod command;
mod configuration;
mod journal;
mod lab;
mod openflow;
mod words;

pub use command::command;
pub use configuration::configuration;
pub use journal::journal;
pub use openflow::openflow;
pub use words::{log, options};

#[cfg(test)]
mod tests;
