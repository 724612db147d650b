//! Databases of earlier and later versions of the schema.
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Log, LogError, encode, parse_log};
use crate::db::Db;
use crate::schema::DatabaseSchema;

/// A schema as an earlier Open vSwitch had it: without what came later, and with a column and a
/// protocol that are gone since.
fn earlier(version: &str) -> Value {
    let mut json = DatabaseSchema::vswitch().to_json().clone();
    json["version"] = json!(version);
    json["cksum"] = json!("1234567890 21000");
    let tables = json["tables"].as_object_mut().unwrap();
    for later in ["CT_Timeout_Policy", "CT_Zone", "Datapath"] {
        tables.remove(later).unwrap();
    }
    let remove = |tables: &mut serde_json::Map<String, Value>, table: &str, column: &str| {
        let columns = tables[table]["columns"].as_object_mut().unwrap();
        columns.remove(column).unwrap();
    };
    remove(tables, "Open_vSwitch", "datapaths");
    remove(tables, "Interface", "ingress_policing_kpkts_rate");
    remove(tables, "Interface", "ingress_policing_kpkts_burst");
    tables["Interface"]["columns"]["monitor"] = json!({"type": "string"});
    let protocols = &mut tables["Bridge"]["columns"]["protocols"]["type"]["key"]["enum"][1];
    protocols.as_array_mut().unwrap().push(json!("OpenFlow16"));
    json
}

fn row(n: u32) -> String {
    uuid::Uuid::from_u128(n.into()).to_string()
}

/// One bridge with one port.
fn contents(protocol: &str) -> Value {
    let leads_to = |n| json!(["uuid", row(n)]);
    json!({"_date": 1, "_comment": "made by a test",
        "Open_vSwitch": {row(1): {"bridges": leads_to(2), "next_cfg": 7}},
        "Bridge": {row(2): {"name": "br0", "ports": leads_to(3), "protocols": protocol}},
        "Port": {row(3): {"name": "eth0", "interfaces": leads_to(4), "tag": 5}},
        "Interface": {row(4): {"name": "eth0", "monitor": "gone", "mtu_request": 9000}}})
}

struct Lab {
    directory: TempDir,
    bytes: Vec<u8>,
}

impl Lab {
    fn new(schema: &Value, contents: &Value) -> Self {
        let bytes = [encode(schema), encode(contents)].concat();
        let directory = TempDir::new().unwrap();
        std::fs::write(directory.path().join("conf.db"), &bytes).unwrap();
        Self { directory, bytes }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn open(&self) -> Result<(Log, Db), LogError> {
        Log::open(&self.path("conf.db"), &DatabaseSchema::vswitch())
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.path()).unwrap();
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<String> = entries.map(|e| name(e).into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn is_upgraded(db: &Db) {
    db.audit().unwrap();
    assert_eq!(db.schema(), &DatabaseSchema::vswitch());
    let interface = db.rows("Interface").next().unwrap();
    assert_eq!(
        (interface.str("name"), interface.int("mtu_request")),
        (Some("eth0"), Some(9000))
    );
    assert_eq!(interface.int("ingress_policing_kpkts_rate"), Some(0));
    assert_eq!(db.rows("Port").next().unwrap().int("tag"), Some(5));
    assert_eq!(
        db.rows("Open_vSwitch").next().unwrap().int("next_cfg"),
        Some(7)
    );
}

#[test]
fn an_earlier_database_is_upgraded_and_kept() {
    for version in ["7.16.1", "8.0.0", "8.2.9"] {
        let lab = Lab::new(&earlier(version), &contents("OpenFlow13"));
        let (log, db) = lab.open().unwrap();
        is_upgraded(&db);
        drop(log);
        let backup = format!("conf.db.backup{version}-1234567890");
        assert_eq!(lab.files(), [".conf.db.~lock~", "conf.db", &backup]);
        assert_eq!(std::fs::read(lab.path(&backup)).unwrap(), lab.bytes);
        let bytes = std::fs::read(lab.path("conf.db")).unwrap();
        is_upgraded(&parse_log(Path::new("conf.db"), &bytes).unwrap());
        let (_log, db) = lab.open().unwrap();
        is_upgraded(&db);
        assert_eq!(
            lab.files().len(),
            3,
            "the second time there is nothing to do"
        );
    }
}

#[test]
fn an_earlier_backup_is_not_overwritten() {
    let lab = Lab::new(&earlier("7.16.1"), &contents("OpenFlow13"));
    std::fs::write(lab.path("conf.db.backup7.16.1-1234567890"), "precious").unwrap();
    lab.open().unwrap();
    let kept = std::fs::read(lab.path("conf.db.backup7.16.1-1234567890")).unwrap();
    assert_eq!(kept, b"precious");
    let backup = lab.path("conf.db.backup7.16.1-1234567890.1");
    assert_eq!(std::fs::read(backup).unwrap(), lab.bytes);
}

#[test]
fn contents_without_a_place_are_named_and_kept() {
    let lab = Lab::new(&earlier("7.16.1"), &contents("OpenFlow16"));
    let error = lab.open().unwrap_err();
    let text = aorta_stream::describe(&error);
    for words in [
        "7.16.1",
        "8.3.1",
        "column protocols of Bridge",
        "OpenFlow16",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert_eq!(std::fs::read(lab.path("conf.db")).unwrap(), lab.bytes);
    assert_eq!(lab.files(), [".conf.db.~lock~", "conf.db"]);
}

/// Before there was garbage collection no table was marked as a root.
#[test]
fn rows_that_nothing_leads_to_go_with_an_upgrade() {
    let mut schema = earlier("1.0.0");
    for table in schema["tables"].as_object_mut().unwrap().values_mut() {
        table.as_object_mut().unwrap().remove("isRoot");
    }
    let mut contents = contents("OpenFlow13");
    contents["Port"][row(9)] = json!({"name": "lost", "interfaces": ["uuid", row(4)]});
    let lab = Lab::new(&schema, &contents);
    let (_log, db) = lab.open().unwrap();
    is_upgraded(&db);
    assert_eq!(db.rows("Port").count(), 1);
}

#[test]
fn a_later_schema_that_lacks_something_is_refused() {
    for (version, name) in [
        ("8.9.0", "Open_vSwitch"),
        ("8.3.1", "Open_vSwitch"),
        ("1.0.0", "x"),
    ] {
        let mut schema = earlier(version);
        schema["name"] = json!(name);
        let lab = Lab::new(&schema, &contents("OpenFlow13"));
        let error = lab.open().unwrap_err();
        assert!(matches!(error, LogError::OtherSchema { .. }), "{error}");
        let missing = if name == "x" {
            "the name"
        } else {
            "table CT_Timeout_Policy"
        };
        let text = error.to_string();
        assert!(
            text.contains(missing) && text.contains("ovsdb-tool convert"),
            "{text}"
        );
        assert_eq!(std::fs::read(lab.path("conf.db")).unwrap(), lab.bytes);
    }
}
