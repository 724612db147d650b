//! Options before the first command, read as getopt_long(3) would.

use std::collections::BTreeMap;

use super::globals::{GLOBALS, Global, JSON};
use super::{Invocation, Mode, Options};
use crate::commands::{self, OptionSyntax, Value};
use crate::error::UsageError;

/// Reads options until the first command.
pub(super) struct Parser<'a> {
    pub(super) mode: Mode,
    pub(super) argv: &'a [String],
    /// Next word to read.
    pub(super) at: usize,
    pub(super) options: Options,
    /// Options of the first command.
    pub(super) local: BTreeMap<String, Option<String>>,
}

/// A long option as found by name: a global one or one of some command.
enum Found {
    Global(&'static Global),
    Local(&'static OptionSyntax),
}

impl Parser<'_> {
    /// Consumes everything before the first command.
    pub(super) fn globals(&mut self) -> Result<Option<Invocation>, UsageError> {
        while let Some(arg) = self.argv.get(self.at) {
            if arg == "--" {
                self.at += 1;
                break;
            }
            let asked = if let Some(long) = arg.strip_prefix("--") {
                self.at += 1;
                self.long(long)?
            } else if arg.len() > 1 && arg.starts_with('-') {
                self.at += 1;
                self.short(&arg[1..])?
            } else {
                break;
            };
            if asked.is_some() {
                return Ok(asked);
            }
        }
        Ok(None)
    }

    fn long(&mut self, text: &str) -> Result<Option<Invocation>, UsageError> {
        let (name, given) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        match find_long(self.mode, name)? {
            Found::Global(option) => {
                let shown = format!("--{}", option.long);
                let value = self.value(&shown, option.value, given)?;
                self.apply(option.long, value)
            }
            Found::Local(option) => {
                let value = self.value(option.name, option.value, given)?;
                match self.local.get_mut(option.name) {
                    None => {
                        self.local.insert(option.name.to_owned(), value);
                    }
                    Some(before) if option.value == Value::Optional => append(before, value),
                    Some(_) => {}
                }
                Ok(None)
            }
        }
    }

    /// Bundled short options; one that takes a value takes the rest, or the next argument.
    fn short(&mut self, bundle: &str) -> Result<Option<Invocation>, UsageError> {
        let mut rest = bundle.chars();
        while let Some(letter) = rest.next() {
            let option = GLOBALS
                .iter()
                .find(|option| option.short == Some(letter))
                .ok_or(UsageError::UnknownShortOption { letter })?;
            let attached = rest.as_str();
            let value = match option.value {
                Value::None => None,
                _ if !attached.is_empty() => Some(attached.to_owned()),
                Value::Optional => None,
                Value::Required => {
                    let next = self.next_word();
                    Some(next.ok_or(UsageError::ShortValueMissing { letter })?)
                }
            };
            let consumed = option.value != Value::None;
            if let Some(asked) = self.apply(option.long, value)? {
                return Ok(Some(asked));
            }
            if consumed {
                break;
            }
        }
        Ok(None)
    }

    fn next_word(&mut self) -> Option<String> {
        let word = self.argv.get(self.at).cloned();
        self.at += 1;
        word
    }

    fn value(
        &mut self,
        option: &str,
        takes: Value,
        given: Option<String>,
    ) -> Result<Option<String>, UsageError> {
        match (takes, given) {
            (Value::None, Some(_)) => Err(UsageError::NoValueAllowed {
                option: option.to_owned(),
            }),
            (Value::Required, None) => {
                self.next_word()
                    .map(Some)
                    .ok_or_else(|| UsageError::ValueMissing {
                        option: option.to_owned(),
                    })
            }
            (_, given) => Ok(given),
        }
    }
}

/// Puts the value of a repeated option behind the one before.
pub(super) fn append(before: &mut Option<String>, value: Option<String>) {
    let all = format!(
        "{},{}",
        before.take().unwrap_or_default(),
        value.unwrap_or_default()
    );
    *before = Some(all);
}

/// Looks up a long option by its full name or a unique beginning of it.
fn find_long(mode: Mode, name: &str) -> Result<Found, UsageError> {
    let globals = GLOBALS
        .iter()
        .filter(|global| mode == Mode::Vsctl || global.long != JSON)
        .map(|global| (global.long, Found::Global(global)));
    let locals = commands::listing::options();
    let own = commands::options_of_switch().filter(|_| mode == Mode::Vsctl);
    let locals = locals
        .chain(own)
        .map(|option| (option.name.trim_start_matches('-'), Found::Local(option)));
    let mut found: Vec<(&str, Found)> = Vec::new();
    for (long, option) in globals.chain(locals) {
        if long == name {
            return Ok(option);
        }
        if long.starts_with(name) && found.iter().all(|(known, _)| *known != long) {
            found.push((long, option));
        }
    }
    let option = format!("--{name}");
    let candidates = found.iter().map(|(long, _)| format!("--{long}")).collect();
    let mut all = found.into_iter();
    match (all.next(), all.next()) {
        (Some((_, only)), None) => Ok(only),
        (None, _) => Err(UsageError::UnknownOption { option }),
        (Some(_), Some(_)) => Err(UsageError::AmbiguousOption { option, candidates }),
    }
}
