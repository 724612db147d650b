//! Rows.
use std::sync::Arc;

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::schema::TableSchema;
use crate::value::{AtomMap, Datum};

/// A row: one value for every column of its table, its identity, and a version that changes with
/// every change (RFC 7047 §3.2).
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    schema: Arc<TableSchema>,
    uuid: Uuid,
    version: Uuid,
    values: Box<[Datum]>,
}

static EMPTY_SET: Datum = Datum::empty();
static EMPTY_MAP: AtomMap = AtomMap::new();

impl Row {
    /// A row with every column at its default.
    pub fn new(schema: &Arc<TableSchema>, uuid: Uuid, version: Uuid) -> Self {
        let values = schema
            .columns
            .iter()
            .map(|c| Datum::default_for(&c.ty))
            .collect();
        Self {
            schema: Arc::clone(schema),
            uuid,
            version,
            values,
        }
    }

    /// Its table's schema.
    pub fn schema(&self) -> &Arc<TableSchema> {
        &self.schema
    }

    /// Its identity, `_uuid`.
    pub fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// Its `_version`.
    pub fn version(&self) -> Uuid {
        self.version
    }

    pub(crate) fn set_version(&mut self, version: Uuid) {
        self.version = version;
    }

    /// The value of the column at a position of the schema.
    pub fn at(&self, position: usize) -> &Datum {
        self.values.get(position).unwrap_or(&EMPTY_SET)
    }

    /// All values in the schema's order.
    pub fn values(&self) -> &[Datum] {
        &self.values
    }

    /// Sets the value of the column at a position of the schema; the type is not checked.
    pub fn set_at(&mut self, position: usize, value: Datum) {
        if let Some(slot) = self.values.get_mut(position) {
            *slot = value;
        }
    }

    /// Takes a value out, to be put back changed.
    pub(crate) fn take_at(&mut self, position: usize) -> Datum {
        let slot = self.values.get_mut(position);
        slot.map_or(Datum::empty(), |slot| {
            std::mem::replace(slot, Datum::empty())
        })
    }

    /// The value of a column; `None` if there is no such column.
    pub fn get(&self, column: &str) -> Option<&Datum> {
        self.schema.position(column).map(|at| self.at(at))
    }

    /// The value of a column; the empty set if there is no such column.
    pub fn datum(&self, column: &str) -> &Datum {
        self.get(column).unwrap_or(&EMPTY_SET)
    }

    /// The string of a string column or of a set optional.
    pub fn str(&self, column: &str) -> Option<&str> {
        self.datum(column).as_str_opt()
    }

    /// The number of an integer column or of a set optional.
    pub fn int(&self, column: &str) -> Option<i64> {
        self.datum(column).as_int_opt()
    }

    /// The boolean of a column; false when unset.
    pub fn bool(&self, column: &str) -> bool {
        self.datum(column).as_bool()
    }

    /// The references in a column, in ascending order.
    pub fn uuids(&self, column: &str) -> impl Iterator<Item = Uuid> {
        self.datum(column).uuids()
    }

    /// The map in a column; empty if it isn't one.
    pub fn map(&self, column: &str) -> &AtomMap {
        match self.datum(column) {
            Datum::Map(map) => map,
            Datum::Set(_) => &EMPTY_MAP,
        }
    }

    /// The string under a key of a map column.
    pub fn map_get(&self, column: &str, key: &str) -> Option<&str> {
        self.datum(column).map_get(key)
    }

    /// The columns that are not at their default, as RFC 7047 §5.1 `<row>`.
    pub fn to_json(&self) -> Value {
        let columns = self.schema.columns.iter().zip(&*self.values);
        let set = columns.filter(|(column, value)| !value.is_default(&column.ty));
        let members = set.map(|(column, value)| (column.name.to_string(), value.to_json()));
        Value::Object(members.collect::<Map<_, _>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::DatabaseSchema;

    #[test]
    fn a_new_row_reads_as_defaults_and_keeps_what_is_set() {
        let schema = DatabaseSchema::vswitch();
        let table = schema.table("Bridge").unwrap();
        let mut row = Row::new(table, Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!((row.str("name"), row.bool("stp_enable")), (Some(""), false));
        assert_eq!(row.uuids("ports").count(), 0);
        assert_eq!(row.to_json(), serde_json::json!({}));
        row.set_at(table.position("name").unwrap(), Datum::scalar("br0"));
        assert_eq!(row.to_json(), serde_json::json!({"name": "br0"}));
        assert!(row.get("nonsense").is_none());
    }
}
