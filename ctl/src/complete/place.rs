//! Where the cursor is in a command line.

use crate::args::{Mode, takes_value};
use crate::commands::{self, Syntax, listing};

/// What belongs at the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A command, or an option of one; `first` if options of the program may stand there, too.
    Command {
        /// Whether it is the first of the line.
        first: bool,
    },
    /// A bridge.
    Bridge,
    /// A port.
    Port,
    /// An interface.
    Interface,
    /// A table.
    Table,
    /// A record of a table, as given.
    Record {
        /// The table.
        table: String,
    },
    /// A column of a table, as given, and what may follow it.
    Column {
        /// The table.
        table: String,
        /// Whether a key may follow.
        key: bool,
        /// Whether a value may follow.
        value: bool,
    },
    /// A flow, with its actions or without.
    Flow {
        /// Whether actions belong to it.
        actions: bool,
    },
    /// A file.
    File,
    /// One of these words.
    Words(&'static [&'static str]),
    /// Nothing that could be known.
    Unknown,
}

/// The place after these words, which precede the cursor.
pub fn place(words: &[String]) -> Place {
    let first = !words.iter().any(|word| word == "--");
    let segment = words.rsplit(|word| word == "--").next().unwrap_or_default();
    let mut rest = segment.iter();
    let name = loop {
        match rest.next() {
            None => return Place::Command { first },
            Some(option) if option.starts_with('-') => {
                if takes_value(option) && rest.next().is_none() {
                    return Place::Unknown;
                }
            }
            Some(name) => break name,
        }
    };
    match name.as_str() {
        super::COMPLETION => return Place::Words(&["bash", "zsh", "fish"]),
        "help" => return Place::Command { first: false },
        _ => {}
    }
    let Some(syntax) = commands::find(Mode::Vsctl, name) else {
        return Place::Unknown;
    };
    let arguments: Vec<&str> = rest.map(String::as_str).collect();
    of_argument(syntax, &arguments)
}

/// The place of the argument that follows those given.
fn of_argument(syntax: &Syntax, given: &[&str]) -> Place {
    let notation = listing::arguments(syntax.name).unwrap_or(syntax.arguments);
    let notation: Vec<&str> = notation.split(' ').collect();
    let Some(mut kind) = notation.get(given.len()).or(notation.last()).copied() else {
        return Place::Unknown;
    };
    let repeats = kind.starts_with(['+', '*']);
    if given.len() >= notation.len() && !repeats {
        return Place::Unknown;
    }
    // The optional bridge or bond may have been left out; both are worth to offer.
    if let ("?BRIDGE" | "?BOND", [_]) = (notation[0], given) {
        kind = notation[1];
    }
    let table = || match syntax.name {
        "add-port" | "add-bond" => "Port".to_owned(),
        _ => given.first().copied().unwrap_or_default().to_owned(),
    };
    let column = |key, value| Place::Column {
        table: table(),
        key,
        value,
    };
    match kind.trim_start_matches(['!', '?', '+', '*']) {
        "BRIDGE" | "PARENT" => Place::Bridge,
        "PORT" | "BOND" if syntax.name != "add-bond" => Place::Port,
        "PORT|IFACE" => Place::Port,
        "IFACE" if !matches!(syntax.name, "add-bond" | "add-bond-iface") => Place::Interface,
        "TABLE" => Place::Table,
        "RECORD" => Place::Record { table: table() },
        "COLUMN?:KEY=VALUE" => column(true, true),
        "COLUMN?:KEY" => column(true, false),
        "COLUMN" => column(false, false),
        "FLOW|-" => Place::Flow { actions: true },
        "[FLOW|-]" | "[FLOW]" | "FLOW|HEX" => Place::Flow { actions: false },
        "FILE|-" | "SOURCE" => Place::File,
        "[PORT]" => Place::Interface,
        "MODE" => Place::Words(&["standalone", "secure"]),
        "TARGET" => Place::Words(&["ptcp:", "pssl:", "tcp:", "ssl:", "unix:", "punix:"]),
        _ => Place::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(line: &str) -> Place {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        place(&words)
    }

    fn record(table: &str) -> Place {
        Place::Record {
            table: table.into(),
        }
    }

    #[test]
    fn commands_come_first_and_after_dashes() {
        assert_eq!(after(""), Place::Command { first: true });
        assert_eq!(after("--no-wait -t 5"), Place::Command { first: true });
        assert_eq!(after("--timeout"), Place::Unknown);
        assert_eq!(
            after("list-br -- --if-exists"),
            Place::Command { first: false }
        );
        assert_eq!(after("nonsense"), Place::Unknown);
    }

    #[test]
    fn arguments_are_known_by_their_commands() {
        assert_eq!(after("del-br"), Place::Bridge);
        assert_eq!(after("del-br br0"), Place::Unknown);
        assert_eq!(after("add-port"), Place::Bridge);
        assert_eq!(after("add-port br0"), Place::Unknown);
        assert_eq!(after("del-port br0"), Place::Port);
        assert_eq!(after("fdb"), Place::Bridge);
        assert_eq!(after("--strict mod-flows"), Place::Bridge);
        assert_eq!(after("add-flow br0"), Place::Flow { actions: true });
        assert_eq!(after("del-flows br0"), Place::Flow { actions: false });
        assert_eq!(after("trace br0"), Place::Flow { actions: false });
        assert_eq!(after("add-flows br0"), Place::File);
        assert_eq!(after("diff-flows br0"), Place::File);
        assert_eq!(after("dump-ports br0"), Place::Interface);
        assert_eq!(after("dump-flows br0 tcp"), Place::Unknown);
        assert_eq!(after("iface-to-br"), Place::Interface);
        assert_eq!(
            after("set-fail-mode br0"),
            Place::Words(&["standalone", "secure"])
        );
        assert_eq!(after("-- --if-exists set"), Place::Table);
        assert_eq!(after("set Port"), record("Port"));
        assert_eq!(after("list po p1 p2"), record("po"));
        assert_eq!(after("completion"), Place::Words(&["bash", "zsh", "fish"]));
    }

    #[test]
    fn columns_belong_to_their_table() {
        let column = |key, value| Place::Column {
            table: "Port".into(),
            key,
            value,
        };
        assert_eq!(after("set Port p1 tag=5"), column(true, true));
        assert_eq!(after("get Port p1"), column(true, false));
        assert_eq!(after("clear Port p1"), column(false, false));
        assert_eq!(after("add-port br0 p1 tag=5"), column(true, true));
        assert_eq!(after("find Port"), column(true, true));
    }
}
