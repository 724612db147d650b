//! What the switch's task knows of connections and bridges for OpenFlow. Pure.

pub mod abilities;
mod bridge;
mod bundle;
mod connection;
pub mod continuation;
mod miss;
mod monitor;
pub mod port;
pub mod table;
mod tlv;

pub use bridge::BridgeState;
pub use bundle::{Bundle, Controlled};
pub use connection::{Connection, Unasked};
pub use miss::misses;
pub use monitor::{Monitor, Origin, full, updates};
