//! docs/openrpc.json says what is true.

use std::collections::BTreeSet;

use aorta_api::*;
use jsonrpsee_core::client::{ClientT, SubscriptionClientT};
use jsonrpsee_core::params::{ArrayParams, ObjectParams};
use serde_json::{Value, json};

use super::Lab;

fn document() -> Value {
    serde_json::from_str(OPENRPC).unwrap()
}

fn list<'a>(json: &'a Value, member: &str) -> &'a [Value] {
    json[member]
        .as_array()
        .unwrap_or_else(|| panic!("no list {member}: {json}"))
}

fn name(json: &Value) -> &str {
    json["name"]
        .as_str()
        .unwrap_or_else(|| panic!("no name: {json}"))
}

/// What doesn't fit a schema (JSON Schema draft 7).
fn faults(schema: &Value, value: &Value) -> Option<String> {
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler.set_default_draft(boon::Draft::V7);
    let url = "mem:///schema.json";
    compiler.add_resource(url, schema.clone()).unwrap();
    // Here a schema that is none is found, too.
    let compiled = compiler.compile(url, &mut schemas);
    let compiled = compiled.unwrap_or_else(|fault| panic!("{fault:#}: {schema}"));
    schemas
        .validate(value, compiled)
        .err()
        .map(|fault| format!("{fault:#}"))
}

fn must_fit(document: &Value, schema: &Value, value: &Value, what: &str) {
    let alone = json!({"allOf": [schema], "components": document["components"]});
    if let Some(faults) = faults(&alone, value) {
        panic!("{what}: {faults}");
    }
}

/// What OpenRPC 1.3 asks of a document, as far as this one uses it: nothing else may be in it.
fn shape() -> Value {
    let text = json!({"type": "string", "minLength": 1});
    let schema = json!({"type": "object"});
    let content = json!({
        "type": "object",
        "required": ["name", "schema"],
        "properties": {"name": text, "summary": text, "description": text,
                       "required": {"type": "boolean"}, "schema": schema},
        "additionalProperties": false
    });
    let pair = json!({
        "type": "object",
        "required": ["name", "params", "result"],
        "properties": {
            "name": text,
            "params": {"type": "array", "items": {"$ref": "#/definitions/value"}},
            "result": {"$ref": "#/definitions/value"}
        },
        "additionalProperties": false
    });
    let method = json!({
        "type": "object",
        "required": ["name", "summary", "params", "result", "errors", "examples"],
        "properties": {
            "name": text, "summary": text, "description": text,
            "params": {"type": "array", "items": content},
            "paramStructure": {"enum": ["by-name", "by-position", "either"]},
            "result": content,
            "errors": {"type": "array", "items": {
                "type": "object", "required": ["$ref"],
                "properties": {"$ref": {"type": "string", "pattern": "^#/components/errors/"}}
            }},
            "examples": {"type": "array", "minItems": 1, "items": pair}
        },
        "patternProperties": {"^x-": true},
        "additionalProperties": false
    });
    json!({
        "type": "object",
        "required": ["openrpc", "info", "methods"],
        "properties": {
            "openrpc": {"type": "string", "pattern": "^1\\.3\\.[0-9]+$"},
            "info": {
                "type": "object",
                "required": ["title", "version"],
                "properties": {"title": text, "version": text, "description": text,
                               "license": {"type": "object", "required": ["name"]}},
                "additionalProperties": false
            },
            "servers": {"type": "array", "items": {"type": "object", "required": ["url"]}},
            "methods": {"type": "array", "items": method},
            "components": {
                "type": "object",
                "properties": {
                    "schemas": {"type": "object", "additionalProperties": schema},
                    "errors": {"type": "object", "additionalProperties": {
                        "type": "object",
                        "required": ["code", "message"],
                        "properties": {"code": {"type": "integer"}, "message": text, "data": true},
                        "additionalProperties": false
                    }}
                },
                "additionalProperties": false
            }
        },
        "additionalProperties": false,
        "definitions": {"value": {
            "type": "object", "required": ["name", "value"],
            "properties": {"name": text, "value": true},
            "additionalProperties": false
        }}
    })
}

#[test]
fn the_document_has_the_form_of_openrpc() {
    let document = document();
    assert_eq!(faults(&shape(), &document), None);
    for name in document["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
    {
        let schema = json!({"$ref": format!("#/components/schemas/{name}")});
        let alone = json!({"allOf": [schema], "components": document["components"]});
        assert!(
            faults(&alone, &json!(null)).is_some(),
            "{name} takes anything"
        );
    }
    let errors = &document["components"]["errors"];
    let mut used = BTreeSet::new();
    for method in list(&document, "methods") {
        for error in list(method, "errors") {
            let target = error["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
            assert!(errors[target].is_object(), "{target}");
            used.insert(target.to_owned());
        }
    }
    let all: BTreeSet<String> = errors.as_object().unwrap().keys().cloned().collect();
    assert_eq!(used, all, "each error is one of a method");
    for (name, code) in [
        ("NoBridge", ERROR_NO_BRIDGE),
        ("Database", ERROR_DATABASE),
        ("Busy", ERROR_BUSY),
        ("FlowText", ERROR_FLOW_TEXT),
        ("FlowTable", ERROR_FLOW_TABLE),
        ("FlowDatapath", ERROR_FLOW_DATAPATH),
    ] {
        assert_eq!(errors[name]["code"], code);
    }
}

#[tokio::test]
async fn every_method_is_described_and_every_description_is_a_method() {
    let document = document();
    let described: BTreeSet<&str> = list(&document, "methods").iter().map(name).collect();
    let control = crate::control::Control::new().0;
    let store = aorta_ovsdb::Store::in_memory();
    let started = std::time::Instant::now();
    let module = super::super::methods::module(control, store, started, "sim").unwrap();
    let registered: BTreeSet<&str> = module.method_names().collect();
    assert_eq!(registered, described);
    let served: Value = module.call(METHOD_DISCOVER, [(); 0]).await.unwrap();
    assert_eq!(served, document);
    let monitor = list(&document, "methods")
        .iter()
        .find(|m| name(m) == METHOD_DB_MONITOR);
    let subscription = &monitor.unwrap()["x-subscription"];
    assert_eq!(subscription["notification"], NOTIFICATION_DB_UPDATE);
    assert_eq!(subscription["unsubscribe"], METHOD_DB_UNMONITOR);
    must_fit(
        &document,
        &subscription["result"],
        &subscription["example"],
        "the example of db_update",
    );
}

#[tokio::test]
async fn every_example_is_answered_as_described() {
    let document = document();
    let lab = Lab::new().await;
    let client = lab.client().await;
    for method in list(&document, "methods") {
        for example in list(method, "examples") {
            let what = format!("{}: {}", name(method), name(example));
            let schema = &method["result"]["schema"];
            must_fit(&document, schema, &example["result"]["value"], &what);
            for given in list(example, "params") {
                let described = list(method, "params")
                    .iter()
                    .find(|p| name(p) == name(given));
                let described = described.unwrap_or_else(|| panic!("{what}: {given}"));
                must_fit(&document, &described["schema"], &given["value"], &what);
            }
            if name(method) == METHOD_DB_MONITOR {
                subscribe(&document, method, example, &client, &lab).await;
                continue;
            }
            for answer in answers(method, example, &client).await {
                must_fit(&document, schema, &answer, &what);
                assert_eq!(kind(&answer), kind(&example["result"]["value"]), "{what}");
            }
        }
    }
}

/// What a value is, coarsely.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The answers to an example whose parameters are given by name and by position.
async fn answers(method: &Value, example: &Value, client: &impl ClientT) -> Vec<Value> {
    let (mut by_name, mut by_position) = (ObjectParams::new(), ArrayParams::new());
    for (at, given) in list(example, "params").iter().enumerate() {
        assert_eq!(
            name(given),
            name(&list(method, "params")[at]),
            "in the order of the parameters"
        );
        by_name.insert(name(given), &given["value"]).unwrap();
        by_position.insert(&given["value"]).unwrap();
    }
    let mut answers = vec![client.request(name(method), by_position).await.unwrap()];
    if method["paramStructure"] != "by-position" {
        answers.push(client.request(name(method), by_name).await.unwrap());
    }
    answers
}

/// Sends the example of a subscription, and looks at what comes.
async fn subscribe(
    document: &Value,
    method: &Value,
    example: &Value,
    client: &impl SubscriptionClientT,
    lab: &Lab,
) {
    let mut params = ObjectParams::new();
    for given in list(example, "params") {
        params.insert(name(given), &given["value"]).unwrap();
    }
    let mut subscription = client
        .subscribe::<Value, _>(METHOD_DB_MONITOR, params, METHOD_DB_UNMONITOR)
        .await
        .unwrap();
    let operations = json!([
        {"op": "insert", "table": "Interface", "uuid-name": "i", "row": {"name": "br7"}},
        {"op": "insert", "table": "Port", "uuid-name": "p",
         "row": {"name": "br7", "interfaces": ["named-uuid", "i"]}},
        {"op": "insert", "table": "Bridge", "uuid-name": "b",
         "row": {"name": "br7", "ports": ["named-uuid", "p"]}},
        {"op": "insert", "table": "Open_vSwitch", "row": {"bridges": ["named-uuid", "b"]}}
    ]);
    lab.store.transact(operations).await.unwrap();
    for initial in [true, false] {
        let update = subscription.next().await.unwrap().unwrap();
        must_fit(
            document,
            &method["x-subscription"]["result"],
            &update,
            "db_update",
        );
        assert_eq!(update["initial"], initial);
    }
    subscription.unsubscribe().await.unwrap();
}
