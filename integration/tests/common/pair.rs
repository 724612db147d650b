//! The daemon beside the real ovsdb-server with the same contents, and texts of ovsdb-client made
//! comparable.

use aorta_integration::lab::{Netns, Output, run};
use serde_json::{Value, json};

use super::done;
use super::python::Served;
use super::reference::Reference;

/// Something in every kind of column.
const CONTENTS: [&str; 7] = [
    "set Open_vSwitch . other_config:stats-update-interval=3600000",
    "add-br br0 -- set Bridge br0 fail_mode=secure protocols=OpenFlow10,OpenFlow13 \
     other_config:mac-aging-time=60 -- br-set-external-id br0 a b",
    "add-br br1 -- set-controller br1 unix:/nonexistent punix:/nonexistent/x",
    "add-port br0 tap0 tag=3 -- set Interface tap0 external_ids:iface-id=x mtu_request=1400",
    "add-port br0 tap1 trunks=1,2,5 vlan_mode=native-tagged tag=9",
    "set Port tap0 qos=@q -- --id=@q create QoS type=linux-htb queues:0=@a queues:7=@b \
     -- --id=@a create Queue other_config:max-rate=1000 -- --id=@b create Queue dscp=7",
    "--id=@m create Mirror name=m0 select_all=true -- set Bridge br0 mirrors=@m",
];

/// Our daemon and the real server with the same contents, which nobody changes.
pub struct Pair {
    // Both end before their namespace.
    pub reference: Reference,
    pub ours: Served,
}

impl Pair {
    /// Both, running.
    pub fn new(label: &str) -> Pair {
        let ours = Served::new(label);
        for line in CONTENTS {
            done(&ours.switch, line);
        }
        let odd = r#"external_ids:odd="a \"b\"\\,=: \u00e9<&>""#;
        let set = ours.switch.ovs_vsctl(&["set", "Interface", "tap1", odd]);
        set.unwrap().ok().unwrap();
        let reference = Reference::of(&ours.ns, &ours.switch.db());
        copy_state(&ours, &reference);
        Pair { ours, reference }
    }

    /// Where clients of both run.
    pub fn ns(&self) -> &Netns {
        &self.ours.ns
    }

    /// Runs a command on our two remotes and on the real server's.
    pub fn all(&self, options: &[&str], command: &str, words: &[&str]) -> [Output; 4] {
        let [a, b] = self.ours.remotes();
        let [c, d] = self.reference.remotes();
        [a, b, c, d].map(|remote| client(self.ns(), &remote, options, command, words))
    }

    /// Runs a command everywhere; it must print the same, after `sort`.
    pub fn same(&self, options: &[&str], command: &str, words: &[&str], sort: fn(&str) -> String) {
        let [by_socket, by_tcp, theirs, _] = self.all(options, command, words);
        for ours in [by_socket, by_tcp] {
            let what = format!("{options:?} {command} {words:?}\n{}", ours.stderr);
            assert_eq!(ours.status, theirs.status, "{what}");
            let (ours, theirs) = (sort(&ours.stdout), sort(&theirs.stdout));
            let mut pairs = ours.lines().zip(theirs.lines());
            if let Some((ours, theirs)) = pairs.find(|(ours, theirs)| ours != theirs) {
                panic!("{what}\nours:   {ours}\ntheirs: {theirs}");
            }
            assert_eq!(ours, theirs, "{what}");
        }
    }
}

/// Copies the columns that are in no database file.
fn copy_state(ours: &Served, reference: &Reference) {
    let ask = |remote: &str, command: &str, words: &[&str]| -> Value {
        let output = client(&ours.ns, remote, &[], command, words).ok().unwrap();
        serde_json::from_str(&output.stdout).unwrap()
    };
    let (socket, [theirs, _]) = (ours.socket(), reference.remotes());
    let schema = ask(&socket, "get-schema", &[]);
    for (table, schema) in schema["tables"].as_object().unwrap() {
        let columns = schema["columns"].as_object().unwrap().iter();
        let state: Vec<&String> = columns
            .filter(|(_, column)| column["ephemeral"] == true)
            .map(|(name, _)| name)
            .collect();
        let select = json!(["Open_vSwitch", {"op": "select", "table": table, "where": []}]);
        let rows = ask(&socket, "transact", &[&select.to_string()]);
        for row in rows[0]["rows"].as_array().unwrap() {
            let row_state: Value = state
                .iter()
                .map(|c| ((*c).clone(), row[*c].clone()))
                .collect();
            let update = json!(["Open_vSwitch", {"op": "update", "table": table, "row": row_state,
                "where": [["_uuid", "==", row["_uuid"]]]}]);
            let reply = ask(&theirs, "transact", &[&update.to_string()]);
            assert_eq!(reply, json!([{"count": 1}]), "{update}");
        }
    }
}

/// Runs a command of ovsdb-client for 20 seconds at most.
pub fn client(ns: &Netns, remote: &str, options: &[&str], command: &str, words: &[&str]) -> Output {
    let mut run_client = ns.command("ovsdb-client");
    run_client.arg("--timeout=20").args(options).arg(command);
    run(run_client.arg(remote).args(words)).unwrap()
}

/// As it is.
pub fn plain(text: &str) -> String {
    text.to_owned()
}

/// Without the order of lines: a server answers rows in any order.
pub fn lines(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// JSON documents, each without the order of its members and rows.
pub fn documents(text: &str) -> String {
    let found = serde_json::Deserializer::from_str(text).into_iter();
    let mut documents: Vec<Value> = found.map(Result::unwrap).collect();
    documents.iter_mut().for_each(sort_rows);
    documents.iter().map(|d| format!("{d}\n")).collect()
}

/// Puts members and rows into an order.
pub fn sort_rows(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.sort_keys();
            for (name, member) in members {
                sort_rows(member);
                let rows = (name == "rows" || name == "data").then(|| member.as_array_mut());
                if let Some(Some(rows)) = rows {
                    rows.sort_by_key(Value::to_string);
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(sort_rows),
        _ => {}
    }
}
