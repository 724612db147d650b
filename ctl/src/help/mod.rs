//! The help texts: of the program, and of single commands.

mod command;
mod flows;
mod records;

use std::fmt::Write as _;

use crate::args::Mode;
use crate::commands::{self, Group, Syntax};
use crate::complete;

/// Headings of the groups, in order; those that Open vSwitch's tool has are called as there.
const GROUPS: [(Group, &str); 13] = [
    (Group::General, "Open vSwitch commands"),
    (Group::Switch, "Running switch"),
    (Group::Flow, "Flow tables, as ovs-ofctl has them"),
    (
        Group::GroupMeter,
        "Groups and meters, as ovs-ofctl has them",
    ),
    (Group::Bridge, "Bridge commands"),
    (
        Group::Port,
        "Port commands (a bond is considered to be a single port)",
    ),
    (
        Group::Interface,
        "Interface commands (a bond consists of multiple interfaces)",
    ),
    (Group::Controller, "Controller commands"),
    (Group::Manager, "Manager commands"),
    (Group::Ssl, "SSL commands"),
    (Group::AutoAttach, "Auto Attach commands"),
    (Group::Datapath, "Switch commands"),
    (Group::Database, "Database commands"),
];

const OPTIONS: &str = "\
Options (before the first command):
  --db=METHOD,...    database to connect to (default: unix:$OVS_RUNDIR/db.sock)
  --no-wait          don't wait until the switch works as the database says
  -t, --timeout=SECS give up after SECS seconds, with status 142
  --retry            keep trying to connect, also when the connection is lost
  --dry-run          change nothing
  --oneline          print one line per command

Output formatting options:
  -f, --format=F     print tables as list (default), table, csv, html or json
  -d, --data=F       print values as string (default), bare or json
  --no-headings      print tables without column names
  --bare             same as --format=list --data=bare --no-headings
  --pretty           indent JSON
  --max-column-width=N  cut cells of --format=table

Logging options:
  -v, --verbose[=SPEC]  what is logged where: [MODULE:][syslog|console|file:][LEVEL],
                     LEVEL one of off, emer, err, warn, info, dbg
  --log-file[=FILE]  log to FILE, too
  --no-syslog        same as --verbose=vsctl:syslog:warn
  --syslog-method=(libc|unix:FILE|udp:IP:PORT|null), --syslog-target=IP:PORT

Active database connection methods:
  unix:FILE, tcp:HOST[:PORT], ssl:HOST[:PORT]
Passive database connection methods (the server connects):
  punix:FILE, ptcp:[PORT][:IP], pssl:[PORT][:IP]
PKI configuration (required to use SSL):
  -p, --private-key=FILE, -c, --certificate=FILE, -C, --ca-cert=FILE
  --bootstrap-ca-cert=FILE  trust the first server's CA and keep it in FILE
  --peer-ca-cert=FILE       also send this CA certificate

Other options:
  -h, --help [COMMAND], -V, --version
";

const EXAMPLES: &str = "\
Several commands separated by -- are one transaction: all of them happen or none.
TABLE and COLUMN names may be shortened; case doesn't matter, - is the same as _.

Examples:
  PROG add-br br0                             a bridge
  PROG add-port br0 tap0 tag=10               a guest's tap as access port of VLAN 10
  PROG add-port br0 eth1 trunks=10,20         a NIC as trunk
  PROG add-port br0 v0 -- set Interface v0 type=internal
                                              a host interface that can carry an address
  PROG set Port tap0 vlan_mode=native-untagged
  PROG get Interface tap0 ofport error        did the switch take it?
  PROG --columns=name,error find Interface 'error!=[]'
";

const EXIT: &str = "\
Exit status: 0 done; 1 refused or failed; 2 br-exists found no such bridge; 142 timed out";

/// The text of `--help`; with a command's name, only that command's.
pub fn text(mode: Mode, topic: Option<&str>) -> String {
    if mode == Mode::Vsctl {
        if topic == Some(complete::COMPLETION) {
            return command::COMPLETION.to_owned();
        }
        if let Some(syntax) = topic.and_then(|name| commands::find(mode, name)) {
            return command::text(mode, syntax);
        }
    }
    let program = mode.program();
    let mut text = format!(
        "{program}: configure and inspect the switch\n\
         usage: {program} [OPTIONS] COMMAND [ARG...] [-- [OPTIONS] COMMAND [ARG...]]...\n"
    );
    for (group, title) in GROUPS {
        let members: Vec<&Syntax> = commands::all(mode)
            .filter(|syntax| syntax.group == group)
            .collect();
        if members.is_empty() {
            continue;
        }
        let _ = writeln!(text, "\n{title}:");
        for syntax in members {
            push_command(&mut text, syntax);
        }
    }
    text.push_str(&records::text());
    let _ = write!(text, "\n{OPTIONS}");
    if mode == Mode::Vsctl {
        text.push_str("  --json             print lists and tables as JSON\n");
    }
    let _ = write!(text, "\n{}\n{EXIT}", EXAMPLES.replace("PROG", program));
    if mode == Mode::Vsctl {
        text.push_str(
            ";\n2 also if diff-flows finds a difference;\n65 the database is written, but an interface could not be set up\n\n\
             vsctl ofctl ... and vsctl appctl ... are the tools that Open vSwitch calls ovs-ofctl and\n\
             ovs-appctl, as vsctl is under these names; vsctl ofctl --help tells more\n\n\
             vsctl help COMMAND tells more of a command; vsctl completion bash|zsh|fish prints a\n\
             script that completes command lines",
        );
    }
    text.push('\n');
    text
}

/// A command with its options and arguments.
fn usage(syntax: &Syntax) -> String {
    let options = syntax
        .options
        .iter()
        .map(|option| format!("[{}{}] ", option.name, option.suffix()));
    let options: String = options.collect();
    format!("{options}{} {}", syntax.name, syntax.arguments)
        .trim_end()
        .to_owned()
}

const SUMMARY_COLUMN: usize = 34;

fn push_command(text: &mut String, syntax: &Syntax) {
    let head = format!("  {} {}", syntax.name, syntax.arguments);
    let head = head.trim_end();
    if head.len() < SUMMARY_COLUMN {
        let _ = writeln!(text, "{head:<SUMMARY_COLUMN$}{}", syntax.summary);
    } else {
        let _ = writeln!(text, "{head}\n{:SUMMARY_COLUMN$}{}", "", syntax.summary);
    }
}

/// All commands with their options, one per line.
pub fn command_list(mode: Mode) -> String {
    commands::all(mode)
        .map(|syntax| usage(syntax) + "\n")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_command_and_fits_a_terminal() {
        let text = text(Mode::Vsctl, None);
        for syntax in commands::all(Mode::Vsctl) {
            assert!(
                text.contains(&format!("  {}", syntax.name)),
                "{}",
                syntax.name
            );
        }
        let widest = text.lines().map(str::len).max();
        assert!(widest <= Some(100), "{widest:?}");
        assert!(text.contains("vsctl add-br br0"));
        assert!(text.contains("  Bridge: by name\n"), "{text}");
    }

    #[test]
    fn a_topic_shows_its_options() {
        let text = text(Mode::Vsctl, Some("add-port"));
        let usage = "usage: vsctl [--may-exist] add-port BRIDGE PORT [COLUMN[:KEY]=VALUE]...";
        assert!(text.starts_with(usage), "{text}");
    }

    #[test]
    fn the_strict_mode_hides_what_only_this_switch_has() {
        let text = text(Mode::OvsVsctl, None);
        assert!(!text.contains("fdb") && !text.contains("--json"));
    }
}
