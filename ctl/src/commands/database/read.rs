//! Commands that look at records.

use aorta_ovsdb::{AtomType, ColumnSchema, ColumnType, Datum, TableSchema, Uuid};

use super::{is_row_id, map_value_type, table_of};
use crate::args::Command;
use crate::context::Context;
use crate::error::Error;
use crate::records::{self, find_record};
use crate::schema;
use crate::table::{Cell, Table};
use crate::value::{self, ColumnArg};

/// The columns to print; `None` stands for the row id.
pub(super) fn listed_columns<'a>(
    cmd: &Command,
    table: &'a TableSchema,
) -> Result<Vec<Option<&'a ColumnSchema>>, Error> {
    let Some(names) = cmd.option("--columns") else {
        return Ok(std::iter::once(None)
            .chain(table.columns.iter().map(Some))
            .collect());
    };
    let names = names.split([',', ' ']).filter(|name| !name.is_empty());
    let columns: Vec<_> = names
        .map(|name| match is_row_id(name) {
            true => Ok(None),
            false => schema::column(table, name).map(Some),
        })
        .collect::<Result<_, Error>>()?;
    if columns.is_empty() {
        Err(Error::NoColumns)
    } else {
        Ok(columns)
    }
}

fn listed_table(columns: &[Option<&ColumnSchema>]) -> Table {
    Table::new(
        columns
            .iter()
            .map(|column| column.map_or("_uuid", |column| &column.name)),
    )
}

fn listed_row(
    ctx: &Context<'_>,
    table: &TableSchema,
    row: Uuid,
    columns: &[Option<&ColumnSchema>],
) -> Vec<Cell> {
    let row_id = ColumnType::scalar(AtomType::Uuid);
    let cell = |column: &Option<&ColumnSchema>| match column {
        None => value::cell(&Datum::scalar(row), &row_id),
        Some(column) => value::cell(ctx.txn.get(&table.name, row, &column.name), &column.ty),
    };
    columns.iter().map(cell).collect()
}

pub(super) fn list(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let table = table_of(cmd, ctx)?;
    let columns = listed_columns(cmd, table)?;
    let mut listed = listed_table(&columns);
    let rows = if cmd.args.len() > 1 {
        let mut rows = Vec::new();
        for record in cmd.rest(1) {
            rows.extend(find_record(ctx, table, record, !cmd.has("--if-exists"))?);
        }
        rows
    } else {
        records::in_order(ctx, table)
    };
    listed.rows = rows
        .into_iter()
        .map(|row| listed_row(ctx, table, row, &columns))
        .collect();
    ctx.out.table = Some(listed);
    Ok(())
}

pub(super) fn find(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let table = table_of(cmd, ctx)?;
    let columns = listed_columns(cmd, table)?;
    let mut listed = listed_table(&columns);
    for row in records::in_order(ctx, table) {
        if matches(ctx, table, row, cmd.rest(1))? {
            listed.rows.push(listed_row(ctx, table, row, &columns));
        }
    }
    ctx.out.table = Some(listed);
    Ok(())
}

fn matches(
    ctx: &mut Context<'_>,
    table: &TableSchema,
    row: Uuid,
    conditions: &[String],
) -> Result<bool, Error> {
    for condition in conditions {
        if !matches_one(ctx, table, row, condition)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn matches_one(
    ctx: &mut Context<'_>,
    table: &TableSchema,
    row: Uuid,
    condition: &str,
) -> Result<bool, Error> {
    let column = schema::column(table, &value::column_name(condition)?.0)?;
    let (arg, operator) = value::split_condition(condition)?;
    let have = ctx.txn.get(&table.name, row, &column.name);
    let Some(key) = arg.key else {
        let want = value::datum(arg.rest, &column.ty, &mut ctx.symbols)?;
        return Ok(value::holds(have, operator, &want));
    };
    let value_type = map_value_type(column, "check")?;
    let key = value::atom(&key, &column.ty.key, &mut ctx.symbols)?;
    let any = ColumnType {
        key: value_type.clone(),
        value: None,
        min: 0,
        max: usize::MAX,
    };
    let want = value::datum(arg.rest, &any, &mut ctx.symbols)?;
    let found = have
        .pairs()
        .find(|(have, _)| **have == key)
        .map(|(_, value)| value.clone());
    if found.is_none() && !operator.is_set() {
        return Ok(false);
    }
    Ok(value::holds(&Datum::set(found), operator, &want))
}

pub(super) fn get(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let must_exist = !cmd.has("--if-exists");
    let id = cmd.option("--id");
    if id.is_some() && !must_exist {
        return Err(Error::Exclusive {
            first: "--if-exists",
            second: "--id",
        });
    }
    let table = table_of(cmd, ctx)?;
    let Some(row) = find_record(ctx, table, cmd.arg(1), must_exist)? else {
        return Ok(());
    };
    if let Some(id) = id {
        ctx.symbols.define_existing(id, row)?;
    }
    let mut lines = Vec::new();
    for arg in cmd.rest(2) {
        if is_row_id(arg) {
            lines.push(row.to_string());
        } else {
            lines.push(get_one(ctx, table, (row, cmd.arg(1)), arg, must_exist)?);
        }
    }
    ctx.out.names(lines);
    Ok(())
}

fn get_one(
    ctx: &mut Context<'_>,
    table: &TableSchema,
    (row, record): (Uuid, &str),
    arg: &str,
    must_exist: bool,
) -> Result<String, Error> {
    let column = schema::column(table, &value::column_name(arg)?.0)?;
    let arg = ColumnArg::parse_whole(arg)?;
    ctx.txn.rely(&table.name, row, &column.name);
    let datum = ctx.txn.get(&table.name, row, &column.name);
    let Some(key_text) = arg.key else {
        return Ok(value::datum_string(datum, &column.ty));
    };
    map_value_type(column, "get")?;
    let key = value::atom(&key_text, &column.ty.key, &mut ctx.symbols)?;
    let found = datum.pairs().find(|(have, _)| **have == key);
    match found {
        Some((_, value)) => Ok(value::atom_string(value)),
        None if must_exist => Err(Error::NoKey {
            key: key_text.into_owned(),
            table: table.name.to_string(),
            record: record.to_owned(),
            column: column.name.to_string(),
        }),
        None => Ok(String::new()),
    }
}

pub(super) fn wait_until(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let table = table_of(cmd, ctx)?;
    let row = find_record(ctx, table, cmd.arg(1), false)?;
    let met = match row {
        Some(row) => matches(ctx, table, row, cmd.rest(2))?,
        None => false,
    };
    ctx.try_again |= !met;
    Ok(())
}
