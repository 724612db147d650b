//! Commands about the flow tables of a bridge, with the names, arguments and options of
//! ovs-ofctl(8).

use super::switch::{Query, command};
use super::{OptionSyntax, Syntax, flag, optional, valued};

/// What to do with flow tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Do what lines say, adding the flows of those that say nothing.
    Add,
    /// Change the actions of flows.
    Modify,
    /// Delete flows.
    Delete,
    /// Make the tables have exactly the flows of a file.
    Replace,
    /// Compare two sets of flows.
    Diff,
    /// Show flows.
    Dump,
    /// Count flows, packets and bytes.
    Aggregate,
    /// Count by table.
    Tables,
    /// Follow a packet.
    Trace,
    /// Tell how tables are compiled.
    Explain,
}

impl Verb {
    /// Whether it changes flows.
    pub fn changes(self) -> bool {
        matches!(
            self,
            Verb::Add | Verb::Modify | Verb::Delete | Verb::Replace
        )
    }
}

const NAMES: OptionSyntax = flag("--names");
const NO_NAMES: OptionSyntax = flag("--no-names");
const BUNDLE: OptionSyntax = flag("--bundle");
const STRICT: OptionSyntax = flag("--strict");

/// The family's commands.
pub const COMMANDS: &[Syntax] = &[
    command(
        "add-flow",
        "BRIDGE FLOW|-",
        (2, 2),
        &[BUNDLE],
        Query::Flow(Verb::Add),
        "add a flow, or replace the one of the same match and priority",
    ),
    command(
        "add-flows",
        "BRIDGE FILE|-",
        (2, 2),
        &[BUNDLE],
        Query::Flow(Verb::Add),
        "add the flows of a file, or do what its lines say",
    ),
    command(
        "mod-flows",
        "BRIDGE FLOW|-",
        (2, 2),
        &[STRICT, BUNDLE],
        Query::Flow(Verb::Modify),
        "change the actions of the flows that FLOW covers",
    ),
    command(
        "del-flows",
        "BRIDGE [FLOW|-]",
        (1, 2),
        &[STRICT, BUNDLE],
        Query::Flow(Verb::Delete),
        "delete the flows that FLOW covers, or all",
    ),
    command(
        "replace-flows",
        "BRIDGE FILE|-",
        (2, 2),
        &[BUNDLE],
        Query::Flow(Verb::Replace),
        "make the tables have exactly the flows of a file, at once",
    ),
    command(
        "diff-flows",
        "SOURCE SOURCE",
        (2, 2),
        &[NAMES, NO_NAMES],
        Query::Flow(Verb::Diff),
        "compare flows of two bridges or files; status 2 if they differ",
    ),
    command(
        "dump-flows",
        "BRIDGE [FLOW]",
        (1, 2),
        &[
            NAMES,
            NO_NAMES,
            flag("--stats"),
            flag("--no-stats"),
            optional("--sort"),
            optional("--rsort"),
            optional("--rate"),
            flag("--placement"),
            optional("--color"),
        ],
        Query::Flow(Verb::Dump),
        "show flows, those that FLOW covers or all",
    ),
    command(
        "dump-aggregate",
        "BRIDGE [FLOW]",
        (1, 2),
        &[],
        Query::Flow(Verb::Aggregate),
        "count flows, and their packets and bytes",
    ),
    command(
        "dump-tables",
        "BRIDGE",
        (1, 1),
        &[],
        Query::Flow(Verb::Tables),
        "count the flows of each table, and their packets and bytes",
    ),
    command(
        "trace",
        "BRIDGE FLOW|HEX",
        (2, 2),
        &[valued("--in-port")],
        Query::Flow(Verb::Trace),
        "follow a packet through the tables, and say where it would run",
    ),
    command(
        "explain",
        "BRIDGE",
        (1, 1),
        &[valued("--offload"), valued("--offload-rules")],
        Query::Flow(Verb::Explain),
        "how each table is compiled, and what would be cheaper",
    ),
];
