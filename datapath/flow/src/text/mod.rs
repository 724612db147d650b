//! The text form of flows, groups and meters, as `ovs-ofctl` has it, both ways.

mod action_names;
mod actions;
mod choices;
mod connection;
mod error;
mod file;
mod flow;
mod group;
mod learn;
mod matching;
mod meter;
mod names;
mod print_actions;
mod print_flow;
mod print_lists;
mod print_match;
mod scan;
mod small_actions;
mod words;

pub use error::{Problem, TextError};
pub use file::{FileError, parse_flow_file};
pub use flow::{Command, FlowText, Form, parse_flow, parse_flow_line};
pub use group::{parse_group, show_group};
pub use meter::parse_meter;
pub use names::{Names, NoNames};
pub use print_flow::{Shown, show_flow, show_instructions, show_match};
pub use words::{action_words, field_words, protocol_words};

use scan::{Item, Items, Token};

use crate::field::{FieldId, parse_number};
use crate::{OfPort, Subfield};

/// What all parsers know.
#[derive(Clone, Copy)]
struct Parser<'a> {
    names: &'a dyn Names,
}

/// A number up to `max`.
fn number(at: Token<'_>, max: u64) -> Result<u64, TextError> {
    parse_number(at.text)
        .and_then(|value| u64::try_from(value).ok())
        .filter(|value| *value <= max)
        .ok_or_else(|| TextError::form(at, format!("a number from 0 to {max}")))
}

fn number_u8(at: Token<'_>) -> Result<u8, TextError> {
    Ok(number(at, u8::MAX.into())? as u8)
}

fn number_u16(at: Token<'_>) -> Result<u16, TextError> {
    Ok(number(at, u16::MAX.into())? as u16)
}

fn number_u32(at: Token<'_>) -> Result<u32, TextError> {
    Ok(number(at, u32::MAX.into())? as u32)
}

fn number_u64(at: Token<'_>) -> Result<u64, TextError> {
    number(at, u64::MAX)
}

/// One of a list of names.
fn choice<T: Copy>(
    at: Token<'_>,
    what: &'static str,
    all: &[(&'static str, T)],
) -> Result<T, TextError> {
    match all.iter().find(|(name, _)| *name == at.text) {
        Some((_, value)) => Ok(*value),
        None => Err(TextError::unknown(
            at,
            what,
            all.iter().map(|(name, _)| *name),
        )),
    }
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text)
}

impl Parser<'_> {
    /// A port's number, reserved name or name.
    fn port(self, at: Token<'_>) -> Result<OfPort, TextError> {
        self.known_port(at.text).ok_or_else(|| {
            TextError::form(
                at,
                "a port: its number, its name, or LOCAL, IN_PORT, NORMAL, FLOOD, ALL, CONTROLLER",
            )
        })
    }

    fn known_port(self, text: &str) -> Option<OfPort> {
        OfPort::from_text(text).or_else(|| self.names.port(unquoted(text)))
    }

    /// A table's number, 0 to 254, or name.
    fn table(self, at: Token<'_>) -> Result<u8, TextError> {
        match parse_number(at.text).map(u8::try_from) {
            Some(Ok(table)) if table < u8::MAX => Some(table),
            Some(_) => None,
            None => self.names.table(unquoted(at.text)),
        }
        .ok_or_else(|| TextError::form(at, "a table: a number from 0 to 254, or its name"))
    }
}

/// A field by any of its names.
fn field(at: Token<'_>) -> Result<FieldId, TextError> {
    FieldId::by_name(at.text).ok_or_else(|| TextError::unknown(at, "field", FieldId::names()))
}

/// A field that actions may change.
fn writable_field(at: Token<'_>) -> Result<FieldId, TextError> {
    let id = field(at)?;
    match id.field().writable {
        true => Ok(id),
        false => Err(TextError::new(at, Problem::ReadOnly(id))),
    }
}

/// `FIELD`, `FIELD[]`, `FIELD[BIT]` or `FIELD[FIRST..LAST]`.
fn subfield(at: Token<'_>) -> Result<Subfield, TextError> {
    let Some((name, bits)) = at.split_once("[") else {
        return Ok(Subfield::whole(field(at)?));
    };
    let id = field(name)?;
    let Some(range) = bits.text.strip_suffix(']') else {
        return Err(TextError::form(
            at,
            "a field with its bits: [], [BIT] or [FIRST..LAST]",
        ));
    };
    let range = bits.slice(0, range.len());
    if range.text.is_empty() {
        return Ok(Subfield::whole(id));
    }
    let (start, end) = range.split_once("..").unwrap_or((range, range));
    let bits = Subfield::range(id, number_u32(start)?, number_u32(end)?);
    bits.map_err(|e| TextError::new(range, e))
}

/// A subfield that actions may change.
fn writable_subfield(at: Token<'_>) -> Result<Subfield, TextError> {
    let part = subfield(at)?;
    match part.field.field().writable {
        true => Ok(part),
        false => Err(TextError::new(at, Problem::ReadOnly(part.field))),
    }
}

/// What stands on both sides of `->`.
fn arrow(at: Token<'_>) -> Result<(Token<'_>, Token<'_>), TextError> {
    at.split_once("->")
        .ok_or_else(|| TextError::form(at, "of the form VALUE->FIELD"))
}

/// All entries of a list.
fn items(list: Token<'_>) -> Result<Vec<Item<'_>>, TextError> {
    let mut items = Items::new(list);
    let mut all = Vec::new();
    while let Some(item) = items.next()? {
        all.push(item);
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
