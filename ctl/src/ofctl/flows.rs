//! Flows.

use aorta_flow::FlowStats;
use aorta_flow::table::FlowMod;
use aorta_flow::text::{Command, FlowText, Form, Names, TextError, parse_flow, parse_flow_line};
use aorta_openflow::message::{
    FlowFilter, FlowFormat, FlowModMessage, FlowRecord, Form as MessageForm, MultipartReply,
    MultipartRequest,
};
use aorta_openflow::text::show_record;
use aorta_openflow::{Context, Envelope, Message, Version, encode};

use super::client::Client;
use super::error::OfctlError;
use super::formats::Formats;
use super::messages::read_bytes;
use super::{Done, OK, Ofctl};
use crate::flows::colour::paint;
use crate::flows::sort::compare;

/// The lines of a file that say something, without comments.
pub fn lines_of(file: &str) -> Result<Vec<String>, OfctlError> {
    let text = String::from_utf8_lossy(&read_bytes(file)?).into_owned();
    let told = |line: &str| line.split('#').next().unwrap_or("").trim().to_owned();
    let lines = text.lines().map(told).filter(|line| !line.is_empty());
    Ok(lines.collect())
}

/// A text that can't be read, with the place.
pub fn text_error(error: TextError, text: &str) -> OfctlError {
    OfctlError::Text(error.render(text))
}

/// Whether a text's cookie has a mask, so that it selects flows.
fn cookie_has_mask(text: &str) -> bool {
    let cookie = text.split_once("cookie=").map(|(_, rest)| rest);
    let value = cookie.and_then(|rest| rest.split([',', ' ', '\t']).next());
    value.is_some_and(|value| value.contains('/'))
}

/// The change that a text asks for.
pub fn flow_mod(command: Command, flow: FlowText, text: &str) -> FlowMod {
    let cookie = flow.cookie.map(|(cookie, _)| cookie);
    let mut change = FlowMod::from_text(command, flow);
    let modifies = matches!(command, Command::Modify | Command::ModifyStrict);
    if modifies && !cookie_has_mask(text) {
        // A cookie that isn't given is 0, and flows get it.
        change.new_cookie = Some(cookie.unwrap_or(0));
        change.cookie = None;
    }
    change
}

impl Ofctl {
    /// Changes that an argument or, for `-`, a file asks for.
    fn flow_mods(
        &self,
        target: &str,
        argument: &str,
        command: Option<Command>,
    ) -> Result<Vec<FlowMod>, OfctlError> {
        let names = self.names_to_read(target)?;
        let read = |line: &str| match command {
            Some(command) => {
                let flow = parse_flow(line, command.form(), names);
                let flow = flow.map_err(|error| text_error(error, line))?;
                Ok(flow_mod(command, flow, line))
            }
            None => {
                let read = parse_flow_line(line, names);
                let (command, flow) = read.map_err(|error| text_error(error, line))?;
                Ok(flow_mod(command, flow, line))
            }
        };
        match (argument, command) {
            ("-", _) | (_, None) => lines_of(argument)?.iter().map(|line| read(line)).collect(),
            (text, Some(_)) => Ok(vec![read(text)?]),
        }
    }

    fn change(&self, target: &str, argument: &str, command: Option<Command>) -> Done {
        let changes = self.flow_mods(target, argument, command)?;
        self.send_flows(target, changes)
    }

    /// Has a switch do changes.
    pub fn send_flows(&self, target: &str, changes: Vec<FlowMod>) -> Done {
        if self.settings.bundle {
            let placed = changes
                .into_iter()
                .map(|change| in_first_table(change, false));
            let messages = placed.map(standard).collect();
            return super::bundle::run(self, target, messages);
        }
        let mut client = self.open(target)?;
        let messages = self.prepare(&mut client, changes)?;
        for message in messages {
            self.command(&mut client, message)?;
        }
        Ok(OK)
    }

    /// Messages of changes, in a form that the connection is told of before.
    fn prepare(
        &self,
        client: &mut Client<'_>,
        changes: Vec<FlowMod>,
    ) -> Result<Vec<Message>, OfctlError> {
        let allowed = self
            .settings
            .formats
            .common(Formats::of_version(client.version));
        let usable = usable_by_all(&changes);
        let fitting = usable.common(allowed);
        if fitting.is_empty() {
            return Err(OfctlError::Formats {
                usable: usable.to_string(),
                allowed: self.settings.formats.to_string(),
            });
        }
        if client.version > Version::OpenFlow10 {
            let old = client.version == Version::OpenFlow11;
            let placed = changes
                .into_iter()
                .map(|change| in_first_table(change, old));
            return Ok(placed.map(standard).collect());
        }
        let own = Formats::OPENFLOW10.with(Formats::OPENFLOW10_TABLE_ID);
        let form = match fitting.has(own) {
            true => MessageForm::Standard,
            false => MessageForm::Nicira,
        };
        if form == MessageForm::Nicira {
            self.command(client, Message::SetFlowFormat(FlowFormat::Nxm))?;
        }
        if !fitting.has(Formats::OPENFLOW10.with(Formats::NXM)) {
            self.command(client, Message::FlowModTableId(true))?;
            client.context.flow_mod_table_id = true;
        }
        let message = |change| {
            Message::FlowMod(FlowModMessage {
                form,
                change,
                buffer_id: None,
            })
        };
        Ok(changes.into_iter().map(message).collect())
    }
}

fn standard(change: FlowMod) -> Message {
    Message::FlowMod(FlowModMessage {
        form: MessageForm::Standard,
        change,
        buffer_id: None,
    })
}

/// From OpenFlow 1.1 on, a change of actions that names no table is of the first; in 1.1 itself,
/// which can't name all tables, any change is.
fn in_first_table(mut change: FlowMod, always: bool) -> FlowMod {
    let modifies = matches!(change.command, Command::Modify | Command::ModifyStrict);
    if (modifies || always) && change.table.is_none() {
        change.table = Some(0);
    }
    change
}

/// Ways to write flows in which a change can be said.
fn usable(change: &FlowMod) -> Formats {
    let all = [
        (
            Formats::OPENFLOW10,
            Version::OpenFlow10,
            false,
            MessageForm::Standard,
        ),
        (
            Formats::OPENFLOW10_TABLE_ID,
            Version::OpenFlow10,
            true,
            MessageForm::Standard,
        ),
        (
            Formats::NXM,
            Version::OpenFlow10,
            false,
            MessageForm::Nicira,
        ),
        (
            Formats::NXM_TABLE_ID,
            Version::OpenFlow10,
            true,
            MessageForm::Nicira,
        ),
    ];
    let later = Version::ALL.into_iter().skip(1).map(|version| {
        (
            Formats::of_version(version),
            version,
            false,
            MessageForm::Standard,
        )
    });
    let possible = all
        .into_iter()
        .chain(later)
        .filter(|(_, version, tables, form)| {
            let table = change.table.is_some() && *version == Version::OpenFlow10;
            if table && !tables {
                return false;
            }
            let envelope = Envelope {
                version: *version,
                xid: 0,
                message: Message::FlowMod(FlowModMessage {
                    form: *form,
                    change: change.clone(),
                    buffer_id: None,
                }),
            };
            let context = Context {
                flow_mod_table_id: *tables,
                ..Context::default()
            };
            encode(&envelope, context).is_ok()
        });
    possible.fold(Formats::NONE, |all, (format, ..)| all.with(format))
}

/// Ways to write flows in which all changes can be said.
pub fn usable_by_all(changes: &[FlowMod]) -> Formats {
    changes
        .iter()
        .fold(Formats::ALL, |all, change| all.common(usable(change)))
}

/// Adds a flow.
pub fn add(ofctl: &Ofctl, words: &[&str]) -> Done {
    ofctl.change(words[0], words[1], Some(Command::Add))
}

/// Does what a file says, line by line.
pub fn add_file(ofctl: &Ofctl, words: &[&str]) -> Done {
    ofctl.change(words[0], words[1], None)
}

/// Changes flows.
pub fn modify(ofctl: &Ofctl, words: &[&str]) -> Done {
    let command = match ofctl.settings.strict {
        true => Command::ModifyStrict,
        false => Command::Modify,
    };
    ofctl.change(words[0], words[1], Some(command))
}

/// Deletes flows.
pub fn delete(ofctl: &Ofctl, words: &[&str]) -> Done {
    let command = match ofctl.settings.strict {
        true => Command::DeleteStrict,
        false => Command::Delete,
    };
    ofctl.change(words[0], words.get(1).copied().unwrap_or(""), Some(command))
}

impl Ofctl {
    /// Which flows are asked for.
    fn filter(&self, words: &[&str]) -> Result<FlowFilter, OfctlError> {
        let mut filter = FlowFilter {
            form: MessageForm::Standard,
            table: None,
            out_port: None,
            out_group: None,
            cookie: None,
            matching: aorta_flow::Match::any(),
        };
        let Some(text) = words.get(1) else {
            return Ok(filter);
        };
        let names: &dyn Names = self.names_to_read(words[0])?;
        let flow = parse_flow(text, Form::Filter, names).map_err(|e| text_error(e, text))?;
        filter.table = flow.table;
        filter.out_port = flow.out_port;
        filter.out_group = flow.out_group;
        filter.cookie = flow.cookie;
        filter.matching = flow.matching;
        Ok(filter)
    }

    /// Connects, and in OpenFlow 1.0 asks for the richer form if it is allowed.
    fn open_to_dump(&self, target: &str) -> Result<(Client<'_>, MessageForm), OfctlError> {
        let mut client = self.open(target)?;
        let nxm = Formats::NXM.with(Formats::NXM_TABLE_ID);
        if client.version > Version::OpenFlow10 || !self.settings.formats.has(nxm) {
            return Ok((client, MessageForm::Standard));
        }
        self.command(&mut client, Message::SetFlowFormat(FlowFormat::Nxm))?;
        Ok((client, MessageForm::Nicira))
    }

    /// The flows of a switch.
    pub fn records(&self, words: &[&str]) -> Result<Vec<FlowRecord>, OfctlError> {
        let mut filter = self.filter(words)?;
        let (mut client, form) = self.open_to_dump(words[0])?;
        filter.form = form;
        let mut records = Vec::new();
        client.parts(MultipartRequest::Flow(filter), |reply| {
            if let MultipartReply::Flow(flows) = reply {
                records.extend(flows.flows);
            }
        })?;
        Ok(records)
    }
}

/// Prints flows.
pub fn dump(ofctl: &Ofctl, words: &[&str]) -> Done {
    let settings = &ofctl.settings;
    if settings.sort.is_empty() && settings.stats && !ofctl.shows_names() {
        let mut filter = ofctl.filter(words)?;
        let (mut client, form) = ofctl.open_to_dump(words[0])?;
        filter.form = form;
        return ofctl.dump_from(&mut client, MultipartRequest::Flow(filter));
    }
    let mut records = ofctl.records(words)?;
    // What OpenFlow 1.0 tells of ages isn't printed with names or sorted.
    let old = settings.versions.highest() == Some(Version::OpenFlow10);
    if !settings.sort.is_empty() {
        // Of flows that are equal in this, the one that is taken first.
        records.sort_by(|a, b| {
            compare(&settings.sort, &a.flow, &b.flow)
                .then_with(|| b.flow.priority.cmp(&a.flow.priority))
        });
    }
    let names = ofctl.names_to_show(words[0])?;
    let mut text = String::new();
    for record in &mut records {
        if old {
            record.stats = FlowStats {
                idle_age_s: None,
                hard_age_s: None,
                ..record.stats
            };
        }
        let line = show_record(record, settings.stats, ofctl.style(names, 1));
        text.push(' ');
        text.push_str(&paint(&line, settings.colour));
        text.push('\n');
    }
    ofctl.print(&text)?;
    Ok(OK)
}

/// Prints what was counted of flows together.
pub fn aggregate(ofctl: &Ofctl, words: &[&str]) -> Done {
    let mut filter = ofctl.filter(words)?;
    let (mut client, form) = ofctl.open_to_dump(words[0])?;
    filter.form = form;
    ofctl.dump_from(&mut client, MultipartRequest::Aggregate(filter))
}
