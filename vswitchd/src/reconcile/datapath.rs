//! What the reconciler needs of a datapath.

use std::collections::BTreeMap;

use aorta_flow::{BridgeName, PortName, Snapshot};

/// The datapath refused, with the whole chain of causes in one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DatapathError(pub String);

/// Where a port's frames enter the switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// `tcx`, `patch` or `none`.
    pub name: String,
    /// Why that one.
    pub reason: String,
}

/// How a snapshot was taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Ports that could not be attached, and why.
    pub failed: BTreeMap<PortName, String>,
    /// Hooks of the others.
    pub hooks: BTreeMap<PortName, Hook>,
}

/// Counters of one port since it is attached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames taken from the port.
    pub rx_packets: u64,
    /// Bytes taken from the port.
    pub rx_bytes: u64,
    /// Frames sent to the port.
    pub tx_packets: u64,
    /// Bytes sent to the port.
    pub tx_bytes: u64,
    /// Frames that entered here and went nowhere, by reason.
    pub drops: BTreeMap<String, u64>,
}

/// One learned address.
pub type Fdb = aorta_api::FdbEntry;

/// Switches frames as a snapshot says.
pub trait Datapath: Send {
    /// Makes the snapshot the truth. Ports that can't be attached don't keep the others back.
    fn apply(&mut self, snapshot: &Snapshot) -> Result<Applied, DatapathError>;

    /// Counters of every port.
    fn counters(&self) -> Result<BTreeMap<PortName, Counters>, DatapathError>;

    /// Addresses that a bridge has learned.
    fn fdb(&self, bridge: &BridgeName) -> Result<Vec<Fdb>, DatapathError>;
}
