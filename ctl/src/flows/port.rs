//! Ports as ovs-ofctl prints them.

use std::fmt::Write as _;

use aorta_api::{BridgeStatus, PortStatus};

/// The port that LOCAL stands for.
const LOCAL: i32 = 65534;

/// The ports of a bridge that were asked for, by number or name, `LOCAL` for the bridge's own;
/// all if none was named.
pub fn chosen<'a>(bridge: &'a BridgeStatus, asked: &str) -> Vec<&'a PortStatus> {
    let is = |port: &PortStatus| match asked {
        "" => true,
        _ if asked.eq_ignore_ascii_case("local") => port.ofport == LOCAL,
        _ => asked == port.name || asked.parse() == Ok(port.ofport),
    };
    let there = bridge.ports.iter().filter(|port| port.ofport >= 0);
    let mut ports: Vec<&PortStatus> = there.filter(|port| is(port)).collect();
    // The bridge's own port comes first.
    ports.sort_by_key(|port| (port.ofport != LOCAL, port.ofport));
    ports
}

/// What `dump-ports` prints. Counters that the switch hasn't are shown as `?`.
pub fn text(ports: &[&PortStatus]) -> String {
    let mut out = format!("OFPST_PORT reply (xid=0x2): {} ports\n", ports.len());
    for port in ports {
        let number = match port.ofport {
            LOCAL => "LOCAL".to_owned(),
            number => number.to_string(),
        };
        let (packets, bytes) = (port.rx_packets, port.rx_bytes);
        let drops: u64 = port.drops.values().sum();
        let _ = writeln!(
            out,
            "  port {number:>2}: rx pkts={packets}, bytes={bytes}, drop={drops}, errs=?, frame=?, \
             over=?, crc=?"
        );
        let (packets, bytes) = (port.tx_packets, port.tx_bytes);
        let _ = writeln!(
            out,
            "           tx pkts={packets}, bytes={bytes}, drop=?, errs=?, coll=?"
        );
    }
    out
}
