//! `show`: bridges with their ports and interfaces as an indented tree.

use aorta_ovsdb::Uuid;
use serde_json::{Map, Value, json};

use super::{Action, Group, Syntax};
use crate::args::{Command, Mode};
use crate::context::Context;
use crate::error::Error;
use crate::schema::{Needs, Schema};
use crate::txn::Txn;
use crate::value::{atom_string, datum_string};

/// The family's commands.
pub const COMMANDS: &[Syntax] = &[Syntax {
    name: "show",
    arguments: "",
    min_args: 0,
    max_args: 0,
    options: &[],
    group: Group::General,
    summary: "print bridges, ports and interfaces",
    action: Action::Database { need, run },
}];

/// What is shown of a table's rows, in this order.
struct Shown {
    table: &'static str,
    /// Heads the row; without it the row id does.
    name: Option<&'static str>,
    columns: &'static [&'static str],
}

const SHOWN: [Shown; 6] = [
    Shown {
        table: "Open_vSwitch",
        name: None,
        columns: &["manager_options", "bridges", "ovs_version"],
    },
    Shown {
        table: "Bridge",
        name: Some("name"),
        columns: &["controller", "fail_mode", "datapath_type", "ports"],
    },
    Shown {
        table: "Port",
        name: Some("name"),
        columns: &["tag", "trunks", "interfaces"],
    },
    Shown {
        table: "Interface",
        name: Some("name"),
        columns: &["type", "options", "error", "bfd_status"],
    },
    Shown {
        table: "Controller",
        name: Some("target"),
        columns: &["is_connected"],
    },
    Shown {
        table: "Manager",
        name: Some("target"),
        columns: &["is_connected"],
    },
];

fn need(_: &Command, _: &Schema, needs: &mut Needs) -> Result<(), Error> {
    for shown in &SHOWN {
        for column in shown.columns.iter().chain(&shown.name) {
            needs.column(shown.table, column);
        }
    }
    Ok(())
}

fn run(_: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let mut text = String::new();
    let mut rows = Vec::new();
    for row in ctx.txn.rows(SHOWN[0].table) {
        let from = (ctx.mode, &ctx.txn);
        push_row(from, &SHOWN[0], row, 0, &mut text);
        rows.push(row_json(from, &SHOWN[0], row));
    }
    ctx.out.text = text;
    ctx.out.json = rows.pop();
    Ok(())
}

/// Rows that a column refers to, with how they are shown, by name or id.
fn children<'a>(
    (mode, txn): (Mode, &Txn<'_>),
    shown: &Shown,
    row: Uuid,
    column: &str,
) -> Option<(&'a Shown, Vec<Uuid>)> {
    let schema = txn.view().schema().table(shown.table)?.column(column)?;
    let table = &schema.ty.key.reference.as_ref()?.table;
    let child = SHOWN.iter().find(|shown| shown.table == &**table)?;
    let mut rows = txn.refs(shown.table, row, column);
    // Open vSwitch's tool shows them by row id.
    if mode == Mode::Vsctl {
        rows.sort_by_key(|row| child.name.and_then(|name| txn.str(child.table, *row, name)));
    }
    Some((child, rows))
}

fn push_row(from: (Mode, &Txn<'_>), shown: &Shown, row: Uuid, level: usize, text: &mut String) {
    let txn = from.1;
    let indent = "    ".repeat(level);
    let head = match shown
        .name
        .and_then(|name| txn.get(shown.table, row, name).as_atom())
    {
        Some(name) => format!("{} {}", shown.table, atom_string(name)),
        None => row.to_string(),
    };
    text.push_str(&format!("{indent}{head}\n"));
    for column in shown.columns {
        if let Some((child, rows)) = children(from, shown, row, column) {
            for row in rows {
                push_row(from, child, row, level + 1, text);
            }
            continue;
        }
        let schema = txn.view().schema().table(shown.table);
        let Some(ty) = schema
            .and_then(|table| table.column(column))
            .map(|column| &column.ty)
        else {
            continue;
        };
        let value = txn.get(shown.table, row, column);
        if !value.is_default(ty) {
            text.push_str(&format!(
                "{indent}    {column}: {}\n",
                datum_string(value, ty)
            ));
        }
    }
}

fn row_json(from: (Mode, &Txn<'_>), shown: &Shown, row: Uuid) -> Value {
    let txn = from.1;
    let mut members = Map::new();
    if shown.name.is_none() {
        members.insert("_uuid".to_owned(), row.to_string().into());
    }
    for column in shown.name.iter().chain(shown.columns) {
        let value = match children(from, shown, row, column) {
            Some((child, rows)) => rows
                .into_iter()
                .map(|row| row_json(from, child, row))
                .collect(),
            None => plain_json(txn, shown.table, row, column),
        };
        members.insert((*column).to_owned(), value);
    }
    Value::Object(members)
}

/// A value as a program expects it: arrays and objects instead of tagged sets and maps.
fn plain_json(txn: &Txn<'_>, table: &str, row: Uuid, column: &str) -> Value {
    let value = txn.get(table, row, column);
    let schema = txn
        .view()
        .schema()
        .table(table)
        .and_then(|table| table.column(column));
    match schema {
        Some(schema) if schema.ty.is_map() => {
            let pairs = value
                .pairs()
                .map(|(key, value)| (key.to_string(), value.to_json()));
            Value::Object(pairs.collect())
        }
        Some(schema) if schema.ty.max > 1 => value
            .atoms()
            .iter()
            .map(aorta_ovsdb::Atom::to_json)
            .collect(),
        _ => value
            .as_atom()
            .map_or(json!(null), aorta_ovsdb::Atom::to_json),
    }
}
