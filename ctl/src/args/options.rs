//! Options before the first command, read as getopt_long(3) would.

use std::collections::BTreeMap;

use super::{Invocation, Mode, Options};
use crate::commands::{self, OptionSyntax};
use crate::error::UsageError;
use crate::table::{DataFormat, Format};

/// One global option: its names, and whether it takes a value.
struct Global {
    long: &'static str,
    short: Option<char>,
    value: Value,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Value {
    None,
    Required,
    Optional,
}

const fn global(long: &'static str, short: Option<char>, value: Value) -> Global {
    Global { long, short, value }
}

const GLOBALS: &[Global] = &[
    global("db", None, Value::Required),
    global("no-wait", None, Value::None),
    global("no-syslog", None, Value::None),
    global("retry", None, Value::None),
    global("dry-run", None, Value::None),
    global("oneline", None, Value::None),
    global("timeout", Some('t'), Value::Required),
    global("format", Some('f'), Value::Required),
    global("data", Some('d'), Value::Required),
    global("no-headings", None, Value::None),
    global("pretty", None, Value::None),
    global("bare", None, Value::None),
    global("max-column-width", None, Value::Required),
    global("verbose", Some('v'), Value::Optional),
    global("log-file", None, Value::Optional),
    global("syslog-method", None, Value::Required),
    global("syslog-target", None, Value::Required),
    global("private-key", Some('p'), Value::Required),
    global("certificate", Some('c'), Value::Required),
    global("ca-cert", Some('C'), Value::Required),
    global("bootstrap-ca-cert", None, Value::Required),
    global("peer-ca-cert", None, Value::Required),
    global("ssl-protocols", None, Value::Required),
    global("ssl-ciphers", None, Value::Required),
    global("commands", None, Value::None),
    global("options", None, Value::None),
    global("help", Some('h'), Value::None),
    global("version", Some('V'), Value::None),
    global("json", None, Value::None),
];

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
                let takes = if option.value {
                    Value::Required
                } else {
                    Value::None
                };
                let value = self.value(option.name, takes, given)?;
                self.local.insert(option.name.to_owned(), value);
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
                Value::Required => self.value(&format!("-{letter}"), Value::Required, None)?,
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
                let next = self.argv.get(self.at).cloned();
                self.at += 1;
                next.map(Some).ok_or_else(|| UsageError::ValueMissing {
                    option: option.to_owned(),
                })
            }
            (_, given) => Ok(given),
        }
    }

    /// Takes note of one global option; the answer is set if it replaces the commands.
    pub(super) fn apply(
        &mut self,
        long: &str,
        value: Option<String>,
    ) -> Result<Option<Invocation>, UsageError> {
        let text = value.clone().unwrap_or_default();
        let options = &mut self.options;
        match long {
            "db" => options.db = value,
            "no-wait" => options.no_wait = true,
            "retry" => options.retry = true,
            "dry-run" => options.dry_run = true,
            "oneline" => options.oneline = true,
            "timeout" => options.timeout = Some(number(long, &text)?).filter(|&secs| secs > 0),
            "format" => options.style.format = Format::parse(&text)?,
            "data" => options.style.data = DataFormat::parse(&text)?,
            "no-headings" => options.style.headings = false,
            "pretty" => {
                options.pretty = true;
                options.style.pretty = true;
            }
            "bare" => {
                options.style.format = Format::List;
                options.style.data = DataFormat::Bare;
                options.style.headings = false;
            }
            "max-column-width" => {
                options.style.max_width = usize::try_from(number(long, &text)?).ok();
            }
            "json" => {
                options.json = true;
                options.style.format = Format::Json;
            }
            "help" => {
                let topic = self
                    .argv
                    .get(self.at)
                    .filter(|word| !word.starts_with('-'))
                    .cloned();
                return Ok(Some(Invocation::Help(topic)));
            }
            "version" => return Ok(Some(Invocation::Version)),
            "commands" => return Ok(Some(Invocation::ListCommands)),
            "options" => return Ok(Some(Invocation::ListOptions)),
            // Logging, syslog and PKI settings: accepted so that existing scripts run.
            _ => {}
        }
        Ok(None)
    }
}

fn number(option: &str, text: &str) -> Result<u64, UsageError> {
    text.parse().map_err(|_| UsageError::NotANumber {
        option: format!("--{option}"),
        value: text.to_owned(),
    })
}

/// Looks up a long option by its full name or a unique beginning of it.
fn find_long(mode: Mode, name: &str) -> Result<Found, UsageError> {
    let globals = GLOBALS
        .iter()
        .filter(|g| mode == Mode::Vsctl || g.long != "json");
    let mut found: BTreeMap<&str, Found> = BTreeMap::new();
    for option in globals {
        if option.long.starts_with(name) {
            found.insert(option.long, Found::Global(option));
        }
    }
    for option in commands::all(mode).flat_map(|syntax| syntax.options) {
        let long = option.name.trim_start_matches("--");
        if long.starts_with(name) {
            found.entry(long).or_insert(Found::Local(option));
        }
    }
    if let Some(exact) = found.remove(name) {
        return Ok(exact);
    }
    let names: Vec<String> = found.keys().map(|long| format!("--{long}")).collect();
    let mut all = found.into_values();
    match (all.next(), all.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(UsageError::UnknownOption {
            option: format!("--{name}"),
        }),
        (Some(_), Some(_)) => Err(UsageError::AmbiguousOption {
            option: format!("--{name}"),
            candidates: names,
        }),
    }
}

/// Names of all global options with their short forms, one per line.
pub fn list_options() -> String {
    let mut text = String::new();
    for option in GLOBALS {
        let value = if option.value == Value::None {
            ""
        } else {
            "=ARG"
        };
        text.push_str(&format!("--{}{value}\n", option.long));
        if let Some(letter) = option.short {
            text.push_str(&format!("-{letter}{}\n", value.replace('=', " ")));
        }
    }
    text
}
