//! Monitors: what a client wants to hear of, and how changes are told to it (RFC 7047 §4.1.5,
//! §4.1.6; `update2` and `update3` as Open vSwitch extends it). Pure.
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::db::{Change, ColumnRef, Condition, Db, Delta, Members, parse_columns};
use crate::error::OpError;
use crate::row::Row;
use crate::schema::{DatabaseSchema, TableSchema};
use crate::value::{Datum, NoSymbols};

/// Which of the three encodings a monitor speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MonitorVersion {
    /// `monitor`: `update` with full rows.
    V1,
    /// `monitor_cond`: `update2` with differences.
    V2,
    /// `monitor_cond_since`: `update3`, differences with a transaction id.
    V3,
}

/// The kinds of change that a client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Select {
    initial: bool,
    insert: bool,
    delete: bool,
    modify: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Initial,
    Insert,
    Delete,
    Modify,
}

/// A client's view of some tables.
#[derive(Debug, Clone)]
pub struct Monitor {
    version: MonitorVersion,
    tables: BTreeMap<usize, TableMonitor>,
}

#[derive(Debug, Clone)]
struct TableMonitor {
    schema: Arc<TableSchema>,
    columns: Vec<(ColumnRef, Select)>,
    select: Select,
    condition: Condition,
}

impl Monitor {
    /// Parses RFC 7047 §4.1.5 `<monitor-requests>`, of `monitor_cond` with `where`.
    ///
    /// # Errors
    /// If a table or column is unknown, or a request has the wrong form.
    pub fn from_json(
        json: &Value,
        version: MonitorVersion,
        schema: &DatabaseSchema,
    ) -> Result<Self, OpError> {
        let mut tables = BTreeMap::new();
        for (at, requests) in requested_tables(json, schema)? {
            let Some(table) = schema.tables.get(at) else {
                continue;
            };
            let mut monitor = TableMonitor {
                schema: Arc::clone(table),
                columns: Vec::new(),
                select: Select::NONE,
                condition: Condition::default(),
            };
            for request in requests {
                monitor.add(request, version)?;
            }
            tables.insert(at, monitor);
        }
        Ok(Self { version, tables })
    }

    /// Which encoding the monitor speaks.
    pub fn version(&self) -> MonitorVersion {
        self.version
    }

    /// The rows that the client starts with, as `<table-updates>`.
    pub fn initial(&self, db: &Db) -> Value {
        let mut updates = Updates::default();
        for (at, monitor) in self.tables.iter().filter(|(_, m)| m.select.initial) {
            let Some(table) = db.table_at(*at) else {
                continue;
            };
            for row in table
                .rows()
                .filter(|row| monitor.condition.matches_any(row))
            {
                let update = match self.version {
                    MonitorVersion::V1 => json!({"new": monitor.full(row, Kind::Initial)}),
                    _ => json!({"initial": monitor.sparse(row, Kind::Initial)}),
                };
                updates.add(&monitor.schema, row, update);
            }
        }
        updates.into_json()
    }

    /// What a transaction means to the client, as `<table-updates>`; `None` if nothing.
    pub fn update(&self, delta: &Delta) -> Option<Value> {
        let mut updates = Updates::default();
        for change in &delta.changes {
            let Some(monitor) = self.tables.get(&change.table_at) else {
                continue;
            };
            let Some(row) = change.new.as_ref().or(change.old.as_ref()) else {
                continue;
            };
            let update = match self.version {
                MonitorVersion::V1 => monitor.update1(change),
                _ => monitor.update2(change),
            };
            if let Some(update) = update {
                updates.add(&monitor.schema, row, update);
            }
        }
        (!updates.0.is_empty()).then(|| updates.into_json())
    }

    /// Changes conditions (`monitor_cond_change`) and tells which rows come and go thereby.
    ///
    /// # Errors
    /// If the request doesn't fit what is monitored; nothing is changed then.
    pub fn change_conditions(&mut self, json: &Value, db: &Db) -> Result<Option<Value>, OpError> {
        let mut conditions = Vec::new();
        for (at, requests) in requested_tables(json, db.schema())? {
            let monitor = self
                .tables
                .get(&at)
                .ok_or_else(|| OpError::syntax("the table is not monitored").with_syntax(json))?;
            let mut condition = Condition::default();
            for request in requests {
                let mut members = Members::new(request, "monitor condition")?;
                if members.optional("columns").is_some() {
                    return Err(members.fault("the columns of a monitor never change"));
                }
                if let Some(json) = members.optional("where") {
                    condition = Condition::from_json(json, &monitor.schema, &mut NoSymbols)?;
                }
                members.finish()?;
            }
            conditions.push((at, condition));
        }
        let mut updates = Updates::default();
        for (at, condition) in conditions {
            let (Some(monitor), Some(table)) = (self.tables.get_mut(&at), db.table_at(at)) else {
                continue;
            };
            for row in table.rows() {
                let update = match (
                    monitor.condition.matches_any(row),
                    condition.matches_any(row),
                ) {
                    (false, true) => json!({"insert": monitor.sparse(row, Kind::Insert)}),
                    (true, false) => json!({"delete": null}),
                    _ => continue,
                };
                updates.add(&monitor.schema, row, update);
            }
            monitor.condition = condition;
        }
        Ok((!updates.0.is_empty()).then(|| updates.into_json()))
    }
}

impl Select {
    const NONE: Self = Self {
        initial: false,
        insert: false,
        delete: false,
        modify: false,
    };

    fn from_json(json: Option<&Value>) -> Result<Self, OpError> {
        let Some(json) = json else {
            return Ok(Self {
                initial: true,
                insert: true,
                delete: true,
                modify: true,
            });
        };
        let mut members = Members::new(json, "monitor select")?;
        let mut flag = |name| match members.optional(name) {
            None => Ok(true),
            Some(Value::Bool(b)) => Ok(*b),
            Some(_) => Err(members.fault("a flag is not a boolean")),
        };
        let select = Self {
            initial: flag("initial")?,
            insert: flag("insert")?,
            delete: flag("delete")?,
            modify: flag("modify")?,
        };
        members.finish()?;
        Ok(select)
    }

    fn has(self, kind: Kind) -> bool {
        match kind {
            Kind::Initial => self.initial,
            Kind::Insert => self.insert,
            Kind::Delete => self.delete,
            Kind::Modify => self.modify,
        }
    }

    fn or(self, other: Self) -> Self {
        Self {
            initial: self.initial || other.initial,
            insert: self.insert || other.insert,
            delete: self.delete || other.delete,
            modify: self.modify || other.modify,
        }
    }
}

impl TableMonitor {
    fn add(&mut self, json: &Value, version: MonitorVersion) -> Result<(), OpError> {
        let mut members = Members::new(json, "monitor request")?;
        let columns = match members.optional("columns") {
            Some(json) => parse_columns(json, &self.schema)?,
            None => ColumnRef::all(&self.schema).into_iter().skip(1).collect(),
        };
        let select = Select::from_json(members.optional("select"))?;
        if version != MonitorVersion::V1
            && let Some(json) = members.optional("where")
        {
            self.condition = Condition::from_json(json, &self.schema, &mut NoSymbols)?;
        }
        members.finish()?;
        for column in columns {
            if self.columns.iter().any(|(known, _)| *known == column) {
                let name = column.name(&self.schema);
                return Err(OpError::syntax(format!("column {name} is asked for twice")));
            }
            self.columns.push((column, select));
        }
        self.select = self.select.or(select);
        Ok(())
    }

    fn columns_for(&self, kind: Kind) -> impl Iterator<Item = ColumnRef> {
        self.columns
            .iter()
            .filter(move |(_, s)| s.has(kind))
            .map(|(column, _)| *column)
    }

    /// Every column asked for.
    fn full(&self, row: &Row, kind: Kind) -> Value {
        let columns = self
            .columns_for(kind)
            .map(|c| self.member(c, &c.value(row)));
        Value::Object(columns.collect())
    }

    /// The columns asked for that are not at their default.
    fn sparse(&self, row: &Row, kind: Kind) -> Value {
        let columns = self.columns_for(kind).map(|c| (c, c.value(row)));
        let set = columns.filter(|(c, value)| !value.is_default(c.ty(&self.schema)));
        Value::Object(set.map(|(c, value)| self.member(c, &value)).collect())
    }

    fn member(&self, column: ColumnRef, value: &Datum) -> (String, Value) {
        (column.name(&self.schema).to_owned(), value.to_json())
    }

    fn update1(&self, change: &Change) -> Option<Value> {
        match (&change.old, &change.new) {
            (None, Some(new)) if self.select.insert => {
                Some(json!({"new": self.full(new, Kind::Insert)}))
            }
            (Some(old), None) if self.select.delete => {
                Some(json!({"old": self.full(old, Kind::Delete)}))
            }
            (Some(old), Some(new)) if self.select.modify => {
                let changed = self.columns_for(Kind::Modify);
                let changed = changed.filter(|c| c.value(old) != c.value(new));
                let changed: Map<_, _> = changed.map(|c| self.member(c, &c.value(old))).collect();
                let only_version = changed.keys().all(|name| name == "_version");
                (!only_version)
                    .then(|| json!({"old": changed, "new": self.full(new, Kind::Modify)}))
            }
            _ => None,
        }
    }

    fn update2(&self, change: &Change) -> Option<Value> {
        let seen = |row: &&Arc<Row>| self.condition.matches_any(row);
        match (
            change.old.as_ref().filter(seen),
            change.new.as_ref().filter(seen),
        ) {
            (None, Some(new)) if self.select.insert => {
                Some(json!({"insert": self.sparse(new, Kind::Insert)}))
            }
            (Some(_), None) if self.select.delete => Some(json!({"delete": null})),
            (Some(old), Some(new)) if self.select.modify => {
                let changed = self.columns_for(Kind::Modify);
                let changed = changed.filter(|c| c.value(old) != c.value(new));
                let differences: Map<_, _> = changed
                    .map(|c| {
                        let diff = c.value(new).diff_from(&c.value(old), c.ty(&self.schema));
                        self.member(c, &diff)
                    })
                    .collect();
                let only_version = differences.keys().all(|name| name == "_version");
                (!only_version).then(|| json!({"modify": differences}))
            }
            _ => None,
        }
    }
}

/// `<table-updates>` in the making.
#[derive(Default)]
struct Updates(Map<String, Value>);

impl Updates {
    fn add(&mut self, table: &TableSchema, row: &Row, update: Value) {
        let rows = self
            .0
            .entry(&*table.name)
            .or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(rows) = rows {
            rows.insert(row.uuid().to_string(), update);
        }
    }

    fn into_json(self) -> Value {
        Value::Object(self.0)
    }
}

/// The tables that a request names, each with its one or more requests.
fn requested_tables<'a>(
    json: &'a Value,
    schema: &DatabaseSchema,
) -> Result<Vec<(usize, &'a [Value])>, OpError> {
    let object = json
        .as_object()
        .ok_or_else(|| OpError::syntax("monitor requests are an object").with_syntax(json))?;
    let table = |(name, requests): (&String, &'a Value)| {
        let at = schema.position(name);
        let at = at.ok_or_else(|| OpError::syntax(format!("there is no table {name}")))?;
        let one = || std::slice::from_ref(requests);
        Ok((at, requests.as_array().map_or_else(one, Vec::as_slice)))
    };
    object.iter().map(table).collect()
}

#[cfg(test)]
mod tests;
