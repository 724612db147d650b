//! Which asynchronous messages a controller gets.

use std::fmt::Write as _;

use crate::message::{AsyncConfig, AsyncMasks};

const PACKET_IN: [&str; 6] = [
    "no_match",
    "action",
    "invalid_ttl",
    "action_set",
    "group",
    "packet_out",
];
const PORT_STATUS: [&str; 3] = ["add", "delete", "modify"];
const FLOW_REMOVED: [&str; 6] = [
    "idle",
    "hard",
    "delete",
    "group_delete",
    "meter_delete",
    "eviction",
];
const ROLE_STATUS: [&str; 3] = [
    "primary_request",
    "configuration_changed",
    "experimenter_data_changed",
];
/// Tables tell their reasons from the fourth on.
const TABLE_STATUS: [&str; 5] = ["", "", "", "vacancy_down", "vacancy_up"];
const REQUEST_FORWARD: [&str; 2] = ["group_mod_request", "meter_mod_request"];

pub(super) fn put(out: &mut String, config: &AsyncConfig) {
    out.push_str("\n primary:\n");
    put_masks(out, &config.primary);
    out.push_str("\n secondary:\n");
    put_masks(out, &config.secondary);
}

fn put_masks(out: &mut String, masks: &AsyncMasks) {
    for (title, mask, names) in [
        ("      PACKET_IN:", masks.packet_in, &PACKET_IN[..]),
        ("    PORT_STATUS:", masks.port_status, &PORT_STATUS),
        ("   FLOW_REMOVED:", masks.flow_removed, &FLOW_REMOVED),
        ("    ROLE_STATUS:", masks.role_status, &ROLE_STATUS),
        ("   TABLE_STATUS:", masks.table_status, &TABLE_STATUS),
        (" REQUESTFORWARD:", masks.request_forward, &REQUEST_FORWARD),
    ] {
        let mask = mask.unwrap_or(0);
        let set = names
            .iter()
            .enumerate()
            .filter(|(at, name)| mask >> at & 1 != 0 && !name.is_empty());
        let names: Vec<&str> = set.map(|(_, name)| *name).collect();
        let told = match names.is_empty() {
            true => "(off)".to_owned(),
            false => names.join(" "),
        };
        let _ = writeln!(out, " {title} {told}");
    }
}
