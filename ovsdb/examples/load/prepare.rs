//! What is sent: requests as bytes, made before anything is measured.
use std::error::Error;

use serde_json::{Value, json};

const TABLES: [&str; 3] = ["Bridge", "Port", "Interface"];
/// Ports a transaction while a database is filled.
const BATCH: usize = 500;
/// How the ports that `fan-out` adds are called.
const ADDED: &str = "added";

fn request(method: &str, params: Value) -> Vec<u8> {
    json!({"method": method, "params": params, "id": 0})
        .to_string()
        .into_bytes()
}

fn transact(operations: Vec<Value>) -> Vec<u8> {
    let mut params = vec![json!("Open_vSwitch")];
    params.extend(operations);
    request("transact", Value::Array(params))
}

/// Sends a request whose reply has to be a success, and returns the reply's result.
fn ask(socket: &str, text: &[u8]) -> Result<Value, Box<dyn Error>> {
    let mut stream = std::os::unix::net::UnixStream::connect(socket)?;
    std::io::Write::write_all(&mut stream, text)?;
    let mut replies =
        serde_json::Deserializer::from_reader(std::io::BufReader::new(stream)).into_iter::<Value>();
    let mut reply = replies.next().ok_or("no reply")??;
    let refused = reply["result"]
        .as_array()
        .is_some_and(|results| results.iter().any(|r| r.get("error").is_some()));
    if refused || !reply["error"].is_null() {
        return Err(format!("refused: {reply}").into());
    }
    Ok(reply["result"].take())
}

/// A port as a hypervisor makes it for a guest.
fn port(name: &str) -> [Value; 2] {
    let (port, interface) = (format!("p_{name}"), format!("i_{name}"));
    let ids = [
        ("attached-mac", "52:54:00:12:34:56"),
        ("iface-id", "5f6d1c9e-6a0b-4c53-9d0f-8a4c0e7c7a11"),
        ("iface-status", "active"),
        ("vm-uuid", "0f3b2c1d-9e8f-4a7b-8c6d-5e4f3a2b1c0d"),
    ];
    [
        json!({"op": "insert", "table": "Interface", "uuid-name": interface,
               "row": {"name": name, "external_ids": ["map", ids]}}),
        json!({"op": "insert", "table": "Port", "uuid-name": port,
               "row": {"name": name, "tag": 7, "interfaces": ["named-uuid", interface]}}),
    ]
}

fn with_ports(names: impl Iterator<Item = String>) -> Vec<Value> {
    let (mut operations, mut ports) = (Vec::new(), Vec::new());
    for name in names {
        operations.extend(port(&name));
        ports.push(json!(["named-uuid", format!("p_{name}")]));
    }
    operations.push(
        json!({"op": "mutate", "table": "Bridge", "where": [["name", "==", "br0"]],
                           "mutations": [["ports", "insert", ["set", ports]]]}),
    );
    operations
}

/// A bridge with ports, in an empty database.
pub fn fill(socket: &str, ports: usize) -> Result<Value, Box<dyn Error>> {
    let first = vec![
        json!({"op": "insert", "table": "Open_vSwitch", "row": {"bridges": ["named-uuid", "b"]}}),
        json!({"op": "insert", "table": "Bridge", "uuid-name": "b", "row": {"name": "br0"}}),
    ];
    ask(socket, &transact(first))?;
    for start in (0..ports).step_by(BATCH) {
        let names = (start..ports.min(start + BATCH)).map(|n| format!("tap{n}"));
        ask(socket, &transact(with_ports(names)))?;
    }
    Ok(json!({"ports": ports}))
}

/// The uuids of some interfaces.
pub fn interfaces(socket: &str, count: usize) -> Result<Vec<String>, Box<dyn Error>> {
    let select = json!({"op": "select", "table": "Interface", "where": [], "columns": ["_uuid"]});
    let result = ask(socket, &transact(vec![select]))?;
    let rows = result[0]["rows"].as_array().ok_or("no rows")?;
    let uuids: Vec<String> = rows
        .iter()
        .filter_map(|row| Some(row["_uuid"][1].as_str()?.to_owned()))
        .take(count)
        .collect();
    if uuids.len() < count {
        return Err(format!("only {} of {count} interfaces", uuids.len()).into());
    }
    Ok(uuids)
}

/// A small change of one interface.
pub fn touch(uuid: &str, value: i32, durable: bool) -> Vec<u8> {
    let mut operations = vec![json!({
        "op": "update", "table": "Interface", "where": [["_uuid", "==", ["uuid", uuid]]],
        "row": {"external_ids": ["map", [["iface-id", uuid], ["turn", value.to_string()]]]},
    })];
    if durable {
        operations.push(json!({"op": "commit", "durable": true}));
    }
    transact(operations)
}

/// Adds one port.
pub fn add_port(number: usize) -> Vec<u8> {
    transact(with_ports(std::iter::once(format!("{ADDED}{number}"))))
}

/// Deletes what [`add_port`] added.
pub fn remove_added(socket: &str) -> Result<(), Box<dyn Error>> {
    let select =
        json!({"op": "select", "table": "Port", "where": [], "columns": ["_uuid", "name"]});
    let result = ask(socket, &transact(vec![select]))?;
    let rows = result[0]["rows"].as_array().ok_or("no rows")?;
    let added = rows.iter().filter(|row| {
        row["name"]
            .as_str()
            .is_some_and(|name| name.starts_with(ADDED))
    });
    let added: Vec<&Value> = added.map(|row| &row["_uuid"]).collect();
    let mutations = json!([["ports", "delete", ["set", added]]]);
    let delete = json!({"op": "mutate", "table": "Bridge", "where": [["name", "==", "br0"]],
                        "mutations": mutations});
    ask(socket, &transact(vec![delete])).map(drop)
}

/// A monitor of some tables.
pub fn monitor(tables: &Value) -> Vec<u8> {
    let nobody = "00000000-0000-0000-0000-000000000000";
    request(
        "monitor_cond_since",
        json!(["Open_vSwitch", "watch", tables, nobody]),
    )
}

/// Every column of the tables.
pub fn all_columns() -> Value {
    TABLES
        .iter()
        .map(|table| ((*table).to_owned(), json!([{}])))
        .collect()
}

/// The columns that monitors of one shape watch; the shapes 0 to 99 are all different.
pub fn some_columns(shape: usize) -> Value {
    const INTERFACE: [&str; 12] = [
        "admin_state",
        "bfd",
        "error",
        "external_ids",
        "ifindex",
        "link_state",
        "mac_in_use",
        "mtu",
        "ofport",
        "options",
        "statistics",
        "type",
    ];
    let mut columns = vec!["name"];
    let chosen = INTERFACE
        .iter()
        .enumerate()
        .filter(|(at, _)| shape >> at & 1 == 0);
    columns.extend(chosen.map(|(_, column)| *column));
    json!({
        "Bridge": [{"columns": ["name", "ports"]}],
        "Port": [{"columns": ["name", "interfaces", "tag"]}],
        "Interface": [{"columns": columns}],
    })
}
