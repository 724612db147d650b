//! Commands that change records.

use std::sync::Arc;

use aorta_ovsdb::{AtomSet, ColumnSchema, ColumnType, Datum, TableSchema, Uuid};

use super::{CREATE, map_value_type, table_of};
use crate::args::{Command, Mode};
use crate::context::Context;
use crate::error::{Error, Warning};
use crate::records::find_record;
use crate::schema::{self, Schema};
use crate::value;

/// Sets a column of a row from a `column[:key]=value` argument.
pub(in crate::commands) fn set_column(
    ctx: &mut Context<'_>,
    table: &TableSchema,
    row: Uuid,
    argument: &str,
) -> Result<(), Error> {
    let column = schema::column(table, &value::column_name(argument)?.0)?;
    let arg = value::split_argument(argument)?;
    check_mutable(ctx, table, row, column)?;
    let Some(key) = arg.key else {
        let datum = value::datum(arg.rest, &column.ty, &mut ctx.symbols)?;
        ctx.txn.write(&table.name, row, &column.name, datum);
        return Ok(());
    };
    let value_type = map_value_type(column, "set")?;
    let key = value::atom(&key, &column.ty.key, &mut ctx.symbols)?;
    let value = value::atom(arg.rest, value_type, &mut ctx.symbols)?;
    ctx.txn.map_put(&table.name, row, &column.name, key, value);
    Ok(())
}

/// Columns that may not change can still be set in a row that is being created.
fn check_mutable(
    ctx: &Context<'_>,
    table: &TableSchema,
    row: Uuid,
    column: &ColumnSchema,
) -> Result<(), Error> {
    if column.mutable || !ctx.txn.is_known(&table.name, row) {
        return Ok(());
    }
    Err(Error::ReadOnly {
        column: column.name.to_string(),
        table: table.name.to_string(),
    })
}

/// Table and row of the commands that change one record.
fn target<'v>(
    cmd: &Command,
    ctx: &mut Context<'v>,
) -> Result<Option<(&'v Arc<TableSchema>, Uuid)>, Error> {
    let table = table_of(cmd, ctx)?;
    let row = find_record(ctx, table, cmd.arg(1), !cmd.has("--if-exists"))?;
    Ok(row.map(|row| (table, row)))
}

pub(super) fn set(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    if let Some((table, row)) = target(cmd, ctx)? {
        for argument in cmd.rest(2) {
            set_column(ctx, table, row, argument)?;
        }
    }
    Ok(())
}

/// The column that `add` and `remove` change, and the type of their arguments: any number of its
/// elements.
fn changed_column<'t>(
    cmd: &Command,
    ctx: &Context<'_>,
    table: &'t TableSchema,
    row: Uuid,
) -> Result<(&'t ColumnSchema, ColumnType), Error> {
    let column = schema::column(table, cmd.arg(2))?;
    check_mutable(ctx, table, row, column)?;
    let any = ColumnType {
        min: 1,
        max: usize::MAX,
        ..column.ty.clone()
    };
    Ok((column, any))
}

pub(super) fn add(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let Some((table, row)) = target(cmd, ctx)? else {
        return Ok(());
    };
    let (column, any) = changed_column(cmd, ctx, table, row)?;
    let mut result = ctx.txn.get(&table.name, row, &column.name).clone();
    let mut added = AtomSet::new();
    for argument in cmd.rest(3) {
        let more = value::datum(argument, &any, &mut ctx.symbols)?;
        match (&mut result, more) {
            (Datum::Set(result), Datum::Set(more)) => {
                more.iter().for_each(|atom| _ = result.insert(atom.clone()));
            }
            // ovs-vsctl(8) says that a key's value stays; ovs-vsctl 3.1 replaces it, once.
            (Datum::Map(result), Datum::Map(more)) => {
                for (key, value) in more.iter() {
                    if added.insert(key.clone()) {
                        result.insert(key.clone(), value.clone());
                    }
                }
            }
            _ => {}
        }
    }
    check_count("add", table, column, result.len())?;
    merge(ctx, table, row, column, result);
    Ok(())
}

pub(super) fn remove(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let Some((table, row)) = target(cmd, ctx)? else {
        return Ok(());
    };
    let (column, any) = changed_column(cmd, ctx, table, row)?;
    let keys = ColumnType {
        value: None,
        ..any.clone()
    };
    let mut result = ctx.txn.get(&table.name, row, &column.name).clone();
    for argument in cmd.rest(3) {
        let mut less = value::datum(argument, &any, &mut ctx.symbols);
        if less.is_err() && column.ty.is_map() {
            less = value::datum(argument, &keys, &mut ctx.symbols);
        }
        match (&mut result, &less?) {
            (Datum::Set(result), Datum::Set(less)) => result.retain(|atom| !less.contains(atom)),
            (Datum::Map(result), Datum::Map(less)) => {
                result.retain(|(key, value)| less.get(key) != Some(value));
            }
            (Datum::Map(result), Datum::Set(less)) => {
                result.retain(|(key, _)| !less.contains(key));
            }
            (Datum::Set(_), Datum::Map(_)) => {}
        }
    }
    check_count("remove", table, column, result.len())?;
    merge(ctx, table, row, column, result);
    Ok(())
}

/// Writes a column's new value so that others' elements survive; where that can't be, the old
/// value must still be there.
fn merge(
    ctx: &mut Context<'_>,
    table: &TableSchema,
    row: Uuid,
    column: &ColumnSchema,
    value: Datum,
) {
    if column.ty.max == 1 {
        ctx.txn.rely(&table.name, row, &column.name);
    }
    ctx.txn.merge(&table.name, row, &column.name, value);
}

fn check_count(
    verb: &'static str,
    table: &TableSchema,
    column: &ColumnSchema,
    n: usize,
) -> Result<(), Error> {
    let (limit, bound) = match () {
        () if n > column.ty.max => ("maximum", column.ty.max),
        () if n < column.ty.min => ("minimum", column.ty.min),
        () => return Ok(()),
    };
    Err(Error::ColumnCount {
        verb,
        n,
        what: if column.ty.is_map() {
            "pairs"
        } else {
            "values"
        },
        column: column.name.to_string(),
        table: table.name.to_string(),
        limit,
        bound: bound as u64,
    })
}

pub(super) fn clear(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let Some((table, row)) = target(cmd, ctx)? else {
        return Ok(());
    };
    for argument in cmd.rest(2) {
        let column = schema::column(table, argument)?;
        check_mutable(ctx, table, row, column)?;
        if column.ty.min > 0 {
            let (column, table) = (column.name.to_string(), table.name.to_string());
            return Err(Error::NotClearable { column, table });
        }
        ctx.txn.write(
            &table.name,
            row,
            &column.name,
            Datum::default_for(&column.ty),
        );
    }
    Ok(())
}

/// The warning that a new record won't stay, since nothing can refer to it.
pub fn created_in_vain(cmd: &Command, schema: &Schema) -> Option<Warning> {
    if cmd.syntax.name != CREATE || cmd.has("--id") {
        return None;
    }
    let table = schema::table(schema, cmd.arg(0)).ok()?;
    let table_name = table.name.to_string();
    (!table.is_root).then_some(Warning::CreateInVain { table: table_name })
}

pub(super) fn create(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let table = table_of(cmd, ctx)?;
    let row = match cmd.option("--id") {
        Some(id) => match Uuid::try_parse(id) {
            Ok(row) => ctx.txn.insert_as(&table.name, row),
            Err(_) => {
                let row = ctx.symbols.define_new(id, !table.is_root)?;
                ctx.txn.insert(&table.name, Some(row))
            }
        },
        None => ctx.txn.insert(&table.name, None),
    };
    for argument in cmd.rest(1) {
        set_column(ctx, table, row, argument)?;
    }
    ctx.out.row = Some(row);
    Ok(())
}

pub(super) fn destroy(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let table = table_of(cmd, ctx)?;
    let (all, may_miss) = (cmd.has("--all"), cmd.has("--if-exists"));
    if all && cmd.args.len() > 1 {
        return Err(Error::NotWithAll {
            other: "records argument",
        });
    }
    if all && may_miss {
        return Err(Error::NotWithAll {
            other: "--if-exists",
        });
    }
    let mut rows = if all {
        ctx.txn.rows(&table.name)
    } else {
        Vec::new()
    };
    for record in cmd.rest(1) {
        rows.extend(find_record(ctx, table, record, !may_miss)?);
    }
    if !all && cmd.args.len() == 1 {
        ctx.warnings.push(Warning::NothingToDestroy);
    }
    if ctx.mode == Mode::Vsctl && !table.is_root && !rows.is_empty() {
        let table = table.name.to_string();
        ctx.warnings.push(Warning::DestroyInVain { table });
    }
    for row in rows {
        if table.is_root {
            ctx.txn.delete(&table.name, row);
        } else {
            ctx.txn.forget(&table.name, row);
        }
    }
    Ok(())
}
