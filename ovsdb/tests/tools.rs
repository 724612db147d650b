//! Unmodified programs of Open vSwitch against a served database.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::process::Stdio;

use common::{Lab, ovsdb_tool, run, success};
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::test(flavor = "multi_thread")]
async fn ovs_vsctl_manages_bridges_and_ports() {
    let lab = Lab::new().await;
    lab.vsctl(&["init"]).await;
    lab.vsctl(&["add-br", "br0"]).await;
    lab.vsctl(&[
        "add-port",
        "br0",
        "eth1",
        "tag=5",
        "--",
        "set",
        "Interface",
        "eth1",
        "external_ids:iface-id=x",
    ])
    .await;
    lab.vsctl(&[
        "add-port",
        "br0",
        "eth2",
        "trunks=1,2",
        "vlan_mode=native-tagged",
    ])
    .await;
    lab.vsctl(&["--may-exist", "add-br", "br0"]).await;
    assert_eq!(lab.vsctl(&["list-br"]).await, "br0\n");
    assert_eq!(lab.vsctl(&["list-ports", "br0"]).await, "eth1\neth2\n");
    assert_eq!(lab.vsctl(&["port-to-br", "eth1"]).await, "br0\n");
    assert_eq!(lab.vsctl(&["iface-to-br", "eth2"]).await, "br0\n");
    assert_eq!(lab.vsctl(&["get", "Port", "eth1", "tag"]).await, "5\n");
    assert_eq!(
        lab.vsctl(&["get", "Port", "eth2", "trunks"]).await,
        "[1, 2]\n"
    );
    let show = lab.vsctl(&["show"]).await;
    for line in [
        "Bridge br0",
        "Port eth1",
        "tag: 5",
        "trunks: [1, 2]",
        "type: internal",
    ] {
        assert!(show.contains(line), "{line} in {show}");
    }
    lab.vsctl(&["del-port", "br0", "eth2"]).await;
    assert_eq!(lab.vsctl(&["list-ports", "br0"]).await, "eth1\n");
    lab.vsctl(&["del-br", "br0"]).await;
    assert_eq!(lab.vsctl(&["list-br"]).await, "");
    assert_eq!(lab.vsctl(&["list", "Interface"]).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn ovs_vsctl_reads_and_writes_the_tables() {
    let lab = Lab::new().await;
    lab.vsctl(&["init", "--", "add-br", "br0", "--", "add-port", "br0", "p1"])
        .await;
    let value = |column: &'static str| {
        let lab = &lab;
        async move { lab.vsctl(&["get", "Bridge", "br0", column]).await }
    };
    lab.vsctl(&[
        "set",
        "Bridge",
        "br0",
        "fail_mode=secure",
        "other_config:mac-aging-time=60",
    ])
    .await;
    assert_eq!(value("fail_mode").await, "secure\n");
    lab.vsctl(&[
        "add",
        "Bridge",
        "br0",
        "protocols",
        "OpenFlow13",
        "OpenFlow10",
    ])
    .await;
    assert_eq!(value("protocols").await, "[OpenFlow10, OpenFlow13]\n");
    lab.vsctl(&["remove", "Bridge", "br0", "protocols", "OpenFlow10"])
        .await;
    assert_eq!(value("protocols").await, "[OpenFlow13]\n");
    lab.vsctl(&["clear", "Bridge", "br0", "other_config"]).await;
    assert_eq!(value("other_config").await, "{}\n");
    let find = [
        "--bare",
        "--columns=name",
        "find",
        "Interface",
        "type=internal",
    ];
    assert_eq!(lab.vsctl(&find).await, "br0\n");
    lab.vsctl(&[
        "--",
        "--id=@q",
        "create",
        "QoS",
        "type=linux-htb",
        "queues:0=@z",
        "--",
        "--id=@z",
        "create",
        "Queue",
        "other_config:max-rate=1000",
        "--",
        "set",
        "Port",
        "p1",
        "qos=@q",
    ])
    .await;
    let queue = ["--bare", "--columns=other_config", "list", "Queue"];
    assert_eq!(lab.vsctl(&queue).await, "max-rate=1000\n");
    let refused = ["set", "Port", "p1", "tag=4096"];
    let db = format!("--db={}", lab.remote());
    let output = run("ovs-vsctl", &[&[&*db, "--no-wait"], &refused[..]].concat()).await;
    assert_eq!(output.status.code(), Some(1));
    let twice = ["add-port", "br0", "p1"];
    let output = run("ovs-vsctl", &[&[&*db, "--no-wait"], &twice[..]].concat()).await;
    assert!(String::from_utf8_lossy(&output.stderr).contains("already exists"));
}

#[tokio::test(flavor = "multi_thread")]
async fn ovsdb_client_reads_schema_and_contents() {
    let lab = Lab::new().await;
    assert_eq!(
        lab.ovsdb_client("list-dbs", &[]).await,
        "Open_vSwitch\n_Server\n"
    );
    let version = lab
        .ovsdb_client("get-schema-version", &["Open_vSwitch"])
        .await;
    assert_eq!(version, "8.3.1\n");
    let cksum = lab
        .ovsdb_client("get-schema-cksum", &["Open_vSwitch"])
        .await;
    assert_eq!(cksum, "3012963480 26720\n");
    lab.ovsdb_client("get-schema", &["_Server"]).await;
    let columns = lab
        .ovsdb_client("list-columns", &["Open_vSwitch", "Queue"])
        .await;
    assert!(columns.contains("dscp"));
    let insert = r#"["Open_vSwitch",{"op":"insert","table":"Queue","row":{"dscp":7}}]"#;
    lab.ovsdb_client("transact", &[insert]).await;
    let dump = lab
        .ovsdb_client("dump", &["Open_vSwitch", "Queue", "dscp"])
        .await;
    assert!(dump.contains("dscp") && dump.contains('7'), "{dump}");
    let query = r#"["Open_vSwitch",{"op":"select","table":"Queue","where":[],"columns":["dscp"]}]"#;
    assert_eq!(
        lab.ovsdb_client("query", &[query]).await,
        "[{\"rows\":[{\"dscp\":7}]}]\n"
    );
    let row = r#"dscp"#;
    let connected = lab
        .ovsdb_client("wait", &["Open_vSwitch", "connected"])
        .await;
    assert_eq!((connected.as_str(), row), ("", "dscp"));
    let backup = lab.ovsdb_client("backup", &["Open_vSwitch"]).await;
    let path = lab.directory.path().join("backup.db");
    std::fs::write(&path, backup).unwrap();
    assert_eq!(
        ovsdb_tool(&["db-version", path.to_str().unwrap()]).await,
        "8.3.1\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ovsdb_client_monitors() {
    let lab = Lab::new().await;
    for command in ["monitor", "monitor-cond"] {
        let condition: &[&str] = if command == "monitor" {
            &[]
        } else {
            &["[[\"dscp\",\">\",0]]"]
        };
        let remote = lab.remote();
        let mut child = tokio::process::Command::new("ovsdb-client")
            .args(["--format=json", command, &remote, "Open_vSwitch"])
            .args(condition)
            .args(["Queue", "dscp"])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the package openvswitch-switch must be installed");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let op = r#"["Open_vSwitch",{"op":"insert","table":"Queue","row":{"dscp":42}}]"#;
        // The monitor of an empty table says nothing at first: it is there when it is connected
        // and hears of some change.
        let heard = async {
            loop {
                lab.ovsdb_client("transact", &[op]).await;
                let line =
                    tokio::time::timeout(std::time::Duration::from_millis(200), lines.next_line());
                if let Ok(line) = line.await {
                    return line.unwrap().unwrap();
                }
            }
        };
        let line = tokio::time::timeout(common::PATIENCE, heard)
            .await
            .expect("an update");
        assert!(line.contains("42"), "{command}: {line}");
        child.kill().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ovsdb_tool_reads_the_file_and_compacts_it() {
    let lab = Lab::new().await;
    lab.vsctl(&["init", "--", "add-br", "br0"]).await;
    let file = lab.file();
    let file = file.to_str().unwrap();
    let output = run("ovsdb-tool", &["compact", file]).await;
    assert!(!output.status.success(), "a database in use is locked");
    let directory = lab.close().await;
    assert_eq!(ovsdb_tool(&["db-name", file]).await, "Open_vSwitch\n");
    assert_eq!(ovsdb_tool(&["db-version", file]).await, "8.3.1\n");
    assert_eq!(ovsdb_tool(&["db-cksum", file]).await, "3012963480 26720\n");
    let log = ovsdb_tool(&["-mm", "show-log", file]).await;
    assert!(
        log.contains("ovs-vsctl") && log.contains("insert row"),
        "{log}"
    );
    let select =
        r#"["Open_vSwitch",{"op":"select","table":"Bridge","where":[],"columns":["name"]}]"#;
    let rows = "[{\"rows\":[{\"name\":\"br0\"}]}]\n";
    assert_eq!(ovsdb_tool(&["query", file, select]).await, rows);
    ovsdb_tool(&["compact", file]).await;
    assert_eq!(ovsdb_tool(&["query", file, select]).await, rows);
    let store = aorta_ovsdb::Store::open(std::path::Path::new(file)).unwrap();
    assert_eq!(store.snapshot().await.unwrap().rows("Bridge").count(), 1);
    drop(directory);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_written_by_ovs_opens_as_it_is() {
    let directory = tempfile::TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (file, socket) = (path("conf.db"), path("ovs.sock"));
    ovsdb_tool(&[
        "create",
        &file,
        concat!(env!("CARGO_MANIFEST_DIR"), "/schema/vswitch.ovsschema"),
    ])
    .await;
    let mut server = tokio::process::Command::new("ovsdb-server")
        .args([
            &format!("--remote=punix:{socket}"),
            &format!("--unixctl={}", path("ctl")),
            &file,
        ])
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the package openvswitch-switch must be installed");
    let listens = || std::os::unix::net::UnixStream::connect(&socket).is_ok();
    common::until("ovsdb-server listens", listens).await;
    let db = format!("--db=unix:{socket}");
    for args in [
        &["init", "--", "add-br", "br0"][..],
        &[
            "add-port", "br0", "p1", "tag=1", "--", "add-port", "br0", "p2",
        ],
        &[
            "set",
            "Interface",
            "p1",
            "options:a=1",
            "options:b=2",
            "ofport_request=7",
        ],
        &[
            "set",
            "Interface",
            "p1",
            "options:a=3",
            "--",
            "remove",
            "Interface",
            "p1",
            "options",
            "b",
        ],
        &["del-port", "p2"],
    ] {
        let args = [&[&*db, "--no-wait", "--timeout=30"], args].concat();
        success("ovs-vsctl", &args, run("ovs-vsctl", &args).await);
    }
    server.kill().await.unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("_is_diff"), "the file exercises differences");
    let store = aorta_ovsdb::Store::open(std::path::Path::new(&file)).unwrap();
    let db = store.snapshot().await.unwrap();
    let mut names: Vec<&str> = db.rows("Port").filter_map(|row| row.str("name")).collect();
    names.sort_unstable();
    assert_eq!(names, ["br0", "p1"]);
    let p1 = db
        .rows("Interface")
        .find(|row| row.str("name") == Some("p1"))
        .unwrap();
    let options: Vec<_> = p1
        .datum("options")
        .pairs()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    assert_eq!(
        (options, p1.int("ofport_request")),
        (vec!["a=3".to_owned()], Some(7))
    );
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        text,
        "opening changes nothing"
    );
}
