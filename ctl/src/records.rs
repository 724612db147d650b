//! Which row a record name means (ovs-vsctl(8), Identifying Tables, Records, and Columns).

use aorta_ovsdb::{Atom, TableSchema, Uuid};

use crate::args::Mode;
use crate::context::Context;
use crate::error::Error;
use crate::schema::{Needs, RecordName, record_name};

/// Fewest hex digits of a shortened row id.
const SHORT_ID: usize = 4;

/// Notes what finding this record takes; `None` stands for all records.
pub fn need(table: &str, record: Option<&str>, needs: &mut Needs) {
    match (record_name(table), record) {
        (Some(RecordName::Column("name")), Some(record)) if !may_be_id(record) && record != "." => {
            needs.rows(table, "name", record);
        }
        (Some(RecordName::Column(column)), _) => needs.column(table, column),
        (Some(RecordName::Via(via, column)), _) => {
            needs.table(table);
            needs.column(via, "name");
            needs.column(via, column);
        }
        (Some(RecordName::Only) | None, _) => needs.table(table),
    }
}

/// All rows of a table, by name where they have one; under Open vSwitch's name, as that tool has
/// them.
pub fn in_order(ctx: &Context<'_>, table: &TableSchema) -> Vec<Uuid> {
    if ctx.mode == Mode::OvsVsctl {
        return ctx.txn.rows_as_hashed(&table.name);
    }
    let mut rows = ctx.txn.rows(&table.name);
    if let Some(RecordName::Column(column)) = record_name(&table.name) {
        let key = |row: &Uuid| ctx.txn.get(&table.name, *row, column);
        rows.sort_by(|left, right| key(left).cmp(key(right)));
    }
    rows
}

/// The row that `record` means; `None` if there is none and it needn't exist.
pub fn find_record(
    ctx: &mut Context<'_>,
    table: &TableSchema,
    record: &str,
    must_exist: bool,
) -> Result<Option<Uuid>, Error> {
    let name = &table.name;
    if record == "."
        && let [only] = ctx.txn.rows(name).as_slice()
    {
        return Ok(Some(*only));
    }
    if let Ok(row) = Uuid::try_parse(record)
        && ctx.txn.has(name, row)
    {
        return Ok(Some(row));
    }
    let mut found = by_name(ctx, table, record)?;
    if found.is_none() {
        found = by_short_id(ctx, table, record)?;
    }
    if found.is_none() && must_exist {
        return Err(Error::NoRow {
            table: name.to_string(),
            record: record.to_owned(),
        });
    }
    Ok(found)
}

fn by_name(
    ctx: &mut Context<'_>,
    table: &TableSchema,
    record: &str,
) -> Result<Option<Uuid>, Error> {
    match record_name(&table.name) {
        None | Some(RecordName::Only) => Ok(None),
        Some(RecordName::Column(column)) => {
            let row = by_column(ctx, &table.name, column, record)?;
            if let Some(row) = row {
                ctx.txn.rely(&table.name, row, column);
            }
            Ok(row)
        }
        Some(RecordName::Via(via, column)) => {
            let Some(referrer) = by_column(ctx, via, "name", record)? else {
                return Ok(None);
            };
            ctx.txn.rely(via, referrer, column);
            match ctx.txn.refs(via, referrer, column).as_slice() {
                [row] if ctx.txn.has(&table.name, *row) => Ok(Some(*row)),
                _ => Ok(None),
            }
        }
    }
}

fn by_column(
    ctx: &Context<'_>,
    table: &str,
    column: &str,
    wanted: &str,
) -> Result<Option<Uuid>, Error> {
    let called = |row: &Uuid| match ctx.txn.get(table, *row, column).as_atom() {
        Some(Atom::String(name)) => **name == *wanted,
        Some(other) => other.to_string() == wanted,
        None => false,
    };
    let mut rows = ctx.txn.rows_unsorted(table).filter(called);
    let found = rows.next();
    // No two rows agree in an indexed column, so the rest needn't be looked at.
    if is_unique(ctx, table, column) || rows.next().is_none() {
        return Ok(found);
    }
    Err(Error::AmbiguousRow {
        table: table.to_owned(),
        record: wanted.to_owned(),
    })
}

fn is_unique(ctx: &Context<'_>, table: &str, column: &str) -> bool {
    let Some(table) = ctx.txn.view().schema().table(table) else {
        return false;
    };
    let column = table.position(column);
    table
        .indexes
        .iter()
        .any(|index| index.len() == 1 && index.first().copied() == column)
}

/// Whether the text could be a row id or the beginning of one.
fn may_be_id(record: &str) -> bool {
    let digits = record.chars().filter(char::is_ascii_hexdigit).count();
    digits >= SHORT_ID && record.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
}

fn by_short_id(
    ctx: &Context<'_>,
    table: &TableSchema,
    record: &str,
) -> Result<Option<Uuid>, Error> {
    if !may_be_id(record) {
        return Ok(None);
    }
    let wanted = record.to_ascii_lowercase();
    let mut rows = ctx
        .txn
        .rows_unsorted(&table.name)
        .filter(|row| row.to_string().starts_with(&wanted));
    match (rows.next(), rows.next()) {
        (found, None) => Ok(found),
        _ => {
            let table = table.name.to_string();
            Err(Error::AmbiguousRow {
                table,
                record: record.to_owned(),
            })
        }
    }
}
