//! Which remotes there should be, by the command line and the database as it is. Pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aorta_ovsdb::{Db, Delta, Remote, RemoteOptions, Row, TlsFiles, Uuid};

use super::spec::{ColumnSpec, FileSpec, Spec};
use super::{FileSpecs, anchored};

/// The least that Open vSwitch takes for probes and waits, in milliseconds.
const LEAST_MS: i64 = 1000;

/// Columns of a row with a remote that say what to do.
const ROW_COLUMNS: [&str; 4] = [
    "target",
    "max_backoff",
    "inactivity_probe",
    "connection_mode",
];

/// All that should be.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Desired {
    /// By the remote's own words.
    pub(super) remotes: BTreeMap<String, Wanted>,
    /// Key and certificates.
    pub(super) files: TlsFiles,
}

/// One remote.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    /// What it is, or why it is none.
    pub(super) remote: Result<Remote, String>,
    pub(super) options: Option<RemoteOptions>,
    /// It is to be reached through the switch's own bridges.
    pub(super) in_band: bool,
    /// Rows that hear how it does: table and row.
    pub(super) rows: Vec<(String, Uuid)>,
}

/// What the command line and commands say: by their own words.
pub(super) type Specs = BTreeMap<String, Spec>;

/// Reads everything from the database.
pub(super) fn desired(specs: &Specs, files: &FileSpecs, rundir: &Path, db: &Db) -> Desired {
    let mut remotes = BTreeMap::new();
    for (text, spec) in specs {
        match spec {
            Spec::Remote(remote) => {
                let remote = Ok(anchored(remote.clone(), rundir));
                remotes.entry(text.clone()).or_insert(Wanted {
                    remote,
                    options: None,
                    in_band: false,
                    rows: Vec::new(),
                });
            }
            Spec::Column(column) => from_column(column, rundir, db, &mut remotes),
        }
    }
    Desired {
        remotes,
        files: tls_files(files, db),
    }
}

fn from_column(spec: &ColumnSpec, rundir: &Path, db: &Db, remotes: &mut BTreeMap<String, Wanted>) {
    let referenced = referenced_table(spec, db);
    for row in db.rows(&spec.table) {
        for target in row.datum(&spec.column).strings() {
            let wanted = wanted(target, None, rundir);
            remotes.entry(target.to_owned()).or_insert(wanted);
        }
        let Some(table) = &referenced else { continue };
        for uuid in row.uuids(&spec.column) {
            let Some(row) = db.row(table, uuid) else {
                continue;
            };
            let target = row.str("target").unwrap_or_default();
            let new = wanted(target, Some(row), rundir);
            let known = remotes.entry(target.to_owned()).or_insert(new.clone());
            known.rows.push((table.clone(), uuid));
            known.options = new.options;
            known.in_band |= new.in_band;
        }
    }
}

fn wanted(target: &str, row: Option<&Row>, rundir: &Path) -> Wanted {
    let remote: Result<Remote, String> = target
        .parse()
        .map(|remote| anchored(remote, rundir))
        .map_err(|e: aorta_ovsdb::RemoteError| e.to_string());
    let options = match (&remote, row) {
        (Ok(remote), Some(row)) => Some(options(remote, row)),
        _ => None,
    };
    Wanted {
        remote,
        options,
        in_band: row.and_then(|row| row.str("connection_mode")) == Some("in-band"),
        rows: Vec::new(),
    }
}

/// What a row says about the treatment of its remote's clients.
fn options(remote: &Remote, row: &Row) -> RemoteOptions {
    let mut options = RemoteOptions::usual(remote);
    let millis = |ms: i64| Duration::from_millis(ms.max(LEAST_MS).unsigned_abs());
    if let Some(probe) = row.int("inactivity_probe") {
        options.probe = (probe != 0).then(|| millis(probe));
    }
    if let Some(backoff) = row.int("max_backoff") {
        options.max_backoff = millis(backoff);
    }
    options
}

fn referenced_table(spec: &ColumnSpec, db: &Db) -> Option<String> {
    let column = db.schema().table(&spec.table)?.column(&spec.column)?;
    Some(column.ty.key.reference.as_ref()?.table.to_string())
}

fn tls_files(specs: &FileSpecs, db: &Db) -> TlsFiles {
    let path = |spec: &FileSpec| match spec {
        FileSpec::Path(path) => Some(path.clone()),
        FileSpec::Column(column) => {
            let mut values = db
                .rows(&column.table)
                .flat_map(|row| row.datum(&column.column).strings());
            values.next().filter(|v| !v.is_empty()).map(PathBuf::from)
        }
    };
    let asked = |column: &ColumnSpec| {
        db.rows(&column.table)
            .any(|row| row.bool("bootstrap_ca_cert"))
    };
    TlsFiles {
        private_key: path(&specs.private_key),
        certificate: path(&specs.certificate),
        ca_cert: path(&specs.ca_cert),
        peer_ca_cert: specs.peer_ca_cert.as_ref().and_then(path),
        bootstrap: specs.bootstrap
            || matches!(&specs.ca_cert, FileSpec::Column(column) if asked(column)),
    }
}

/// Whether a change of the database may change what is desired.
pub(super) fn matters(
    delta: &Delta,
    specs: &Specs,
    files: &FileSpecs,
    db_tables: &[String],
) -> bool {
    let columns = specs.values().filter_map(|spec| match spec {
        Spec::Column(column) => Some(column),
        Spec::Remote(_) => None,
    });
    let files = [&files.private_key, &files.certificate, &files.ca_cert];
    let files = files.into_iter().filter_map(|file| match file {
        FileSpec::Column(column) => Some(column),
        FileSpec::Path(_) => None,
    });
    let columns: Vec<&ColumnSpec> = columns.chain(files).collect();
    delta.changes.iter().any(|change| {
        let of_row = db_tables.iter().any(|table| **table == *change.table);
        let of_column = |spec: &&ColumnSpec| {
            *spec.table == *change.table
                && (change.changed(&spec.column) || change.changed("bootstrap_ca_cert"))
        };
        of_row && ROW_COLUMNS.iter().any(|column| change.changed(column))
            || columns.iter().any(of_column)
    })
}

/// Tables whose rows have remotes.
pub(super) fn row_tables(specs: &Specs, db: &Db) -> Vec<String> {
    let columns = specs.values().filter_map(|spec| match spec {
        Spec::Column(column) => referenced_table(column, db),
        Spec::Remote(_) => None,
    });
    columns.collect()
}

#[cfg(test)]
mod tests {
    use aorta_ovsdb::{Store, StoreHandle, op};
    use serde_json::{Value, json};

    use super::*;

    const MANAGERS: &str = "db:Open_vSwitch,Open_vSwitch,manager_options";

    fn files() -> FileSpecs {
        let own = |column| FileSpec::Column(ColumnSpec::own("SSL", column));
        FileSpecs {
            private_key: own("private_key"),
            certificate: own("certificate"),
            ca_cert: own("ca_cert"),
            peer_ca_cert: None,
            bootstrap: false,
        }
    }

    fn specs(texts: &[&str]) -> Specs {
        let specs = texts.iter().map(|t| ((*t).to_owned(), t.parse().unwrap()));
        specs.collect()
    }

    /// A database with managers, each a target and further columns.
    async fn database(managers: &[(&str, Value)]) -> StoreHandle {
        let store = Store::in_memory();
        let mut operations = Vec::new();
        let mut names = Vec::new();
        for (at, (target, more)) in managers.iter().enumerate() {
            let mut row = more.clone();
            row["target"] = json!(target);
            let name = format!("m{at}");
            names.push(op::named(&name));
            operations
                .push(json!({"op": "insert", "table": "Manager", "row": row, "uuid-name": name}));
        }
        let root = op::Columns::new().set_json("manager_options", json!(["set", names]));
        operations.push(op::insert("Open_vSwitch", None, root));
        store.transact(Value::Array(operations)).await.unwrap();
        store
    }

    #[tokio::test]
    async fn rows_and_the_command_line_are_one_list() {
        let store = database(&[
            (
                "ptcp:6640",
                json!({"inactivity_probe": 0, "max_backoff": 60_000}),
            ),
            ("tcp:[::1]", json!({"inactivity_probe": 20})),
            ("punix:x", json!({"connection_mode": "in-band"})),
            ("nonsense", json!({})),
        ])
        .await;
        let specs = specs(&[MANAGERS, "ptcp:6640", "ptcp:1:127.0.0.1"]);
        let db = store.snapshot().await.unwrap();
        let desired = desired(&specs, &files(), Path::new("/run/x"), &db);
        let seconds = Duration::from_secs;
        let options = |name: &str| {
            let options = desired.remotes[name].options.unwrap();
            (options.probe, options.max_backoff)
        };
        assert_eq!(desired.remotes.len(), 5);
        assert_eq!(options("ptcp:6640"), (None, seconds(60)));
        assert_eq!(options("tcp:[::1]"), (Some(seconds(1)), seconds(8)));
        assert_eq!(options("punix:x"), (None, seconds(8)));
        let of = |name: &str| &desired.remotes[name];
        assert_eq!(of("punix:x").remote, Ok("punix:/run/x/x".parse().unwrap()));
        assert!(of("punix:x").in_band && !of("ptcp:6640").in_band);
        assert!(of("nonsense").remote.is_err());
        assert_eq!(of("ptcp:6640").rows.len(), 1);
        assert_eq!(of("ptcp:1:127.0.0.1").rows, []);
        assert_eq!(desired.files, TlsFiles::default());
        assert_eq!(row_tables(&specs, &db), ["Manager"]);
        let strings = super::tests::specs(&["db:Open_vSwitch,Manager,target"]);
        let strings = super::desired(&strings, &files(), Path::new("/run/x"), &db);
        assert_eq!(strings.remotes.len(), 4);
        let plain = &strings.remotes["ptcp:6640"];
        assert_eq!((plain.options, &*plain.rows), (None, &[][..]));
    }

    #[tokio::test]
    async fn files_come_from_the_ssl_row_or_the_command_line() {
        let store = database(&[]).await;
        let ssl = op::Columns::new()
            .set("private_key", "/k")
            .set("certificate", "/c")
            .set("ca_cert", "/a")
            .set("bootstrap_ca_cert", true);
        let refer = json!({"op": "update", "table": "Open_vSwitch", "where": [],
            "row": {"ssl": op::named("s")}});
        let operations = vec![op::insert("SSL", Some("s"), ssl), refer];
        store.transact(Value::Array(operations)).await.unwrap();
        let db = store.snapshot().await.unwrap();
        let of_row = desired(&Specs::new(), &files(), Path::new("/"), &db).files;
        assert_eq!(of_row.private_key, Some("/k".into()));
        assert_eq!(of_row.ca_cert, Some("/a".into()));
        assert!(of_row.bootstrap);
        let given = FileSpecs {
            ca_cert: FileSpec::Path("/b".into()),
            ..files()
        };
        let mixed = desired(&Specs::new(), &given, Path::new("/"), &db).files;
        assert_eq!((mixed.ca_cert, mixed.bootstrap), (Some("/b".into()), false));
        assert_eq!(mixed.certificate, Some("/c".into()));
    }

    #[tokio::test]
    async fn only_what_is_read_matters() {
        let store = database(&[("ptcp:1", json!({}))]).await;
        let (db, mut deltas) = store.subscribe().await.unwrap();
        let specs = specs(&[MANAGERS]);
        let tables = row_tables(&specs, &db);
        let root = db.rows("Open_vSwitch").next().unwrap().uuid();
        let manager = db.rows("Manager").next().unwrap().uuid();
        let mut matters_to_us = async |operation: Value| {
            store.transact(json!([operation])).await.unwrap();
            let delta = deltas.recv().await.unwrap();
            matters(&delta, &specs, &files(), &tables)
        };
        let row = op::Columns::new;
        let next = op::update("Open_vSwitch", root, row().set("next_cfg", 7i64));
        assert!(!matters_to_us(next).await);
        let state = op::update("Manager", manager, row().set("is_connected", true));
        assert!(!matters_to_us(state).await);
        let probe = op::update("Manager", manager, row().set("inactivity_probe", 7000i64));
        assert!(matters_to_us(probe).await);
        let none = row().set_json("manager_options", json!(["set", []]));
        assert!(matters_to_us(op::update("Open_vSwitch", root, none)).await);
    }
}
