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
mod tests {
    use super::*;
    use crate::db::{Context, Execution};
    use uuid::Uuid;

    fn transact(db: &mut Db, operations: Value) -> Delta {
        let mut context = Context {
            new_uuid: &mut Uuid::new_v4,
            holds_lock: &|_| false,
            waited_ms: 0,
            read_only: false,
        };
        match db.transact(operations.as_array().unwrap(), &mut context) {
            Execution::Done(outcome) => outcome.delta,
            Execution::Blocked { .. } => panic!("blocked"),
        }
    }

    fn with_queue() -> (Db, String) {
        let mut db = Db::new(DatabaseSchema::vswitch());
        let row = json!({"dscp": 5, "external_ids": ["map", [["a", "1"], ["b", "2"]]]});
        transact(
            &mut db,
            json!([{"op": "insert", "table": "Queue", "row": row}]),
        );
        let uuid = db.rows("Queue").next().unwrap().uuid().to_string();
        (db, uuid)
    }

    fn monitor(version: MonitorVersion, request: Value) -> Monitor {
        let schema = DatabaseSchema::vswitch();
        Monitor::from_json(&json!({"Queue": request}), version, &schema).unwrap()
    }

    fn update(row: Value) -> Value {
        json!([{"op": "update", "table": "Queue", "where": [], "row": row}])
    }

    #[test]
    fn version_1_tells_whole_rows() {
        let (mut db, uuid) = with_queue();
        let request = json!({"columns": ["dscp", "other_config"]});
        let monitor = monitor(MonitorVersion::V1, request);
        let row = json!({"dscp": 5, "other_config": ["map", []]});
        assert_eq!(
            monitor.initial(&db),
            json!({"Queue": {&uuid: {"new": row}}})
        );
        let delta = transact(&mut db, update(json!({"dscp": 6})));
        let new = json!({"dscp": 6, "other_config": ["map", []]});
        let expected = json!({"Queue": {&uuid: {"old": {"dscp": 5}, "new": new}}});
        assert_eq!(monitor.update(&delta), Some(expected));
        let delta = transact(&mut db, update(json!({"external_ids": ["map", []]})));
        assert_eq!(monitor.update(&delta), None);
        let delta = transact(
            &mut db,
            json!([{"op": "delete", "table": "Queue", "where": []}]),
        );
        assert_eq!(
            monitor.update(&delta),
            Some(json!({"Queue": {&uuid: {"old": new}}}))
        );
    }

    #[test]
    fn version_2_tells_differences() {
        let (mut db, uuid) = with_queue();
        let monitor = monitor(
            MonitorVersion::V2,
            json!([{"columns": ["dscp", "external_ids"]}]),
        );
        let row = json!({"dscp": 5, "external_ids": ["map", [["a", "1"], ["b", "2"]]]});
        assert_eq!(
            monitor.initial(&db),
            json!({"Queue": {&uuid: {"initial": row}}})
        );
        let ids = json!(["map", [["a", "3"], ["c", "4"]]]);
        let delta = transact(
            &mut db,
            update(json!({"dscp": ["set", []], "external_ids": ids})),
        );
        let difference = json!({"dscp": ["set", []],
            "external_ids": ["map", [["a", "3"], ["b", "2"], ["c", "4"]]]});
        let expected = json!({"Queue": {&uuid: {"modify": difference}}});
        assert_eq!(monitor.update(&delta), Some(expected));
        let delta = transact(
            &mut db,
            json!([{"op": "delete", "table": "Queue", "where": []}]),
        );
        assert_eq!(
            monitor.update(&delta),
            Some(json!({"Queue": {&uuid: {"delete": null}}}))
        );
    }

    #[test]
    fn rows_come_and_go_with_a_condition() {
        let (mut db, uuid) = with_queue();
        let condition = json!([{"columns": ["dscp"], "where": [["dscp", "==", 7]]}]);
        let mut monitor = monitor(MonitorVersion::V3, condition);
        assert_eq!(monitor.initial(&db), json!({}));
        let delta = transact(&mut db, update(json!({"dscp": 7})));
        let insert = json!({"Queue": {&uuid: {"insert": {"dscp": 7}}}});
        assert_eq!(monitor.update(&delta), Some(insert.clone()));
        let delta = transact(&mut db, update(json!({"dscp": 8})));
        let delete = json!({"Queue": {&uuid: {"delete": null}}});
        assert_eq!(monitor.update(&delta), Some(delete.clone()));
        let all = json!({"Queue": [{"where": [true]}]});
        let expected = json!({"Queue": {&uuid: {"insert": {"dscp": 8}}}});
        assert_eq!(
            monitor.change_conditions(&all, &db).unwrap(),
            Some(expected)
        );
        assert_eq!(monitor.change_conditions(&all, &db).unwrap(), None);
        let none = json!({"Queue": [{"where": [false]}]});
        assert_eq!(monitor.change_conditions(&none, &db).unwrap(), Some(delete));
        let columns = json!({"Queue": [{"columns": ["dscp"]}]});
        assert!(monitor.change_conditions(&columns, &db).is_err());
    }

    #[test]
    fn only_selected_kinds_are_told() {
        let (mut db, uuid) = with_queue();
        let only = |kind: &str| {
            let mut select = json!({"initial": false, "insert": false, "delete": false,
                                    "modify": false});
            select[kind] = json!(true);
            monitor(
                MonitorVersion::V1,
                json!({"columns": ["dscp"], "select": select}),
            )
        };
        let kinds = ["initial", "insert", "modify", "delete"];
        let [initial, insert, modify, delete] = kinds.map(only);
        assert_ne!(initial.initial(&db), json!({}));
        assert_eq!(modify.initial(&db), json!({}));
        let delta = transact(&mut db, update(json!({"dscp": 9})));
        assert!(modify.update(&delta).is_some());
        assert_eq!((insert.update(&delta), delete.update(&delta)), (None, None));
        let delta = transact(
            &mut db,
            json!([{"op": "delete", "table": "Queue", "where": []}]),
        );
        assert_eq!(
            delete.update(&delta),
            Some(json!({"Queue": {uuid: {"old": {"dscp": 9}}}}))
        );
        assert_eq!(
            (modify.update(&delta), initial.update(&delta)),
            (None, None)
        );
    }

    #[test]
    fn requests_that_make_no_sense_are_refused() {
        let schema = DatabaseSchema::vswitch();
        for requests in [
            json!([]),
            json!({"Nope": {}}),
            json!({"Queue": {"columns": ["nope"]}}),
            json!({"Queue": [{"columns": ["dscp"]}, {"columns": ["dscp"]}]}),
            json!({"Queue": {"select": {"insert": 1}}}),
            json!({"Queue": {"where": []}}),
        ] {
            let monitor = Monitor::from_json(&requests, MonitorVersion::V1, &schema);
            assert!(monitor.is_err(), "{requests}");
        }
    }
}
