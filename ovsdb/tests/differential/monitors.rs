//! Random monitors that come, change and go.
use serde_json::{Value, json};

use crate::common::twin::request;
use crate::operations::Operations;

/// The monitors that a client has.
#[derive(Default)]
pub struct Monitors {
    /// The id of each, and the tables whose conditions can be changed.
    active: Vec<(Value, Vec<String>)>,
    made: usize,
}

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
            let (id, _) = self.active.remove(at);
            requests.push(self.request("monitor_cancel", json!([id])));
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
        let id = json!(["monitor", self.made]);
        let mut params = json!([&*schema.name, id, tables]);
        if version == 2 {
            params
                .as_array_mut()
                .unwrap()
                .push(json!("00000000-0000-0000-0000-000000000000"));
        }
        let names = tables.as_object().unwrap().keys().cloned();
        self.active
            .push((id, names.filter(|_| version > 0).collect()));
        self.request(methods[version], params)
    }

    fn alter(&mut self, operations: &mut Operations) -> Value {
        // One table if there may be an error: with more, the reference keeps those before it
        // changed.
        let Some((id, names)) = self.active.iter().find(|(_, names)| !names.is_empty()) else {
            return self.request("echo", json!(["nothing to change"]));
        };
        let (id, is_single) = (id.clone(), operations.values.may_fail());
        let schema = std::sync::Arc::clone(&operations.schema);
        let mut tables = json!({});
        for table in names.iter().filter_map(|name| schema.table(name)) {
            let is_first = tables == json!({});
            if is_first || !is_single && operations.values.random.one_in(3) {
                let condition = operations.lasting_condition(table);
                tables[&*table.name] = json!([{"where": condition}]);
            }
        }
        self.request("monitor_cond_change", json!([id, id, tables]))
    }
}
