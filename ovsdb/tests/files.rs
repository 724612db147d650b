//! Our file with OVS's tools and server, and theirs with us.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;
use std::process::{Child, Command, Stdio};

use aorta_ovsdb::{Db, Store, log};
use common::{Lab, ovsdb_tool, run, until};
use serde_json::{Value, json};
use tempfile::TempDir;

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/vswitch.ovsschema");

/// Debian's ovsdb-server with a file.
struct TheirServer {
    child: Child,
    directory: TempDir,
}

impl TheirServer {
    async fn start(file: &Path) -> Self {
        let directory = TempDir::new().unwrap();
        let at = |name: &str| directory.path().join(name).display().to_string();
        let mut command = Command::new("ovsdb-server");
        command.arg(format!("--remote=punix:{}", at("sock")));
        command.arg(format!("--unixctl={}", at("ctl"))).arg(file);
        let child = command.stderr(Stdio::null()).spawn();
        let child = child.expect("the package openvswitch-switch must be installed");
        let socket = at("sock");
        let listens = || std::os::unix::net::UnixStream::connect(&socket).is_ok();
        until("ovsdb-server listens", listens).await;
        Self { child, directory }
    }

    fn at(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    async fn vsctl(&self, words: &str) -> String {
        let db = format!("--db=unix:{}", self.at("sock"));
        let mut args = vec![&*db, "--no-wait", "--timeout=30"];
        args.extend(words.split(' '));
        common::success("ovs-vsctl", &args, run("ovs-vsctl", &args).await)
    }

    async fn compact(&self) {
        let args = ["-t", &self.at("ctl"), "ovsdb-server/compact"];
        common::success("ovs-appctl", &args, run("ovs-appctl", &args).await);
    }
}

impl Drop for TheirServer {
    fn drop(&mut self) {
        // Nothing is left to do about it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file of ours: a bridge, a port more, and one less again.
async fn our_file() -> (TempDir, String) {
    let lab = Lab::new().await;
    lab.vsctl(&["init", "--", "add-br", "br0"]).await;
    lab.vsctl(&["add-port", "br0", "p1", "tag=5"]).await;
    lab.vsctl(&["set", "Interface", "p1", "options:a=1", "options:b=2"])
        .await;
    lab.vsctl(&["remove", "Interface", "p1", "options", "a"])
        .await;
    lab.vsctl(&["add-port", "br0", "p2", "--", "del-port", "p2"])
        .await;
    let file = lab.file().display().to_string();
    (lab.close().await, file)
}

fn contents(db: &Db) -> Vec<String> {
    let rows = db.tables().flat_map(|table| {
        let name = table.schema().name.clone();
        table
            .rows()
            .map(move |row| format!("{name} {} {}", row.uuid(), row.to_json()))
    });
    let mut rows: Vec<String> = rows.collect();
    rows.sort();
    rows
}

fn read(file: &str) -> Vec<String> {
    let bytes = std::fs::read(file).unwrap();
    contents(&log::parse_log(Path::new(file), &bytes).unwrap())
}

fn records(file: &str) -> usize {
    let bytes = std::fs::read(file).unwrap();
    log::Reader::new(&bytes).map(Result::unwrap).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn ovsdb_tool_tells_about_our_file() {
    let (_directory, file) = our_file().await;
    for (command, printed) in [
        ("db-name", "Open_vSwitch\n"),
        ("db-version", "8.3.1\n"),
        ("db-cksum", "3012963480 26720\n"),
        ("db-is-standalone", ""),
    ] {
        assert_eq!(ovsdb_tool(&[command, &file]).await, printed, "{command}");
    }
    assert_eq!(
        ovsdb_tool(&["needs-conversion", &file, SCHEMA]).await,
        "no\n"
    );
    // It is no member of a cluster, and said so in the same words as of a file of theirs.
    let theirs = format!("{file}.theirs");
    ovsdb_tool(&["create", &theirs, SCHEMA]).await;
    for command in [
        "db-is-clustered",
        "db-cid",
        "db-sid",
        "db-local-address",
        "check-cluster",
    ] {
        let [ours, theirs] = [
            run("ovsdb-tool", &[command, &file]).await,
            run("ovsdb-tool", &[command, &theirs]).await,
        ];
        let words = |output: &std::process::Output| {
            String::from_utf8_lossy(&output.stderr).replace("conf.db.theirs", "conf.db")
        };
        assert_eq!(
            (ours.status, words(&ours)),
            (theirs.status, words(&theirs)),
            "{command}"
        );
        assert!(!ours.status.success(), "{command}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ovsdb_tool_shows_what_was_done() {
    let (_directory, file) = our_file().await;
    let brief = ovsdb_tool(&["show-log", &file]).await;
    assert!(
        brief.starts_with("record 0: \"Open_vSwitch\" schema, version=\"8.3.1\""),
        "{brief}"
    );
    let words = "\"ovs-vsctl (invoked by ";
    assert_eq!(
        brief.lines().filter(|l| l.contains(words)).count(),
        4,
        "{brief}"
    );
    let more = ovsdb_tool(&["-m", "show-log", &file]).await;
    assert!(more.contains("table Port insert row \"p1\""), "{more}");
    let all = ovsdb_tool(&["-mm", "show-log", &file]).await;
    assert!(all.contains("tag=5") && all.contains(") diff:"), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ovsdb_tool_changes_our_file() {
    let (_directory, file) = our_file().await;
    let before = read(&file);
    ovsdb_tool(&["compact", &file]).await;
    assert_eq!((read(&file), records(&file)), (before.clone(), 2));
    let insert = json!(["Open_vSwitch",
        {"op": "insert", "table": "Queue", "row": {"dscp": 7}}, {"op": "comment", "comment": "x"}]);
    ovsdb_tool(&["transact", &file, &insert.to_string()]).await;
    let delete = json!(["Open_vSwitch", {"op": "delete", "table": "Queue", "where": []}]);
    assert_eq!(read(&file).len(), before.len() + 1);
    ovsdb_tool(&["query", &file, &delete.to_string()]).await;
    assert_eq!(
        read(&file).len(),
        before.len() + 1,
        "a query changes nothing"
    );
    ovsdb_tool(&["transact", &file, &delete.to_string()]).await;
    assert_eq!(read(&file), before);
    let store = Store::open(Path::new(&file)).unwrap();
    store.snapshot().await.unwrap().audit().unwrap();
    store.compact().await.unwrap();
    store.close().await.unwrap();
    assert_eq!((read(&file), records(&file)), (before, 2));
    let log = ovsdb_tool(&["show-log", &file]).await;
    assert!(log.contains("\"compacting database online\""), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ovsdb_server_goes_on_where_we_ended_and_we_where_it_did() {
    let (_directory, file) = our_file().await;
    let before = read(&file);
    let server = TheirServer::start(Path::new(&file)).await;
    assert_eq!(server.vsctl("list-ports br0").await, "p1\n");
    server
        .vsctl("add-port br0 p3 -- set Interface p3 external_ids:x=y")
        .await;
    server
        .vsctl("set Port p3 trunks=1,2 -- set Port p1 tag=6")
        .await;
    server.compact().await;
    server
        .vsctl("del-port p3 -- set Port p1 tag=5 -- add-br br1")
        .await;
    drop(server);
    let theirs = std::fs::read(&file).unwrap();
    let store = Store::open(Path::new(&file)).unwrap();
    assert_eq!(
        std::fs::read(&file).unwrap(),
        theirs,
        "opening changes nothing"
    );
    let db = store.snapshot().await.unwrap();
    assert_eq!(contents(&db).len(), before.len() + 3);
    db.audit().unwrap();
}

/// Both look at the same lock file.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_open_at_one_place_only() {
    let lab = Lab::new().await;
    let file = lab.file();
    let their_start = |file: &Path| {
        let remote = format!("--remote=punix:{}.sock", file.display());
        let control = format!("--unixctl={}.ctl", file.display());
        let file = file.display().to_string();
        async move { run("ovsdb-server", &[&remote, &control, &file]).await }
    };
    let refused = their_start(&file).await;
    let words = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && words.contains("cannot lock"),
        "{words}"
    );
    let directory = lab.close().await;
    let server = TheirServer::start(&file).await;
    let error = Store::open(&file).unwrap_err();
    assert!(matches!(error, log::LogError::Locked(_)), "{error}");
    drop(server);
    Store::open(&file).unwrap();
    drop(directory);
}

fn schema(version: &str) -> Value {
    let mut json: Value = serde_json::from_str(&std::fs::read_to_string(SCHEMA).unwrap()).unwrap();
    json["version"] = json!(version);
    json
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_ovsdb_tool_or_ovsdb_client_converted_is_used() {
    let (directory, file) = our_file().await;
    let path = directory.path().join("later");
    let mut later = schema("8.9.0");
    later["tables"]["Port"]["columns"]["novelty"] = json!({"type": "string"});
    std::fs::write(&path, later.to_string()).unwrap();
    let before = read(&file);
    ovsdb_tool(&["convert", &file, path.to_str().unwrap()]).await;
    let lab = Lab::with_file(|ours| assert!(std::fs::copy(&file, ours).is_ok())).await;
    let db = lab.store.snapshot().await.unwrap();
    assert_eq!(
        (contents(&db), &*db.schema().version),
        (before.clone(), "8.9.0")
    );
    // And back again, while it is served.
    let mut subscription = lab.store.subscribe().await.unwrap().1;
    let output = run("ovsdb-client", &["convert", &lab.remote(), SCHEMA]).await;
    common::success("ovsdb-client", &["convert"], output);
    let delta = subscription.recv().await.unwrap();
    let converted = delta.converted.as_ref().unwrap();
    assert_eq!(
        (&*converted.version, delta.changes.len()),
        ("8.3.1", before.len())
    );
    let db = lab.store.snapshot().await.unwrap();
    assert_eq!(
        (contents(&db), &*db.schema().version),
        (before.clone(), "8.3.1")
    );
    let file = lab.file().display().to_string();
    let _directory = lab.close().await;
    assert_eq!((read(&file), records(&file)), (before, 2));
    assert_eq!(
        ovsdb_tool(&["needs-conversion", &file, SCHEMA]).await,
        "no\n"
    );
}

/// What the schema has had since version 7.7.0 (2014); nothing has gone.
const SINCE_7_7: [(&str, &[&str]); 7] = [
    (
        "Open_vSwitch",
        &[
            "datapath_types",
            "datapaths",
            "dpdk_initialized",
            "dpdk_version",
            "iface_types",
        ],
    ),
    (
        "Bridge",
        &["auto_attach", "datapath_version", "mcast_snooping_enable"],
    ),
    ("Port", &["bond_active_slave", "cvlans", "protected"]),
    (
        "Interface",
        &[
            "ingress_policing_kpkts_burst",
            "ingress_policing_kpkts_rate",
            "lldp",
            "mtu_request",
        ],
    ),
    ("Mirror", &["snaplen"]),
    ("IPFIX", &["other_config"]),
    ("Controller", &["controller_queue_size", "type"]),
];

fn schema_7_7() -> Value {
    let mut json = schema("7.7.0");
    json["cksum"] = json!("1721383425 21153");
    let tables = json["tables"].as_object_mut().unwrap();
    for later in ["AutoAttach", "CT_Timeout_Policy", "CT_Zone", "Datapath"] {
        tables.remove(later).unwrap();
    }
    for (table, columns) in SINCE_7_7 {
        for column in columns {
            let all = tables[table]["columns"].as_object_mut().unwrap();
            all.remove(*column).unwrap();
        }
    }
    json
}

fn contents_7_7() -> Value {
    let named = |name: &str| json!(["named-uuid", name]);
    let insert = |table: &str, name: &str, row: Value| json!({"op": "insert", "table": table, "uuid-name": name, "row": row});
    json!([
        "Open_vSwitch",
        insert(
            "Open_vSwitch",
            "o",
            json!({"bridges": named("b"), "next_cfg": 3})
        ),
        insert(
            "Bridge",
            "b",
            json!({"name": "br0", "ports": ["set", [named("p"), named("q")]]})
        ),
        insert(
            "Port",
            "p",
            json!({"name": "p", "interfaces": named("i"), "lacp": "active"})
        ),
        insert("Port", "q", json!({"name": "q", "interfaces": named("j")})),
        insert("Interface", "i", json!({"name": "i", "type": "internal"})),
        insert("Interface", "j", json!({"name": "j", "ofport_request": 7})),
        insert("Queue", "n", json!({"dscp": 7})),
        insert(
            "Queue",
            "m",
            json!({"other_config": ["map", [["min-rate", "1"]]]})
        )
    ])
}

/// Ours is opened and upgraded by that, theirs by `ovsdb-tool convert`.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_an_earlier_version_becomes_what_ovsdb_tool_makes_of_it() {
    let mut odd = schema_7_7();
    // A scalar and a set where there are optionals now; a column that is gone.
    let tables = &mut odd["tables"];
    tables["Port"]["columns"]["lacp"] = json!({"type": "string"});
    tables["Port"]["columns"]["legacy"] = json!({"type": "string"});
    tables["Queue"]["columns"]["dscp"] =
        json!({"type": {"key": "integer", "min": 0, "max": "unlimited"}});
    for earlier in [schema_7_7(), odd] {
        let directory = TempDir::new().unwrap();
        let at = |name: &str| directory.path().join(name).display().to_string();
        std::fs::write(at("schema"), earlier.to_string()).unwrap();
        ovsdb_tool(&["create", &at("ours"), &at("schema")]).await;
        let done = ovsdb_tool(&["transact", &at("ours"), &contents_7_7().to_string()]).await;
        assert!(!done.contains("error"), "{done}");
        std::fs::copy(at("ours"), at("theirs")).unwrap();
        let before = std::fs::read(at("ours")).unwrap();
        ovsdb_tool(&["convert", &at("theirs"), SCHEMA]).await;
        let store = Store::open(Path::new(&at("ours"))).unwrap();
        store.close().await.unwrap();
        let [ours, theirs] = [read(&at("ours")), read(&at("theirs"))];
        assert_eq!(ours, theirs);
        assert_eq!((ours.len(), records(&at("ours"))), (8, 2));
        assert!(
            ours.iter().any(|row| row.contains("\"lacp\":\"active\"")),
            "{ours:?}"
        );
        assert_eq!(
            std::fs::read(at("ours.backup7.7.0-1721383425")).unwrap(),
            before
        );
    }
}
