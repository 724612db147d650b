//! Another schema for the daemon's database: while it runs, and when it starts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use aorta_integration::lab::{Netns, Output, Switch, SwitchOptions, run};
use common::{Bed, done, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A schema in a file.
fn write_schema(dir: &TempDir, schema: &Value) -> PathBuf {
    let path = dir.path().join("schema");
    fs::write(&path, schema.to_string()).unwrap();
    path
}

fn schema(switch: &Switch) -> Value {
    let schema = switch.client("ovsdb-client", &["get-schema"]).unwrap();
    serde_json::from_str(&schema.ok().unwrap().stdout).unwrap()
}

/// Runs one operation, which must succeed.
fn transact(switch: &Switch, operation: &Value) -> Value {
    let transaction = json!(["Open_vSwitch", operation]).to_string();
    let output = switch.client("ovsdb-client", &["transact", &transaction]);
    let output = output.unwrap().ok().unwrap().stdout;
    assert!(!output.contains("error"), "{output}");
    serde_json::from_str(&output).unwrap()
}

fn convert(switch: &Switch, path: &Path) -> Output {
    let path = path.to_str().unwrap();
    switch.client("ovsdb-client", &["convert", path]).unwrap()
}

/// `ovsdb-client monitor`, with what it prints in a file.
struct Monitor {
    child: Child,
    printed: PathBuf,
}

impl Monitor {
    fn start(switch: &Switch, dir: &TempDir, database: &str, words: &[&str]) -> Monitor {
        let printed = dir.path().join(database);
        let remote = format!("unix:{}", switch.rundir().join("db.sock").display());
        let mut command = Command::new("ovsdb-client");
        command
            .args(["--format=json", "monitor", &remote, database])
            .args(words);
        let file = File::create(&printed).unwrap();
        command.stdout(file.try_clone().unwrap()).stderr(file);
        let child = command.spawn().unwrap();
        Monitor { child, printed }
    }

    fn waits_for(&self, words: &str) {
        let printed = || fs::read_to_string(&self.printed).unwrap();
        eventually(words, || printed().contains(words));
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_switch_and_its_clients_go_on_after_a_conversion() {
    let mut bed = Bed::new("convert");
    let dir = TempDir::new().unwrap();
    let server = Monitor::start(&bed.switch, &dir, "_Server", &["Database", "name,schema"]);
    let bridges = Monitor::start(&bed.switch, &dir, "Open_vSwitch", &["Bridge", "name"]);
    server.waits_for("8.3.1");
    bridges.waits_for("br0");
    bed.undisturbed(|bed| {
        let mut schema = schema(&bed.switch);
        schema["version"] = json!("8.9.0");
        schema["tables"]["Bridge"]["columns"]["novelty"] = json!({"type": "string"});
        schema["tables"]["Novelty"] =
            json!({"isRoot": true, "columns": {"n": {"type": "integer"}}});
        let path = write_schema(&dir, &schema);
        let needs = |bed: &Bed| {
            let args = ["needs-conversion", path.to_str().unwrap()];
            bed.switch
                .client("ovsdb-client", &args)
                .unwrap()
                .ok()
                .unwrap()
                .stdout
        };
        assert_eq!(needs(bed), "yes\n");
        convert(&bed.switch, &path).ok().unwrap();
        assert_eq!(needs(bed), "no\n");
        server.waits_for("8.9.0");
        // The switch hears of what happens after it.
        done(&bed.switch, "add-br br1");
        transact(
            &bed.switch,
            &json!({"op": "update", "table": "Bridge", "where": [["name", "==", "br1"]],
                "row": {"novelty": "x"}}),
        );
        assert_eq!(done(&bed.switch, "list-br"), "br0\nbr1");
    });
    // ovsdb-client takes a cancelled monitor for that, with ovsdb-server as well.
    bridges.waits_for("Open_vSwitch database was removed");
    bed.switch.kill().unwrap();
    bed.switch.restart().unwrap();
    let kept = json!({"op": "select", "table": "Bridge", "where": [["novelty", "==", "x"]],
        "columns": ["name"]});
    assert_eq!(
        transact(&bed.switch, &kept),
        json!([{"rows": [{"name": "br1"}]}])
    );
    assert_eq!(
        common::column(&bed.switch, "Interface", "va", "error"),
        "[]"
    );
}

#[test]
fn a_conversion_that_the_switch_cannot_work_with_is_refused_by_name() {
    let mut bed = Bed::new("refused");
    let dir = TempDir::new().unwrap();
    let before = schema(&bed.switch);
    let mut no_table = before.clone();
    no_table["tables"].as_object_mut().unwrap().remove("Mirror");
    let mirrors = no_table["tables"]["Bridge"]["columns"]
        .as_object_mut()
        .unwrap();
    mirrors.remove("mirrors");
    let mut no_column = before.clone();
    let ports = no_column["tables"]["Interface"]["columns"]
        .as_object_mut()
        .unwrap();
    ports.remove("ofport");
    let mut other_type = before.clone();
    other_type["tables"]["Port"]["columns"]["tag"] = json!({"type": "string"});
    let mut does_not_fit = before.clone();
    does_not_fit["tables"]["Bridge"]["columns"]["name"]["type"] =
        json!({"key": {"type": "string", "maxLength": 2}});
    bed.undisturbed(|bed| {
        for (schema, words) in [
            (no_table, ["not allowed", "column mirrors of table Bridge"]),
            (
                no_column,
                ["not allowed", "column ofport of table Interface"],
            ),
            (other_type, ["not allowed", "column tag of table Port"]),
            (
                does_not_fit,
                ["constraint violation", "column name of Bridge"],
            ),
        ] {
            let output = convert(&bed.switch, &write_schema(&dir, &schema));
            assert_ne!(output.status, 0);
            for word in words {
                assert!(output.stderr.contains(word), "{word}: {}", output.stderr);
            }
        }
    });
    assert_eq!(schema(&bed.switch), before);
    assert_eq!(done(&bed.switch, "list-br"), "br0");
}

/// As after an update of the package: the file was made by an earlier version.
#[test]
fn the_database_of_an_earlier_version_is_upgraded_at_the_start() {
    let ns = Netns::new("upgrade").unwrap();
    let dir = TempDir::new().unwrap();
    let present = include_str!("../../ovsdb/schema/vswitch.ovsschema");
    let mut earlier: Value = serde_json::from_str(present).unwrap();
    earlier["version"] = json!("7.16.1");
    earlier["cksum"] = json!("2916438977 23776");
    let tables = earlier["tables"].as_object_mut().unwrap();
    for later in ["CT_Timeout_Policy", "CT_Zone", "Datapath"] {
        tables.remove(later).unwrap();
    }
    let columns = tables["Open_vSwitch"]["columns"].as_object_mut().unwrap();
    columns.remove("datapaths").unwrap();
    let tool = |words: &[&str]| {
        run(Command::new("ovsdb-tool").args(words))
            .unwrap()
            .ok()
            .unwrap()
    };
    let (db, path) = (dir.path().join("conf.db"), write_schema(&dir, &earlier));
    let db_path = db.to_str().unwrap();
    tool(&["create", db_path, path.to_str().unwrap()]);
    let insert = json!(["Open_vSwitch",
        {"op": "insert", "table": "Open_vSwitch", "row": {"bridges": ["named-uuid", "b"]}},
        {"op": "insert", "table": "Bridge", "uuid-name": "b", "row": {"name": "br7"}}]);
    tool(&["transact", db_path, &insert.to_string()]);
    let before = fs::read(&db).unwrap();
    let options = SwitchOptions {
        database: Some(db),
        ..SwitchOptions::default()
    };
    let mut switch = Switch::start_with(Some(&ns), options).unwrap();
    assert_eq!(done(&switch, "list-br"), "br7");
    let db = switch.db().display().to_string();
    let backup = PathBuf::from(format!("{db}.backup7.16.1-2916438977"));
    assert_eq!(fs::read(&backup).unwrap(), before);
    let log = switch.log();
    let line = log
        .lines()
        .find(|line| line.contains("7.16.1"))
        .unwrap_or_default();
    assert!(
        line.contains("8.3.1") && line.contains(backup.to_str().unwrap()),
        "{log}"
    );
    switch.terminate().unwrap();
    assert_eq!(tool(&["db-version", &db]).stdout, "8.3.1\n");
    assert_eq!(tool(&["needs-conversion", &db]).stdout, "no\n");
}
