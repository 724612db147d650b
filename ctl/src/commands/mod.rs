//! The commands, one file per family. Each states what it reads before the database is opened
//! (`need`) and is then carried out against a view of it (`run`), without any I/O.

pub mod auto_attach;
pub mod bond;
pub mod bridge;
pub mod controller;
pub mod database;
pub mod datapath;
pub mod flow;
pub mod general;
pub mod group;
pub mod listing;
pub mod manager;
pub mod port;
pub mod show;
pub mod ssl;
pub mod switch;

use crate::args::{Command, Mode};
use crate::context::Context;
use crate::error::Error;
use crate::schema::{Needs, Schema};

/// Whether an option takes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// None.
    None,
    /// Always.
    Required,
    /// If one is given behind `=`. The values of an option of this kind that is repeated are one,
    /// with commas between them.
    Optional,
}

/// An option of one command.
#[derive(Debug)]
pub struct OptionSyntax {
    /// Name with its dashes.
    pub name: &'static str,
    /// Whether it takes a value.
    pub value: Value,
}

impl OptionSyntax {
    /// What stands behind the name where the option is shown: `=` and what follows it.
    pub fn suffix(&self) -> &'static str {
        match self.value {
            Value::None => "",
            Value::Required => "=VALUE",
            Value::Optional => "[=VALUE]",
        }
    }
}

/// Under which heading the help text shows a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Database as a whole.
    General,
    /// Running switch, through its management API.
    Switch,
    /// Flow tables of the running switch.
    Flow,
    /// Groups and meters of the running switch.
    GroupMeter,
    /// Bridges.
    Bridge,
    /// Ports.
    Port,
    /// Interfaces.
    Interface,
    /// OpenFlow controllers.
    Controller,
    /// Database managers.
    Manager,
    /// Keys.
    Ssl,
    /// Auto-Attach.
    AutoAttach,
    /// Datapaths and conntrack zones.
    Datapath,
    /// Rows and columns.
    Database,
}

impl Group {
    /// Whether its commands ask the running switch, and are only this tool's.
    pub fn is_of_switch(self) -> bool {
        matches!(self, Group::Switch | Group::Flow | Group::GroupMeter)
    }
}

/// How a command is carried out.
pub enum Action {
    /// Within the database transaction.
    Database {
        /// Names the tables and columns that `run` looks at.
        need: fn(&Command, &Schema, &mut Needs) -> Result<(), Error>,
        /// Reads and changes the view.
        run: fn(&Command, &mut Context<'_>) -> Result<(), Error>,
    },
    /// By asking the running switch.
    Switch(switch::Query),
}

/// One command.
pub struct Syntax {
    /// Its name.
    pub name: &'static str,
    /// Its arguments, as the help text shows them.
    pub arguments: &'static str,
    /// Fewest arguments.
    pub min_args: usize,
    /// Most arguments.
    pub max_args: usize,
    /// Its options.
    pub options: &'static [OptionSyntax],
    /// Where the help text shows it.
    pub group: Group,
    /// What it does, in a line.
    pub summary: &'static str,
    /// What carries it out.
    pub action: Action,
}

/// Commands that never change the database, which are not worth an entry in the system log.
const READ_ONLY: [&str; 22] = [
    "br-exists",
    "br-get-external-id",
    "br-to-parent",
    "br-to-vlan",
    "comment",
    "find",
    "get",
    "get-aa-mapping",
    "get-controller",
    "get-fail-mode",
    "get-manager",
    "get-ssl",
    "iface-to-br",
    "list",
    "list-br",
    "list-dp-cap",
    "list-ifaces",
    "list-ports",
    "list-zone-tp",
    "port-to-br",
    "show",
    "wait-until",
];

impl Syntax {
    /// Whether it leaves the database as it is.
    pub fn is_read_only(&self) -> bool {
        match &self.action {
            Action::Switch(query) => !query.changes(),
            Action::Database { .. } => READ_ONLY.contains(&self.name),
        }
    }
}

impl std::fmt::Debug for Syntax {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Syntax")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// An option without a value.
pub const fn flag(name: &'static str) -> OptionSyntax {
    OptionSyntax {
        name,
        value: Value::None,
    }
}

/// An option with a value.
pub const fn valued(name: &'static str) -> OptionSyntax {
    OptionSyntax {
        name,
        value: Value::Required,
    }
}

/// An option that may have a value.
pub const fn optional(name: &'static str) -> OptionSyntax {
    OptionSyntax {
        name,
        value: Value::Optional,
    }
}

/// `--if-exists`, which many commands have.
pub const IF_EXISTS: &[OptionSyntax] = &[flag("--if-exists")];
/// `--may-exist`, which the creating commands have.
pub const MAY_EXIST: &[OptionSyntax] = &[flag("--may-exist")];
/// No limit on the number of arguments.
pub const ANY: usize = usize::MAX;

const FAMILIES: [&[Syntax]; 14] = [
    general::COMMANDS,
    show::COMMANDS,
    switch::COMMANDS,
    flow::COMMANDS,
    group::COMMANDS,
    bridge::COMMANDS,
    port::COMMANDS,
    bond::COMMANDS,
    controller::COMMANDS,
    manager::COMMANDS,
    ssl::COMMANDS,
    auto_attach::COMMANDS,
    datapath::COMMANDS,
    database::COMMANDS,
];

/// All commands that the mode has.
pub fn all(mode: Mode) -> impl Iterator<Item = &'static Syntax> {
    let families = FAMILIES.iter().flat_map(|family| family.iter());
    families.filter(move |syntax| mode == Mode::Vsctl || !syntax.group.is_of_switch())
}

/// The options of the commands that ask the running switch.
pub fn options_of_switch() -> impl Iterator<Item = &'static OptionSyntax> {
    all(Mode::Vsctl)
        .filter(|syntax| syntax.group.is_of_switch())
        .flat_map(|syntax| syntax.options)
}

/// The command of that name.
pub fn find(mode: Mode, name: &str) -> Option<&'static Syntax> {
    all(mode).find(|syntax| syntax.name == name)
}
