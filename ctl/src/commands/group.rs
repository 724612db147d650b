//! Commands about groups, meters and ports of a bridge, with the names, arguments and options of
//! ovs-ofctl(8).

use super::switch::{Query, command};
use super::{OptionSyntax, Syntax, flag};

/// What to do with groups and meters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Change groups in this way.
    ChangeGroup(Change),
    /// Show groups.
    DumpGroups,
    /// Show what was counted of groups.
    GroupStats,
    /// Change meters in this way.
    ChangeMeter(Change),
    /// Show meters.
    DumpMeters,
    /// Show what was counted of meters.
    MeterStats,
    /// Show what was counted of ports.
    DumpPorts,
}

/// How groups or meters change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A new one.
    Add,
    /// Another in the place of one.
    Modify,
    /// One or all go.
    Delete,
    /// A group gets more buckets.
    InsertBuckets,
    /// A group loses buckets.
    RemoveBuckets,
}

impl Verb {
    /// Whether it changes anything.
    pub fn changes(self) -> bool {
        matches!(self, Verb::ChangeGroup(_) | Verb::ChangeMeter(_))
    }
}

const NAMES: OptionSyntax = flag("--names");
const NO_NAMES: OptionSyntax = flag("--no-names");
const BUNDLE: OptionSyntax = flag("--bundle");

/// The family's commands.
pub const COMMANDS: &[Syntax] = &[
    command(
        "add-group",
        "BRIDGE GROUP|-",
        (2, 2),
        &[BUNDLE, flag("--may-create")],
        Query::Group(Verb::ChangeGroup(Change::Add)),
        "add a group",
    ),
    command(
        "add-groups",
        "BRIDGE FILE|-",
        (2, 2),
        &[BUNDLE, flag("--may-create")],
        Query::Group(Verb::ChangeGroup(Change::Add)),
        "add the groups of a file, or do what its lines say",
    ),
    command(
        "mod-group",
        "BRIDGE GROUP|-",
        (2, 2),
        &[BUNDLE, flag("--may-create")],
        Query::Group(Verb::ChangeGroup(Change::Modify)),
        "put another group in the place of the one of that number",
    ),
    command(
        "del-groups",
        "BRIDGE [GROUP|-]",
        (1, 2),
        &[BUNDLE],
        Query::Group(Verb::ChangeGroup(Change::Delete)),
        "delete a group, or all, with the flows that lead to it",
    ),
    command(
        "insert-buckets",
        "BRIDGE GROUP|-",
        (2, 2),
        &[BUNDLE],
        Query::Group(Verb::ChangeGroup(Change::InsertBuckets)),
        "add buckets to a group",
    ),
    command(
        "remove-buckets",
        "BRIDGE GROUP|-",
        (2, 2),
        &[BUNDLE],
        Query::Group(Verb::ChangeGroup(Change::RemoveBuckets)),
        "remove one bucket of a group, or all",
    ),
    command(
        "dump-groups",
        "BRIDGE [GROUP]",
        (1, 2),
        &[NAMES, NO_NAMES],
        Query::Group(Verb::DumpGroups),
        "show groups",
    ),
    command(
        "dump-group-stats",
        "BRIDGE [GROUP]",
        (1, 2),
        &[],
        Query::Group(Verb::GroupStats),
        "packets and bytes of groups and their buckets",
    ),
    command(
        "add-meter",
        "BRIDGE METER|-",
        (2, 2),
        &[],
        Query::Group(Verb::ChangeMeter(Change::Add)),
        "add a meter",
    ),
    command(
        "mod-meter",
        "BRIDGE METER|-",
        (2, 2),
        &[],
        Query::Group(Verb::ChangeMeter(Change::Modify)),
        "put another meter in the place of the one of that number",
    ),
    command(
        "del-meter",
        "BRIDGE METER",
        (2, 2),
        &[],
        Query::Group(Verb::ChangeMeter(Change::Delete)),
        "delete a meter, with the flows that use it",
    ),
    command(
        "del-meters",
        "BRIDGE [METER]",
        (1, 2),
        &[],
        Query::Group(Verb::ChangeMeter(Change::Delete)),
        "delete a meter, or all, with the flows that use it",
    ),
    command(
        "dump-meters",
        "BRIDGE [METER]",
        (1, 2),
        &[],
        Query::Group(Verb::DumpMeters),
        "show meters",
    ),
    command(
        "meter-stats",
        "BRIDGE [METER]",
        (1, 2),
        &[],
        Query::Group(Verb::MeterStats),
        "packets and bytes of meters and their bands",
    ),
    command(
        "dump-ports",
        "BRIDGE [PORT]",
        (1, 2),
        &[],
        Query::Group(Verb::DumpPorts),
        "packets, bytes and drops of ports",
    ),
];
