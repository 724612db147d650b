//! The command line: global options, then commands separated by `--`, each with its own options
//! (ovs-vsctl(8), SYNOPSIS).
//!
//! Options of the first command may stand among the global ones. Long options before the first
//! command may be shortened to a unique prefix, as getopt_long(3) allows; those of later commands
//! may not.

use std::collections::BTreeMap;

use crate::commands::{self, OptionSyntax, Syntax};
use crate::error::UsageError;
use crate::table::{DataFormat, Format, Style};

/// Under which name the program was called, which decides what it accepts and how it exits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As `vsctl`: with the commands and options that only Aorta has.
    Vsctl,
    /// As `ovs-vsctl`: exactly Open vSwitch's commands, options and exit statuses.
    OvsVsctl,
}

impl Mode {
    /// The mode that belongs to the zeroth argument.
    pub fn of_program(argv0: &str) -> Mode {
        let name = argv0.rsplit('/').next().unwrap_or(argv0);
        if name == "ovs-vsctl" {
            Mode::OvsVsctl
        } else {
            Mode::Vsctl
        }
    }

    /// The name that messages begin with.
    pub fn program(self) -> &'static str {
        match self {
            Mode::Vsctl => "vsctl",
            Mode::OvsVsctl => "ovs-vsctl",
        }
    }
}

/// Options that hold for the whole invocation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Connection method of the database, where not the default.
    pub db: Option<String>,
    /// Don't wait until the switch works as the database says.
    pub no_wait: bool,
    /// Connect again until the server is there.
    pub retry: bool,
    /// Send nothing that changes the database.
    pub dry_run: bool,
    /// One line of output per command.
    pub oneline: bool,
    /// Seconds after which to give up; `None` waits for ever.
    pub timeout: Option<u64>,
    /// Indent JSON.
    pub pretty: bool,
    /// Print tables and lists as JSON.
    pub json: bool,
    /// How tables are printed.
    pub style: Style,
}

/// One command with its options and arguments, checked against its syntax.
#[derive(Debug, Clone)]
pub struct Command {
    /// What it is.
    pub syntax: &'static Syntax,
    /// Its options by full name, e.g. `--if-exists`.
    pub options: BTreeMap<String, Option<String>>,
    /// Its arguments, without its name.
    pub args: Vec<String>,
}

impl Command {
    /// Whether the option was given.
    pub fn has(&self, option: &str) -> bool {
        self.options.contains_key(option)
    }

    /// Value of an option that takes one.
    pub fn option(&self, option: &str) -> Option<&str> {
        self.options.get(option).and_then(|value| value.as_deref())
    }

    /// Argument number `n`, or the empty string if there are fewer.
    pub fn arg(&self, n: usize) -> &str {
        self.args.get(n).map_or("", String::as_str)
    }

    /// The arguments from number `n` on.
    pub fn rest(&self, n: usize) -> &[String] {
        self.args.get(n..).unwrap_or_default()
    }
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Print the help text; with a command's name, that command's.
    Help(Option<String>),
    /// Print the version.
    Version,
    /// Print the names of all commands.
    ListCommands,
    /// Print all global options.
    ListOptions,
    /// Run commands.
    Run(Options, Vec<Command>),
}

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

/// Reads a command line, given without the program's name.
pub fn parse(mode: Mode, argv: &[String]) -> Result<Invocation, UsageError> {
    let options = Options::default();
    let mut parser = Parser {
        mode,
        argv,
        at: 0,
        options,
        local: BTreeMap::new(),
    };
    if let Some(asked) = parser.globals()? {
        return Ok(asked);
    }
    let mut words = argv[parser.at..].to_vec();
    if mode == Mode::Vsctl && words.iter().any(|word| word == "--json") {
        // Welcome after a command too: there it can't be anything else.
        words.retain(|word| word != "--json");
        parser.apply("json", None)?;
    }
    let commands = split_commands(mode, &words, parser.local)?;
    Ok(Invocation::Run(parser.options, commands))
}

struct Parser<'a> {
    mode: Mode,
    argv: &'a [String],
    at: usize,
    options: Options,
    local: BTreeMap<String, Option<String>>,
}

/// A long option as found by name: a global one or one of some command.
enum Found {
    Global(&'static Global),
    Local(&'static OptionSyntax),
}

impl Parser<'_> {
    /// Consumes everything before the first command.
    fn globals(&mut self) -> Result<Option<Invocation>, UsageError> {
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
    fn apply(
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

/// Splits at `--` and checks each command; `local` are options that precede the first.
fn split_commands(
    mode: Mode,
    argv: &[String],
    mut local: BTreeMap<String, Option<String>>,
) -> Result<Vec<Command>, UsageError> {
    let mut commands = Vec::new();
    for words in argv.split(|word| word == "--") {
        if words.is_empty() {
            if local.is_empty() {
                continue;
            }
            return Err(UsageError::NoCommand);
        }
        commands.push(parse_command(mode, words, std::mem::take(&mut local))?);
    }
    if commands.is_empty() {
        Err(UsageError::NoCommand)
    } else {
        Ok(commands)
    }
}

fn parse_command(
    mode: Mode,
    words: &[String],
    mut options: BTreeMap<String, Option<String>>,
) -> Result<Command, UsageError> {
    let n_options = words
        .iter()
        .take_while(|word| word.starts_with('-'))
        .count();
    for word in &words[..n_options] {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        if options.insert(name.to_owned(), value).is_some() {
            return Err(UsageError::OptionTwice {
                option: name.to_owned(),
            });
        }
    }
    let name = words.get(n_options).ok_or(UsageError::NoCommand)?;
    let syntax = commands::find(mode, name).ok_or_else(|| UsageError::UnknownCommand {
        command: name.clone(),
    })?;
    check_options(syntax, &options)?;
    let args = words[n_options + 1..].to_vec();
    check_arguments(syntax, &args)?;
    Ok(Command {
        syntax,
        options,
        args,
    })
}

fn check_options(
    syntax: &Syntax,
    options: &BTreeMap<String, Option<String>>,
) -> Result<(), UsageError> {
    for (name, value) in options {
        let command = syntax.name.to_owned();
        let option = name.clone();
        match syntax.options.iter().find(|known| known.name == name) {
            None => return Err(UsageError::NoSuchOption { command, option }),
            Some(known) if known.value && value.is_none() => {
                return Err(UsageError::ValueMissing { option });
            }
            Some(known) if !known.value && value.is_some() => {
                return Err(UsageError::NoValueAllowed { option });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn check_arguments(syntax: &Syntax, args: &[String]) -> Result<(), UsageError> {
    let command = syntax.name.to_owned();
    if args.len() < syntax.min_args {
        return Err(UsageError::TooFewArguments {
            command,
            min: syntax.min_args,
        });
    }
    if args.len() > syntax.max_args {
        let misplaced = args.iter().any(|arg| arg.starts_with('-'));
        return Err(UsageError::TooManyArguments {
            command,
            max: syntax.max_args,
            misplaced,
        });
    }
    Ok(())
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

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
