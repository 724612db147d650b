//! Where the database is served besides its own socket (ovs-vsctl(8), Manager Connectivity).

use aorta_ovsdb::Datum;

use super::controller::{insert_targets, targets};
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

fn need(_: &Command, _: &Schema, needs: &mut Needs) -> Result<(), Error> {
    needs.column("Open_vSwitch", "manager_options");
    needs.column("Manager", "target");
    Ok(())
}

fn get(_: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let root = ctx.root();
    let names = targets(ctx, ("Open_vSwitch", root, "manager_options"), "Manager");
    ctx.out.names(names);
    Ok(())
}

fn delete(_: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let root = ctx.root();
    ctx.txn
        .write("Open_vSwitch", root, "manager_options", Datum::empty());
    Ok(())
}

fn set(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let root = ctx.root();
    let mut targets = cmd.args.clone();
    // The database refuses two managers with one target.
    targets.sort_unstable();
    targets.dedup();
    let rows = insert_targets(cmd, ctx, "Manager", &targets)?;
    ctx.txn.write("Open_vSwitch", root, "manager_options", rows);
    Ok(())
}
