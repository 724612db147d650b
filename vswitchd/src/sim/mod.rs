//! The sim datapath: a switch and its devices in the daemon's memory, for tests without privileges
//! and for controllers' authors.

mod capture;
mod datapath;
mod error;
mod host;
mod net;
mod number;
mod wire;

pub use datapath::SimDatapath;
pub use error::SimError;
pub use host::SimHost;
pub use net::SimNet;
