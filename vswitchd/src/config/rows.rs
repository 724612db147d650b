//! Rows of the Open_vSwitch schema, as far as the switch reads them.

use aorta_ovsdb::{Row, Uuid};

/// The row of table Open_vSwitch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenVswitchRow {
    /// Its identity.
    pub uuid: Uuid,
    /// The bridges.
    pub bridges: Vec<Uuid>,
    /// Number of the newest configuration that a client asked for.
    pub next_cfg: i64,
    /// Number of the newest configuration that is in effect.
    pub cur_cfg: i64,
    /// Milliseconds between two writes of statistics, if configured.
    pub stats_interval_ms: Option<String>,
}

impl From<&Row> for OpenVswitchRow {
    fn from(row: &Row) -> Self {
        OpenVswitchRow {
            uuid: row.uuid(),
            bridges: row.uuids("bridges").collect(),
            next_cfg: row.int("next_cfg").unwrap_or(0),
            cur_cfg: row.int("cur_cfg").unwrap_or(0),
            stats_interval_ms: key(row, "other_config", "stats-update-interval"),
        }
    }
}

/// A row of table Bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeRow {
    /// Its identity.
    pub uuid: Uuid,
    /// Its name.
    pub name: String,
    /// Its ports.
    pub ports: Vec<Uuid>,
    /// other_config:hwaddr.
    pub hwaddr: Option<String>,
    /// other_config:datapath-id.
    pub datapath_id: Option<String>,
    /// other_config:mac-aging-time.
    pub mac_aging_time: Option<String>,
    /// other_config:mac-table-size.
    pub mac_table_size: Option<String>,
    /// other_config:forward-bpdu.
    pub forward_bpdu: bool,
    /// Whether it switches nothing by itself (`fail_mode` is `secure`).
    pub secure: bool,
}

impl From<&Row> for BridgeRow {
    fn from(row: &Row) -> Self {
        let other = |name| key(row, "other_config", name);
        BridgeRow {
            uuid: row.uuid(),
            name: row.str("name").unwrap_or_default().to_owned(),
            ports: row.uuids("ports").collect(),
            hwaddr: other("hwaddr"),
            datapath_id: other("datapath-id"),
            mac_aging_time: other("mac-aging-time"),
            mac_table_size: other("mac-table-size"),
            forward_bpdu: other("forward-bpdu").as_deref() == Some("true"),
            secure: row.str("fail_mode") == Some("secure"),
        }
    }
}

/// A row of table Port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRow {
    /// Its identity.
    pub uuid: Uuid,
    /// Its name.
    pub name: String,
    /// Its interfaces; more than one is a bond.
    pub interfaces: Vec<Uuid>,
    /// Its VLAN.
    pub tag: Option<i64>,
    /// The VLANs that it trunks; none means all.
    pub trunks: Vec<i64>,
    /// VLAN mode, if configured.
    pub vlan_mode: Option<String>,
}

impl From<&Row> for PortRow {
    fn from(row: &Row) -> Self {
        PortRow {
            uuid: row.uuid(),
            name: row.str("name").unwrap_or_default().to_owned(),
            interfaces: row.uuids("interfaces").collect(),
            tag: row.int("tag"),
            trunks: row.datum("trunks").ints().collect(),
            vlan_mode: row.str("vlan_mode").map(str::to_owned),
        }
    }
}

/// A row of table Interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceRow {
    /// Its identity.
    pub uuid: Uuid,
    /// Its name.
    pub name: String,
    /// Its type; empty is `system`.
    pub kind: String,
    /// options:peer.
    pub peer: Option<String>,
    /// Address that the device should have.
    pub mac: Option<String>,
    /// Its number as last written.
    pub ofport: Option<i64>,
    /// The number that it should have.
    pub ofport_request: Option<i64>,
    /// The MTU that it should have, in bytes.
    pub mtu_request: Option<i64>,
    /// other_config:aorta-hook.
    pub hook: Option<String>,
}

impl From<&Row> for InterfaceRow {
    fn from(row: &Row) -> Self {
        InterfaceRow {
            uuid: row.uuid(),
            name: row.str("name").unwrap_or_default().to_owned(),
            kind: row.str("type").unwrap_or_default().to_owned(),
            peer: key(row, "options", "peer"),
            mac: row.str("mac").map(str::to_owned),
            ofport: row.int("ofport"),
            ofport_request: row.int("ofport_request"),
            mtu_request: row.int("mtu_request"),
            hook: key(row, "other_config", "aorta-hook"),
        }
    }
}

fn key(row: &Row, column: &str, key: &str) -> Option<String> {
    row.map_get(column, key).map(str::to_owned)
}
