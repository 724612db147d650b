//! What the switch says about itself and its host in the database.

use std::fs;
use std::path::Path;

use aorta_ovsdb::{Datum, Row, Uuid};

use crate::writeback::{Columns, optional};

/// The version that clients see. They choose features by it, and the database has the schema of
/// this release, so it names the Open vSwitch release whose clients work unmodified.
pub const OVS_VERSION: &str = "3.1.0";
/// Version of the database schema.
const DB_VERSION: &str = "8.3.1";
/// Interface types that work.
const IFACE_TYPES: [&str; 4] = ["internal", "patch", "system", "tap"];
/// Values of Bridge.datapath_type that are accepted; they all mean the same datapath.
const DATAPATH_TYPES: [&str; 2] = ["netdev", "system"];
/// Interface types that simulated devices add.
const SIMULATED_IFACE_TYPES: [&str; 3] = ["dummy", "dummy-internal", "dummy-pmd"];
/// The value of Bridge.datapath_type that they add.
const SIMULATED_DATAPATH_TYPE: &str = "dummy";
/// File in the database's directory that names this host, where an earlier installation left it.
const SYSTEM_ID_FILE: &str = "system-id.conf";

/// What is known about the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its name.
    pub hostname: String,
    /// Its distribution, as in os-release.
    pub system_type: String,
    /// The distribution's version.
    pub system_version: String,
    /// Identity to use if the database has none.
    pub system_id: String,
    /// Directory of the sockets.
    pub rundir: String,
    /// Whether devices are in memory.
    pub simulated: bool,
}

impl Host {
    /// Asks the host.
    pub fn read(rundir: &Path, db: &Path, simulated: bool) -> Host {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let release = [read("/etc/os-release"), read("/usr/lib/os-release")].concat();
        let value = |key: &str| os_release(&release, key).unwrap_or_else(|| "unknown".to_owned());
        let dir = db.parent().unwrap_or(db);
        let id = fs::read_to_string(dir.join(SYSTEM_ID_FILE)).unwrap_or_default();
        let id = id.trim();
        Host {
            hostname: read("/proc/sys/kernel/hostname").trim().to_owned(),
            system_type: value("ID"),
            system_version: value("VERSION_ID"),
            system_id: if id.is_empty() {
                Uuid::new_v4().to_string()
            } else {
                id.to_owned()
            },
            rundir: rundir.display().to_string(),
            simulated,
        }
    }

    /// Columns of the Open_vSwitch row that are missing or wrong.
    pub fn columns(&self, row: &Row) -> Columns {
        let types = |names: &[&str], more: &[&str]| {
            let more = more.iter().filter(|_| self.simulated);
            Datum::set(names.iter().chain(more).copied())
        };
        let keep = |column: &str, value: &str| optional(row.str(column).or(Some(value)));
        let wanted = vec![
            ("ovs_version", Datum::scalar(OVS_VERSION)),
            ("db_version", Datum::scalar(DB_VERSION)),
            ("system_type", keep("system_type", &self.system_type)),
            (
                "system_version",
                keep("system_version", &self.system_version),
            ),
            ("iface_types", types(&IFACE_TYPES, &SIMULATED_IFACE_TYPES)),
            (
                "datapath_types",
                types(&DATAPATH_TYPES, &[SIMULATED_DATAPATH_TYPE]),
            ),
            ("dpdk_initialized", Datum::scalar(false)),
            ("external_ids", self.external_ids(row)),
        ];
        wanted
            .into_iter()
            .filter(|(column, datum)| row.datum(column) != datum)
            .collect()
    }

    /// The row's external_ids with what is missing.
    fn external_ids(&self, row: &Row) -> Datum {
        let mut ids = row.map("external_ids").clone();
        let own = [
            ("hostname", &self.hostname),
            ("rundir", &self.rundir),
            ("system-id", &self.system_id),
        ];
        for (key, value) in own {
            // The rundir is this process's; the rest belongs to who set it.
            if key == "rundir" || row.map_get("external_ids", key).is_none() {
                ids.insert(key.into(), value.as_str().into());
            }
        }
        Datum::Map(ids)
    }
}

/// A value of os-release, unquoted.
fn os_release(text: &str, key: &str) -> Option<String> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
    let value = value.trim().trim_matches(['"', '\'']);
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use aorta_ovsdb::DatabaseSchema;

    use super::*;

    fn host() -> Host {
        Host {
            hostname: "h".into(),
            system_type: "debian".into(),
            system_version: "12".into(),
            system_id: "id".into(),
            rundir: "/run/x".into(),
            simulated: false,
        }
    }

    #[test]
    fn missing_columns_are_filled_and_others_kept() {
        let schema = DatabaseSchema::vswitch();
        let table = schema.table("Open_vSwitch").unwrap();
        let mut row = Row::new(table, Uuid::nil(), Uuid::nil());
        let set = |row: &mut Row, columns: Columns| {
            for (column, datum) in columns {
                table.column(column).unwrap().ty.check(&datum).unwrap();
                row.set_at(table.position(column).unwrap(), datum);
            }
        };
        let theirs = Datum::map([("hostname", "theirs"), ("ovn-remote", "x")]);
        set(
            &mut row,
            vec![
                ("external_ids", theirs),
                ("system_type", Datum::scalar("other")),
            ],
        );
        let columns = host().columns(&row);
        set(&mut row, columns);
        assert_eq!(row.map_get("external_ids", "hostname"), Some("theirs"));
        assert_eq!(row.map_get("external_ids", "ovn-remote"), Some("x"));
        assert_eq!(row.map_get("external_ids", "system-id"), Some("id"));
        assert_eq!(
            (row.str("system_type"), row.str("system_version")),
            (Some("other"), Some("12"))
        );
        assert_eq!(row.str("ovs_version"), Some("3.1.0"));
        assert_eq!(
            host().columns(&row),
            vec![],
            "a second start writes nothing"
        );
    }

    #[test]
    fn os_release_values() {
        let text = "NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nID=debian\nEMPTY=\n";
        assert_eq!(os_release(text, "ID").as_deref(), Some("debian"));
        assert_eq!(os_release(text, "VERSION_ID").as_deref(), Some("12"));
        assert_eq!(os_release(text, "EMPTY"), None);
    }
}
