//! What each of the commands looks at.

use std::sync::Arc;

use aorta_ovsdb::TableSchema;

use super::{is_row_id, read::listed_columns};
use crate::args::Command;
use crate::error::Error;
use crate::records;
use crate::schema::{self, Needs, Schema};
use crate::value::column_name;

/// Notes a table, and what finding the record takes that the second argument names.
fn need_record<'a>(
    cmd: &Command,
    schema: &'a Schema,
    needs: &mut Needs,
) -> Result<&'a Arc<TableSchema>, Error> {
    let table = schema::table(schema, cmd.arg(0))?;
    records::need(&table.name, cmd.args.get(1).map(String::as_str), needs);
    Ok(table)
}

/// Notes the columns that the arguments from `from` on begin with.
fn need_from(
    cmd: &Command,
    from: usize,
    table: &TableSchema,
    needs: &mut Needs,
) -> Result<(), Error> {
    // Only what is printed may be the row id.
    let prints = cmd.syntax.name == "get";
    for arg in cmd.rest(from) {
        if !(prints && is_row_id(arg)) {
            let column = schema::column(table, &column_name(arg)?.0)?;
            needs.column_of_some(&table.name, &column.name);
        }
    }
    Ok(())
}

pub(super) fn need_arguments(
    cmd: &Command,
    schema: &Schema,
    needs: &mut Needs,
) -> Result<(), Error> {
    let table = need_record(cmd, schema, needs)?;
    need_from(cmd, 2, table, needs)
}

pub(super) fn need_columns(cmd: &Command, schema: &Schema, needs: &mut Needs) -> Result<(), Error> {
    let table = need_record(cmd, schema, needs)?;
    for arg in cmd.rest(2) {
        needs.column_of_some(&table.name, &schema::column(table, arg)?.name);
    }
    Ok(())
}

pub(super) fn need_column(cmd: &Command, schema: &Schema, needs: &mut Needs) -> Result<(), Error> {
    let table = need_record(cmd, schema, needs)?;
    needs.column_of_some(&table.name, &schema::column(table, cmd.arg(2))?.name);
    Ok(())
}

/// Notes a table in which only new rows are made.
pub(super) fn need_create(cmd: &Command, schema: &Schema, _: &mut Needs) -> Result<(), Error> {
    schema::table(schema, cmd.arg(0)).map(|_| ())
}

pub(super) fn need_destroy(cmd: &Command, schema: &Schema, needs: &mut Needs) -> Result<(), Error> {
    let table = schema::table(schema, cmd.arg(0))?;
    if cmd.has("--all") {
        records::need(&table.name, None, needs);
    }
    cmd.rest(1)
        .iter()
        .for_each(|record| records::need(&table.name, Some(record), needs));
    Ok(())
}

/// Notes the columns to print, of the records given.
pub(super) fn need_list(cmd: &Command, schema: &Schema, needs: &mut Needs) -> Result<(), Error> {
    let table = schema::table(schema, cmd.arg(0))?;
    for column in listed_columns(cmd, table)?.into_iter().flatten() {
        needs.column_of_some(&table.name, &column.name);
    }
    if cmd.args.len() == 1 {
        records::need(&table.name, None, needs);
    }
    cmd.rest(1)
        .iter()
        .for_each(|record| records::need(&table.name, Some(record), needs));
    Ok(())
}

pub(super) fn need_find(cmd: &Command, schema: &Schema, needs: &mut Needs) -> Result<(), Error> {
    let table = schema::table(schema, cmd.arg(0))?;
    for column in listed_columns(cmd, table)?.into_iter().flatten() {
        needs.column(&table.name, &column.name);
    }
    records::need(&table.name, None, needs);
    need_from(cmd, 1, table, needs)
}
