//! Monitors: what a client wants to hear of, and how changes are told to it (RFC 7047 §4.1.5,
//! §4.1.6; `update2` and `update3` as Open vSwitch extends it). Pure.
mod encode;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::db::{ColumnRef, Condition, Db, Kind as MemberKind, Members, Part, requested_columns};
use crate::error::OpError;
use crate::schema::{DatabaseSchema, TableSchema};
use crate::value::NoSymbols;
pub(crate) use encode::News;
use encode::Updates;

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

/// A client's view of some tables. Equal ones are told the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Monitor {
    version: MonitorVersion,
    tables: BTreeMap<usize, TableMonitor>,
}

#[derive(Debug, Clone, PartialEq)]
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

    /// Changes conditions (`monitor_cond_change`) and tells which rows come and go thereby.
    ///
    /// # Errors
    /// If the request doesn't fit what is monitored; nothing is changed then.
    pub fn change_conditions(&mut self, json: &Value, db: &Db) -> Result<Option<String>, OpError> {
        let mut conditions = BTreeMap::new();
        for (at, name, requests) in changed_tables(json, db.schema())? {
            let unknown = || OpError::syntax(format!("no table named {name} in monitor session"));
            let monitor = self.tables.get(&at).ok_or_else(unknown)?;
            let requests = requests.as_array().ok_or_else(|| {
                OpError::syntax(format!("table {name} no monitor-cond-change JSON array"))
            })?;
            let mut condition = monitor.condition.clone();
            for request in requests {
                condition = monitor.changed_condition(request)?;
            }
            conditions.insert(at, condition);
        }
        let mut updates = Updates::default();
        for (at, condition) in conditions {
            let (Some(monitor), Some(table)) = (self.tables.get_mut(&at), db.table_at(at)) else {
                continue;
            };
            for row in table.rows() {
                let seen = monitor.condition.matches_any(row);
                let sees = condition.matches_any(row);
                let is_wanted = if sees {
                    monitor.select.insert
                } else {
                    monitor.select.delete
                };
                if seen != sees && is_wanted {
                    updates.row(at, monitor, row.uuid(), |out| {
                        if sees {
                            monitor.write_sparse("insert", row, Kind::Insert, out);
                        } else {
                            out.push_str("{\"delete\":null");
                        }
                        out.push('}');
                        true
                    });
                }
            }
            monitor.condition = condition;
        }
        Ok(updates.finish())
    }
}

impl Select {
    const NONE: Self = Self {
        initial: false,
        insert: false,
        delete: false,
        modify: false,
    };

    fn from_json(json: Option<&Value>, table: &str) -> Result<Self, OpError> {
        let Some(json) = json else {
            return Ok(Self {
                initial: true,
                insert: true,
                delete: true,
                modify: true,
            });
        };
        let mut members = Members::new(json, Part::Select(table));
        let mut flag = |name| {
            let value = members.optional(name, MemberKind::Boolean);
            value.and_then(Value::as_bool).unwrap_or(true)
        };
        let select = Self {
            initial: flag("initial"),
            insert: flag("insert"),
            delete: flag("delete"),
            modify: flag("modify"),
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
        let schema = Arc::clone(&self.schema);
        let mut members = Members::new(json, Part::Table(&schema.name));
        let columns = members.optional("columns", MemberKind::Array);
        let select = members.optional("select", MemberKind::Object);
        let condition = match version {
            MonitorVersion::V1 => None,
            _ => members.optional("where", MemberKind::Array),
        };
        members.finish()?;
        let select = Select::from_json(select, &schema.name)?;
        let names = columns;
        let columns = match names {
            Some(json) => requested_columns(json, &schema)?,
            None => ColumnRef::all(&schema).into_iter().skip(1).collect(),
        };
        if let Some(json) = condition {
            self.condition = Condition::from_json(json, &schema, &mut NoSymbols)?;
        }
        for column in columns {
            if self.columns.iter().any(|(known, _)| *known == column) {
                let name = column.name(&schema);
                let error = OpError::syntax(format!("column {name} mentioned more than once"));
                return Err(
                    names.map_or_else(|| error.clone(), |json| error.clone().with_syntax(json))
                );
            }
            self.columns.push((column, select));
        }
        self.select = self.select.or(select);
        Ok(())
    }

    /// The condition that a request of `monitor_cond_change` asks for.
    fn changed_condition(&self, json: &Value) -> Result<Condition, OpError> {
        let mut members = Members::new(json, Part::Table(&self.schema.name));
        let columns = members.optional("columns", MemberKind::Array);
        let condition = members.optional("where", MemberKind::Array);
        members.finish()?;
        if columns.is_some() {
            return Err(OpError::syntax("changing columns is unsupported").with_syntax(json));
        }
        let parse = |json| Condition::from_json(json, &self.schema, &mut NoSymbols);
        condition.map_or(Ok(Condition::default()), parse)
    }

    fn columns_for(&self, kind: Kind) -> impl Iterator<Item = ColumnRef> {
        self.columns
            .iter()
            .filter(move |(_, s)| s.has(kind))
            .map(|(column, _)| *column)
    }
}

/// The tables that a request names, each with its one or more requests.
fn requested_tables<'a>(
    json: &'a Value,
    schema: &DatabaseSchema,
) -> Result<Vec<(usize, &'a [Value])>, OpError> {
    let form = || OpError::syntax("monitor-requests must be object").with_syntax(json);
    let object = json.as_object().ok_or_else(form)?;
    let table = |(name, requests): (&String, &'a Value)| {
        let one = || std::slice::from_ref(requests);
        let requests = requests.as_array().map_or_else(one, Vec::as_slice);
        Ok((table_position(name, schema)?, requests))
    };
    object.iter().map(table).collect()
}

/// The tables that a `monitor_cond_change` names, with their names and requests.
fn changed_tables<'a>(
    json: &'a Value,
    schema: &DatabaseSchema,
) -> Result<Vec<(usize, &'a str, &'a Value)>, OpError> {
    let form = || OpError::syntax("monitor-cond-change-requests must be object");
    let object = json.as_object().ok_or_else(form)?;
    let table = |(name, requests): (&'a String, &'a Value)| {
        Ok((table_position(name, schema)?, name.as_str(), requests))
    };
    object.iter().map(table).collect()
}

fn table_position(name: &str, schema: &DatabaseSchema) -> Result<usize, OpError> {
    let unknown = || OpError::syntax(format!("no table named {name}"));
    schema.position(name).ok_or_else(unknown)
}

#[cfg(test)]
mod tests;
