//! OpenFlow controllers and what happens without them
//! (ovs-vsctl(8), OpenFlow Controller Connectivity).

use aorta_ovsdb::{Datum, Uuid};

use super::{ANY, Action, Group, Syntax, valued};
use crate::args::Command;
use crate::context::Context;
use crate::error::{Error, Warning};
use crate::model::need_bridges;
use crate::schema::{Needs, Schema};

/// The family's commands.
pub const COMMANDS: &[Syntax] = &[
    Syntax {
        name: "get-controller",
        arguments: "BRIDGE",
        min_args: 1,
        max_args: 1,
        options: &[],
        group: Group::Controller,
        summary: "print the controllers of BRIDGE",
        action: Action::Database { need, run: get },
    },
    Syntax {
        name: "del-controller",
        arguments: "BRIDGE",
        min_args: 1,
        max_args: 1,
        options: &[],
        group: Group::Controller,
        summary: "delete the controllers of BRIDGE",
        action: Action::Database { need, run: delete },
    },
    Syntax {
        name: "set-controller",
        arguments: "BRIDGE TARGET...",
        min_args: 1,
        max_args: ANY,
        options: &[valued("--inactivity-probe")],
        group: Group::Controller,
        summary: "set the controllers of BRIDGE",
        action: Action::Database { need, run: set },
    },
    Syntax {
        name: "get-fail-mode",
        arguments: "BRIDGE",
        min_args: 1,
        max_args: 1,
        options: &[],
        group: Group::Controller,
        summary: "print what BRIDGE does without a controller",
        action: Action::Database {
            need,
            run: get_fail_mode,
        },
    },
    Syntax {
        name: "del-fail-mode",
        arguments: "BRIDGE",
        min_args: 1,
        max_args: 1,
        options: &[],
        group: Group::Controller,
        summary: "reset the fail mode of BRIDGE",
        action: Action::Database {
            need,
            run: delete_fail_mode,
        },
    },
    Syntax {
        name: "set-fail-mode",
        arguments: "BRIDGE standalone|secure",
        min_args: 2,
        max_args: 2,
        options: &[],
        group: Group::Controller,
        summary: "set the fail mode of BRIDGE",
        action: Action::Database {
            need,
            run: set_fail_mode,
        },
    },
];

/// Connection methods (ovsdb(7)).
const METHODS: [&str; 6] = ["tcp", "ssl", "unix", "ptcp", "pssl", "punix"];

fn need(cmd: &Command, schema: &Schema, needs: &mut Needs) -> Result<(), Error> {
    needs.column("Bridge", "controller");
    needs.column("Bridge", "fail_mode");
    needs.column("Controller", "target");
    need_bridges(cmd, schema, needs)
}

/// The targets of the rows that `column` refers to, sorted.
pub(super) fn targets(
    ctx: &Context<'_>,
    (table, row, column): (&str, Uuid, &str),
    referred: &str,
) -> Vec<String> {
    let rows = ctx.txn.refs(table, row, column);
    let targets = rows
        .into_iter()
        .filter_map(|row| ctx.txn.str(referred, row, "target"));
    let mut targets: Vec<String> = targets.map(str::to_owned).collect();
    targets.sort_unstable();
    targets
}

/// Whether a target is of a kind that the switch can connect to or listen on.
fn is_usual(target: &str) -> bool {
    let method = target.split(':').next().unwrap_or_default();
    target.contains(':') && METHODS.contains(&method)
}

/// Takes away the rows that a column refers to.
pub(super) fn forget_targets(
    ctx: &mut Context<'_>,
    (table, row, column): (&str, Uuid, &str),
    referred: &str,
) {
    for target in ctx.txn.refs(table, row, column) {
        ctx.txn.forget(referred, target);
    }
    ctx.txn.write(table, row, column, Datum::empty());
}

/// Creates a row for each target, with the inactivity probe that the command's option asks for.
pub(super) fn insert_targets(
    cmd: &Command,
    ctx: &mut Context<'_>,
    table: &str,
    targets: &[String],
) -> Result<Datum, Error> {
    let probe = cmd.option("--inactivity-probe");
    let parse = |value: &str| value.parse::<i64>().ok();
    let bad = |value: &str| Error::BadProbe {
        value: value.to_owned(),
    };
    let probe = probe
        .map(|value| parse(value).ok_or_else(|| bad(value)))
        .transpose()?;
    let mut rows = Vec::new();
    for target in targets {
        if !is_usual(target) {
            let target = target.clone();
            ctx.warnings.push(Warning::UnusualTarget { target });
        }
        let row = ctx.txn.insert(table, None);
        ctx.txn
            .write(table, row, "target", Datum::scalar(target.as_str()));
        if let Some(probe) = probe {
            ctx.txn
                .write(table, row, "inactivity_probe", Datum::scalar(probe));
        }
        rows.push(row);
    }
    Ok(Datum::set(rows))
}

fn get(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let row = ctx.model().expect_bridge(cmd.arg(0))?.row;
    let names = targets(ctx, ("Bridge", row, "controller"), "Controller");
    ctx.out.names(names);
    Ok(())
}

fn delete(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let row = ctx.model().expect_real_bridge(cmd.arg(0))?.row;
    forget_targets(ctx, ("Bridge", row, "controller"), "Controller");
    Ok(())
}

fn set(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let row = ctx.model().expect_real_bridge(cmd.arg(0))?.row;
    forget_targets(ctx, ("Bridge", row, "controller"), "Controller");
    let rows = insert_targets(cmd, ctx, "Controller", cmd.rest(1))?;
    ctx.txn.write("Bridge", row, "controller", rows);
    Ok(())
}

fn get_fail_mode(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let row = ctx.model().expect_bridge(cmd.arg(0))?.row;
    let mode = ctx.txn.str("Bridge", row, "fail_mode").map(str::to_owned);
    if let Some(mode) = mode.filter(|mode| !mode.is_empty()) {
        ctx.out.line(mode);
    }
    Ok(())
}

fn delete_fail_mode(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let row = ctx.model().expect_real_bridge(cmd.arg(0))?.row;
    ctx.txn.write("Bridge", row, "fail_mode", Datum::empty());
    Ok(())
}

fn set_fail_mode(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let row = ctx.model().expect_real_bridge(cmd.arg(0))?.row;
    let mode = cmd.arg(1);
    if !matches!(mode, "standalone" | "secure") {
        return Err(Error::BadFailMode);
    }
    ctx.txn
        .write("Bridge", row, "fail_mode", Datum::scalar(mode));
    Ok(())
}
