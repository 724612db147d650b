//! What the switch writes into the database, as values: the state of interfaces and bridges, and
//! the columns in which a new state differs from the published one.

use std::collections::BTreeMap;

use aorta_kernel::netdev::{Duplex, LinkStats};
use aorta_ovsdb::{Datum, Uuid};
use aorta_packet::MacAddr;

use crate::reconcile::Counters;

/// New values for some columns of one row.
#[derive(Debug, Clone, PartialEq)]
pub struct RowUpdate {
    /// Its table.
    pub table: &'static str,
    /// The row.
    pub uuid: Uuid,
    /// Columns and values.
    pub columns: Columns,
}

/// Columns and their new values.
pub type Columns = Vec<(&'static str, Datum)>;

/// State of one row of table Interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InterfaceState {
    /// OpenFlow port number, -1 for a port that could not be set up.
    pub ofport: i64,
    /// Why it could not.
    pub error: Option<String>,
    /// Address of the device.
    pub mac: Option<MacAddr>,
    /// MTU of the device in bytes.
    pub mtu: Option<u32>,
    /// Index of the device.
    pub ifindex: Option<u32>,
    /// Whether frames pass.
    pub link_up: Option<bool>,
    /// Whether the device is administratively up.
    pub admin_up: Option<bool>,
    /// Bits per second.
    pub speed_bps: Option<u64>,
    /// Duplex mode.
    pub duplex: Option<Duplex>,
    /// How often the link came or went since the switch knows the port.
    pub link_resets: Option<u32>,
    /// Driver, hook and the reason for the hook.
    pub status: BTreeMap<&'static str, String>,
}

impl InterfaceState {
    /// The columns in which `self` differs from what was published; all of them if nothing was.
    pub fn changes(&self, published: Option<&InterfaceState>) -> Columns {
        let mut out = Changes {
            columns: Vec::new(),
            all: published.is_none(),
        };
        let default = InterfaceState::default();
        let old = published.unwrap_or(&default);
        out.put("ofport", &self.ofport, &old.ofport, |v| Datum::scalar(*v));
        out.put("error", &self.error, &old.error, |v| optional(v.as_deref()));
        out.put("mac_in_use", &self.mac, &old.mac, |v| {
            optional(v.map(|m| m.to_string()))
        });
        out.put("mtu", &self.mtu, &old.mtu, |v| optional(v.map(i64::from)));
        out.put("ifindex", &self.ifindex, &old.ifindex, |v| {
            optional(v.map(i64::from))
        });
        let up = |v: &Option<bool>| optional(v.map(|up| if up { "up" } else { "down" }));
        out.put("link_state", &self.link_up, &old.link_up, up);
        out.put("admin_state", &self.admin_up, &old.admin_up, up);
        let speed = |v: &Option<u64>| optional(v.and_then(|s| i64::try_from(s).ok()));
        out.put("link_speed", &self.speed_bps, &old.speed_bps, speed);
        let duplex = |v: &Option<Duplex>| {
            optional(v.map(|d| if d == Duplex::Full { "full" } else { "half" }))
        };
        out.put("duplex", &self.duplex, &old.duplex, duplex);
        out.put("link_resets", &self.link_resets, &old.link_resets, |v| {
            optional(v.map(i64::from))
        });
        out.put("status", &self.status, &old.status, |v| {
            Datum::map(v.iter().map(|(k, v)| (*k, v.as_str())))
        });
        out.columns
    }
}

/// State of one row of table Bridge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BridgeState {
    /// 16 hexadecimal digits.
    pub datapath_id: String,
    /// Version of the datapath.
    pub datapath_version: String,
    /// Why its flows don't run, if they don't.
    pub flow_problem: Option<String>,
}

impl BridgeState {
    /// The columns in which `self` differs from what was published.
    pub fn changes(&self, published: Option<&BridgeState>) -> Columns {
        let mut out = Changes {
            columns: Vec::new(),
            all: published.is_none(),
        };
        let default = BridgeState::default();
        let old = published.unwrap_or(&default);
        let text = |v: &String| Datum::scalar(v.as_str());
        out.put("datapath_id", &self.datapath_id, &old.datapath_id, text);
        out.put(
            "datapath_version",
            &self.datapath_version,
            &old.datapath_version,
            text,
        );
        out.put("status", &self.flow_problem, &old.flow_problem, |why| {
            Datum::map(why.iter().map(|why| ("aorta-flows", why.as_str())))
        });
        out.columns
    }
}

/// The map column Interface.statistics of a port with a device.
pub fn device_statistics(s: &LinkStats) -> Vec<(&'static str, u64)> {
    vec![
        ("collisions", s.collisions),
        ("rx_bytes", s.rx_bytes),
        ("rx_crc_err", s.rx_crc_errors),
        ("rx_dropped", s.rx_dropped),
        ("rx_errors", s.rx_errors),
        ("rx_frame_err", s.rx_frame_errors),
        ("rx_missed_errors", s.rx_missed_errors),
        ("rx_multicast_packets", s.multicast),
        ("rx_over_err", s.rx_over_errors),
        ("rx_packets", s.rx_packets),
        ("tx_bytes", s.tx_bytes),
        ("tx_dropped", s.tx_dropped),
        ("tx_errors", s.tx_errors),
        ("tx_packets", s.tx_packets),
    ]
}

/// The same of a device in memory.
pub fn dummy_statistics(s: &LinkStats) -> Vec<(&'static str, u64)> {
    vec![
        ("rx_bytes", s.rx_bytes),
        ("rx_packets", s.rx_packets),
        ("tx_bytes", s.tx_bytes),
        ("tx_packets", s.tx_packets),
    ]
}

/// The same of a patch port, which only the datapath counts.
pub fn patch_statistics(c: &Counters) -> Vec<(&'static str, u64)> {
    vec![
        ("rx_bytes", c.rx_bytes),
        ("rx_packets", c.rx_packets),
        ("tx_bytes", c.tx_bytes),
        ("tx_packets", c.tx_packets),
    ]
}

/// Statistics as the database stores them.
pub fn statistics_datum(statistics: &[(&'static str, u64)]) -> Datum {
    let value = |v: u64| i64::try_from(v).unwrap_or(i64::MAX);
    Datum::map(statistics.iter().map(|(k, v)| (*k, value(*v))))
}

/// An optional column's value.
pub fn optional<A: Into<aorta_ovsdb::Atom>>(value: Option<A>) -> Datum {
    Datum::set(value)
}

struct Changes {
    columns: Columns,
    all: bool,
}

impl Changes {
    fn put<T: PartialEq>(
        &mut self,
        column: &'static str,
        new: &T,
        old: &T,
        datum: impl Fn(&T) -> Datum,
    ) {
        if self.all || new != old {
            self.columns.push((column, datum(new)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_written() {
        let old = InterfaceState {
            ofport: 1,
            mtu: Some(1500),
            ..InterfaceState::default()
        };
        assert_eq!(old.changes(Some(&old)), vec![]);
        let new = InterfaceState {
            ofport: -1,
            mtu: None,
            error: Some("gone".into()),
            ..InterfaceState::default()
        };
        let wanted: Columns = vec![
            ("ofport", Datum::scalar(-1)),
            ("error", Datum::scalar("gone")),
            ("mtu", Datum::empty()),
        ];
        assert_eq!(new.changes(Some(&old)), wanted);
        assert_eq!(
            new.changes(None).len(),
            11,
            "a first time writes every column"
        );
    }

    #[test]
    fn every_value_fits_its_column() {
        let schema = aorta_ovsdb::DatabaseSchema::vswitch();
        let state = InterfaceState {
            ofport: 65534,
            error: None,
            mac: Some(MacAddr([2, 0, 0, 0, 0, 1])),
            mtu: Some(1500),
            ifindex: Some(u32::MAX),
            link_up: Some(true),
            admin_up: Some(false),
            speed_bps: Some(u64::MAX),
            duplex: Some(Duplex::Half),
            link_resets: Some(3),
            status: BTreeMap::from([("driver_name", "veth".to_owned())]),
        };
        let mut columns = state.changes(None);
        let statistics = device_statistics(&LinkStats {
            rx_bytes: u64::MAX,
            ..LinkStats::default()
        });
        columns.push(("statistics", statistics_datum(&statistics)));
        for (name, datum) in columns {
            let column = schema.table("Interface").unwrap().column(name).unwrap();
            column.ty.check(&datum).unwrap();
        }
        let bridge = BridgeState {
            datapath_id: "00".repeat(8),
            datapath_version: "x".into(),
            flow_problem: Some("why".into()),
        };
        for (name, datum) in bridge.changes(None) {
            let column = schema.table("Bridge").unwrap().column(name).unwrap();
            column.ty.check(&datum).unwrap();
        }
    }
}
