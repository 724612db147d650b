//! The options before the first command (ovs-vsctl(8), OPTIONS), in the order in which Open vSwitch
//! lists them.

use crate::commands::Value;

/// One global option: its names, and whether it takes a value.
#[derive(Debug)]
pub(super) struct Global {
    pub(super) long: &'static str,
    pub(super) short: Option<char>,
    pub(super) value: Value,
}

use Value::{None as Nothing, Optional, Required};

const fn global(long: &'static str, value: Value) -> Global {
    Global {
        long,
        short: None,
        value,
    }
}

const fn short(short: char, long: &'static str, value: Value) -> Global {
    Global {
        long,
        short: Some(short),
        value,
    }
}

/// The option that only `vsctl` has.
pub(super) const JSON: &str = "json";

pub(super) const GLOBALS: &[Global] = &[
    global("db", Required),
    global("no-syslog", Nothing),
    global("no-wait", Nothing),
    global("dry-run", Nothing),
    global("oneline", Nothing),
    short('t', "timeout", Required),
    global("retry", Nothing),
    short('h', "help", Nothing),
    global("commands", Nothing),
    global("options", Nothing),
    global("leader-only", Nothing),
    global("no-leader-only", Nothing),
    global("shuffle-remotes", Nothing),
    global("no-shuffle-remotes", Nothing),
    short('V', "version", Nothing),
    short('v', "verbose", Optional),
    global("log-file", Optional),
    global("syslog-method", Required),
    global("syslog-target", Required),
    short('f', "format", Required),
    short('d', "data", Required),
    global("no-headings", Nothing),
    global("pretty", Nothing),
    global("bare", Nothing),
    global("max-column-width", Required),
    short('p', "private-key", Required),
    short('c', "certificate", Required),
    short('C', "ca-cert", Required),
    global("ssl-protocols", Required),
    global("ssl-ciphers", Required),
    global("bootstrap-ca-cert", Required),
    global("peer-ca-cert", Required),
    global(JSON, Nothing),
];

/// Whether the word that follows this option is its value.
pub fn takes_value(option: &str) -> bool {
    let takes = |global: &Global| global.value == Required;
    match option.strip_prefix("--") {
        Some(long) => GLOBALS
            .iter()
            .any(|global| global.long == long && takes(global)),
        None => {
            let mut letters = option.chars().skip(1);
            let (first, rest) = (letters.next(), letters.next());
            rest.is_none() && GLOBALS.iter().any(|g| g.short == first && takes(g))
        }
    }
}

/// All long options, with `=` after those that take a value.
pub fn long_options() -> impl Iterator<Item = String> {
    GLOBALS.iter().map(|option| {
        let value = if option.value == Required { "=" } else { "" };
        format!("--{}{value}", option.long)
    })
}

/// Names of all global options with their short forms, one per line.
pub fn list_options() -> String {
    let mut text = String::new();
    for option in GLOBALS.iter().filter(|option| option.long != JSON) {
        let takes = option.value != Nothing;
        let (long, value) = (option.long, if takes { "=ARG" } else { "" });
        text.push_str(&format!("--{long}{value}\n"));
        if let Some(letter) = option.short {
            text.push_str(&format!("-{letter}{}\n", if takes { " ARG" } else { "" }));
        }
    }
    text
}
