//! Commands that ask the running switch: what they print is made here, the asking is elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use aorta_api::{BridgeStatus, FdbEntry, PortStatus, Status};

use super::{Action, Group, OptionSyntax, Syntax, flow, group};
use crate::table::{Cell, DataFormat, Format, Style, Table};

/// What to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Query {
    /// Health, ports and drops.
    Status,
    /// Learned addresses of the bridge that the first argument names.
    Fdb,
    /// Live rates of ports and flows.
    Top,
    /// Flow tables of the bridge that the first argument names.
    Flow(flow::Verb),
    /// Groups, meters and ports of the bridge that the first argument names.
    Group(group::Verb),
}

impl Query {
    /// Whether it changes anything.
    pub fn changes(self) -> bool {
        match self {
            Query::Status | Query::Fdb | Query::Top => false,
            Query::Flow(verb) => verb.changes(),
            Query::Group(verb) => verb.changes(),
        }
    }

    /// Where the help text shows it.
    const fn group(self) -> Group {
        match self {
            Query::Status | Query::Fdb | Query::Top => Group::Switch,
            Query::Flow(_) => Group::Flow,
            Query::Group(_) => Group::GroupMeter,
        }
    }
}

/// A command that asks `query` and takes between so many arguments.
pub(super) const fn command(
    name: &'static str,
    arguments: &'static str,
    (min_args, max_args): (usize, usize),
    options: &'static [OptionSyntax],
    query: Query,
    summary: &'static str,
) -> Syntax {
    Syntax {
        name,
        arguments,
        min_args,
        max_args,
        options,
        group: query.group(),
        summary,
        action: Action::Switch(query),
    }
}

/// The family's commands.
pub const COMMANDS: &[Syntax] = &[
    command(
        "status",
        "",
        (0, 0),
        &[],
        Query::Status,
        "health, ports with their hooks, packets by drop reason",
    ),
    command(
        "fdb",
        "BRIDGE",
        (1, 1),
        &[],
        Query::Fdb,
        "MAC addresses that BRIDGE has learned",
    ),
    command(
        "top",
        "[BRIDGE] [-d SECONDS] [-s COLUMN] [-b] [-n COUNT]",
        (0, 8),
        &[],
        Query::Top,
        "live rates of ports and flows",
    ),
];

/// Colours for a terminal, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Escape sequences.
    Terminal,
    /// Plain text.
    Plain,
}

impl Colour {
    /// A text in the colour of a code (ECMA-48 §8.3.117), or as it is.
    pub fn paint(self, code: &str, text: &str) -> String {
        match self {
            Colour::Terminal => format!("\x1b[{code}m{text}\x1b[0m"),
            Colour::Plain => text.to_owned(),
        }
    }
}

const GOOD: &str = "32";
const BAD: &str = "31";
const BOLD: &str = "1";

/// Columns below each other.
pub const ALIGNED: Style = Style {
    format: Format::Table,
    data: DataFormat::String,
    headings: true,
    max_width: None,
    pretty: false,
};

/// What `status` prints.
pub fn status_text(status: &Status, colour: Colour) -> String {
    let mut text = String::new();
    let health = match status.problems.len() {
        0 => colour.paint(GOOD, "ok"),
        1 => colour.paint(BAD, "1 problem"),
        n => colour.paint(BAD, &format!("{n} problems")),
    };
    let _ = writeln!(
        text,
        "vswitchd {} (pid {}), up {}, datapath {}: {health}",
        status.version,
        status.pid,
        duration(status.uptime_s),
        status.datapath,
    );
    for problem in &status.problems {
        let _ = writeln!(text, "  {} {problem}", colour.paint(BAD, "!"));
    }
    for bridge in &status.bridges {
        text.push('\n');
        text.push_str(&bridge_text(bridge, colour));
    }
    text
}

fn bridge_text(bridge: &BridgeStatus, colour: Colour) -> String {
    let (known, size) = (bridge.fdb_entries, bridge.fdb_size);
    let heading = colour.paint(BOLD, &format!("Bridge {}", bridge.name));
    let flows = match bridge.flows {
        1 => "1 flow".to_owned(),
        n => format!("{n} flows"),
    };
    let mut text = format!("{heading}  {known} of {size} addresses learned, {flows}\n");
    let columns = [
        "port",
        "name",
        "type",
        "hook",
        "rx packets",
        "tx packets",
        "drops",
        "why",
    ];
    let mut table = Table::new(columns);
    table.rows = bridge.ports.iter().map(port_row).collect();
    for line in table.render(&ALIGNED).lines() {
        let _ = writeln!(text, "  {}", line.trim_end());
    }
    let guards = bridge.ports.iter().map(|p| (p.name.as_str(), &p.guard));
    text.push_str(&guards_text(guards));
    text.push_str(&drops_text(&bridge.ports));
    text
}

/// What guards ports, of those that have a guard.
pub fn guards_text<'a>(ports: impl Iterator<Item = (&'a str, &'a String)>) -> String {
    let mut text = String::new();
    for (port, guard) in ports.filter(|(_, guard)| !guard.is_empty()) {
        if text.is_empty() {
            text.push_str("  guarded:\n");
        }
        let _ = writeln!(text, "    {port}: {guard}");
    }
    text
}

fn port_row(port: &PortStatus) -> Vec<Cell> {
    let drops: u64 = port.drops.values().sum();
    vec![
        Cell::text(port_number(i64::from(port.ofport))),
        Cell::text(&port.name),
        Cell::text(&port.kind),
        Cell::text(&port.hook),
        Cell::text(port.rx_packets.to_string()),
        Cell::text(port.tx_packets.to_string()),
        Cell::text(drops.to_string()),
        Cell::text(&port.reason),
    ]
}

/// Packets dropped, by reason, over all ports of a bridge, and at which of them.
fn drops_text(ports: &[PortStatus]) -> String {
    let mut reasons = BTreeMap::<&str, (u64, Vec<String>)>::new();
    for port in ports {
        for (reason, n) in port.drops.iter().filter(|(_, n)| **n > 0) {
            let (all, at) = reasons.entry(reason).or_default();
            *all += n;
            at.push(format!("{} {n}", port.name));
        }
    }
    if reasons.is_empty() {
        return String::new();
    }
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(reason, (all, _))| (std::cmp::Reverse(*all), *reason));
    let mut text = String::from("  dropped:\n");
    for (reason, (all, at)) in reasons {
        let _ = writeln!(text, "    {all:>10}  {reason} ({})", at.join(", "));
    }
    text
}

fn port_number(ofport: i64) -> String {
    match ofport {
        65534 => "LOCAL".to_owned(),
        n if n < 0 => "-".to_owned(),
        n => n.to_string(),
    }
}

/// What `fdb` prints, in the columns of OVS's fdb/show.
pub fn fdb_text(entries: &[FdbEntry]) -> String {
    let mut text = String::from(" port  VLAN  MAC                Age\n");
    for entry in entries {
        let port = port_number(i64::from(entry.ofport));
        let (vlan, mac, age) = (entry.vlan, &entry.mac, entry.age_s);
        let _ = writeln!(text, "{port:>5}  {vlan:>4}  {mac}  {age:>3}");
    }
    text
}

/// A time span in its two largest units.
fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, ofport: i32, drops: &[(&str, u64)]) -> PortStatus {
        PortStatus {
            name: name.into(),
            ofport,
            kind: "system".into(),
            hook: "tcx".into(),
            reason: "tap devices keep offloads at tcx".into(),
            ifindex: 3,
            guard: String::new(),
            rx_packets: 10,
            rx_bytes: 1000,
            tx_packets: 7,
            tx_bytes: 700,
            drops: drops
                .iter()
                .map(|(reason, n)| ((*reason).into(), *n))
                .collect(),
        }
    }

    fn status(problems: Vec<String>) -> Status {
        let ports = vec![
            port("br0", 65534, &[]),
            port("tap0", 1, &[("vlan-not-allowed", 3)]),
            port("gone", -1, &[("no-port", 40), ("vlan-not-allowed", 1)]),
        ];
        let bridge = BridgeStatus {
            name: "br0".into(),
            fdb_entries: 2,
            fdb_size: 8192,
            flows: 1,
            ports,
        };
        Status {
            version: "0.1.0".into(),
            pid: 77,
            uptime_s: 3_725,
            datapath: "kernel".into(),
            problems,
            bridges: vec![bridge],
        }
    }

    #[test]
    fn status_shows_ports_hooks_and_drops() {
        let text = status_text(&status(vec![]), Colour::Plain);
        let expected = "\
vswitchd 0.1.0 (pid 77), up 1 h 2 min, datapath kernel: ok

Bridge br0  2 of 8192 addresses learned, 1 flow
  port  name type   hook rx packets tx packets drops why
  ----- ---- ------ ---- ---------- ---------- ----- --------------------------------
  LOCAL br0  system tcx  10         7          0     tap devices keep offloads at tcx
  1     tap0 system tcx  10         7          3     tap devices keep offloads at tcx
  -     gone system tcx  10         7          41    tap devices keep offloads at tcx
  dropped:
            40  no-port (gone 40)
             4  vlan-not-allowed (tap0 3, gone 1)
";
        assert_eq!(text, expected);
    }

    #[test]
    fn problems_are_listed_and_coloured_only_on_a_terminal() {
        let sick = status(vec!["gone: no such device".into()]);
        let plain = status_text(&sick, Colour::Plain);
        assert!(
            plain.contains("kernel: 1 problem\n  ! gone: no such device\n"),
            "{plain}"
        );
        assert!(!plain.contains('\x1b'));
        let coloured = status_text(&sick, Colour::Terminal);
        assert!(coloured.contains("\x1b[31m1 problem\x1b[0m"), "{coloured}");
    }

    #[test]
    fn fdb_has_the_columns_of_fdb_show() {
        let entry = |ofport, vlan, age_s| FdbEntry {
            port: "tap0".into(),
            ofport,
            vlan,
            mac: "52:54:00:11:22:33".into(),
            age_s,
        };
        let text = fdb_text(&[entry(1, 0, 5), entry(65534, 100, 299)]);
        let expected = " port  VLAN  MAC                Age
    1     0  52:54:00:11:22:33    5
LOCAL   100  52:54:00:11:22:33  299
";
        assert_eq!(text, expected);
    }

    #[test]
    fn durations_use_two_units() {
        assert_eq!(duration(59), "59 s");
        assert_eq!(duration(61), "1 min 1 s");
        assert_eq!(duration(90_000), "1 d 1 h");
    }
}
