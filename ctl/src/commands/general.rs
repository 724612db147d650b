//! Commands about the database as a whole.

use aorta_ovsdb::Datum;

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
        name: "emer-reset",
        arguments: "",
        min_args: 0,
        max_args: 0,
        options: &[],
        group: Group::General,
        summary: "drop controllers, managers, mirrors and other_config",
        action: Action::Database {
            need: need_reset,
            run: reset,
        },
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

/// Columns that a reset empties in every row, by table. Interfaces stay as they are.
const RESET: [(&str, &[&str]); 3] = [
    ("Open_vSwitch", &["manager_options", "ssl"]),
    (
        "Bridge",
        &[
            "controller",
            "fail_mode",
            "mirrors",
            "netflow",
            "sflow",
            "ipfix",
        ],
    ),
    ("Port", &["other_config"]),
];

/// The key of a bridge's other_config that a reset keeps: its MAC address.
const KEPT_KEY: &str = "hwaddr";

fn need_reset(_: &Command, _: &Schema, needs: &mut Needs) -> Result<(), Error> {
    for (table, columns) in RESET {
        columns
            .iter()
            .for_each(|column| needs.column(table, column));
    }
    needs.column("Bridge", "other_config");
    Ok(())
}

fn reset(_: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let view = ctx.txn.view();
    for (table, columns) in RESET {
        let Some(schema) = view.schema().table(table) else {
            continue;
        };
        for row in ctx.txn.rows(table) {
            for column in columns.iter().filter_map(|name| schema.column(name)) {
                ctx.txn
                    .write(table, row, &column.name, Datum::default_for(&column.ty));
            }
        }
    }
    for bridge in ctx.txn.rows("Bridge") {
        let config = ctx.txn.get("Bridge", bridge, "other_config");
        let address = config
            .map_get(KEPT_KEY)
            .map(|value| (KEPT_KEY, value.to_owned()));
        ctx.txn
            .write("Bridge", bridge, "other_config", Datum::map(address));
    }
    Ok(())
}
