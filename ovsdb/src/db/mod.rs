//! The database itself: rows in memory, and transactions that turn one state into the next.
//! Pure: time, randomness and locks come in as arguments, changes go out as a [`Delta`].
mod audit;
mod column;
mod commit;
mod condition;
mod convert;
mod delta;
mod execute;
mod indexes;
mod members;
mod mutation;
mod outcome;
mod replay;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod transaction;
mod wait;

pub use column::ColumnRef;
pub(crate) use column::requested_columns;
pub use condition::Condition;
pub use convert::ConvertError;
pub use delta::{Change, Delta};
pub(crate) use members::{Kind, Members, Part};
pub use outcome::{Context, Execution, Outcome};
pub use replay::ReplayError;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use crate::row::Row;
use crate::schema::{DatabaseSchema, TableSchema};
use crate::value::Datum;

/// A database's contents. Cloning is cheap (tables are shared until one side changes them): a
/// clone is a consistent snapshot.
#[derive(Debug, Clone)]
pub struct Db {
    schema: Arc<DatabaseSchema>,
    tables: Vec<Arc<Table>>,
    links: Arc<Vec<Vec<Link>>>,
}

/// The rows of one table, with what a commit needs to check only what it touches.
#[derive(Debug, Clone)]
pub struct Table {
    schema: Arc<TableSchema>,
    rows: HashMap<Uuid, Arc<Row>>,
    /// How many strong references lead to each row; rows without any have no entry.
    strong: HashMap<Uuid, u32>,
    /// Which rows (table position, uuid) refer to a row weakly.
    weak: HashMap<Uuid, BTreeSet<(usize, Uuid)>>,
    /// For each of the schema's indexes, the row that holds a combination of values.
    indexes: Vec<HashMap<Vec<Datum>, Uuid>>,
}

/// A column (its keys or its values) that refers to rows.
#[derive(Debug, Clone)]
struct Link {
    column: usize,
    values: bool,
    table: usize,
    strong: bool,
}

/// Table position and uuid: where a row is.
type Place = (usize, Uuid);

impl Db {
    /// An empty database.
    pub fn new(schema: Arc<DatabaseSchema>) -> Self {
        let tables = schema
            .tables
            .iter()
            .map(|t| Arc::new(Table::new(t)))
            .collect();
        let links = schema.tables.iter().map(|t| links_of(&schema, t)).collect();
        Self {
            schema,
            tables,
            links: Arc::new(links),
        }
    }

    /// Its schema.
    pub fn schema(&self) -> &Arc<DatabaseSchema> {
        &self.schema
    }

    /// A table by name.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.schema.position(name).and_then(|at| self.table_at(at))
    }

    /// All tables, in the schema's order.
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter().map(|t| &**t)
    }

    /// The rows of a table in no particular order; none if there is no such table.
    pub fn rows(&self, table: &str) -> impl Iterator<Item = &Arc<Row>> {
        self.table(table).into_iter().flat_map(Table::rows)
    }

    /// A row by table and uuid.
    pub fn row(&self, table: &str, uuid: Uuid) -> Option<&Arc<Row>> {
        self.table(table)?.row(uuid)
    }

    pub(crate) fn table_at(&self, at: usize) -> Option<&Table> {
        self.tables.get(at).map(|t| &**t)
    }

    fn row_at(&self, (table, uuid): Place) -> Option<&Arc<Row>> {
        self.table_at(table)?.row(uuid)
    }

    /// A table to change, taken apart from any snapshot that shares it.
    fn table_mut(&mut self, at: usize) -> Option<&mut Table> {
        self.tables.get_mut(at).map(Arc::make_mut)
    }

    fn links(&self, table: usize) -> &[Link] {
        self.links.get(table).map_or(&[], Vec::as_slice)
    }
}

impl Table {
    fn new(schema: &Arc<TableSchema>) -> Self {
        Self {
            schema: Arc::clone(schema),
            rows: HashMap::new(),
            strong: HashMap::new(),
            weak: HashMap::new(),
            indexes: vec![HashMap::new(); schema.indexes.len()],
        }
    }

    /// Its schema.
    pub fn schema(&self) -> &Arc<TableSchema> {
        &self.schema
    }

    /// Its rows in no particular order.
    pub fn rows(&self) -> impl Iterator<Item = &Arc<Row>> {
        self.rows.values()
    }

    /// A row by uuid.
    pub fn row(&self, uuid: Uuid) -> Option<&Arc<Row>> {
        self.rows.get(&uuid)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The row whose only-column index `column` holds `value`, as of the last commit.
    fn find_indexed(&self, column: usize, value: &Datum) -> Option<Option<Uuid>> {
        let at = self
            .schema
            .indexes
            .iter()
            .position(|columns| *columns == [column])?;
        Some(
            self.indexes
                .get(at)?
                .get(std::slice::from_ref(value))
                .copied(),
        )
    }
}

fn links_of(schema: &DatabaseSchema, table: &TableSchema) -> Vec<Link> {
    let mut links = Vec::new();
    for (column, c) in table.columns.iter().enumerate() {
        for (base, values) in [(Some(&c.ty.key), false), (c.ty.value.as_ref(), true)] {
            let Some(reference) = base.and_then(|b| b.reference.as_ref()) else {
                continue;
            };
            let Some(target) = schema.position(&reference.table) else {
                continue;
            };
            links.push(Link {
                column,
                values,
                table: target,
                strong: reference.strong,
            });
        }
    }
    links
}

impl Link {
    /// The rows that `row` refers to through this link.
    fn targets<'a>(&self, row: &'a Row) -> Box<dyn Iterator<Item = Uuid> + 'a> {
        let datum = row.at(self.column);
        match datum {
            Datum::Set(_) => Box::new(datum.uuids()),
            Datum::Map(map) => {
                let values = self.values;
                let atoms = map.iter().map(move |(k, v)| if values { v } else { k });
                Box::new(atoms.filter_map(|atom| match atom {
                    crate::value::Atom::Uuid(u) => Some(*u),
                    _ => None,
                }))
            }
        }
    }
}
