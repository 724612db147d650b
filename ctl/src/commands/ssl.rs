//! Keys for encrypted connections (ovs-vsctl(8), SSL Configuration).

use aorta_ovsdb::{Datum, Uuid};

use super::{Action, Group, Syntax, flag};
use crate::args::Command;
use crate::context::Context;
use crate::error::Error;
use crate::schema::{Needs, Schema};

/// The family's commands.
pub const COMMANDS: &[Syntax] = &[
    Syntax {
        name: "get-ssl",
        arguments: "",
        min_args: 0,
        max_args: 0,
        options: &[],
        group: Group::Ssl,
        summary: "print the SSL configuration",
        action: Action::Database { need, run: get },
    },
    Syntax {
        name: "del-ssl",
        arguments: "",
        min_args: 0,
        max_args: 0,
        options: &[],
        group: Group::Ssl,
        summary: "delete the SSL configuration",
        action: Action::Database { need, run: delete },
    },
    Syntax {
        name: "set-ssl",
        arguments: "PRIVATE-KEY CERTIFICATE CA-CERT",
        min_args: 3,
        max_args: 3,
        options: &[flag("--bootstrap")],
        group: Group::Ssl,
        summary: "set the SSL configuration",
        action: Action::Database { need, run: set },
    },
];

const FILES: [(&str, &str); 3] = [
    ("Private key", "private_key"),
    ("Certificate", "certificate"),
    ("CA Certificate", "ca_cert"),
];

fn need(_: &Command, _: &Schema, needs: &mut Needs) -> Result<(), Error> {
    needs.column("Open_vSwitch", "ssl");
    FILES
        .iter()
        .for_each(|(_, column)| needs.column("SSL", column));
    needs.column("SSL", "bootstrap_ca_cert");
    Ok(())
}

fn current(ctx: &mut Context<'_>) -> Option<Uuid> {
    let root = ctx.root();
    ctx.txn.get("Open_vSwitch", root, "ssl").as_uuid_opt()
}

fn get(_: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let Some(row) = current(ctx) else {
        return Ok(());
    };
    let line = |(title, column): &(&str, &str)| {
        format!(
            "{title}: {}",
            ctx.txn.str("SSL", row, column).unwrap_or_default()
        )
    };
    let mut lines: Vec<String> = FILES.iter().map(line).collect();
    let bootstrap = ctx.txn.get("SSL", row, "bootstrap_ca_cert").as_bool();
    lines.push(format!("Bootstrap: {bootstrap}"));
    ctx.out.names(lines);
    Ok(())
}

fn delete(_: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let root = ctx.root();
    ctx.txn.write("Open_vSwitch", root, "ssl", Datum::empty());
    Ok(())
}

fn set(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let row = ctx.txn.insert("SSL", None);
    for ((_, column), file) in FILES.iter().zip(&cmd.args) {
        ctx.txn
            .write("SSL", row, column, Datum::scalar(file.as_str()));
    }
    let bootstrap = cmd.has("--bootstrap");
    ctx.txn
        .write("SSL", row, "bootstrap_ca_cert", Datum::scalar(bootstrap));
    let root = ctx.root();
    ctx.txn
        .write("Open_vSwitch", root, "ssl", Datum::scalar(row));
    Ok(())
}
