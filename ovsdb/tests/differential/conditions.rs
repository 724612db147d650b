//! Random conditions.
use aorta_ovsdb::{ColumnType, TableSchema};
use serde_json::{Value, json};

use crate::operations::{Operations, POOL, pooled};

impl Operations {
    /// A condition of an operation.
    pub fn condition(&mut self, table: &TableSchema) -> Value {
        let count = *self.values.random.pick(&[0, 1, 1, 1, 2]);
        let mut clauses: Vec<Value> = (0..count).map(|_| self.clause(table)).collect();
        if self.values.fault() {
            clauses.push(self.values.junk());
        }
        json!(clauses)
    }

    /// A condition in which names of the transaction have no place.
    pub fn lasting_condition(&mut self, table: &TableSchema) -> Value {
        self.inserted.clear();
        self.is_lasting = true;
        let condition = self.condition(table);
        self.is_lasting = false;
        condition
    }

    fn clause(&mut self, table: &TableSchema) -> Value {
        if self.values.random.one_in(20) {
            return json!(self.values.random.one_in(2));
        }
        if self.values.random.one_in(3) {
            let function = if self.values.random.one_in(8) {
                "!="
            } else {
                "=="
            };
            let n = self.values.random.below(POOL);
            return json!(["_uuid", function, ["uuid", pooled(&table.name, n)]]);
        }
        let column = self.values.random.pick(&table.columns).clone();
        let ty = &column.ty;
        let number = matches!(ty.key.ty.name(), "integer" | "real") && !ty.is_map() && ty.max == 1;
        let all = ["==", "!=", "includes", "excludes", "<", "<=", ">", ">="];
        let fits = if number || self.values.fault() {
            &all[..]
        } else {
            &all[..4]
        };
        let mut function = *self.values.random.pick(fits);
        let value = match function {
            "excludes" if !ty.is_scalar() => self.datum(&ColumnType {
                min: 0,
                max: usize::MAX,
                ..ty.clone()
            }),
            "includes" if !ty.is_scalar() => self.datum(&ColumnType {
                min: 0,
                ..ty.clone()
            }),
            "==" | "!=" | "includes" | "excludes" => self.datum(ty),
            _ => self.datum(&ColumnType {
                min: 1,
                ..ty.clone()
            }),
        };
        if self.values.fault() {
            function = "~";
        }
        let name = if self.values.fault() {
            "nothing"
        } else {
            &*column.name
        };
        json!([name, function, value])
    }
}
