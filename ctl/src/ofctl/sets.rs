//! Sets of flows: of switches and of files.

use aorta_flow::Flow;
use aorta_flow::table::FlowMod;
use aorta_flow::text::{Command, FlowText, Form, Names, parse_flow};

use super::error::OfctlError;
use super::flows::{lines_of, text_error};
use super::{Done, OK, Ofctl};
use crate::flows::diff::{FlowSet, differences, text as diff_text};

/// Status of `diff-flows` if there is a difference.
const DIFFERENT: i32 = 2;

impl Ofctl {
    /// The flows of a file or of a switch.
    fn source(&self, name: &str, names: &dyn Names) -> Result<Vec<Flow>, OfctlError> {
        let is_file = name == "-" || std::fs::metadata(name).is_ok_and(|data| data.is_file());
        if !is_file {
            let records = self.records(&[name])?;
            return Ok(records
                .into_iter()
                .map(|record| (*record.flow).clone())
                .collect());
        }
        self.file_flows(name, names)
    }

    fn file_flows(&self, name: &str, names: &dyn Names) -> Result<Vec<Flow>, OfctlError> {
        let lines = lines_of(name)?;
        let read = |line: &String| {
            let flow = parse_flow(line, Form::Flow, names);
            flow.map(FlowText::into_flow)
                .map_err(|error| text_error(error, line))
        };
        lines.iter().map(read).collect()
    }
}

/// Prints how two sets of flows differ.
pub fn diff(ofctl: &Ofctl, words: &[&str]) -> Done {
    let is_switch =
        |word: &&&str| **word != "-" && !std::fs::metadata(word).is_ok_and(|data| data.is_file());
    let names: &dyn Names = match words.iter().find(is_switch) {
        Some(target) => ofctl.names_to_read(target)?,
        None => &aorta_flow::text::NoNames,
    };
    let set = |name: &str| -> Result<FlowSet, OfctlError> {
        Ok(ofctl.source(name, names)?.into_iter().collect())
    };
    let found = differences(&set(words[0])?, &set(words[1])?);
    let shown: &dyn Names = match (ofctl.shows_names(), words.iter().find(is_switch)) {
        (true, Some(target)) => ofctl.names_to_show(target)?,
        _ => &aorta_flow::text::NoNames,
    };
    ofctl.print(&diff_text(&found, shown))?;
    Ok(if found.is_empty() { OK } else { DIFFERENT })
}

/// Makes the flows of a switch those of a file.
pub fn replace(ofctl: &Ofctl, words: &[&str]) -> Done {
    let names = ofctl.names_to_read(words[0])?;
    let wanted = ofctl.file_flows(words[1], names)?;
    let present: FlowSet = ofctl
        .records(&words[..1])?
        .into_iter()
        .map(|record| (*record.flow).clone())
        .collect();
    let target: FlowSet = wanted.iter().cloned().collect();
    let found = differences(&present, &target);
    let gone = found
        .iter()
        .filter(|d| d.new.is_none())
        .filter_map(|d| d.old.clone());
    let mut changes: Vec<FlowMod> = gone.map(|flow| of(Command::DeleteStrict, flow)).collect();
    let added: Vec<Flow> = match ofctl.settings.readd {
        true => wanted,
        false => found.into_iter().filter_map(|d| d.new).collect(),
    };
    changes.extend(added.into_iter().map(|flow| of(Command::Add, flow)));
    ofctl.send_flows(words[0], changes)
}

fn of(command: Command, flow: Flow) -> FlowMod {
    FlowMod {
        command,
        table: (flow.table != 0).then_some(flow.table),
        flow,
        ..FlowMod::default()
    }
}
