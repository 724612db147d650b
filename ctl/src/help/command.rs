//! The help text of one command.

use crate::args::Mode;
use crate::commands::Syntax;

use super::{flows, usage};

/// The text about the command that prints completion scripts.
pub(super) const COMPLETION: &str = "\
usage: vsctl completion bash|zsh|fish
print a script that completes commands, options, tables, columns and names of the running switch

Examples:
  vsctl completion bash > /etc/bash_completion.d/vsctl
  vsctl completion zsh > /usr/local/share/zsh/site-functions/_vsctl
  vsctl completion fish > ~/.config/fish/completions/vsctl.fish
";

/// What the options of commands do.
const OPTIONS: [(&str, &str); 12] = [
    ("--if-exists", "do nothing if it doesn't exist"),
    ("--may-exist", "do nothing if it exists as asked for"),
    (
        "--with-iface",
        "delete the port that has an interface of that name, too",
    ),
    (
        "--fake-iface",
        "make an interface called as the bond, for old software",
    ),
    ("--real", "only real bridges"),
    ("--fake", "only fake bridges"),
    (
        "--columns",
        "only these columns, separated by commas, in this order",
    ),
    (
        "--id",
        "@NAME, by which other commands of the line refer to the record",
    ),
    ("--all", "all records of TABLE"),
    (
        "--bootstrap",
        "trust the first peer's CA and keep its certificate in CA-CERT",
    ),
    (
        "--inactivity-probe",
        "milliseconds of silence until the connection is probed; 0 for never",
    ),
    ("--json", "print JSON"),
];

/// What more there is to know, by command.
const NOTES: [(&str, &str); 13] = [
    (
        "top",
        "On a terminal, a screen that q ends; its last line tells the other keys. -d is the time\n\
         between two looks (1), -s the order of ports: rx, tx, rx-packets, tx-packets, drops, name.\n\
         With -b or --json, and where the output is no terminal, it prints rates below each other,\n\
         -n times or until it is interrupted. Bridges with more than 10000 flows show ports only.",
    ),
    (
        "add-br",
        "The bridge gets a port and a host interface of its own name. With PARENT and VLAN it is\n\
         a fake bridge: the ports added to it are access ports of VLAN on PARENT.",
    ),
    (
        "add-port",
        "COLUMN is one of table Port, e.g. tag=10 for an access port, trunks=10,20 for a trunk.\n\
         The port is one interface; set its type with: -- set Interface PORT type=internal",
    ),
    (
        "add-bond",
        "COLUMN is one of table Port, e.g. bond_mode=balance-slb lacp=active.",
    ),
    (
        "del-port",
        "Its configuration goes with it. A bridge's own port goes only with the bridge.",
    ),
    (
        "set-manager",
        "The switch serves its database there, or connects there: ptcp:[PORT][:IP], pssl:...,\n\
         tcp:HOST[:PORT], ssl:...",
    ),
    (
        "set-controller",
        "The bridge connects there, or listens: tcp:HOST[:PORT], ssl:..., unix:FILE,\n\
         ptcp:[PORT][:IP], pssl:..., punix:FILE",
    ),
    (
        "set",
        "VALUE of a set is A,B,... or [A,B], of a map K=V,... or {K=V,...}, of a single key V.\n\
         Quote what has spaces or : in it as in JSON: target='\"tcp:10.0.0.1\"'.",
    ),
    (
        "add",
        "The value of a key that is there is replaced, unlike ovs-vsctl(8) says, but as it does.",
    ),
    (
        "find",
        "Conditions are COLUMN[:KEY] OPERATOR VALUE without spaces: = != < > <= >= compare values,\n\
         {=} {!=} {<} {>} {<=} {>=} {in} {not-in} compare sets. Quote < and > for the shell.",
    ),
    (
        "create",
        "Except in tables QoS, Queue, Open_vSwitch and Flow_Sample_Collector_Set, a record that\n\
         nothing refers to doesn't stay: give it --id=@NAME and refer to @NAME.",
    ),
    (
        "destroy",
        "Records of tables whose records live by reference go when the last reference does.",
    ),
    (
        "wait-until",
        "Conditions are those of find. --timeout limits the waiting.",
    ),
];

/// Command lines to learn from, by command.
const EXAMPLES: [(&str, &[&str]); 19] = [
    (
        "top",
        &[
            "top",
            "top br0 -s drops",
            "top -b -n 1 -d 5",
            "--json top -n 60",
        ],
    ),
    (
        "add-br",
        &["add-br br0", "--may-exist add-br br0", "add-br vlan9 br0 9"],
    ),
    ("del-br", &["--if-exists del-br br0"]),
    (
        "add-port",
        &[
            "add-port br0 tap0 tag=10",
            "add-port br0 eth1 trunks=10,20 vlan_mode=native-untagged tag=1",
            "--may-exist add-port br0 v0 -- set Interface v0 type=internal",
        ],
    ),
    ("del-port", &["--if-exists del-port br0 tap0"]),
    ("add-bond", &["add-bond br0 bond0 eth1 eth2 lacp=active"]),
    ("set-manager", &["set-manager ptcp:6640:127.0.0.1"]),
    ("set-controller", &["set-controller br0 tcp:127.0.0.1:6653"]),
    (
        "set-ssl",
        &["set-ssl /etc/aorta/key.pem /etc/aorta/cert.pem /etc/aorta/ca.pem"],
    ),
    (
        "add-zone-tp",
        &["add-zone-tp system zone=5 icmp_first=30 icmp_reply=60"],
    ),
    (
        "list",
        &[
            "list Bridge",
            "--columns=name,tag -f table list Port",
            "list Port tap0",
        ],
    ),
    (
        "find",
        &[
            "--columns=name find Interface type=patch",
            "--columns=name,error find Interface 'error!=[]'",
            "find Port 'trunks{>=}10'",
        ],
    ),
    (
        "get",
        &[
            "get Interface tap0 ofport",
            "--if-exists get Port tap0 other_config:x",
        ],
    ),
    (
        "set",
        &[
            "set Port tap0 tag=10",
            "set Bridge br0 other_config:mac-aging-time=60",
            "set Interface tap0 external_ids:iface-id=vm1 external_ids:iface-status=active",
        ],
    ),
    (
        "add",
        &[
            "add Port eth1 trunks 30 40-45",
            "add Bridge br0 external_ids owner=me",
        ],
    ),
    (
        "remove",
        &[
            "remove Port eth1 trunks 30",
            "remove Bridge br0 external_ids owner",
        ],
    ),
    (
        "clear",
        &["clear Port tap0 tag", "clear Bridge br0 mirrors"],
    ),
    (
        "create",
        &["set Port tap0 qos=@q -- --id=@q create QoS type=linux-htb \
             other_config:max-rate=1000000"],
    ),
    (
        "wait-until",
        &["--timeout=10 wait-until Interface tap0 'ofport>0'"],
    ),
];

/// What a table says of a name.
fn of<T: Copy>(tables: [&[(&str, T)]; 2], name: &str) -> Option<T> {
    let mut entries = tables.into_iter().flatten();
    entries
        .find(|(named, _)| *named == name)
        .map(|(_, entry)| *entry)
}

/// A command line as a shell takes it: words with parentheses in quotes.
fn quoted(line: &str) -> String {
    let words = line.split(' ').map(|word| match word.contains('(') {
        true => format!("'{word}'"),
        false => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Everything about a command.
pub(super) fn text(mode: Mode, syntax: &Syntax) -> String {
    let program = mode.program();
    let mut text = format!("usage: {program} {}\n{}\n", usage(syntax), syntax.summary);
    if let Some(note) = of([&NOTES, &flows::NOTES], syntax.name) {
        text.push_str(&format!("\n{note}\n"));
    }
    if !syntax.options.is_empty() {
        text.push_str(match syntax.group.is_of_switch() {
            true => "\nOptions:\n",
            false => "\nOptions (before the command):\n",
        });
    }
    for option in syntax.options {
        let meaning = of([&OPTIONS, &flows::OPTIONS], option.name).unwrap_or_default();
        let shown = format!("{}{}", option.name, option.suffix());
        text.push_str(&format!("  {shown:<20} {meaning}\n"));
    }
    if let Some(lines) = of([&EXAMPLES, &flows::EXAMPLES], syntax.name) {
        text.push_str("\nExamples:\n");
        for line in lines {
            text.push_str(&format!("  {program} {}\n", quoted(line)));
        }
    }
    if syntax.group.is_of_switch() {
        text.push_str("\nIt asks the running switch, so it must be the only command.\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{self, Invocation};
    use crate::commands::all;

    #[test]
    fn every_option_is_explained() {
        for option in all(Mode::Vsctl).flat_map(|syntax| syntax.options) {
            let known = of([&OPTIONS, &flows::OPTIONS], option.name);
            assert!(known.is_some(), "{}", option.name);
        }
    }

    #[test]
    fn notes_and_examples_are_of_commands_that_exist_and_parse() {
        for (name, _) in NOTES.iter().chain(&flows::NOTES) {
            assert!(
                all(Mode::Vsctl).any(|syntax| syntax.name == *name),
                "{name}"
            );
        }
        for (name, lines) in EXAMPLES.iter().chain(&flows::EXAMPLES) {
            for line in *lines {
                let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
                let Ok(Invocation::Run(_, commands)) = args::parse(Mode::Vsctl, &words) else {
                    panic!("{line}");
                };
                assert!(commands.iter().any(|c| c.syntax.name == *name), "{line}");
            }
        }
    }
}
