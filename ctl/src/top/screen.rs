//! Rates as lines of a terminal.

use std::cmp::Ordering;

use super::rates::{FlowRate, PortRate, Rates};
use super::view::{Part, Sort, View};

/// What keys do, for the last line.
const KEYS: &str = "q quit  Tab part  s sort  r reverse  b bridge  +/- interval  space pause";
/// Columns of a rate, with the blank in front.
const RATE: usize = 10;
/// Columns of a port's name at least, and of a bridge's.
const NAME: usize = 15;

/// A column of ports: its heading, by what it is sorted, its value.
type Column = (&'static str, Sort, fn(&PortRate) -> f64);

/// Columns of ports; in a narrow terminal those at the end are left out.
const COLUMNS: [Column; 5] = [
    ("rx bit/s", Sort::Received, |port| port.rx_bits),
    ("tx bit/s", Sort::Sent, |port| port.tx_bits),
    ("rx pkt/s", Sort::PacketsReceived, |port| port.rx_packets),
    ("tx pkt/s", Sort::PacketsSent, |port| port.tx_packets),
    ("drops/s", Sort::Dropped, |port| port.drops),
];

/// Lines and columns of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub columns: usize,
    /// Lines; `None` for as many as there are to show, without the keys.
    pub lines: Option<usize>,
}

/// The screen, line by line: no longer and no wider than the terminal.
pub fn screen(rates: &Rates, view: &View, size: Size) -> Vec<String> {
    let shown = |bridge: &String| view.bridge.as_ref().is_none_or(|only| only == bridge);
    let mut ports: Vec<&PortRate> = rates.ports.iter().filter(|p| shown(&p.bridge)).collect();
    ports.sort_by(|a, b| order(view, a, b));
    let flows: Vec<&FlowRate> = rates.flows.iter().filter(|f| shown(&f.bridge)).collect();

    let mut lines = vec![head(rates, view, &ports)];
    let keys = usize::from(size.lines.is_some());
    let room = size.lines.map(|lines| lines.saturating_sub(1 + keys));
    let (port_room, flow_room) = shares(room, view.part, ports.len());
    if view.part != Part::Flows {
        push(
            &mut lines,
            port_lines(&ports, view, size.columns),
            port_room,
        );
    }
    if view.part != Part::Ports {
        push(&mut lines, flow_lines(&flows, rates, view), flow_room);
    }
    if let Some(height) = size.lines {
        lines.resize(height.saturating_sub(1), String::new());
        lines.push(KEYS.to_owned());
        lines.truncate(height);
    }
    lines.iter().map(|line| cut(line, size.columns)).collect()
}

/// How many lines ports get, and flows; all they want if there is no limit.
fn shares(room: Option<usize>, part: Part, ports: usize) -> (usize, usize) {
    let Some(room) = room else {
        return (usize::MAX, usize::MAX);
    };
    match part {
        Part::Ports => (room, 0),
        Part::Flows => (0, room),
        // Ports get what they need, but not more than a little over a half.
        Part::Both => {
            let ports = (ports + 1).min(room.div_ceil(2) + 1).min(room);
            (ports, room - ports)
        }
    }
}

/// Adds lines; says in the last one how many more there are, if there are.
fn push(to: &mut Vec<String>, mut lines: Vec<String>, room: usize) {
    if lines.len() > room {
        let more = lines.len() - room + 1;
        lines.truncate(room.saturating_sub(1));
        if room > 0 {
            lines.push(format!("  and {more} more"));
        }
    }
    to.append(&mut lines);
}

fn head(rates: &Rates, view: &View, ports: &[&PortRate]) -> String {
    let sum = |of: fn(&PortRate) -> f64| ports.iter().map(|port| of(port)).sum();
    let bridge = view.bridge.as_deref().unwrap_or("all bridges");
    let mut text = format!(
        "{bridge}: {} ports, in {} pkt/s {} bit/s, drops {}/s, every {} s by {}",
        ports.len(),
        scaled(sum(|port| port.rx_packets)),
        scaled(sum(|port| port.rx_bits)),
        scaled(sum(|port| port.drops)),
        view.interval.as_secs_f64(),
        view.sort.name(),
    );
    if rates.problems > 0 {
        let problems = if rates.problems == 1 {
            "problem"
        } else {
            "problems"
        };
        text.push_str(&format!(", {} {problems}: vsctl status", rates.problems));
    }
    if view.paused {
        text.push_str(", paused");
    }
    text
}

fn order(view: &View, a: &PortRate, b: &PortRate) -> Ordering {
    let by_name = (&a.port, &a.bridge).cmp(&(&b.port, &b.bridge));
    let column = COLUMNS.iter().find(|(_, sort, _)| *sort == view.sort);
    // The most first, unless by name.
    let by = column.map_or(Ordering::Equal, |(.., value)| value(b).total_cmp(&value(a)));
    let order = by.then(by_name);
    if view.reverse { order.reverse() } else { order }
}

fn port_lines(ports: &[&PortRate], view: &View, width: usize) -> Vec<String> {
    let longest = ports.iter().map(|port| port.port.chars().count()).max();
    let name = longest.unwrap_or(0).clamp(4, NAME);
    let count = (width.saturating_sub(name) / RATE).min(COLUMNS.len());
    let columns = COLUMNS.get(..count).unwrap_or_default();
    let mut head = format!("{:<name$}", "port");
    for (title, sort, _) in columns {
        let mark = if *sort == view.sort { "*" } else { "" };
        head.push_str(&format!("{:>RATE$}", format!("{mark}{title}")));
    }
    head.push_str("  bridge");
    let line = |port: &&PortRate| {
        let mut line = format!("{:<name$}", cut(&port.port, name));
        for (.., value) in columns {
            line.push_str(&format!("{:>RATE$}", scaled(value(port))));
        }
        line + "  " + &port.bridge
    };
    [head].into_iter().chain(ports.iter().map(line)).collect()
}

fn flow_lines(flows: &[&FlowRate], rates: &Rates, view: &View) -> Vec<String> {
    let head = format!("{:>RATE$}{:>RATE$}  flow", "pkt/s", "bit/s");
    let line = |flow: &&FlowRate| {
        let bridge = if view.bridge.is_none() && rates.bridges.len() > 1 {
            format!("{} ", flow.bridge)
        } else {
            String::new()
        };
        let (packets, bits) = (scaled(flow.packets), scaled(flow.bits));
        format!("{packets:>RATE$}{bits:>RATE$}  {bridge}{}", flow.flow)
    };
    let mut lines = vec![head];
    lines.extend(flows.iter().map(line));
    if rates.idle > 0 {
        let flows = if rates.idle == 1 { "flow" } else { "flows" };
        lines.push(format!("  {} {flows} without a packet", rates.idle));
    }
    for (bridge, flows) in &rates.left_out {
        if view.bridge.as_ref().is_none_or(|only| only == bridge) {
            lines.push(format!(
                "  {bridge} has {flows} flows, too many to watch: vsctl --rate dump-flows {bridge}"
            ));
        }
    }
    lines
}

/// A rate in at most seven columns: `0`, `12`, `1.23k`, `45.6M`.
pub fn scaled(rate: f64) -> String {
    if rate < 9.95 && rate > 0.0 {
        return format!("{rate:.1}");
    }
    let mut value = rate;
    for unit in ["", "k", "M", "G", "T"] {
        if value < 999.5 {
            return match (unit, value) {
                ("", _) | (_, 99.95..) => format!("{value:.0}{unit}"),
                (_, 9.995..) => format!("{value:.1}{unit}"),
                _ => format!("{value:.2}{unit}"),
            };
        }
        value /= 1000.0;
    }
    format!("{value:.0}P")
}

/// The beginning of a line, with a mark where it is cut.
fn cut(line: &str, columns: usize) -> String {
    if line.chars().count() <= columns {
        return line.to_owned();
    }
    let mut text: String = line.chars().take(columns.saturating_sub(1)).collect();
    if columns > 0 {
        text.push('…');
    }
    text
}
