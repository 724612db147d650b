//! Changes of flows (OpenFlow 1.3.5 §7.3.4.1), and NXT_FLOW_MOD.

use aorta_flow::table::FlowMod;
use aorta_flow::text::Command;
use aorta_flow::{Flow, FlowFlags, OfPort};

use super::kind::{Class, Kind, kind};
use super::oxm::{self, Unknown};
use super::read::{Reader, Refusal};
use super::write::Writer;
use super::{Decoding, EncodeError, instructions, match10, oxm_write};
use crate::error::ErrorCode;
use crate::message::{FlowModMessage, Form, Message};
use crate::version::Version;

const FLOW_MOD: u32 = 14;
const NXT_FLOW_MOD: u32 = 13;

pub(super) const KINDS: &[Kind] = &[
    kind(Class::Ofpt, FLOW_MOD, 0, 0, read10),
    kind(Class::Ofpt, FLOW_MOD, 1, 5, read11),
    kind(Class::Nxt, NXT_FLOW_MOD, 0, 5, read_nicira),
];

/// No packet that the switch keeps.
pub(super) const NO_BUFFER: u32 = 0xffff_ffff;
/// All tables, groups, cookies that stay.
pub(super) const ALL_TABLES: u8 = 0xff;
const ANY_GROUP: u32 = 0xffff_ffff;
const KEEP_COOKIE: u64 = u64::MAX;

const COMMANDS: [Command; 5] = [
    Command::Add,
    Command::Modify,
    Command::ModifyStrict,
    Command::Delete,
    Command::DeleteStrict,
];

fn command(number: u8) -> Result<Command, Refusal> {
    let command = COMMANDS.get(usize::from(number)).copied();
    command.ok_or(Refusal::new(
        ErrorCode::OFPFMFC_BAD_COMMAND,
        "a change of flows has a command from 0 to 4",
    ))
}

fn number(command: Command) -> u8 {
    COMMANDS.iter().position(|c| *c == command).unwrap_or(0) as u8
}

fn deletes(command: Command) -> bool {
    matches!(command, Command::Delete | Command::DeleteStrict)
}

/// Command and table, which share 16 bits if that was agreed on.
fn command_and_table(word: u16, d: Decoding<'_>) -> Result<(Command, Option<u8>), Refusal> {
    let [high, low] = word.to_be_bytes();
    match d.context.flow_mod_table_id {
        true => Ok((command(low)?, table(high))),
        false => Ok((command(u8::try_from(word).unwrap_or(u8::MAX))?, None)),
    }
}

/// A table's number; all of them are none.
pub(super) fn table(number: u8) -> Option<u8> {
    Some(number).filter(|number| *number != ALL_TABLES)
}

pub(super) fn out_group(number: u32) -> Option<u32> {
    Some(number).filter(|number| *number != ANY_GROUP)
}

pub(super) fn out_port(port: OfPort) -> Option<OfPort> {
    Some(port).filter(|port| *port != OfPort::ANY)
}

pub(super) fn buffer(number: u32) -> Option<u32> {
    Some(number).filter(|number| *number != NO_BUFFER)
}

pub(super) fn no_match_cookie((value, mask): (u64, u64)) -> Option<(u64, u64)> {
    (mask != 0).then_some((value, mask))
}

/// Bits of the flags that a version knows.
fn known_flags(version: Version) -> u16 {
    match version {
        Version::OpenFlow10 | Version::OpenFlow11 => 3,
        Version::OpenFlow12 => 7,
        _ => 31,
    }
}

/// Flags that are told by a switch, which may be any.
pub(super) fn flags(bits: u16) -> FlowFlags {
    let all = FlowFlags::ALL.iter().enumerate();
    let set = all.filter(|(at, _)| bits >> at & 1 != 0);
    set.fold(FlowFlags::default(), |flags, (_, (_, flag))| {
        flags.with(*flag)
    })
}

/// Bits of flags in a version.
pub(super) fn flag_bits(flags: FlowFlags, version: Version) -> u16 {
    let all = FlowFlags::ALL.iter().enumerate();
    let set = all.filter(|(_, (_, flag))| flags.contains(*flag));
    set.fold(0, |bits, (at, _)| bits | 1 << at) & known_flags(version)
}

fn read_flags(bits: u16, command: Command, version: Version) -> Result<FlowFlags, Refusal> {
    if bits & !known_flags(version) != 0 {
        return Err(Refusal::new(
            ErrorCode::OFPFMFC_BAD_FLAGS,
            "a change of flows has flags that aren't known",
        ));
    }
    let flags = flags(bits);
    // What is added starts counting anew where nothing else can be said.
    match command == Command::Add && version <= Version::OpenFlow11 {
        true => Ok(flags.with(FlowFlags::RESET_COUNTS)),
        false => Ok(flags),
    }
}

/// What commands of OpenFlow 1.0 and of Nicira's form do with cookies: a new one for what they
/// change or add.
fn with_new_cookie(mut change: FlowMod, cookie: u64) -> FlowMod {
    let modifies = matches!(change.command, Command::Modify | Command::ModifyStrict);
    let new = Some(cookie).filter(|cookie| modifies && *cookie != KEEP_COOKIE);
    change.new_cookie = new;
    change.add_if_absent = new.is_some() && change.cookie.is_none();
    if change.command == Command::Add || change.add_if_absent {
        change.flow.cookie = cookie;
    }
    change
}

fn finish(form: Form, change: FlowMod, buffer_id: u32) -> Result<Message, Refusal> {
    Ok(Message::FlowMod(FlowModMessage {
        form,
        change,
        buffer_id: buffer(buffer_id),
    }))
}

/// Match, cookie, command, timeouts, priority, buffer, port, flags, actions.
fn read10(reader: &mut Reader<'_>, d: Decoding<'_>) -> Result<Message, Refusal> {
    let mut fixed = reader.part(match10::LEN)?;
    let cookie = reader.u64()?;
    let (command, table) = command_and_table(reader.u16()?, d)?;
    let mut flow = Flow {
        idle_timeout_s: reader.u16()?,
        hard_timeout_s: reader.u16()?,
        priority: reader.u16()?,
        matching: match10::read(&mut fixed)?,
        ..Flow::default()
    };
    let buffer_id = reader.u32()?;
    let port = out_port(OfPort(reader.u16()?)).filter(|_| deletes(command));
    flow.flags = read_flags(reader.u16()?, command, d.version)?;
    flow.instructions = instructions::read_list(reader, d)?.into();
    let change = FlowMod {
        command,
        table,
        flow,
        out_port: port,
        ..FlowMod::default()
    };
    finish(Form::Standard, with_new_cookie(change, cookie), buffer_id)
}

/// Cookie, its mask, table, command, timeouts, priority, buffer, port, group, flags, importance,
/// match, instructions.
fn read11(reader: &mut Reader<'_>, d: Decoding<'_>) -> Result<Message, Refusal> {
    let (cookie, mask) = (reader.u64()?, reader.u64()?);
    let (table_id, command) = (reader.u8()?, command(reader.u8()?)?);
    if table_id == ALL_TABLES && !deletes(command) {
        return Err(Refusal::new(
            ErrorCode::OFPFMFC_BAD_TABLE_ID,
            "only deletions are for all tables",
        ));
    }
    let mut flow = Flow {
        idle_timeout_s: reader.u16()?,
        hard_timeout_s: reader.u16()?,
        priority: reader.u16()?,
        ..Flow::default()
    };
    let buffer_id = reader.u32()?;
    let (port, group) = (reader.u32()?, reader.u32()?);
    flow.flags = read_flags(reader.u16()?, command, d.version)?;
    let importance = reader.u16()?;
    if d.version >= Version::OpenFlow14 && command == Command::Add {
        flow.importance = importance;
    }
    flow.matching = oxm::read_match(reader, Unknown::Refuse)?;
    flow.instructions = instructions::read(reader, d)?.into();
    let mut change = FlowMod {
        command,
        table: table(table_id),
        flow,
        ..FlowMod::default()
    };
    if deletes(command) {
        let port = OfPort::from_u32(port).ok_or(Refusal::new(
            ErrorCode::OFPBRC_BAD_PORT,
            "ports have 16 bits here",
        ))?;
        change.out_port = out_port(port);
        change.out_group = out_group(group);
    }
    let adds = d.version == Version::OpenFlow11 && mask == 0 && !deletes(command);
    if command == Command::Add {
        change.flow.cookie = cookie;
    } else if adds {
        // Only OpenFlow 1.1 adds what it doesn't find.
        change.flow.cookie = cookie;
        change.add_if_absent = true;
    } else {
        change.cookie = no_match_cookie((cookie, mask));
    }
    finish(Form::Standard, change, buffer_id)
}

/// Cookie, command, timeouts, priority, buffer, port, flags, length of the match, padding, match,
/// actions.
fn read_nicira(reader: &mut Reader<'_>, d: Decoding<'_>) -> Result<Message, Refusal> {
    let cookie = reader.u64()?;
    let (command, table) = command_and_table(reader.u16()?, d)?;
    let mut flow = Flow {
        idle_timeout_s: reader.u16()?,
        hard_timeout_s: reader.u16()?,
        priority: reader.u16()?,
        ..Flow::default()
    };
    let buffer_id = reader.u32()?;
    let port = out_port(OfPort(reader.u16()?)).filter(|_| deletes(command));
    flow.flags = read_flags(reader.u16()?, command, d.version)?;
    let match_len = reader.u16()?;
    reader.skip(6)?;
    let entries = read_nxm(reader, match_len)?;
    if command == Command::Add && entries.cookie.is_some() {
        return Err(Refusal::new(
            ErrorCode::NXBRC_NXM_INVALID,
            "what is added can't be selected by its cookie",
        ));
    }
    flow.matching = entries.matching;
    flow.instructions = instructions::read_list(reader, d)?.into();
    let change = FlowMod {
        command,
        table,
        flow,
        out_port: port,
        cookie: entries.cookie.and_then(no_match_cookie),
        ..FlowMod::default()
    };
    finish(Form::Nicira, with_new_cookie(change, cookie), buffer_id)
}

/// Reads a list of fields of a length that was told, and its padding.
pub(super) fn read_nxm(reader: &mut Reader<'_>, len: u16) -> Result<oxm::Entries, Refusal> {
    let len = usize::from(len);
    let fields = reader.part(len)?;
    reader.skip(len.next_multiple_of(8) - len)?;
    oxm::read(fields, Unknown::Refuse)
}

pub(super) fn encode(out: &mut Writer<'_>, message: &FlowModMessage) -> Result<(), EncodeError> {
    match (message.form, out.version) {
        (Form::Nicira, _) => write_nicira(out, message),
        (_, Version::OpenFlow10) => write10(out, message),
        _ => write11(out, message),
    }
}

/// The new cookie that OpenFlow 1.0 and Nicira's form have room for.
fn cookie_to_write(change: &FlowMod) -> u64 {
    match change.command {
        Command::Add => change.flow.cookie,
        Command::Modify | Command::ModifyStrict => match change.new_cookie {
            Some(cookie) => cookie,
            None if change.add_if_absent => change.flow.cookie,
            None => KEEP_COOKIE,
        },
        Command::Delete | Command::DeleteStrict => 0,
    }
}

fn write_command(out: &mut Writer<'_>, change: &FlowMod) -> Result<(), EncodeError> {
    let command = u16::from(number(change.command));
    match (out.context.flow_mod_table_id, change.table) {
        (true, table) => out.u16(u16::from(table.unwrap_or(ALL_TABLES)) << 8 | command),
        (false, None) => out.u16(command),
        (false, Some(_)) => {
            return Err(out.unsupported("table in changes of flows before it is agreed on"));
        }
    }
    Ok(())
}

fn write10(out: &mut Writer<'_>, message: &FlowModMessage) -> Result<(), EncodeError> {
    let change = &message.change;
    if change.cookie.is_some() {
        return Err(out.unsupported("selection by cookie but in Nicira's form"));
    }
    if !match10::can_say(&change.flow.matching) {
        return Err(out.unsupported("such match but in Nicira's form"));
    }
    out.begin(Class::Ofpt, FLOW_MOD);
    match10::write(out, &change.flow.matching);
    write_common(out, message)?;
    instructions::write_list(out, &change.flow.instructions, &change.flow.matching)
}

/// Cookie to flags, as OpenFlow 1.0 and Nicira's form have them.
fn write_common(out: &mut Writer<'_>, message: &FlowModMessage) -> Result<(), EncodeError> {
    let FlowModMessage {
        change, buffer_id, ..
    } = message;
    if change.out_group.is_some() {
        return Err(out.unsupported("selection by group"));
    }
    out.u64(cookie_to_write(change));
    write_command(out, change)?;
    out.u16(change.flow.idle_timeout_s);
    out.u16(change.flow.hard_timeout_s);
    out.u16(change.flow.priority);
    out.u32(buffer_id.unwrap_or(NO_BUFFER));
    out.u16(change.out_port.unwrap_or(OfPort::ANY).0);
    out.u16(flag_bits(change.flow.flags, out.version));
    Ok(())
}

fn write_nicira(out: &mut Writer<'_>, message: &FlowModMessage) -> Result<(), EncodeError> {
    let change = &message.change;
    out.begin(Class::Nxt, NXT_FLOW_MOD);
    write_common(out, message)?;
    let length_at = out.place();
    out.zeros(8);
    write_nxm(out, &change.flow.matching, change.cookie, length_at)?;
    instructions::write_list(out, &change.flow.instructions, &change.flow.matching)
}

/// Writes a list of fields with its padding, and its length into the 16 bits at `length_at`.
pub(super) fn write_nxm(
    out: &mut Writer<'_>,
    matching: &aorta_flow::Match,
    cookie: Option<(u64, u64)>,
    length_at: usize,
) -> Result<(), EncodeError> {
    let start = out.place();
    oxm_write::write_nicira(out, matching)?;
    if let Some((value, mask)) = cookie {
        oxm::write_cookie(out, value, mask);
    }
    out.length_at(length_at, start)?;
    out.pad_to_8(start);
    Ok(())
}

fn write11(out: &mut Writer<'_>, message: &FlowModMessage) -> Result<(), EncodeError> {
    let FlowModMessage {
        change, buffer_id, ..
    } = message;
    let flow = &change.flow;
    if out.version == Version::OpenFlow11 && !super::match11::can_say(&flow.matching) {
        return Err(out.unsupported("such match"));
    }
    out.begin(Class::Ofpt, FLOW_MOD);
    let (cookie, mask) = match change.cookie {
        _ if change.command == Command::Add || change.add_if_absent => (flow.cookie, 0),
        cookie => cookie.unwrap_or((0, 0)),
    };
    out.u64(cookie);
    out.u64(mask);
    // Only deletions are for all tables; what is without table is for the first.
    let all = if deletes(change.command) {
        ALL_TABLES
    } else {
        0
    };
    out.u8(change.table.unwrap_or(all));
    out.u8(number(change.command));
    out.u16(flow.idle_timeout_s);
    out.u16(flow.hard_timeout_s);
    out.u16(flow.priority);
    out.u32(buffer_id.unwrap_or(NO_BUFFER));
    out.port32(change.out_port.unwrap_or(OfPort::ANY));
    out.u32(change.out_group.unwrap_or(ANY_GROUP));
    out.u16(flag_bits(flow.flags, out.version));
    let late = out.version >= Version::OpenFlow14;
    out.u16(if late { flow.importance } else { 0 });
    oxm::write_match(out, &flow.matching)?;
    instructions::write(out, &flow.instructions, &flow.matching)
}
