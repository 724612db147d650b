//! Ports of which two say that the same address is behind them.

use std::collections::BTreeMap;

use super::{DesiredBridge, DesiredPort, Model, Wanted};

/// Pairs of a bridge's ports in the same VLANs with the same `external_ids:attached-mac`, a sentence
/// each: what is sent to the address reaches whichever was heard last.
pub fn duplicates(bridge: &DesiredBridge, model: &Model) -> Vec<String> {
    let mut first = BTreeMap::<String, Vec<&DesiredPort>>::new();
    let mut notes = Vec::new();
    for port in &bridge.ports {
        let row = port.row.and_then(|row| model.interfaces.get(&row));
        let mac = row.and_then(|row| row.attached_mac.as_ref());
        let Some(mac) = mac.filter(|_| !matches!(port.wanted, Wanted::Refused(_))) else {
            continue;
        };
        let others = first.entry(mac.to_ascii_lowercase()).or_default();
        match others.iter().find(|other| other.vlan == port.vlan) {
            None => others.push(port),
            Some(other) => notes.push(format!(
                "interfaces {} and {} of bridge {} have the same external_ids:attached-mac, {mac}: \
                 frames to it reach whichever sent last",
                other.name, port.name, bridge.name
            )),
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use crate::testing::Rows;

    const MAC: &str = "52:54:00:00:00:0A";

    /// A bridge with two ports, whose interfaces have an address each.
    fn with_macs(macs: [&str; 2]) -> Rows {
        let mut rows = Rows::default();
        let bridge = rows.bridge("br0");
        for (name, mac) in ["tap0", "tap1"].into_iter().zip(macs) {
            let mut interface = rows.interface(name, "");
            interface.attached_mac = Some(mac.to_owned());
            rows.port(bridge, vec![interface]);
        }
        rows
    }

    #[test]
    fn both_ports_are_named_whose_guests_have_one_address() {
        let lower = MAC.to_ascii_lowercase();
        let [note] = &with_macs([&lower, MAC]).desired().notes[..] else {
            panic!("not one note");
        };
        assert!(
            note.starts_with("interfaces tap0 and tap1 of bridge br0 have the same"),
            "{note}"
        );
        let other = with_macs([MAC, "52:54:00:00:00:0b"]).desired();
        assert!(other.notes.is_empty(), "{:?}", other.notes);
    }

    #[test]
    fn the_same_address_in_another_vlan_is_another_station() {
        let mut rows = with_macs([MAC, MAC]);
        let port = rows.model.ports.values_mut().next().unwrap();
        port.tag = Some(7);
        assert!(rows.desired().notes.is_empty());
    }
}
