//! Random operations and monitors for a schema.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aorta_ovsdb::{ColumnType, DatabaseSchema, Db, TableSchema};
use serde_json::{Map, Value, json};

use crate::random::{Random, Values};

/// How many rows of a table have uuids that are known beforehand.
pub const POOL: usize = 5;

/// Makes transactions.
pub struct Operations {
    pub schema: Arc<DatabaseSchema>,
    pub values: Values,
    /// The rows of the pool that were there when somebody looked.
    live: BTreeMap<String, BTreeSet<usize>>,
    /// Rows that the transaction has inserted so far, as references.
    pub inserted: Vec<(String, Value)>,
    /// How many rows of each table have names.
    names: BTreeMap<String, usize>,
    /// Whether names of a transaction have no meaning.
    pub is_lasting: bool,
}

/// The uuid of a row of the pool. No uuid is in two tables: the reference doesn't check
/// references of a row to its own uuid elsewhere.
pub fn pooled(table: &str, n: usize) -> String {
    let code = table
        .bytes()
        .fold(7u32, |sum, byte| (sum * 31 + u32::from(byte)) & 0xff_ffff);
    format!("00000000-0000-4000-8000-{code:06x}0000{n:02x}")
}

impl Operations {
    pub fn new(schema: &Arc<DatabaseSchema>, random: Random) -> Self {
        Self {
            schema: Arc::clone(schema),
            values: Values::new(random),
            live: BTreeMap::new(),
            inserted: Vec::new(),
            names: BTreeMap::new(),
            is_lasting: false,
        }
    }

    /// Looks which rows there are.
    pub fn look(&mut self, db: &Db) {
        for table in &self.schema.tables {
            let is_live = |n: &usize| {
                let uuid = pooled(&table.name, *n).parse().unwrap();
                db.row(&table.name, uuid).is_some()
            };
            self.live
                .insert(table.name.to_string(), (0..POOL).filter(is_live).collect());
        }
    }

    pub fn transaction(&mut self) -> Vec<Value> {
        self.inserted.clear();
        self.names.clear();
        let mut operations = Vec::new();
        for _ in 0..=self.values.random.below(3) {
            self.values.renew();
            self.operation(&mut operations);
            if let Some(last) = operations.pop() {
                operations.push(self.spoil(last));
            }
        }
        operations
    }

    fn operation(&mut self, out: &mut Vec<Value>) {
        let table = self.table();
        let operation = match self.values.random.below(40) {
            0..=11 => return self.insert(&table, out, 2),
            12..=15 => {
                let (row, condition) = (self.row(&table, true), self.condition(&table));
                json!({"op": "update", "table": &*table.name, "where": condition, "row": row})
            }
            16..=23 => {
                let (mutations, condition) = (self.mutations(&table), self.condition(&table));
                json!({"op": "mutate", "table": &*table.name, "where": condition,
                       "mutations": mutations})
            }
            24..=27 => {
                let condition = self.condition(&table);
                json!({"op": "delete", "table": &*table.name, "where": condition})
            }
            28..=32 => self.select(&table),
            33..=36 => self.wait(&table),
            37 => match self.values.random.below(3) {
                0 => json!({"op": "comment", "comment": "a \"comment\"\n"}),
                1 => json!({"op": "commit", "durable": false}),
                _ => json!({"op": "assert", "lock": "mine"}),
            },
            38 if self.values.fault() => match self.values.random.below(3) {
                0 => json!({"op": "abort"}),
                1 => json!({"op": "assert", "lock": "not_mine"}),
                _ => json!({"op": "frobnicate", "table": &*table.name}),
            },
            _ => self.link(),
        };
        out.push(operation);
    }

    /// Breaks an operation in its form.
    fn spoil(&mut self, mut operation: Value) -> Value {
        if !self.values.fault() || !self.values.random.one_in(2) {
            return operation;
        }
        let members: Vec<String> = operation.as_object().unwrap().keys().cloned().collect();
        let member = self.values.random.pick(&members).clone();
        match self.values.random.below(6) {
            // A wait without a timeout would block for ever.
            0 | 1 if member == "timeout" => {}
            0 | 1 => drop(operation.as_object_mut().unwrap().shift_remove(&member)),
            // The reply to a durable transaction may come after those to later ones.
            2 | 3 if member == "durable" => operation[&member] = json!(1),
            2 | 3 => operation[&member] = self.values.junk(),
            4 => operation["extra"] = self.values.junk(),
            _ => return self.values.junk(),
        }
        operation
    }

    fn table(&mut self) -> Arc<TableSchema> {
        Arc::clone(self.values.random.pick(&self.schema.tables))
    }

    /// A value for a column; references lead to rows that may exist.
    pub fn datum(&mut self, ty: &ColumnType) -> Value {
        let Self {
            values,
            live,
            inserted,
            names,
            is_lasting,
            ..
        } = self;
        let names = Some(&*names).filter(|_| !*is_lasting);
        let mut reference =
            |random: &mut Random, table: &str| reference(live, inserted, names, random, table);
        values.datum(ty, &mut reference)
    }

    fn row(&mut self, table: &TableSchema, only_mutable: bool) -> Map<String, Value> {
        let mut row = Map::new();
        for column in &table.columns {
            let needed = column.ty.key.reference.is_some() && column.ty.min == 1;
            let few = table.columns.len().div_ceil(4).max(2);
            let take = needed && !only_mutable || self.values.random.one_in(few);
            if take && (column.mutable || !only_mutable || self.values.fault()) {
                row.insert(column.name.to_string(), self.datum(&column.ty));
            }
        }
        if self.values.fault() {
            let name = *self.values.random.pick(&["nothing", "_uuid", "_version"]);
            row.insert(name.to_owned(), json!(["uuid", pooled(&table.name, 0)]));
        }
        row
    }

    fn insert(&mut self, table: &TableSchema, out: &mut Vec<Value>, depth: usize) {
        for column in &table.columns {
            for base in [Some(&column.ty.key), column.ty.value.as_ref()] {
                let target = base.and_then(|b| b.reference.as_ref());
                let schema = Arc::clone(&self.schema);
                let target = target.and_then(|r| schema.table(&r.table));
                if let Some(target) = target
                    && depth > 0
                    && self.values.random.one_in(3)
                {
                    self.insert(target, out, depth - 1);
                }
            }
        }
        let row = self.row(table, false);
        let mut operation = json!({"op": "insert", "table": &*table.name, "row": row});
        let live = self.live.get(&*table.name).cloned().unwrap_or_default();
        let pool: Vec<usize> = (0..POOL).filter(|n| !live.contains(n)).collect();
        let (mut known, mut inserted) = (None, None);
        if !pool.is_empty() && !self.values.random.one_in(8) {
            let n = if self.values.fault() {
                0
            } else {
                *self.values.random.pick(&pool)
            };
            let text = pooled(&table.name, n);
            known = Some(json!(["uuid", text]));
            inserted = Some(n);
            operation["uuid"] = json!(text);
        }
        if self.values.random.one_in(2) {
            let count = self.names.entry(table.name.to_string()).or_default();
            *count += usize::from(!self.values.fault());
            let name = format!("{}_{count}", table.name);
            known = Some(json!(["named-uuid", name]));
            operation["uuid-name"] = json!(name);
        } else if let Some(n) = inserted {
            // Known by one reference only: with two, a set may have a duplicate.
            let live = self.live.entry(table.name.to_string());
            live.or_default().insert(n);
        }
        if let Some(reference) = known {
            self.inserted.push((table.name.to_string(), reference));
        }
        out.push(operation);
    }

    /// A strong reference to some row, added to a column of another.
    fn link(&mut self) -> Value {
        let mut links = Vec::new();
        for table in &self.schema.tables {
            for column in table.columns.iter().filter(|c| c.mutable && c.ty.max > 1) {
                if column.ty.key.reference.is_some() {
                    links.push((table.name.clone(), column.clone()));
                }
            }
        }
        if links.is_empty() {
            return json!({"op": "comment", "comment": "nothing to link"});
        }
        let (table, column) = self.values.random.pick(&links).clone();
        let value = self.datum(&column.ty);
        json!({"op": "mutate", "table": &*table, "where": [],
               "mutations": [[&*column.name, "insert", value]]})
    }

    fn mutations(&mut self, table: &TableSchema) -> Value {
        let mut mutations = Vec::new();
        for _ in 0..=self.values.random.below(2) {
            let column = self.values.random.pick(&table.columns).clone();
            if !column.mutable && !self.values.fault() {
                continue;
            }
            let number =
                matches!(column.ty.key.ty.name(), "integer" | "real") && !column.ty.is_map();
            let all = ["+=", "-=", "*=", "/=", "%=", "insert", "delete"];
            let fits = match (number, column.ty.is_scalar()) {
                (true, true) => &all[..5],
                (true, false) => &all[..],
                _ => &all[5..],
            };
            let fits = if self.values.fault() { &all[..] } else { fits };
            if column.ty.is_scalar() && !number && !self.values.fault() {
                continue;
            }
            let mut mutator = *self.values.random.pick(fits);
            let many = ColumnType {
                min: 0,
                max: 3,
                ..column.ty.clone()
            };
            let value = match mutator {
                "insert" => self.datum(&many),
                "delete" if column.ty.is_map() && self.values.random.one_in(2) => {
                    self.datum(&ColumnType {
                        value: None,
                        ..many
                    })
                }
                "delete" => self.datum(&many),
                // The reference doesn't survive elements that become equal, takes a negative zero
                // for another value than zero, lets products of two negative numbers overflow,
                // and refuses some products that fit.
                "/=" | "%=" if !column.ty.is_scalar() => json!(1_000_000),
                "*=" => json!(*self.values.random.pick(&[100, 1000])),
                "/=" if column.ty.key.ty.name() == "real" => {
                    json!(*self.values.random.pick(&[2.0, 0.5]))
                }
                _ if self.values.random.one_in(3) => json!(*self.values.random.pick(&[0, 1, -1])),
                _ => self.datum(&ColumnType {
                    min: 1,
                    max: 1,
                    ..column.ty.clone()
                }),
            };
            if self.values.fault() {
                mutator = "^=";
            }
            let name = if self.values.fault() {
                "nothing"
            } else {
                &*column.name
            };
            mutations.push(json!([name, mutator, value]));
        }
        if self.values.fault() {
            mutations.push(self.values.junk());
        }
        json!(mutations)
    }

    fn select(&mut self, table: &TableSchema) -> Value {
        let condition = self.condition(table);
        let mut operation = json!({"op": "select", "table": &*table.name, "where": condition});
        if self.values.random.one_in(2) {
            operation["columns"] = self.columns(table);
        }
        if self.values.random.one_in(6) {
            operation["sort"] = self.columns(table);
        }
        operation
    }

    pub fn columns(&mut self, table: &TableSchema) -> Value {
        let own = table.columns.iter().map(|c| c.name.to_string());
        let mut names: Vec<String> = own.collect();
        names.push("_uuid".to_owned());
        names.retain(|_| self.values.random.one_in(2));
        if self.values.fault() {
            names.push((*self.values.random.pick(&["c0", "nothing"])).to_owned());
        }
        json!(names)
    }

    fn wait(&mut self, table: &TableSchema) -> Value {
        let (columns, condition) = (self.columns(table), self.condition(table));
        let until = match self.values.random.below(4) {
            0 => "==",
            1 if self.values.fault() => "<",
            _ => "!=",
        };
        let rows: Vec<_> = (0..self.values.random.below(2))
            .map(|_| self.row(table, false))
            .collect();
        let timeout = if self.values.fault() {
            self.values.junk()
        } else {
            json!(0)
        };
        let mut operation = json!({"op": "wait", "table": &*table.name, "where": condition,
                                   "until": until, "rows": rows, "timeout": timeout});
        if self.values.random.one_in(2) {
            operation["columns"] = columns;
        }
        operation
    }
}

fn reference(
    live: &BTreeMap<String, BTreeSet<usize>>,
    inserted: &[(String, Value)],
    names: Option<&BTreeMap<String, usize>>,
    random: &mut Random,
    table: &str,
) -> Value {
    let own: Vec<&Value> = inserted
        .iter()
        .filter(|(t, _)| t == table)
        .map(|(_, r)| r)
        .collect();
    match (random.below(12), live.get(table)) {
        (0..=4, _) if !own.is_empty() => (*random.pick(&own)).clone(),
        (0..=9, Some(live)) if !live.is_empty() => {
            let live: Vec<usize> = live.iter().copied().collect();
            json!(["uuid", pooled(table, *random.pick(&live))])
        }
        (0..=10, _) if let Some(names) = names => {
            // Of a row that may come.
            let next = names.get(table).map_or(1, |count| count + 1);
            json!(["named-uuid", format!("{table}_{next}")])
        }
        (n, _) => json!(["uuid", pooled(table, POOL + n % 2)]),
    }
}
