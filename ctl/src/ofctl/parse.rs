//! What texts would be as messages, without a switch.

use aorta_flow::table::{FlowMod, GroupMod};
use aorta_flow::text::{Command, NoNames, parse_flow};
use aorta_openflow::message::{FlowModMessage, Form};
use aorta_openflow::text::{Style, show};
use aorta_openflow::{Context, Envelope, Message, encode};

use super::error::OfctlError;
use super::flows::{flow_mod, lines_of, text_error, usable_by_all};
use super::formats::Formats;
use super::{Done, OK, Ofctl, groups};

impl Ofctl {
    fn print_message(&self, version: aorta_openflow::Version, message: Message) -> Done {
        let envelope = Envelope {
            version,
            xid: self.next_xid(),
            message,
        };
        let style = Style {
            names: &NoNames,
            verbosity: self.settings.more.saturating_add(1),
        };
        // As it is understood at the other end.
        let context = Context {
            flow_mod_table_id: true,
            ..Context::default()
        };
        let bytes = encode(&envelope, context)?;
        self.print(&show(&bytes, context, style))?;
        Ok(OK)
    }

    fn print_flows(&self, changes: Vec<FlowMod>) -> Done {
        let usable = usable_by_all(&changes);
        self.print(&format!("usable protocols: {usable}\n"))?;
        let common = usable.common(self.settings.formats);
        let nothing = || OfctlError::other("no usable protocol");
        let (chosen, version) = common.first().ok_or_else(nothing)?;
        self.print(&format!("chosen protocol: {chosen}\n"))?;
        let form = match chosen.has(Formats::NXM.with(Formats::NXM_TABLE_ID)) {
            true => Form::Nicira,
            false => Form::Standard,
        };
        for change in changes {
            let message = FlowModMessage {
                form,
                change,
                buffer_id: None,
            };
            self.print_message(version, Message::FlowMod(message))?;
        }
        Ok(OK)
    }
}

fn read(text: &str) -> Result<FlowMod, OfctlError> {
    let flow = parse_flow(text, Command::Add.form(), &NoNames);
    let flow = flow.map_err(|error| text_error(error, text))?;
    Ok(flow_mod(Command::Add, flow, text))
}

/// Prints the message of a flow to add.
pub fn flow(ofctl: &Ofctl, words: &[&str]) -> Done {
    ofctl.print_flows(vec![read(words[0])?])
}

/// Prints the messages of a file of flows to add.
pub fn flows(ofctl: &Ofctl, words: &[&str]) -> Done {
    let lines = lines_of(words[0])?;
    let changes = lines.iter().map(|line| read(line));
    ofctl.print_flows(changes.collect::<Result<_, _>>()?)
}

/// Prints the message of a group to add.
pub fn group(ofctl: &Ofctl, words: &[&str]) -> Done {
    let change: GroupMod = groups::read(groups::Change::Add, words[0], &NoNames)?;
    ofctl.print(&format!("usable protocols: {}\n", Formats::ALL))?;
    let nothing = || OfctlError::other("no usable protocol");
    let (_, version) = ofctl.settings.formats.first().ok_or_else(nothing)?;
    let name = aorta_openflow::version::name(version);
    ofctl.print(&format!("chosen version: {name}\n"))?;
    ofctl.print_message(version, Message::GroupMod(change))
}
