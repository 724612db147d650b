//! Exchanges with the real ovsdb-server and with ours: the same bytes in, the same answers out.
//!
//! `exchanges.txt` holds them: cases with blank lines between, each on fresh connections to servers
//! that go on. A line `A transact PARAMS` is a request by the client A; `A! TEXT` sends any text;
//! `A+ TEXT` sends text without waiting for anything; `A... ` waits for one more message.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;

use std::collections::BTreeMap;

use aorta_ovsdb::DatabaseSchema;
use common::twin::{Twin, Wire};
use serde_json::{Value, json};

const EXCHANGES: &str = include_str!("exchanges.txt");

/// What a server said to each client after each line.
type Transcript = Vec<String>;

#[tokio::test(flavor = "multi_thread")]
async fn exchanges_are_those_of_ovsdb_server() {
    let twin = Twin::start(&DatabaseSchema::vswitch()).await;
    let (mut exchanges, mut differences) = (0, 0);
    for case in EXCHANGES.split("\n\n") {
        let lines: Vec<&str> = case
            .lines()
            .filter(|l| !l.starts_with('#') && !l.is_empty())
            .collect();
        let found = converse(&twin, "ours.sock", &lines).await;
        let expected = converse(&twin, "theirs.sock", &lines).await;
        exchanges += lines.len();
        for ((line, found), expected) in lines.iter().zip(&found).zip(&expected) {
            if found != expected {
                differences += 1;
                println!("{line}\n  ours   {found}\n  theirs {expected}\n");
            }
        }
    }
    println!("{exchanges} exchanges, {differences} differences");
    assert_eq!(differences, 0);
    assert!(exchanges > 200, "{exchanges}");
}

/// Says the lines of a case to one of the servers.
async fn converse(twin: &Twin, socket: &str, lines: &[&str]) -> Transcript {
    let mut clients: BTreeMap<&str, Wire> = BTreeMap::new();
    let mut transcript = Vec::new();
    for line in lines {
        let (client, rest) = line.split_at(1);
        if !clients.contains_key(client) {
            clients.insert(client, Wire::connect(&twin.path(socket)).await);
        }
        let wire = clients.get_mut(client).unwrap();
        let mut said = String::new();
        if rest.starts_with("...") {
            said = wire
                .next_text()
                .await
                .map_or("closed".to_owned(), |text| normal(&text));
        } else if let Some(text) = rest.strip_prefix("+ ") {
            wire.send(text.as_bytes()).await;
        } else {
            let text = match rest.strip_prefix("! ") {
                Some(text) => text.to_owned(),
                None => {
                    let (method, params) = rest[1..].split_once(' ').unwrap();
                    format!(r#"{{"id":1,"method":"{method}","params":{params}}}"#)
                }
            };
            wire.send(text.as_bytes()).await;
            // What one client does others may hear of: all are asked when it has been done.
            let mut order: Vec<&str> = clients.keys().copied().collect();
            order.sort_by_key(|name| *name != client);
            for name in order {
                let heard = drain(clients.get_mut(name).unwrap()).await;
                said.push_str(&format!("{name}: {} ", heard.join(" ")));
            }
        }
        transcript.push(said);
    }
    transcript
}

/// What a server says up to the answer to an echo.
async fn drain(wire: &mut Wire) -> Vec<String> {
    wire.send(br#"{"id":"last","method":"echo","params":[]}"#)
        .await;
    let mut heard = Vec::new();
    loop {
        let Some(text) = wire.next_text().await else {
            heard.push("closed".to_owned());
            return heard;
        };
        let json: Value = serde_json::from_str(&text).unwrap();
        if json["id"] == "last" {
            return heard;
        }
        heard.push(normal(&text));
    }
}

/// A message without what is free: uuids, times, and the order of members and rows. The bytes are
/// told, too, sorted: numbers must have the same text.
fn normal(text: &str) -> String {
    let json = canonical(&serde_json::from_str(text).unwrap());
    let mut bytes: Vec<char> = blind(text).chars().collect();
    bytes.retain(|c| !c.is_ascii_alphabetic());
    bytes.sort_unstable();
    let bytes: String = bytes.into_iter().collect();
    format!("{} [{bytes}]", blind(&json.to_string()))
}

/// JSON with the members of objects, and rows, in an order that doesn't depend on uuids.
fn canonical(json: &Value) -> Value {
    match json {
        Value::Object(object) => {
            let member = |(k, v): (&String, &Value)| json!([blind(k), canonical(v)]);
            sorted(object.iter().map(member).collect())
        }
        Value::Array(elements) => {
            let elements: Vec<Value> = elements.iter().map(canonical).collect();
            let are_rows = json
                .as_array()
                .is_some_and(|e| e.len() > 1 && e.iter().all(is_row));
            if are_rows {
                sorted(elements)
            } else {
                Value::Array(elements)
            }
        }
        other => other.clone(),
    }
}

/// Whether an object is a row that a select may tell of.
fn is_row(json: &Value) -> bool {
    json.get("_uuid").is_some() || json.get("model").is_some()
}

fn sorted(mut elements: Vec<Value>) -> Value {
    elements.sort_by_key(|element| blind(&element.to_string()));
    Value::Array(elements)
}

/// A text without uuids, times, and which of two rows is told of first.
fn blind(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let uuid = rest.get(..36).filter(|s| {
            s.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') && s.matches('-').count() == 4
        });
        if uuid.is_some_and(|s| !s.starts_with("00000000-")) {
            out.push_str("UUID");
            rest = &rest[36..];
        } else if let Some(after) = rest.strip_prefix("timed out after ") {
            out.push_str("timed out after some ");
            rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
        } else if rest.starts_with("  First row, with UUID ") {
            rest = &rest[rest.find('"').unwrap()..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}
