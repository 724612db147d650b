//! Who speaks OpenFlow with the bridges: clients of `BRIDGE.mgmt`, those who watch on
//! `BRIDGE.snoop`, and the controllers that rows of table Controller name.
//!
//! `desired` reads the rows, `task` opens and closes what differs and tells the rows how each
//! does, `failmode` decides when a bridge has to do without its controllers, `serve` is one
//! connection, `sending` is what goes out over it.

mod desired;
mod failmode;
mod hub;
mod limit;
mod open;
mod sending;
mod serve;
mod status;
mod task;
#[cfg(test)]
mod tests;
mod watcher;

pub use desired::desired;
pub use task::Connections;
