//! What `vswitchd` tells about its running state, and `vsctl` prints: the values of the
//! management API (JSON-RPC 2.0 on `aorta.sock` in the rundir).
//!
//! Methods: `switch_status` → [`Status`]; `switch_fdb` (params: `[bridge]`) → `Vec<`[`FdbEntry`]`>`.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// File name of the management socket within the rundir.
pub const SOCKET_NAME: &str = "aorta.sock";
/// Method that answers a [`Status`].
pub const METHOD_STATUS: &str = "switch_status";
/// Method that answers the learned MAC addresses of one bridge.
pub const METHOD_FDB: &str = "switch_fdb";
/// JSON-RPC error code of "no such bridge".
pub const ERROR_NO_BRIDGE: i32 = 1;

/// Health of the whole switch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the daemon.
    pub version: String,
    /// Process id of the daemon.
    pub pid: u32,
    /// Seconds since the daemon started.
    pub uptime_s: u64,
    /// `kernel` or `sim`.
    pub datapath: String,
    /// What doesn't work as configured, one line each; empty when all is well.
    pub problems: Vec<String>,
    /// All bridges by name.
    pub bridges: Vec<BridgeStatus>,
}

/// One bridge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BridgeStatus {
    /// Its name.
    pub name: String,
    /// Addresses learned and not aged out.
    pub fdb_entries: u32,
    /// Addresses that it can remember.
    pub fdb_size: u32,
    /// Its ports by number.
    pub ports: Vec<PortStatus>,
}

/// One port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PortStatus {
    /// Its name.
    pub name: String,
    /// OpenFlow port number; 65534 is LOCAL, -1 is a port that could not be set up.
    pub ofport: i32,
    /// Interface type as in OVSDB, `system` where the column is empty.
    pub kind: String,
    /// Where its frames enter the switch: `tcx`, `patch` or `none`.
    pub hook: String,
    /// Why that hook was chosen, or why there is none.
    pub reason: String,
    /// Kernel device index, 0 if it has no device.
    pub ifindex: u32,
    /// Frames taken from the port.
    pub rx_packets: u64,
    /// Bytes taken from the port.
    pub rx_bytes: u64,
    /// Frames sent to the port.
    pub tx_packets: u64,
    /// Bytes sent to the port.
    pub tx_bytes: u64,
    /// Frames that entered here and went nowhere, by reason; reasons with no frame are left out.
    pub drops: BTreeMap<String, u64>,
}

/// One learned MAC address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FdbEntry {
    /// Name of the port behind which the station is.
    pub port: String,
    /// Number of that port; 65534 is LOCAL.
    pub ofport: u16,
    /// VLAN in which it was seen, 0 for none.
    pub vlan: u16,
    /// The address.
    pub mac: String,
    /// Seconds since a frame came from it.
    pub age_s: u64,
}
