//! Changes of flow tables as lines of text, and back. Pure.
//!
//! `B secure|standalone "NAME"` says of which bridge the lines behind it are. Of that bridge, `X`
//! says that it is gone, `F ID RULE CREATED MODIFIED FLOW` that a flow is there as told, `D ID`
//! that it is gone; `G SINCE GROUP`, `g ID`, `M SINCE METER` and `m ID` likewise. `RULE` is the
//! number under which the datapath counts, or `-`. Times are milliseconds since the boot.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;

use aorta_flow::table::{FlowId, TableFlow};
use aorta_flow::text::{
    Form, NoNames, Shown, parse_flow, parse_group, parse_meter, show_flow, show_group,
};
use aorta_flow::{Group, Meter, MeterId};

use crate::ofproto::{Ages, Moment};

/// One line.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// Of which bridge the next ones are.
    Bridge {
        /// Its name.
        name: &'a str,
        /// Whether it began with no flow.
        secure: bool,
    },
    /// The bridge is gone.
    BridgeGone,
    /// A flow is there.
    Flow {
        /// The flow.
        entry: &'a TableFlow,
        /// Since when.
        ages: Ages,
        /// Under which number the datapath counts.
        rule: Option<u32>,
    },
    /// A flow is gone.
    FlowGone(FlowId),
    /// A group is there.
    Group(&'a Group, Moment),
    /// A group is gone.
    GroupGone(u32),
    /// A meter is there.
    Meter(&'a Meter, Moment),
    /// A meter is gone.
    MeterGone(MeterId),
}

impl Event<'_> {
    /// Writes the line.
    pub fn put(&self, out: &mut String) {
        // Writing to a string never fails.
        let _ = match self {
            Event::Bridge { name, secure } => {
                let begins = if *secure { "secure" } else { "standalone" };
                let name = serde_json::Value::from(*name);
                writeln!(out, "B {begins} {name}")
            }
            Event::BridgeGone => writeln!(out, "X"),
            Event::Flow { entry, ages, rule } => {
                let (created, modified) = (ages.created.0, ages.modified.0);
                let _ = write!(out, "F {} ", entry.id.0);
                let _ = match rule {
                    Some(rule) => write!(out, "{rule} "),
                    None => write!(out, "- "),
                };
                let flow = show_flow(&entry.flow, Shown::default(), &NoNames);
                writeln!(out, "{created} {modified} {flow}")
            }
            Event::FlowGone(id) => writeln!(out, "D {}", id.0),
            Event::Group(group, since) => {
                let group = show_group(group, &NoNames).replace('\n', " ");
                writeln!(out, "G {} {group}", since.0)
            }
            Event::GroupGone(id) => writeln!(out, "g {id}"),
            Event::Meter(meter, since) => {
                let meter = meter.to_string().replace('\n', " ");
                writeln!(out, "M {} {meter}", since.0)
            }
            Event::MeterGone(id) => writeln!(out, "m {id}"),
        };
    }
}

/// Flow tables of bridges as they were, by name.
pub type Restored = BTreeMap<String, RestoredBridge>;

/// Flow tables of one bridge as they were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestoredBridge {
    /// Whether it began with no flow.
    pub secure: bool,
    /// Its flows with their ages and the number under which the datapath counts.
    pub flows: Vec<(TableFlow, Ages, Option<u32>)>,
    /// Its groups, and since when they are there.
    pub groups: Vec<(Group, Moment)>,
    /// Its meters, and since when they are there.
    pub meters: Vec<(Meter, Moment)>,
}

/// A line that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line:?} can't be read")]
pub struct LineError {
    /// The line.
    pub line: String,
}

/// What is there of one bridge, by the newest line of each thing.
#[derive(Default)]
struct Lines<'a> {
    secure: bool,
    flows: HashMap<u64, &'a str>,
    groups: BTreeMap<u32, (Group, Moment)>,
    meters: BTreeMap<MeterId, (Meter, Moment)>,
}

/// What is there after all lines.
///
/// # Errors
/// If one can't be read.
pub fn read(blocks: &[&str]) -> Result<Restored, LineError> {
    let mut bridges: BTreeMap<String, Lines<'_>> = BTreeMap::new();
    let mut current = None;
    for line in blocks.iter().flat_map(|block| block.lines()) {
        follow(&mut bridges, &mut current, line).ok_or_else(|| unreadable(line))?;
    }
    let bridges = bridges.into_iter();
    bridges
        .map(|(name, lines)| Ok((name, lines.finish()?)))
        .collect()
}

fn unreadable(line: &str) -> LineError {
    LineError {
        line: line.to_owned(),
    }
}

fn follow<'a>(
    bridges: &mut BTreeMap<String, Lines<'a>>,
    current: &mut Option<String>,
    line: &'a str,
) -> Option<()> {
    let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
    if kind == "B" {
        let (begins, name) = rest.split_once(' ')?;
        let name: String = serde_json::from_str(name).ok()?;
        bridges.entry(name.clone()).or_default().secure = begins == "secure";
        *current = Some(name);
        return Some(());
    }
    let name = current.as_ref()?;
    if kind == "X" {
        bridges.remove(name);
        return Some(());
    }
    bridges.get_mut(name)?.take(kind, rest)
}

impl<'a> Lines<'a> {
    fn take(&mut self, kind: &str, rest: &'a str) -> Option<()> {
        let timed = || {
            let (since, text) = rest.split_once(' ')?;
            Some((Moment(since.parse().ok()?), text))
        };
        match kind {
            "F" => {
                let (id, told) = rest.split_once(' ')?;
                self.flows.insert(id.parse().ok()?, told);
            }
            "D" => drop(self.flows.remove(&rest.parse().ok()?)),
            "G" => {
                let (since, text) = timed()?;
                let group = parse_group(text, &NoNames).ok()?;
                self.groups.insert(group.id, (group, since));
            }
            "g" => drop(self.groups.remove(&rest.parse().ok()?)),
            "M" => {
                let (since, text) = timed()?;
                let meter = parse_meter(text).ok()?;
                self.meters.insert(meter.id, (meter, since));
            }
            "m" => drop(self.meters.remove(&meter_id(rest)?)),
            _ => return None,
        }
        Some(())
    }

    fn finish(self) -> Result<RestoredBridge, LineError> {
        let flow = |(id, told): (u64, &str)| flow(id, told).ok_or_else(|| unreadable(told));
        let flows = self.flows.into_iter().map(flow);
        let mut flows = flows.collect::<Result<Vec<_>, _>>()?;
        flows.sort_unstable_by_key(|(entry, ..)| entry.id);
        Ok(RestoredBridge {
            secure: self.secure,
            flows,
            groups: self.groups.into_values().collect(),
            meters: self.meters.into_values().collect(),
        })
    }
}

fn meter_id(text: &str) -> Option<MeterId> {
    match text {
        "slowpath" => Some(MeterId::Slowpath),
        "controller" => Some(MeterId::Controller),
        number => number.parse().ok().map(MeterId::Number),
    }
}

fn flow(id: u64, told: &str) -> Option<(TableFlow, Ages, Option<u32>)> {
    let mut words = told.splitn(4, ' ');
    let rule = match words.next()? {
        "-" => None,
        number => Some(number.parse().ok()?),
    };
    let ages = Ages {
        created: Moment(words.next()?.parse().ok()?),
        modified: Moment(words.next()?.parse().ok()?),
    };
    let flow = parse_flow(words.next()?, Form::Flow, &NoNames).ok()?;
    let entry = TableFlow {
        id: FlowId(id),
        flow: Arc::new(flow.into_flow()),
    };
    Some((entry, ages, rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u64, text: &str) -> TableFlow {
        let flow = parse_flow(text, Form::Flow, &NoNames).unwrap().into_flow();
        TableFlow {
            id: FlowId(id),
            flow: Arc::new(flow),
        }
    }

    fn lines(events: &[Event<'_>]) -> String {
        let mut out = String::new();
        events.iter().for_each(|event| event.put(&mut out));
        out
    }

    const BRIDGE: Event<'_> = Event::Bridge {
        name: "br \"0\"\n",
        secure: true,
    };
    const AGES: Ages = Ages {
        created: Moment(5),
        modified: Moment(7),
    };

    fn there(entry: &TableFlow, rule: Option<u32>) -> Event<'_> {
        Event::Flow {
            entry,
            ages: AGES,
            rule,
        }
    }

    #[test]
    fn the_newest_line_of_a_flow_counts() {
        let old = entry(1, "table=3,tcp,actions=output:1");
        let new = entry(1, "table=3,tcp,cookie=0x5,idle_timeout=9,actions=drop");
        let gone = entry(2, "udp,actions=drop");
        let other = entry(
            9,
            "send_flow_rem,importance=4,ipv6,actions=learn(table=2,NXM_OF_VLAN_TCI[])",
        );
        let first = lines(&[
            BRIDGE,
            there(&old, Some(4)),
            there(&gone, None),
            there(&other, None),
        ]);
        let second = lines(&[BRIDGE, there(&new, Some(8)), Event::FlowGone(FlowId(2))]);
        let restored = read(&[&first, &second]).unwrap();
        let expected = RestoredBridge {
            secure: true,
            flows: vec![(new, AGES, Some(8)), (other, AGES, None)],
            ..RestoredBridge::default()
        };
        assert_eq!(restored, Restored::from([("br \"0\"\n".into(), expected)]));
    }

    #[test]
    fn groups_and_meters_come_and_go() {
        let group = |text| parse_group(text, &NoNames).unwrap();
        let one = group("group_id=1,type=all,bucket=output:1,bucket=output:2");
        let two = group("group_id=2,type=ff,bucket=watch_port:1,actions=output:1");
        let meter =
            parse_meter("meter=3 pktps burst bands=type=drop rate=10 burst_size=5").unwrap();
        let text = lines(&[
            BRIDGE,
            Event::Group(&one, Moment(1)),
            Event::Group(&two, Moment(2)),
            Event::Meter(&meter, Moment(3)),
            Event::GroupGone(1),
        ]);
        let restored = read(&[&text]).unwrap().into_values().next().unwrap();
        assert_eq!(restored.groups, [(two, Moment(2))]);
        assert_eq!(restored.meters, [(meter, Moment(3))]);
        let gone = lines(&[BRIDGE, Event::MeterGone(MeterId::Number(3))]);
        let restored = read(&[&text, &gone]).unwrap().into_values().next().unwrap();
        assert_eq!(restored.meters, []);
    }

    #[test]
    fn a_bridge_that_went_has_nothing() {
        let flow = entry(1, "actions=drop");
        let text = lines(&[BRIDGE, there(&flow, None), Event::BridgeGone]);
        assert_eq!(read(&[&text]), Ok(Restored::new()));
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for text in [
            "F 1 - 0 0 actions=drop\n",
            "B secure \"b\"\nF 1 - 0 0 actions=nonsense\n",
            "?\n",
        ] {
            assert!(read(&[text]).is_err(), "{text}");
        }
    }
}
