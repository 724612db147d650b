//! Unmodified clients of Open vSwitch against the running daemon, and vsctl beside them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use aorta_integration::lab::{Switch, run};
use common::client::{Client, lines, with_both};
use common::{eventually, station};
use serde_json::{Value, json};

#[test]
fn bridges_and_ports_are_managed() {
    with_both("manage", |client| {
        client.done("init");
        client.done("add-br br0 -- add-br br1");
        client.done("--may-exist add-br br0");
        assert_eq!(client.status("add-br br0"), 1);
        assert_eq!(client.done("list-br"), "br0\nbr1");
        client.done("br-exists br0");
        assert_eq!(client.status("br-exists br7"), 2);

        client.done("add-port br0 tap0 tag=10 -- set Interface tap0 external_ids:iface-id=x");
        client.done("add-port br0 tap1 vlan_mode=native-tagged tag=5 trunks=5,6");
        assert_eq!(client.done("list-ports br0"), "tap0\ntap1");
        assert_eq!(client.done("list-ifaces br0"), "tap0\ntap1");
        assert_eq!(client.done("port-to-br tap0"), "br0");
        assert_eq!(client.done("iface-to-br tap1"), "br0");
        assert_ne!(client.status("port-to-br nothing"), 0);
        let show = client.done("show");
        let wanted = [
            "Bridge br0",
            "Port tap0",
            "tag: 10",
            "trunks: [5, 6]",
            "type: internal",
        ];
        for line in wanted {
            assert!(lines(&show).contains(line), "{line}: {show}");
        }
        // The devices are in the switch by the time the command returns.
        for port in ["tap0", "tap1"] {
            let line = format!("get Interface {port} ofport error link_state");
            let state = client.done(&line);
            let state: Vec<&str> = state.lines().collect();
            assert!(state[0].parse::<u16>().is_ok_and(|n| n > 0), "{state:?}");
            assert_eq!(state[1], "[]");
        }

        client.done("del-port br0 tap0");
        client.done("--if-exists del-port br0 tap0");
        assert_eq!(client.status("del-port br0 tap0"), 1);
        client.done("del-br br1 -- del-br br0");
        assert_eq!(client.done("list-br"), "");
        assert_eq!(client.done("list Interface"), "");
    });
}

#[test]
fn rows_and_columns_are_read_and_written() {
    with_both("columns", |client| {
        client.done("add-br br0 -- add-port br0 tap0 -- add-port br0 tap1");
        client.done("set Port tap0 tag=7 trunks=1,2 external_ids:a=b");
        assert_eq!(client.done("get Port tap0 tag trunks"), "7\n[1, 2]");
        client.done("add Port tap0 trunks 9 -- remove Port tap0 trunks 1");
        assert_eq!(client.done("get Port tap0 trunks"), "[2, 9]");
        client.done("clear Port tap0 tag");
        assert_eq!(client.done("get Port tap0 tag"), "[]");
        assert_eq!(client.done("get Port tap0 external_ids:a"), "b");
        assert_eq!(client.done("--if-exists get Port tap0 external_ids:z"), "");
        assert_eq!(client.status("get Port tap0 external_ids:z"), 1);
        assert_eq!(client.status("set Port tap0 tag=4096"), 1);
        let find = "--no-headings --columns=name find Interface name=tap1";
        assert_eq!(client.done(find), "tap1");
        let listed = client.done("--columns=name,type list Interface br0");
        assert!(
            lines(&listed).contains("type                : internal"),
            "{listed}"
        );

        let queue = client.done("create Queue external_ids:owner=me");
        let listed = client.done("--no-headings --columns=_uuid list Queue");
        assert_eq!(listed, queue);
        client.done(&format!("destroy Queue {queue}"));
        assert_eq!(client.done("list Queue"), "");
        client.done(
            "set Port tap0 qos=@q -- --id=@q create QoS type=linux-htb queues:0=@r \
             -- --id=@r create Queue other_config:max-rate=1000000",
        );
        let qos = client.done("get Port tap0 qos");
        assert_eq!(
            client.done("--no-headings --columns=_uuid find QoS type=linux-htb"),
            qos
        );
        client.done("clear Port tap0 qos");
        client.done("--all destroy QoS -- --all destroy Queue");
        assert_eq!(client.done("list QoS"), "");
        client.done("wait-until Interface tap0 ofport>0 -- comment all is well");
    });
}

/// A monitor of the database, message by message: a client's tool would not show which changes
/// came in the same message.
struct Monitor(BufReader<UnixStream>);

impl Monitor {
    fn of(switch: &Switch, tables: &Value) -> Monitor {
        let mut stream = UnixStream::connect(switch.rundir().join("db.sock")).unwrap();
        stream.set_read_timeout(Some(common::LIMIT)).unwrap();
        let params = json!(["Open_vSwitch", null, tables]);
        let request = json!({"id": 0, "method": "monitor", "params": params});
        stream.write_all(request.to_string().as_bytes()).unwrap();
        let mut monitor = Monitor(BufReader::new(stream));
        assert_eq!(monitor.next()["error"], Value::Null);
        monitor
    }

    fn next(&mut self) -> Value {
        let mut messages = serde_json::Deserializer::from_reader(&mut self.0).into_iter();
        messages.next().unwrap().unwrap()
    }

    /// The next update of which something is true.
    fn update(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.next();
            assert_eq!(message["method"], "update");
            if wanted(&message["params"][1]) {
                return message["params"][1].clone();
            }
        }
    }
}

/// The new states of the rows of a table in an update.
fn new_rows<'a>(update: &'a Value, table: &str) -> impl Iterator<Item = &'a Value> {
    let rows = update[table].as_object().into_iter().flatten();
    rows.map(|(_, row)| &row["new"])
}

#[test]
fn the_number_of_a_port_and_of_the_configuration_come_in_one_update() {
    with_both("onetxn", |client| {
        client.done("add-br br0");
        let tables = json!({
            "Interface": {"columns": ["name", "ofport", "error"]},
            "Open_vSwitch": {"columns": ["cur_cfg", "next_cfg"]},
        });
        let mut monitor = Monitor::of(&client.switch, &tables);
        for port in ["tap0", "ghost"] {
            let added = client.status(&format!("add-port br0 {port}"));
            assert!([0, 65].contains(&added), "{port}");
            let update = monitor.update(|update| {
                new_rows(update, "Interface")
                    .any(|row| row["name"] == port && row["ofport"].is_i64())
            });
            let number = new_rows(&update, "Interface").find(|row| row["name"] == port);
            let has_error = number.unwrap()["error"].is_string();
            assert_eq!(has_error, port == "ghost", "{update}");
            let config = new_rows(&update, "Open_vSwitch").next();
            let config = config.unwrap_or_else(|| panic!("without cur_cfg: {update}"));
            assert_eq!(config["cur_cfg"], config["next_cfg"]);
        }
    });
}

#[test]
fn ovsdb_client_monitors_a_port() {
    let client = Client::new("monitor", false);
    client.done("add-br br0");
    let socket = format!("unix:{}", client.switch.rundir().join("db.sock").display());
    let mut monitor = Command::new("ovsdb-client");
    monitor
        .args(["monitor", "--format=json", &socket, "Open_vSwitch"])
        .args(["Interface", "name,ofport"])
        .stdout(Stdio::piped());
    let mut monitor = monitor.spawn().unwrap();
    let mut printed = BufReader::new(monitor.stdout.take().unwrap()).lines();
    let mut printed_with = |words: &[&str]| {
        printed
            .by_ref()
            .map(Result::unwrap)
            .find(|line| words.iter().all(|word| line.contains(word)))
            .expect("the monitor goes on")
    };
    printed_with(&["initial", "\"br0\",65534"]);
    client.done("add-port br0 tap0");
    let number = client.done("get Interface tap0 ofport");
    printed_with(&["new", &format!("\"tap0\",{number}]")]);
    client.done("del-port tap0");
    printed_with(&["delete", "\"tap0\""]);
    monitor.kill().unwrap();
    monitor.wait().unwrap();
}

#[test]
fn ovsdb_client_lists_and_dumps_the_database() {
    let client = Client::new("dump", false);
    client.done("add-br br0 -- add-port br0 tap0 tag=3");
    let ask = |words: &[&str]| {
        client
            .switch
            .client("ovsdb-client", words)
            .unwrap()
            .ok()
            .unwrap()
            .stdout
    };
    let databases = ask(&["list-dbs"]);
    assert!(lines(&databases).contains("Open_vSwitch"), "{databases}");
    let version = ask(&["get-schema-version"]);
    assert_eq!(version.trim(), "8.3.1");
    let dump = ask(&[
        "dump",
        "--format=csv",
        "Open_vSwitch",
        "Port",
        "name",
        "tag",
    ]);
    assert!(lines(&dump).contains("tap0,3"), "{dump}");
    let request =
        r#"["Open_vSwitch",{"op":"select","table":"Bridge","where":[],"columns":["name"]}]"#;
    let reply = ask(&["transact", request]);
    assert_eq!(reply.trim(), r#"[{"rows":[{"name":"br0"}]}]"#);
}

#[test]
fn ovs_appctl_talks_to_both_daemons() {
    let client = Client::new("appctl", false);
    let left = station(&client.ns, "va", "192.0.2.1/24");
    client.done("add-br br0 -- add-port br0 va tag=9");
    let ask = |words: &[&str]| client.switch.client("ovs-appctl", words).unwrap();
    for target in ["ovs-vswitchd", "ovsdb-server"] {
        let version = ask(&["-t", target, "version"]).ok().unwrap().stdout;
        assert!(version.contains("Aorta"), "{version}");
        let commands = ask(&["-t", target, "list-commands"]).ok().unwrap().stdout;
        assert!(commands.contains("exit"), "{commands}");
        assert_ne!(ask(&["-t", target, "no-such-command"]).status, 0);
    }
    // The station asks for somebody: that is enough to know it.
    let asked = left
        .run(&["ping", "-c", "1", "-W", "1", "192.0.2.77"])
        .unwrap();
    assert_ne!(asked.status, 0);
    let shown = ask(&["fdb/show", "br0"]).ok().unwrap().stdout;
    let link = left.ip(&["-j", "link", "show", "dev", "eth0"]).unwrap();
    let link: Value = serde_json::from_str(&link.stdout).unwrap();
    let mac = link[0]["address"].as_str().unwrap();
    let line = shown.lines().find(|line| line.contains(mac));
    let words: Vec<&str> = line
        .unwrap_or_else(|| panic!("{shown}"))
        .split_whitespace()
        .collect();
    assert_eq!(words[1], "9", "{shown}");
    assert_ne!(ask(&["fdb/show", "br7"]).status, 0);
    ask(&["exit"]).ok().unwrap();
    eventually("the daemon has ended", || {
        run(client
            .ns
            .command("ovs-appctl")
            .env("OVS_RUNDIR", client.switch.rundir())
            .arg("version"))
        .unwrap()
        .status
            != 0
    });
}
