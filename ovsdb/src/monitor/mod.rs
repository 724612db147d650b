//! Monitors: what a client wants to hear of, and how changes are told to it (RFC 7047 §4.1.5,
//! §4.1.6; `update2` and `update3` as Open vSwitch extends it). Pure.
mod encode;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::db::{ColumnRef, Condition, Db, Members, parse_columns};
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
                if seen != sees {
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
