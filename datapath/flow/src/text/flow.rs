//! Reading flows.

use std::time::Duration;

use super::error::TextError;
use super::matching::MatchReader;
use super::names::Names;
use super::scan::{Item, Items, Token};
use super::{Parser, number_u16, number_u32, number_u64};
use crate::action::Instructions;
use crate::{Flow, FlowFlags, FlowStats, Match, OfPort};

/// What a flow's text is for, which decides what may and must be in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// A flow to add, or one that was dumped: with actions.
    Flow,
    /// A change of flows: with actions, and a cookie's mask if wanted.
    Modify,
    /// Which flows to delete or to show: without actions.
    Filter,
}

/// What a flow's text says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FlowText {
    /// Table, if one is named.
    pub table: Option<u8>,
    /// Priority, if one is named.
    pub priority: Option<u16>,
    /// Cookie and its mask, if one is named.
    pub cookie: Option<(u64, u64)>,
    /// Idle timeout.
    pub idle_timeout_s: u16,
    /// Hard timeout.
    pub hard_timeout_s: u16,
    /// Importance.
    pub importance: u16,
    /// Flags.
    pub flags: FlowFlags,
    /// Only flows that send there; of flows to delete or to show.
    pub out_port: Option<OfPort>,
    /// Only flows that go on in this group.
    pub out_group: Option<u32>,
    /// Which packets.
    pub matching: Match,
    /// What the flow does.
    pub instructions: Instructions,
    /// What was counted, of a dumped flow.
    pub stats: FlowStats,
}

/// A change of flow tables, as a line of a file has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Command {
    /// Adds a flow, or replaces the one of the same match and priority.
    #[default]
    Add,
    /// Changes the actions of all flows that the match covers.
    Modify,
    /// Changes the actions of one flow.
    ModifyStrict,
    /// Deletes all flows that the match covers.
    Delete,
    /// Deletes one flow.
    DeleteStrict,
}

impl Command {
    const WORDS: [(&'static str, Command); 5] = [
        ("add", Command::Add),
        ("modify", Command::Modify),
        ("modify_strict", Command::ModifyStrict),
        ("delete", Command::Delete),
        ("delete_strict", Command::DeleteStrict),
    ];

    /// The form of the text that belongs to it.
    pub fn form(self) -> Form {
        match self {
            Command::Add => Form::Flow,
            Command::Modify | Command::ModifyStrict => Form::Modify,
            Command::Delete | Command::DeleteStrict => Form::Filter,
        }
    }
}

impl FlowText {
    /// The flow that is to be added; table 0 and the default priority unless it names others.
    pub fn into_flow(self) -> Flow {
        Flow {
            table: self.table.unwrap_or(0),
            priority: self.priority.unwrap_or(Flow::DEFAULT_PRIORITY),
            cookie: self.cookie.map_or(0, |(cookie, _)| cookie),
            idle_timeout_s: self.idle_timeout_s,
            hard_timeout_s: self.hard_timeout_s,
            importance: self.importance,
            flags: self.flags,
            matching: self.matching,
            instructions: self.instructions.into(),
        }
    }
}

/// Reads a line of a flow file: a word that says what to do if wanted (`add`, `modify_strict`,
/// ...; `add` if there is none), and the flow. In front of the word there may be `flow`, as in
/// files of bundles.
///
/// # Errors
/// As [`parse_flow`].
pub fn parse_flow_line(line: &str, names: &dyn Names) -> Result<(Command, FlowText), TextError> {
    let mut line = Token::whole(line).trim();
    if first_word(line) == "flow" {
        line = line.from("flow".len()).trim();
    }
    let word = first_word(line);
    let command = Command::WORDS.iter().find(|(name, _)| *name == word);
    let (command, rest) = match command {
        Some((name, command)) => (*command, line.from(name.len())),
        None => (Command::Add, line),
    };
    Ok((command, parse(rest, command.form(), names)?))
}

fn first_word<'a>(line: Token<'a>) -> &'a str {
    let mut words = line.text.split(|c: char| c.is_ascii_whitespace());
    words.next().unwrap_or("")
}

/// Reads one flow, as `ovs-ofctl add-flow` takes it and `dump-flows` prints it.
///
/// # Errors
/// With the place and what would be right, when a word isn't known, a value isn't of its field's
/// form, a field lacks its prerequisites, or the actions break a rule.
pub fn parse_flow(text: &str, form: Form, names: &dyn Names) -> Result<FlowText, TextError> {
    parse(Token::whole(text), form, names)
}

fn parse(text: Token<'_>, form: Form, names: &dyn Names) -> Result<FlowText, TextError> {
    let parser = Parser { names };
    let mut flow = FlowText::default();
    let mut matching = MatchReader::default();
    let mut actions = None;
    let mut items = Items::new(text);
    loop {
        let rest = items.rest();
        if let Some(list) = after_actions(rest) {
            actions = Some(list);
            break;
        }
        let Some(item) = items.next()? else { break };
        let taken = flow.take(parser, form, &item)?
            || matching.take(parser, &item)?
            || flow.take_stats(&item)?;
        if !taken {
            return Err(TextError::unknown(item.key, "field", known_words()));
        }
    }
    flow.matching = matching.finish()?;
    match (actions, form) {
        (Some(list), Form::Flow | Form::Modify) => flow.instructions = parser.instructions(list)?,
        (Some(list), Form::Filter) => {
            return Err(TextError::rule(list, "no actions belong here"));
        }
        (None, Form::Flow | Form::Modify) => {
            let end = text.from(text.text.len());
            return Err(TextError::rule(end, "this needs actions=..., at the end"));
        }
        (None, Form::Filter) => {}
    }
    Ok(flow)
}

/// What follows `actions=`, if the list goes on with it.
fn after_actions(rest: Token<'_>) -> Option<Token<'_>> {
    let trimmed = rest
        .text
        .trim_start_matches(|c: char| c == ',' || c.is_ascii_whitespace());
    let list = trimmed
        .strip_prefix("actions=")
        .or_else(|| trimmed.strip_prefix("action="))?;
    Some(rest.from(rest.text.len() - list.len()))
}

const OPTIONS: [&str; 10] = [
    "table",
    "priority",
    "cookie",
    "idle_timeout",
    "hard_timeout",
    "importance",
    "out_port",
    "out_group",
    "actions",
    "duration",
];

fn known_words() -> impl Iterator<Item = &'static str> {
    let words = super::matching::SHORTHANDS.iter().map(|s| s.0);
    let flags = FlowFlags::ALL.iter().map(|f| f.0);
    crate::field::FieldId::names()
        .chain(OPTIONS)
        .chain(words)
        .chain(flags)
}

impl FlowText {
    fn take(&mut self, parser: Parser<'_>, form: Form, item: &Item<'_>) -> Result<bool, TextError> {
        let value = || item.need("NAME=NUMBER");
        match item.key.text {
            "table" => self.table = Some(parser.table(value()?)?),
            "priority" => self.priority = Some(number_u16(value()?)?),
            "cookie" => self.cookie = cookie(value()?, form)?,
            "idle_timeout" => self.idle_timeout_s = number_u16(value()?)?,
            "hard_timeout" => self.hard_timeout_s = number_u16(value()?)?,
            "importance" => self.importance = number_u16(value()?)?,
            "out_port" | "out_group" if form != Form::Filter => {
                return Err(TextError::rule(
                    item.all,
                    "this selects flows to delete or show, and can't stand with actions",
                ));
            }
            "out_port" => self.out_port = Some(parser.port(value()?)?),
            "out_group" => self.out_group = Some(number_u32(value()?)?),
            "allow_hidden_fields" => item.bare()?,
            word => {
                let Some((_, flag)) = FlowFlags::ALL.iter().find(|(name, _)| *name == word) else {
                    return Ok(false);
                };
                item.bare()?;
                self.flags = self.flags.with(*flag);
            }
        }
        Ok(true)
    }

    /// What a dump has besides.
    fn take_stats(&mut self, item: &Item<'_>) -> Result<bool, TextError> {
        let value = || item.need("NAME=NUMBER");
        let stats = &mut self.stats;
        match item.key.text {
            "duration" => stats.duration = duration(value()?)?,
            "n_packets" => stats.n_packets = number_u64(value()?)?,
            "n_bytes" => stats.n_bytes = number_u64(value()?)?,
            "idle_age" => stats.idle_age_s = Some(number_u32(value()?)?),
            "hard_age" => stats.hard_age_s = Some(number_u32(value()?)?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// `COOKIE`, or `COOKIE/MASK` except for a flow to add. A mask of `-1` is all ones.
fn cookie(at: Token<'_>, form: Form) -> Result<Option<(u64, u64)>, TextError> {
    match at.split_once("/") {
        None => Ok(Some((number_u64(at)?, u64::MAX))),
        Some(_) if form == Form::Flow => Err(TextError::rule(
            at,
            "the cookie of a flow to add can't have a mask",
        )),
        Some((value, mask)) => {
            let mask = match mask.text {
                "-1" => u64::MAX,
                _ => number_u64(mask)?,
            };
            Ok(Some((number_u64(value)?, mask)))
        }
    }
}

/// Seconds with a fraction, as in `1.25s`.
fn duration(at: Token<'_>) -> Result<Duration, TextError> {
    at.text
        .strip_suffix('s')
        .and_then(|seconds| {
            let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
            let plain = fraction.len() <= 9 && fraction.bytes().all(|c| c.is_ascii_digit());
            let nanos = format!("{fraction:0<9}").parse().ok().filter(|_| plain)?;
            Some(Duration::new(whole.parse().ok()?, nanos))
        })
        .ok_or_else(|| TextError::form(at, "a duration such as 1.25s"))
}
