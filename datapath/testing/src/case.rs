//! A case: tables and frames, and how it is kept as text.

use std::fmt;
use std::str::FromStr;

use aorta_flow::table::{FlowMod, GroupMod, MeterMod, Modification, TableError, Tables};
use aorta_flow::text::{NoNames, parse_flow_line, parse_group, parse_meter, show_group};
use aorta_flow::{Flow, Group, Meter, OfPort};

/// A frame as it comes in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// The port that it comes from.
    pub in_port: OfPort,
    /// What the sender leaves to the hardware.
    pub offload: Offload,
    /// Its bytes, from the destination address on.
    pub bytes: Vec<u8>,
}

/// What the sender of a frame leaves to the hardware.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Offload {
    /// Nothing.
    #[default]
    None,
    /// The rest of the checksum.
    Checksum,
    /// That, and to be cut into segments that carry so many bytes.
    Segments(u16),
}

/// Tables and frames that come in one after the other.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Case {
    /// Words for people, a line each.
    pub notes: Vec<String>,
    /// Groups, those that others lead to first.
    pub groups: Vec<Group>,
    /// Meters.
    pub meters: Vec<Meter>,
    /// Flows, in the order in which they are added.
    pub flows: Vec<Flow>,
    /// Frames.
    pub frames: Vec<Frame>,
}

/// Text that is no case.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct CaseError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
}

impl Case {
    /// The tables.
    ///
    /// # Errors
    /// When they refuse a group, a meter or a flow.
    pub fn tables(&self) -> Result<Tables, TableError> {
        let mut tables = Tables::new();
        for modification in self.modifications() {
            tables.modify(&modification)?;
        }
        Ok(tables)
    }

    /// What makes the tables, in order.
    pub fn modifications(&self) -> impl Iterator<Item = Modification> {
        let group = |group: &Group| Modification::Group(GroupMod::Add(group.clone()));
        let meter = |meter: &Meter| Modification::Meter(MeterMod::Add(meter.clone()));
        let meters = self.meters.iter().map(meter);
        let groups = self.groups.iter().map(group);
        meters.chain(groups).chain(self.flows.iter().map(add))
    }
}

/// The change that adds a flow.
pub(crate) fn add(flow: &Flow) -> Modification {
    Modification::Flow(FlowMod {
        table: Some(flow.table),
        flow: flow.clone(),
        ..FlowMod::default()
    })
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in &self.notes {
            writeln!(f, "# {note}")?;
        }
        for meter in &self.meters {
            // As it is dumped it has several lines.
            let line = meter.to_string().replace(['\n', ' '], ",");
            writeln!(f, "meter {}", line.replace("=,", "="))?;
        }
        for group in &self.groups {
            writeln!(f, "group {}", show_group(group, &NoNames))?;
        }
        for flow in &self.flows {
            writeln!(f, "flow {flow}")?;
        }
        for frame in &self.frames {
            writeln!(f, "frame {frame}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.in_port)?;
        match self.offload {
            Offload::None => {}
            Offload::Checksum => f.write_str(" checksum")?,
            Offload::Segments(bytes) => write!(f, " segments={bytes}")?,
        }
        f.write_str(" ")?;
        self.bytes
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Frame {
    type Err = String;

    fn from_str(text: &str) -> Result<Frame, String> {
        let mut words = text.split_whitespace();
        let port = words.next().and_then(OfPort::from_text);
        let in_port = port.ok_or("a frame starts with the port that it comes from")?;
        let mut offload = Offload::None;
        let mut digits = String::new();
        for word in words {
            match word.strip_prefix("segments=") {
                None if word == "checksum" => offload = Offload::Checksum,
                Some(bytes) => {
                    let bytes = bytes.parse().map_err(|e| format!("{word}: {e}"))?;
                    offload = Offload::Segments(bytes);
                }
                None => digits.push_str(word),
            }
        }
        let pair = |pair: &[u8]| {
            let text = std::str::from_utf8(pair).unwrap_or_default();
            u8::from_str_radix(text, 16).map_err(|e| format!("{text:?}: {e}"))
        };
        let bytes = digits
            .as_bytes()
            .chunks(2)
            .map(pair)
            .collect::<Result<_, _>>()?;
        Ok(Frame {
            in_port,
            offload,
            bytes,
        })
    }
}

impl FromStr for Case {
    type Err = CaseError;

    fn from_str(text: &str) -> Result<Case, CaseError> {
        let mut case = Case::default();
        for (at, line) in text.lines().enumerate() {
            case.read(line.trim()).map_err(|problem| CaseError {
                line: at + 1,
                problem,
            })?;
        }
        Ok(case)
    }
}

impl Case {
    fn read(&mut self, line: &str) -> Result<(), String> {
        if line.is_empty() {
            return Ok(());
        }
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words = |e: aorta_flow::text::TextError| e.render(rest);
        match kind {
            "#" => self.notes.push(rest.to_owned()),
            "meter" => self.meters.push(parse_meter(rest).map_err(words)?),
            "group" => self
                .groups
                .push(parse_group(rest, &NoNames).map_err(words)?),
            "flow" => {
                let (_, flow) = parse_flow_line(rest, &NoNames).map_err(words)?;
                self.flows.push(flow.into_flow());
            }
            "frame" => self.frames.push(rest.parse()?),
            _ => return Err(format!("{kind:?} is none of #, meter, group, flow, frame")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;
    use crate::tables::{Profile, random_case};

    #[test]
    fn text_gives_back_the_case() {
        for seed in 0..300 {
            let case = random_case(&Profile::default(), &mut Rng::new(seed));
            let text = case.to_string();
            let read: Case = text.parse().unwrap_or_else(|e| panic!("{e}\n{text}"));
            assert_eq!(read.flows, case.flows);
            assert_eq!(read.groups, case.groups);
            assert_eq!(read.frames, case.frames);
            assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        let error = "# note\nflow tcp,tp_dts=1,actions=drop".parse::<Case>();
        assert_eq!(error.unwrap_err().line, 2);
        assert!("frame x".parse::<Case>().is_err());
    }
}
