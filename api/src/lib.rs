//! What `vswitchd` tells about its running state, and `vsctl` prints: the values of the
//! management API (JSON-RPC 2.0 on `aorta.sock` in the rundir). Also what both call the levels of
//! their logs.
//!
//! `docs/openrpc.json` tells all methods; [`OPENRPC`] is its text, which `rpc.discover` answers.
#![forbid(unsafe_code)]

mod flow;
pub mod log;

pub use flow::*;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// File name of the management socket within the rundir.
pub const SOCKET_NAME: &str = "aorta.sock";
/// The description of the API (OpenRPC 1.3).
pub const OPENRPC: &str = include_str!("../../docs/openrpc.json");

/// Method that answers [`OPENRPC`].
pub const METHOD_DISCOVER: &str = "rpc.discover";
/// Method that answers the names of the databases.
pub const METHOD_DB_LIST: &str = "db_list";
/// Method that answers the schema of a database ([`DatabaseParams`]; RFC 7047 §3.2).
pub const METHOD_DB_SCHEMA: &str = "db_schema";
/// Method that runs operations as one transaction ([`TransactParams`]) and answers their results
/// (RFC 7047 §5.2).
pub const METHOD_DB_TRANSACT: &str = "db_transact";
/// Method that subscribes to the contents of tables ([`MonitorParams`]).
pub const METHOD_DB_MONITOR: &str = "db_monitor";
/// Method that ends the subscription.
pub const METHOD_DB_UNMONITOR: &str = "db_unmonitor";
/// Notification of the subscription ([`MonitorUpdate`]).
pub const NOTIFICATION_DB_UPDATE: &str = "db_update";
/// Method that answers a [`Status`].
pub const METHOD_STATUS: &str = "switch_status";
/// Method that answers the learned MAC addresses of one bridge.
pub const METHOD_FDB: &str = "switch_fdb";
/// JSON-RPC error code of "no such bridge".
pub const ERROR_NO_BRIDGE: i32 = 1;
/// JSON-RPC error code of what the database refuses. The data is the `<error>` object of RFC 7047
/// §3.1, of a transaction with a member `operation`: the position of the operation at fault, or
/// null if the transaction as a whole is.
pub const ERROR_DATABASE: i32 = 2;
/// JSON-RPC error code of "more at once than is served".
pub const ERROR_BUSY: i32 = 3;

/// The database that is meant where none is named.
pub const DATABASE: &str = "Open_vSwitch";

fn database() -> String {
    DATABASE.to_owned()
}

/// Which database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseParams {
    /// Its name, [`DATABASE`] by default.
    #[serde(default = "database")]
    pub database: String,
}

/// A transaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransactParams {
    /// The operations (RFC 7047 §5.2 and Open vSwitch's extensions).
    pub operations: Vec<Value>,
    /// The database's name, [`DATABASE`] by default.
    #[serde(default = "database")]
    pub database: String,
}

/// What a subscriber wants to hear of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MonitorParams {
    /// For each table a `<monitor-request>` (RFC 7047 §4.1.5); `{}` is all columns.
    pub tables: Map<String, Value>,
    /// The database's name, [`DATABASE`] by default.
    #[serde(default = "database")]
    pub database: String,
}

/// What a subscriber hears.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MonitorUpdate {
    /// True for the first one, which has all rows that there are; each later one is what one
    /// transaction changed.
    pub initial: bool,
    /// By table and row: `new` with the columns asked for unless the row is gone, `old` with the
    /// columns that had other values unless the row is new (RFC 7047 §4.1.6 `<table-updates>`).
    pub tables: Map<String, Value>,
}

/// Whose learned addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FdbParams {
    /// Name of the bridge.
    pub bridge: String,
}

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
    /// Flows in its tables.
    pub flows: u64,
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
    /// Where its frames enter the switch: `tcx`, `xdp-native` or `xdp-generic` (and behind that tcx),
    /// `patch` or `none`.
    pub hook: String,
    /// Why that hook was chosen, or why there is none.
    pub reason: String,
    /// Kernel device index, 0 if it has no device.
    pub ifindex: u32,
    /// What guards the port: allowed addresses, rates and the like, in words; empty if nothing does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub guard: String,
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
