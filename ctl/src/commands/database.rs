//! Rows and columns of any table (ovs-vsctl(8), Database Commands).

use std::sync::Arc;

use aorta_ovsdb::{ColumnSchema, ColumnType, Datum, TableSchema, Uuid};

use super::{ANY, Action, Group, IF_EXISTS, Syntax, flag, valued};
use crate::args::Command;
use crate::context::Context;
use crate::error::Error;
use crate::records::{self, find_record};
use crate::schema::{self, Needs, Schema};
use crate::table::{Cell, Table};
use crate::value::{self, ColumnArg};

/// The family's commands.
pub const COMMANDS: &[Syntax] = &[
    Syntax {
        name: "list",
        arguments: "TABLE [RECORD]...",
        min_args: 1,
        max_args: ANY,
        options: &[flag("--if-exists"), valued("--columns")],
        group: Group::Database,
        summary: "list RECORDs, or all records, of TABLE",
        action: Action::Database {
            need: need_list,
            run: list,
        },
    },
    Syntax {
        name: "find",
        arguments: "TABLE [COLUMN[:KEY]=VALUE]...",
        min_args: 1,
        max_args: ANY,
        options: &[valued("--columns")],
        group: Group::Database,
        summary: "list the records of TABLE that match; also != < > <= >= {=} {<=} ...",
        action: Action::Database {
            need: need_find,
            run: find,
        },
    },
    Syntax {
        name: "get",
        arguments: "TABLE RECORD [COLUMN[:KEY]]...",
        min_args: 2,
        max_args: ANY,
        options: &[flag("--if-exists"), valued("--id")],
        group: Group::Database,
        summary: "print values of COLUMNs of RECORD",
        action: Action::Database {
            need: need_arguments,
            run: get,
        },
    },
    Syntax {
        name: "set",
        arguments: "TABLE RECORD COLUMN[:KEY]=VALUE...",
        min_args: 3,
        max_args: ANY,
        options: IF_EXISTS,
        group: Group::Database,
        summary: "set COLUMNs of RECORD",
        action: Action::Database {
            need: need_arguments,
            run: set,
        },
    },
    Syntax {
        name: "add",
        arguments: "TABLE RECORD COLUMN [KEY=]VALUE...",
        min_args: 4,
        max_args: ANY,
        options: IF_EXISTS,
        group: Group::Database,
        summary: "add values or key-value pairs to COLUMN of RECORD",
        action: Action::Database {
            need: need_column,
            run: add,
        },
    },
    Syntax {
        name: "remove",
        arguments: "TABLE RECORD COLUMN KEY|VALUE|KEY=VALUE...",
        min_args: 4,
        max_args: ANY,
        options: IF_EXISTS,
        group: Group::Database,
        summary: "remove values, keys or pairs from COLUMN of RECORD",
        action: Action::Database {
            need: need_column,
            run: remove,
        },
    },
    Syntax {
        name: "clear",
        arguments: "TABLE RECORD COLUMN...",
        min_args: 3,
        max_args: ANY,
        options: IF_EXISTS,
        group: Group::Database,
        summary: "empty COLUMNs of RECORD",
        action: Action::Database {
            need: need_columns,
            run: clear,
        },
    },
    Syntax {
        name: "create",
        arguments: "TABLE COLUMN[:KEY]=VALUE...",
        min_args: 2,
        max_args: ANY,
        options: &[valued("--id")],
        group: Group::Database,
        summary: "create a record and print its id",
        action: Action::Database {
            need: need_create,
            run: create,
        },
    },
    Syntax {
        name: "destroy",
        arguments: "TABLE [RECORD]...",
        min_args: 1,
        max_args: ANY,
        options: &[flag("--if-exists"), flag("--all")],
        group: Group::Database,
        summary: "delete RECORDs of TABLE",
        action: Action::Database {
            need: need_destroy,
            run: destroy,
        },
    },
    Syntax {
        name: "wait-until",
        arguments: "TABLE RECORD [COLUMN[:KEY]=VALUE]...",
        min_args: 2,
        max_args: ANY,
        options: &[],
        group: Group::Database,
        summary: "wait until RECORD exists and matches",
        action: Action::Database {
            need: need_arguments,
            run: wait_until,
        },
    },
];

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
    for arg in cmd.rest(from) {
        if !is_row_id(arg) {
            let column = schema::column(table, ColumnArg::parse(arg)?.column)?;
            needs.column_of_some(&table.name, &column.name);
        }
    }
    Ok(())
}

fn need_arguments(cmd: &Command, schema: &Schema, needs: &mut Needs) -> Result<(), Error> {
    let table = need_record(cmd, schema, needs)?;
    need_from(cmd, 2, table, needs)
}

fn need_columns(cmd: &Command, schema: &Schema, needs: &mut Needs) -> Result<(), Error> {
    let table = need_record(cmd, schema, needs)?;
    for arg in cmd.rest(2) {
        needs.column_of_some(&table.name, &schema::column(table, arg)?.name);
    }
    Ok(())
}

fn need_column(cmd: &Command, schema: &Schema, needs: &mut Needs) -> Result<(), Error> {
    let table = need_record(cmd, schema, needs)?;
    needs.column_of_some(&table.name, &schema::column(table, cmd.arg(2))?.name);
    Ok(())
}

/// Notes a table in which only new rows are made.
fn need_create(cmd: &Command, schema: &Schema, _: &mut Needs) -> Result<(), Error> {
    schema::table(schema, cmd.arg(0)).map(|_| ())
}

fn need_destroy(cmd: &Command, schema: &Schema, needs: &mut Needs) -> Result<(), Error> {
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
fn need_list(cmd: &Command, schema: &Schema, needs: &mut Needs) -> Result<(), Error> {
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

fn need_find(cmd: &Command, schema: &Schema, needs: &mut Needs) -> Result<(), Error> {
    let table = schema::table(schema, cmd.arg(0))?;
    for column in listed_columns(cmd, table)?.into_iter().flatten() {
        needs.column(&table.name, &column.name);
    }
    records::need(&table.name, None, needs);
    need_from(cmd, 1, table, needs)
}

fn is_row_id(arg: &str) -> bool {
    arg.eq_ignore_ascii_case("_uuid") || arg.eq_ignore_ascii_case("-uuid")
}

/// The table that the first argument names.
fn table_of<'v>(cmd: &Command, ctx: &Context<'v>) -> Result<&'v Arc<TableSchema>, Error> {
    schema::table(ctx.txn.view().schema(), cmd.arg(0))
}

/// The columns to print; `None` stands for the row id.
fn listed_columns<'a>(
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
    let row_id = ColumnType::scalar(aorta_ovsdb::AtomType::Uuid);
    let cell = |column: &Option<&ColumnSchema>| match column {
        None => value::cell(&Datum::scalar(row), &row_id),
        Some(column) => value::cell(ctx.txn.get(&table.name, row, &column.name), &column.ty),
    };
    columns.iter().map(cell).collect()
}

fn list(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
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

fn find(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
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
    let (arg, operator) = value::split_condition(condition)?;
    let column = schema::column(table, arg.column)?;
    let have = ctx.txn.get(&table.name, row, &column.name);
    let Some(key) = arg.key else {
        let want = value::datum(arg.rest, &column.ty, &mut ctx.symbols)?;
        return Ok(value::holds(have, operator, &want));
    };
    let value_type = map_value_type(column, "check")?;
    let key = value::atom(key, &column.ty.key, &mut ctx.symbols)?;
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

/// The type of a map column's values.
fn map_value_type<'a>(
    column: &'a ColumnSchema,
    verb: &'static str,
) -> Result<&'a aorta_ovsdb::BaseType, Error> {
    let not_a_map = || Error::NotAMap {
        verb,
        column: column.name.to_string(),
    };
    column.ty.value.as_ref().ok_or_else(not_a_map)
}

fn get(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
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
    let arg = ColumnArg::parse_whole(arg)?;
    let column = schema::column(table, arg.column)?;
    ctx.txn.rely(&table.name, row, &column.name);
    let datum = ctx.txn.get(&table.name, row, &column.name);
    let Some(key_text) = arg.key else {
        return Ok(value::datum_string(datum, &column.ty));
    };
    map_value_type(column, "get")?;
    let key = value::atom(key_text, &column.ty.key, &mut ctx.symbols)?;
    let found = datum.pairs().find(|(have, _)| **have == key);
    match found {
        Some((_, value)) => Ok(value::atom_string(value)),
        None if must_exist => Err(Error::NoKey {
            key: key_text.to_owned(),
            table: table.name.to_string(),
            record: record.to_owned(),
            column: column.name.to_string(),
        }),
        None => Ok(String::new()),
    }
}

/// Sets a column of a row from a `column[:key]=value` argument.
pub(super) fn set_column(
    ctx: &mut Context<'_>,
    table: &TableSchema,
    row: Uuid,
    argument: &str,
) -> Result<(), Error> {
    let arg = value::split_argument(argument)?;
    let column = schema::column(table, arg.column)?;
    check_mutable(ctx, table, row, column)?;
    let Some(key) = arg.key else {
        let datum = value::datum(arg.rest, &column.ty, &mut ctx.symbols)?;
        ctx.txn.write(&table.name, row, &column.name, datum);
        return Ok(());
    };
    let value_type = map_value_type(column, "set")?;
    let key = value::atom(key, &column.ty.key, &mut ctx.symbols)?;
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

fn set(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    if let Some((table, row)) = target(cmd, ctx)? {
        for argument in cmd.rest(2) {
            set_column(ctx, table, row, argument)?;
        }
    }
    Ok(())
}

fn add(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let Some((table, row)) = target(cmd, ctx)? else {
        return Ok(());
    };
    let column = schema::column(table, cmd.arg(2))?;
    check_mutable(ctx, table, row, column)?;
    let any = ColumnType {
        min: 1,
        max: usize::MAX,
        ..column.ty.clone()
    };
    let mut result = ctx.txn.get(&table.name, row, &column.name).clone();
    for argument in cmd.rest(3) {
        let more = value::datum(argument, &any, &mut ctx.symbols)?;
        match (&mut result, &more) {
            (Datum::Set(result), Datum::Set(more)) => {
                more.iter().for_each(|atom| _ = result.insert(atom.clone()));
            }
            (Datum::Map(result), Datum::Map(more)) => {
                let new = more.iter().filter(|(key, _)| result.get(key).is_none());
                let new: Vec<_> = new.cloned().collect();
                new.into_iter()
                    .for_each(|(key, value)| result.insert(key, value));
            }
            _ => {}
        }
    }
    check_count("add", table, column, result.len())?;
    merge(ctx, table, row, column, result);
    Ok(())
}

fn remove(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let Some((table, row)) = target(cmd, ctx)? else {
        return Ok(());
    };
    let column = schema::column(table, cmd.arg(2))?;
    check_mutable(ctx, table, row, column)?;
    let any = ColumnType {
        min: 1,
        max: usize::MAX,
        ..column.ty.clone()
    };
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

fn clear(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
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

fn create(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let table = table_of(cmd, ctx)?;
    let row = match cmd.option("--id") {
        Some(id) => match Uuid::try_parse(id) {
            Ok(row) => ctx.txn.insert_as(&table.name, row),
            Err(_) => {
                let row = ctx.symbols.define_new(id, !table.is_root)?;
                ctx.txn.insert(&table.name, Some(row))
            }
        },
        None => {
            if !table.is_root {
                ctx.warnings.push(format!(
                    "a new {} row without --id has nothing that refers to it, so it will not \
                     stay in the database",
                    table.name
                ));
            }
            ctx.txn.insert(&table.name, None)
        }
    };
    for argument in cmd.rest(1) {
        set_column(ctx, table, row, argument)?;
    }
    ctx.out.row = Some(row);
    Ok(())
}

fn destroy(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let table = table_of(cmd, ctx)?;
    let (all, may_miss) = (cmd.has("--all"), cmd.has("--if-exists"));
    if all && cmd.args.len() > 1 {
        return Err(Error::Exclusive {
            first: "--all",
            second: "records",
        });
    }
    if all && may_miss {
        return Err(Error::Exclusive {
            first: "--all",
            second: "--if-exists",
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
    if !table.is_root && !rows.is_empty() {
        ctx.warnings.push(format!(
            "rows of table {} are deleted when nothing refers to them; destroy has no effect",
            table.name
        ));
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

fn wait_until(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let table = table_of(cmd, ctx)?;
    let row = find_record(ctx, table, cmd.arg(1), false)?;
    let met = match row {
        Some(row) => matches(ctx, table, row, cmd.rest(2))?,
        None => false,
    };
    ctx.try_again |= !met;
    Ok(())
}
