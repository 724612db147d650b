//! Commands about the database as a whole.

use super::{ANY, Action, Group, Syntax};
use crate::args::Command;
use crate::context::Context;
use crate::error::Error;
use crate::schema::{Needs, Schema};

/// The family's commands.
pub const COMMANDS: &[Syntax] = &[
    Syntax {
        name: "init",
        arguments: "",
        min_args: 0,
        max_args: 0,
        options: &[],
        group: Group::General,
        summary: "initialize the database, if it is empty",
        action: Action::Database { need, run },
    },
    Syntax {
        name: "comment",
        arguments: "[ARG]...",
        min_args: 0,
        max_args: ANY,
        options: &[],
        group: Group::Database,
        summary: "do nothing, but appear in the database's log",
        action: Action::Database { need, run },
    },
];

fn need(_: &Command, _: &Schema, needs: &mut Needs) -> Result<(), Error> {
    needs.table("Open_vSwitch");
    Ok(())
}

/// Each invocation makes sure of the root row, and logs its command line, by itself.
fn run(_: &Command, _: &mut Context<'_>) -> Result<(), Error> {
    Ok(())
}
