//! Random monitors that come, change and go.
use std::collections::{BTreeMap, BTreeSet};

use aorta_ovsdb::{DatabaseSchema, TableSchema};
use serde_json::{Value, json};

use crate::common::twin::request;
use crate::operations::Operations;

/// The monitors that a client has.
#[derive(Default)]
pub struct Monitors {
    active: Vec<Active>,
    made: usize,
}

struct Active {
    id: Value,
    /// The tables whose conditions can be changed.
    names: Vec<String>,
    shape: Shape,
}

/// Of each table the columns that a monitor shows, and the kinds of change.
type Shape = BTreeMap<String, (BTreeSet<String>, Option<Value>)>;

/// Ids of requests start here.
const IDS: usize = 1_000_000;

impl Monitors {
    /// Requests that change something.
    pub fn change(&mut self, operations: &mut Operations) -> Vec<Value> {
        let mut requests = Vec::new();
        while self.active.len() < 4 {
            requests.push(self.start(operations));
        }
        if operations.values.random.one_in(2) {
            operations.values.renew();
            requests.push(self.alter(operations));
        }
        if operations.values.random.one_in(6) {
            let at = operations.values.random.below(self.active.len());
            let gone = self.active.remove(at);
            requests.push(self.request("monitor_cancel", json!([gone.id])));
        }
        requests
    }

    fn request(&mut self, method: &str, params: Value) -> Value {
        self.made += 1;
        request(IDS + self.made, method, params)
    }

    fn start(&mut self, operations: &mut Operations) -> Value {
        let methods = ["monitor", "monitor_cond", "monitor_cond_since"];
        let version = operations.values.random.below(3);
        let schema = std::sync::Arc::clone(&operations.schema);
        let mut tables = json!({});
        for table in &schema.tables {
            if operations.values.random.one_in(2) {
                continue;
            }
            let mut one = json!({});
            if operations.values.random.one_in(2) {
                one["columns"] = operations.columns(table);
            }
            if operations.values.random.one_in(4) {
                let select = ["initial", "insert", "delete", "modify"]
                    .map(|kind| (kind.to_owned(), json!(operations.values.random.one_in(2))));
                one["select"] = Value::Object(select.into_iter().collect());
            }
            if version > 0 && operations.values.random.one_in(2) {
                one["where"] = operations.lasting_condition(table);
            }
            tables[&*table.name] = if version > 0 || operations.values.random.one_in(2) {
                json!([one])
            } else {
                one
            };
        }
        let shape = shape(&tables, &schema);
        if self.active.iter().any(|other| other.shape == shape) {
            let tables = tables.as_object_mut().unwrap();
            for (name, one) in tables.iter_mut().filter(|_| version > 0) {
                if let Some(condition) = one[0].get_mut("where") {
                    keep_shown(condition, schema.table(name).unwrap(), &shape);
                }
            }
        }
        let id = json!(["monitor", self.made]);
        let mut params = json!([&*schema.name, id, tables]);
        if version == 2 {
            params
                .as_array_mut()
                .unwrap()
                .push(json!("00000000-0000-0000-0000-000000000000"));
        }
        let names = tables.as_object().unwrap().keys().cloned();
        self.active.push(Active {
            id,
            names: names.filter(|_| version > 0).collect(),
            shape,
        });
        self.request(methods[version], params)
    }

    fn alter(&mut self, operations: &mut Operations) -> Value {
        // One table if there may be an error: with more, the reference keeps those before it
        // changed.
        let Some(changed) = self.active.iter().find(|m| !m.names.is_empty()) else {
            return self.request("echo", json!(["nothing to change"]));
        };
        let (id, is_single) = (changed.id.clone(), operations.values.may_fail());
        let alike = self.active.iter().filter(|m| m.shape == changed.shape);
        let is_shared = alike.count() > 1;
        let schema = std::sync::Arc::clone(&operations.schema);
        let mut tables = json!({});
        for table in changed.names.iter().filter_map(|name| schema.table(name)) {
            let is_first = tables == json!({});
            if is_first || !is_single && operations.values.random.one_in(3) {
                let mut condition = operations.lasting_condition(table);
                if is_shared {
                    keep_shown(&mut condition, table, &changed.shape);
                }
                tables[&*table.name] = json!([{"where": condition}]);
            }
        }
        self.request("monitor_cond_change", json!([id, id, tables]))
    }
}

fn shape(tables: &Value, schema: &DatabaseSchema) -> Shape {
    let tables = tables.as_object().unwrap().iter();
    let table = |(name, request): (&String, &Value)| {
        let one = request.get(0).unwrap_or(request);
        let listed = one["columns"].as_array();
        let columns = match listed {
            Some(listed) => listed.iter().map(|c| c.as_str().unwrap().into()).collect(),
            None => {
                let own = &schema.table(name).unwrap().columns;
                let own = own.iter().map(|c| c.name.to_string());
                own.chain(["_version".to_owned()]).collect()
            }
        };
        let all = json!({"initial": true, "insert": true, "delete": true, "modify": true});
        let select = one.get("select").filter(|select| **select != all);
        (name.clone(), (columns, select.cloned()))
    };
    tables.map(table).collect()
}

/// Takes clauses on columns that a monitor doesn't show out of its condition. Where monitors show
/// the same, the reference judges the first rows by memory outside of them after such a clause
/// has come to one.
fn keep_shown(condition: &mut Value, table: &TableSchema, shape: &Shape) {
    let (shown, _) = &shape[&*table.name];
    let is_kept = |clause: &Value| {
        let name = clause[0].as_str().unwrap_or_default();
        let is_column = name == "_uuid" || table.columns.iter().any(|c| *c.name == *name);
        !is_column || shown.contains(name)
    };
    condition.as_array_mut().unwrap().retain(is_kept);
}
