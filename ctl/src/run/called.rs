//! The name that the program is called by, and the command line as logs show it.

use std::path::Path;

use crate::{appctl, ofctl};

/// A client of another socket of the switch: the name that it was called by, the words behind it,
/// and where the switch keeps its sockets; answers the exit status.
pub(super) type Client = fn(&str, &[String], &Path) -> i32;

/// The clients, with the command of `vsctl` that runs each, and the name of Open vSwitch's.
const CLIENTS: [(&str, &str, Client); 2] = [
    ("appctl", "ovs-appctl", appctl::main),
    ("ofctl", "ovs-ofctl", ofctl::main),
];

/// The client that the program's name or the first word asks for, and the words that are its own.
pub(super) fn client<'a>(called: &str, words: &'a [String]) -> Option<(Client, &'a [String])> {
    let name = called.rsplit('/').next().unwrap_or(called);
    if let Some((_, _, client)) = CLIENTS.iter().find(|(_, ovs, _)| *ovs == name) {
        return Some((*client, words));
    }
    let (first, rest) = words.split_first()?;
    let asked = CLIENTS.iter().find(|(command, ..)| command == first);
    asked
        .filter(|_| name != "ovs-vsctl")
        .map(|(.., client)| (*client, rest))
}

/// The program as it was called and its words, separated by spaces; words with special characters are quoted.
pub(super) fn command_line(called: &str, words: &[String]) -> String {
    let mut line = called.to_owned();
    for word in words {
        line.push(' ');
        if word.contains([' ', '\t', '\r', '\n', '\u{b}', '\\', '\'', '"']) {
            line.push_str(&serde_json::Value::from(word.as_str()).to_string());
        } else {
            line.push_str(word);
        }
    }
    line
}

/// What the database's log says about a transaction: who ran which command line.
pub(super) fn comment(program: &str, called: &str, words: &[String]) -> String {
    let line = command_line(called, words);
    match parent_name() {
        Some(parent) => format!("{program} (invoked by {parent}): {line}"),
        None => format!("{program}: {line}"),
    }
}

/// The program that started this one, by the end of its path.
fn parent_name() -> Option<String> {
    let parent = std::os::unix::process::parent_id();
    let line = std::fs::read(format!("/proc/{parent}/cmdline")).ok()?;
    let first = String::from_utf8(line.split(|byte| *byte == 0).next()?.to_vec()).ok()?;
    let name = Path::new(&first).file_name()?.to_str()?;
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_with_spaces_and_quotes_are_quoted() {
        let words = ["set", "Port", "p 1", "a:\"b\"", "tag=5"].map(str::to_owned);
        let line = command_line("vsctl", &words);
        assert_eq!(line, r#"vsctl set Port "p 1" "a:\"b\"" tag=5"#);
    }

    #[test]
    fn the_comment_names_the_parent() {
        let text = comment("vsctl", "./vsctl", &["init".to_owned()]);
        assert!(
            text.starts_with("vsctl (invoked by ") && text.ends_with("): ./vsctl init"),
            "{text}"
        );
    }
}
