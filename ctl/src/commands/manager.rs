//! Where the database is served besides its own socket (ovs-vsctl(8), Manager Connectivity).

use super::controller::{forget_targets, insert_targets, targets};
use super::{ANY, Action, Group, Syntax, valued};
use crate::args::Command;
use crate::context::Context;
use crate::error::Error;
use crate::schema::{Needs, Schema};

/// The family's commands.
pub const COMMANDS: &[Syntax] = &[
    Syntax {
        name: "get-manager",
        arguments: "",
        min_args: 0,
        max_args: 0,
        options: &[],
        group: Group::Manager,
        summary: "print the managers",
        action: Action::Database { need, run: get },
    },
    Syntax {
        name: "del-manager",
        arguments: "",
        min_args: 0,
        max_args: 0,
        options: &[],
        group: Group::Manager,
        summary: "delete the managers",
        action: Action::Database { need, run: delete },
    },
    Syntax {
        name: "set-manager",
        arguments: "TARGET...",
        min_args: 1,
        max_args: ANY,
        options: &[valued("--inactivity-probe")],
        group: Group::Manager,
        summary: "set the managers, e.g. ptcp:6640:127.0.0.1",
        action: Action::Database { need, run: set },
    },
];

/// The column that refers to the managers.
const ROOT: &str = "Open_vSwitch";
const COLUMN: &str = "manager_options";

fn need(_: &Command, _: &Schema, needs: &mut Needs) -> Result<(), Error> {
    needs.column(ROOT, COLUMN);
    needs.column("Manager", "target");
    Ok(())
}

fn get(_: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let root = ctx.root();
    let names = targets(ctx, (ROOT, root, COLUMN), "Manager");
    ctx.out.names(names);
    Ok(())
}

fn delete(_: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let root = ctx.root();
    forget_targets(ctx, (ROOT, root, COLUMN), "Manager");
    Ok(())
}

fn set(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let root = ctx.root();
    forget_targets(ctx, (ROOT, root, COLUMN), "Manager");
    let rows = insert_targets(cmd, ctx, "Manager", &cmd.args)?;
    ctx.txn.write(ROOT, root, COLUMN, rows);
    Ok(())
}
