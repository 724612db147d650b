//! Ports, and what the switch is.

use std::fmt::Write as _;

use super::Style;
use super::bits::{put_bits, put_counter, put_duration, put_port};
use crate::message::{
    EtherCounters, Features, FragmentHandling, PortChange, PortDesc, PortFeatures, PortMod,
    PortStats, PortStatus, SwitchConfig,
};
use crate::version::Version;

const CONFIG: [(u32, &str); 7] = [
    (1, "PORT_DOWN"),
    (1 << 1, "NO_STP"),
    (1 << 2, "NO_RECV"),
    (1 << 3, "NO_RECV_STP"),
    (1 << 4, "NO_FLOOD"),
    (1 << 5, "NO_FWD"),
    (1 << 6, "NO_PACKET_IN"),
];

const STATE: [(u32, &str); 3] = [(1, "LINK_DOWN"), (1 << 1, "BLOCKED"), (1 << 2, "LIVE")];

/// States of the spanning tree protocol, by their number; the first has no name.
const STP: [&str; 4] = ["", "STP_LEARN", "STP_FORWARD", "STP_BLOCK"];
const STP_SHIFT: u32 = 8;

const FEATURES: [(u32, &str); 16] = [
    (1, "10MB-HD"),
    (1 << 1, "10MB-FD"),
    (1 << 2, "100MB-HD"),
    (1 << 3, "100MB-FD"),
    (1 << 4, "1GB-HD"),
    (1 << 5, "1GB-FD"),
    (1 << 6, "10GB-FD"),
    (1 << 7, "40GB-FD"),
    (1 << 8, "100GB-FD"),
    (1 << 9, "1TB-FD"),
    (1 << 10, "OTHER"),
    (1 << 11, "COPPER"),
    (1 << 12, "FIBER"),
    (1 << 13, "AUTO_NEG"),
    (1 << 14, "AUTO_PAUSE"),
    (1 << 15, "AUTO_PAUSE_ASYM"),
];

const CAPABILITIES: [(u32, &str); 11] = [
    (1, "FLOW_STATS"),
    (1 << 1, "TABLE_STATS"),
    (1 << 2, "PORT_STATS"),
    (1 << 3, "GROUP_STATS"),
    (1 << 5, "IP_REASM"),
    (1 << 6, "QUEUE_STATS"),
    (1 << 7, "ARP_MATCH_IP"),
    (1 << 8, "PORT_BLOCKED"),
    (1 << 9, "BUNDLES"),
    (1 << 10, "FLOW_MONITORING"),
    (1 << 31, "STP"),
];

/// Actions of OpenFlow 1.0 by their types.
const ACTIONS_10: [(u32, &str); 12] = [
    (1, "output"),
    (1 << 11, "enqueue"),
    (1 << 1, "set_vlan_vid"),
    (1 << 2, "set_vlan_pcp"),
    (1 << 3, "strip_vlan"),
    (1 << 4, "mod_dl_src"),
    (1 << 5, "mod_dl_dst"),
    (1 << 6, "mod_nw_src"),
    (1 << 7, "mod_nw_dst"),
    (1 << 8, "mod_nw_tos"),
    (1 << 9, "mod_tp_src"),
    (1 << 10, "mod_tp_dst"),
];

/// Actions by their types in a version, in the order in which they are named.
pub(super) fn put_actions(out: &mut String, types: u32, version: Version) {
    let names = match version {
        Version::OpenFlow10 => &ACTIONS_10[..],
        Version::OpenFlow11 => &super::table_features::ACTIONS_11,
        _ => &super::table_features::ACTIONS_12,
    };
    let set = names.iter().filter(|(bit, _)| types & bit != 0);
    let names: Vec<&str> = set.map(|(_, name)| *name).collect();
    out.push_str(&names.join(" "));
}

pub(super) fn put_features(out: &mut String, features: &Features, version: Version) {
    let _ = writeln!(out, " dpid:{:016x}", features.datapath_id);
    let (tables, buffers) = (features.n_tables, features.n_buffers);
    let _ = write!(out, "n_tables:{tables}, n_buffers:{buffers}");
    if features.auxiliary_id != 0 {
        let _ = write!(out, ", auxiliary_id:{}", features.auxiliary_id);
    }
    out.push_str("\ncapabilities: ");
    put_bits(out, features.capabilities.0, &CAPABILITIES, ' ');
    out.push('\n');
    if version == Version::OpenFlow10 {
        out.push_str("actions: ");
        put_actions(out, features.actions, version);
        out.push('\n');
    }
    put_ports(out, &features.ports);
}

pub(super) fn put_config(out: &mut String, config: &SwitchConfig) {
    let fragments = match config.fragments {
        FragmentHandling::Normal => "normal",
        FragmentHandling::Drop => "drop",
        FragmentHandling::Reassemble => "reassemble",
        FragmentHandling::NxMatch => "nx-match",
    };
    let _ = write!(out, " frags={fragments}");
    if config.invalid_ttl_to_controller == Some(true) {
        out.push_str(" invalid_ttl_to_controller");
    }
    let _ = writeln!(out, " miss_send_len={}", config.miss_send_len_bytes);
}

/// Ports by their numbers; those that OpenFlow reserves come last.
pub(super) fn put_ports(out: &mut String, ports: &[PortDesc]) {
    let mut ports: Vec<&PortDesc> = ports.iter().collect();
    ports.sort_by_key(|port| port.port);
    for port in ports {
        put_desc(out, port);
    }
}

/// A name as it can be printed: bytes that are no letters are escaped.
fn put_printable(out: &mut String, name: &str) {
    for c in name.chars() {
        match c {
            ' '..='~' if c != '\\' && c != '"' => out.push(c),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            _ => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(out, "\\{byte:03o}");
                }
            }
        }
    }
}

fn put_desc(out: &mut String, desc: &PortDesc) {
    let _ = write!(out, " {}(", desc.port);
    put_printable(out, &desc.name);
    let _ = write!(out, "): addr:{}\n     config:     ", desc.hw_addr);
    put_bits(out, desc.config.0, &CONFIG, ' ');
    out.push_str("\n     state:      ");
    put_state(out, desc.state.0);
    out.push('\n');
    for (title, features) in [
        ("current:   ", desc.current),
        ("advertised:", desc.advertised),
        ("supported: ", desc.supported),
        ("peer:      ", desc.peer),
    ] {
        if features != PortFeatures::default() {
            let _ = write!(out, "     {title} ");
            put_bits(out, features.0, &FEATURES, ' ');
            out.push('\n');
        }
    }
    let (now, max) = (desc.current_speed_kbps / 1000, desc.max_speed_kbps / 1000);
    let _ = writeln!(out, "     speed: {now} Mbps now, {max} Mbps max");
}

fn put_state(out: &mut String, state: u32) {
    let stp = STP[(state >> STP_SHIFT & 3) as usize];
    let rest = state & !(3 << STP_SHIFT);
    out.push_str(stp);
    if stp.is_empty() || rest != 0 {
        put_bits(out, rest, &STATE, ' ');
    }
}

pub(super) fn put_status(out: &mut String, status: &PortStatus) {
    out.push_str(match status.change {
        PortChange::Add => " ADD:",
        PortChange::Delete => " DEL:",
        PortChange::Modify => " MOD:",
    });
    put_desc(out, &status.port);
}

pub(super) fn put_mod(out: &mut String, change: &PortMod, style: Style<'_>) {
    out.push_str(" port: ");
    put_port(out, change.port, style.names);
    let _ = write!(out, ": addr:{}\n     config: ", change.hw_addr);
    put_bits(out, change.config.0 & change.mask.0, &CONFIG, ' ');
    out.push_str("\n     mask:   ");
    put_bits(out, change.mask.0, &CONFIG, ' ');
    out.push_str("\n     advertise: ");
    match change.advertise.0 {
        0 => out.push_str("UNCHANGED"),
        bits => put_bits(out, bits, &FEATURES, ' '),
    }
    out.push('\n');
}

pub(super) fn put_stats(out: &mut String, ports: &[PortStats], style: Style<'_>) {
    let _ = writeln!(out, " {} ports", ports.len());
    for port in ports {
        put_one(out, port, style);
    }
}

fn put_one(out: &mut String, port: &PortStats, style: Style<'_>) {
    out.push_str("  port ");
    if port.port.0 < 10 {
        out.push(' ');
    }
    put_port(out, port.port, style.names);
    out.push_str(": rx ");
    for (name, count, end) in [
        ("pkts=", port.rx_packets, ", "),
        ("bytes=", port.rx_bytes, ", "),
        ("drop=", port.rx_dropped, ", "),
        ("errs=", port.rx_errors, ", "),
        ("frame=", port.rx_frame_err, ", "),
        ("over=", port.rx_over_err, ", "),
        ("crc=", port.rx_crc_err, "\n"),
    ] {
        put_counter(out, name, count, end);
    }
    out.push_str("           tx ");
    for (name, count, end) in [
        ("pkts=", port.tx_packets, ", "),
        ("bytes=", port.tx_bytes, ", "),
        ("drop=", port.tx_dropped, ", "),
        ("errs=", port.tx_errors, ", "),
        ("coll=", port.collisions, "\n"),
    ] {
        put_counter(out, name, count, end);
    }
    if let Some(duration) = port.duration {
        out.push_str("           duration=");
        put_duration(out, duration);
        out.push('\n');
    }
    if let Some(counters) = &port.ethernet {
        put_ethernet(out, counters);
    }
    put_custom(out, port);
}

/// Counters in lines, as far as they are known.
fn put_known(out: &mut String, indent: &str, counters: &[(&str, Option<u64>)]) {
    let known = counters
        .iter()
        .filter_map(|(name, count)| Some((name, (*count)?)));
    let known: Vec<String> = known
        .map(|(name, count)| format!("{name}={count}"))
        .collect();
    if !known.is_empty() {
        let _ = writeln!(out, "{indent}{}", known.join(", "));
    }
}

fn put_ethernet(out: &mut String, counters: &EtherCounters) {
    const SIZES: [&str; 7] = [
        "1_to_64_packets",
        "65_to_127_packets",
        "128_to_255_packets",
        "256_to_511_packets",
        "512_to_1023_packets",
        "1024_to_1522_packets",
        "1523_to_max_packets",
    ];
    let rows = |sizes: &[Option<u64>; 7]| -> Vec<(&'static str, Option<u64>)> {
        SIZES.iter().copied().zip(sizes.iter().copied()).collect()
    };
    let mut rx = String::new();
    put_known(&mut rx, "           ", &rows(&counters.rx_sizes));
    put_known(
        &mut rx,
        "           ",
        &[
            ("rx_broadcast_packets", counters.rx_broadcast),
            ("rx_undersized_errors", counters.rx_undersized),
            ("rx_oversize_errors", counters.rx_oversize),
            ("rx_fragmented_errors", counters.rx_fragmented),
            ("rx_jabber_errors", counters.rx_jabber),
        ],
    );
    let mut tx = String::new();
    put_known(&mut tx, "           ", &rows(&counters.tx_sizes));
    put_known(
        &mut tx,
        "           ",
        &[
            ("tx_multicast_packets", counters.tx_multicast),
            ("tx_broadcast_packets", counters.tx_broadcast),
        ],
    );
    if !rx.is_empty() {
        let _ = write!(out, "           rx rfc2819 statistics:\n{rx}");
    }
    if !tx.is_empty() {
        let _ = write!(out, "           tx rfc2819 statistics:\n{tx}");
    }
}

/// Counters of a device's own, three on a line.
fn put_custom(out: &mut String, port: &PortStats) {
    if port.custom.is_empty() {
        return;
    }
    out.push_str("           CUSTOM Statistics\n");
    for line in port.custom.chunks(3) {
        let counters: Vec<String> = line
            .iter()
            .map(|c| format!("{}={},", c.name, c.value))
            .collect();
        let _ = writeln!(out, "                      {}", counters.join(" "));
    }
}
