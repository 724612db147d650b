//! The list of commands that Open vSwitch's shell completion reads (`--commands`): its notation of
//! arguments, and its order, which is also the one in which options are searched.

use super::{OptionSyntax, Value, find};
use crate::args::Mode;

/// Commands with their arguments: `!` for one that must be given, `?` for one that may, `+` for
/// one or more, `*` for any number.
const LISTED: [(&str, &str); 50] = [
    ("wait-until", "!TABLE !RECORD *COLUMN?:KEY=VALUE"),
    ("add-zone-tp", ""),
    ("comment", "*ARG"),
    ("clear", "!TABLE !RECORD +COLUMN"),
    ("init", ""),
    ("create", "!TABLE +COLUMN?:KEY=VALUE"),
    ("set-fail-mode", "!BRIDGE !MODE"),
    ("add-port", "!BRIDGE !NEW-PORT *COLUMN?:KEY=VALUE"),
    ("del-bond-iface", "?BOND !IFACE"),
    ("del-ssl", ""),
    ("set-controller", "!BRIDGE +TARGET"),
    ("list-br", ""),
    ("br-exists", "!BRIDGE"),
    ("list-ports", "!BRIDGE"),
    ("del-manager", ""),
    ("list-dp-cap", ""),
    ("add-bond-iface", "!BOND !IFACE"),
    ("get-manager", ""),
    ("get-controller", "!BRIDGE"),
    ("br-set-external-id", "!BRIDGE !KEY ?VALUE"),
    ("list-ifaces", "!BRIDGE"),
    ("list-zone-tp", ""),
    ("get-aa-mapping", "!BRIDGE"),
    ("get", "!TABLE !RECORD *COLUMN?:KEY"),
    ("add-aa-mapping", "!BRIDGE !ARG !ARG"),
    ("del-fail-mode", "!BRIDGE"),
    ("br-get-external-id", "!BRIDGE ?KEY"),
    ("del-zone-tp", ""),
    ("del-port", "?BRIDGE !PORT|IFACE"),
    ("port-to-br", "!PORT"),
    ("del-controller", "!BRIDGE"),
    ("find", "!TABLE *COLUMN?:KEY=VALUE"),
    ("set", "!TABLE !RECORD +COLUMN?:KEY=VALUE"),
    ("emer-reset", ""),
    ("set-ssl", "!PRIVATE-KEY !CERTIFICATE !CA-CERT"),
    ("del-aa-mapping", "!BRIDGE !ARG !ARG"),
    ("add-br", "!NEW-BRIDGE ?PARENT ?NEW-VLAN"),
    ("br-to-parent", "!BRIDGE"),
    ("iface-to-br", "!IFACE"),
    ("list", "!TABLE *RECORD"),
    ("add", "!TABLE !RECORD !COLUMN +?KEY=VALUE"),
    ("set-manager", "+TARGET"),
    ("del-br", "!BRIDGE"),
    ("remove", "!TABLE !RECORD !COLUMN +KEY|VALUE|KEY=VALUE"),
    ("get-ssl", ""),
    ("get-fail-mode", "!BRIDGE"),
    ("destroy", "!TABLE *RECORD"),
    ("br-to-vlan", "!BRIDGE"),
    ("add-bond", "!BRIDGE !BOND +IFACE *COLUMN?:KEY=VALUE"),
    ("show", ""),
];

/// The arguments of a command, where they are listed.
pub fn arguments(name: &str) -> Option<&'static str> {
    let found = LISTED.iter().find(|(listed, _)| *listed == name);
    found
        .map(|(_, arguments)| *arguments)
        .filter(|arguments| !arguments.is_empty())
}

/// The options of all listed commands.
pub fn options() -> impl Iterator<Item = &'static OptionSyntax> {
    let commands = LISTED
        .iter()
        .filter_map(|(name, _)| find(Mode::OvsVsctl, name));
    commands.flat_map(|syntax| syntax.options)
}

/// One line for each command: options, name and arguments.
pub fn text() -> String {
    let line = |(name, arguments): &(&str, &str)| {
        let options = find(Mode::OvsVsctl, name).map_or(&[][..], |syntax| syntax.options);
        let options: Vec<String> = options.iter().map(shown).collect();
        let gap = if options.is_empty() { "" } else { " " };
        format!("{}{gap},{name},{arguments}\n", options.join(" "))
    };
    LISTED.iter().map(line).collect()
}

fn shown(option: &OptionSyntax) -> String {
    let value = match option.value {
        Value::None => "",
        Value::Required | Value::Optional => "=",
    };
    format!("[{}{value}]", option.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::all;

    #[test]
    fn every_command_is_listed_once() {
        let mut listed: Vec<&str> = LISTED.iter().map(|(name, _)| *name).collect();
        let mut known: Vec<&str> = all(Mode::OvsVsctl).map(|syntax| syntax.name).collect();
        listed.sort_unstable();
        known.sort_unstable();
        assert_eq!(listed, known);
    }
}
