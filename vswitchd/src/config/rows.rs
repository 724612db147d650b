//! Rows of the Open_vSwitch schema, as far as the switch reads them.

use std::collections::BTreeMap;

use aorta_flow::PriorityTags;
use aorta_ovsdb::{Atom, Datum, Row, Uuid};
use aorta_stream::{OPENFLOW_PORT, Remote};

use super::offload::{EXCLUDE, MODE, PIN};
use super::vlan::priority_tags;
use super::{InterfaceGuard, OPTIONS, PortLimits};

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
    /// Somebody is putting flows back; controllers are not connected to before that is over
    /// (other_config:flow-restore-wait).
    pub restore_wait: bool,
    /// other_config:hw-offload.
    pub hw_offload: Option<String>,
    /// other_config:tc-policy.
    pub tc_policy: Option<String>,
}

impl From<&Row> for OpenVswitchRow {
    fn from(row: &Row) -> Self {
        OpenVswitchRow {
            uuid: row.uuid(),
            bridges: row.uuids("bridges").collect(),
            next_cfg: row.int("next_cfg").unwrap_or(0),
            cur_cfg: row.int("cur_cfg").unwrap_or(0),
            stats_interval_ms: key(row, "other_config", "stats-update-interval"),
            restore_wait: key(row, "other_config", "flow-restore-wait").as_deref() == Some("true"),
            hw_offload: key(row, "other_config", "hw-offload"),
            tc_policy: key(row, "other_config", "tc-policy"),
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
    /// Versions of OpenFlow that it speaks; none means all.
    pub protocols: Vec<String>,
    /// Its controllers.
    pub controllers: Vec<Uuid>,
    /// Rows of its tables, by their numbers.
    pub flow_tables: BTreeMap<i64, Uuid>,
    /// other_config:aorta-offload-pin.
    pub offload_pin: Option<String>,
    /// other_config:aorta-offload-exclude.
    pub offload_exclude: Option<String>,
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
            protocols: row
                .datum("protocols")
                .strings()
                .map(str::to_owned)
                .collect(),
            controllers: row.uuids("controller").collect(),
            flow_tables: numbered(row.datum("flow_tables")),
            offload_pin: other(PIN),
            offload_exclude: other(EXCLUDE),
        }
    }
}

/// A row of table Controller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ControllerRow {
    /// Where it is, or where it may connect to.
    pub target: String,
    /// `type`: primary or service.
    pub kind: Option<String>,
    /// Milliseconds of silence until it is asked for a sign of life; 0 is never.
    pub inactivity_probe: Option<i64>,
    /// The longest wait between two attempts to connect, in milliseconds.
    pub max_backoff: Option<i64>,
    /// Packets that it gets a second.
    pub rate_limit: Option<i64>,
    /// Packets that it may get at once after a pause, and that may wait.
    pub burst_limit: Option<i64>,
    /// Messages that may wait for it.
    pub queue_size: Option<i64>,
    /// Whether it is never told what it didn't ask for (`enable_async_messages` is false).
    pub silent: bool,
    /// Whether it is to be reached through the switch's own bridges.
    pub in_band: bool,
}

impl ControllerRow {
    /// Whether it decides what the bridge does: it says so, or the switch connects to it.
    pub fn is_primary(&self) -> bool {
        match self.kind.as_deref() {
            Some(kind) => kind == "primary",
            None => Remote::parse(&self.target, OPENFLOW_PORT).is_ok_and(|r| !r.is_passive()),
        }
    }
}

impl From<&Row> for ControllerRow {
    fn from(row: &Row) -> Self {
        ControllerRow {
            target: row.str("target").unwrap_or_default().to_owned(),
            kind: row.str("type").map(str::to_owned),
            inactivity_probe: row.int("inactivity_probe"),
            max_backoff: row.int("max_backoff"),
            rate_limit: row.int("controller_rate_limit"),
            burst_limit: row.int("controller_burst_limit"),
            queue_size: row.int("controller_queue_size"),
            silent: *row.datum("enable_async_messages") == Datum::scalar(false),
            in_band: row.str("connection_mode") == Some("in-band"),
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
    /// When frames without a VLAN leave with a tag for their priority (other_config:priority-tags).
    pub priority_tags: PriorityTags,
    /// What NORMAL does with frames from it.
    pub limits: PortLimits,
    /// Its row of table QoS.
    pub qos: Option<Uuid>,
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
            priority_tags: priority_tags(row.map_get("other_config", "priority-tags")),
            limits: PortLimits::from(row),
            qos: row.uuids("qos").next(),
        }
    }
}

/// A row of table QoS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QosRow {
    /// What shapes.
    pub kind: String,
    /// Queues by number.
    pub queues: BTreeMap<i64, Uuid>,
    /// Settings.
    pub other_config: BTreeMap<String, String>,
}

impl From<&Row> for QosRow {
    fn from(row: &Row) -> Self {
        QosRow {
            kind: row.str("type").unwrap_or_default().to_owned(),
            queues: numbered(row.datum("queues")),
            other_config: texts(row, "other_config"),
        }
    }
}

/// A row of table Queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueRow {
    /// Mark that packets get.
    pub dscp: Option<i64>,
    /// Settings.
    pub other_config: BTreeMap<String, String>,
}

impl From<&Row> for QueueRow {
    fn from(row: &Row) -> Self {
        QueueRow {
            dscp: row.int("dscp"),
            other_config: texts(row, "other_config"),
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
    /// external_ids:attached-mac: address of the guest behind it, as the one who plugged it says.
    pub attached_mac: Option<String>,
    /// other_config:aorta-offload.
    pub offload: Option<String>,
    /// What is let in from it.
    pub guard: InterfaceGuard,
    /// Options of simulated devices.
    pub options: BTreeMap<String, String>,
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
            attached_mac: key(row, "external_ids", "attached-mac"),
            offload: key(row, "other_config", MODE),
            guard: InterfaceGuard::from(row),
            options: OPTIONS
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), key(row, "options", name)?)))
                .collect(),
        }
    }
}

fn key(row: &Row, column: &str, key: &str) -> Option<String> {
    row.map_get(column, key).map(str::to_owned)
}

/// A map of texts.
fn texts(row: &Row, column: &str) -> BTreeMap<String, String> {
    let pairs = row.datum(column).pairs();
    let text = |(key, value): (&Atom, &Atom)| match (key, value) {
        (Atom::String(key), Atom::String(value)) => Some((key.to_string(), value.to_string())),
        _ => None,
    };
    pairs.filter_map(text).collect()
}

/// A map of numbers to rows.
fn numbered(datum: &Datum) -> BTreeMap<i64, Uuid> {
    let pair = |(key, value): (&Atom, &Atom)| match (key, value) {
        (Atom::Integer(key), Atom::Uuid(value)) => Some((*key, *value)),
        _ => None,
    };
    datum.pairs().filter_map(pair).collect()
}
