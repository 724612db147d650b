//! Changes of chosen tables go to the log (`ovsdb-server/tlog-set`).

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aorta_ovsdb::{Atom, Change, ColumnType, DatabaseSchema, Datum, Row, StoreHandle};
use tracing::info;

use super::Answer;

/// Database and table.
type Table = (String, String);

/// Which tables' changes are logged.
#[derive(Debug, Clone)]
pub struct TransactionLog {
    store: StoreHandle,
    tables: Arc<Mutex<Tables>>,
}

#[derive(Debug, Default)]
struct Tables {
    logged: BTreeSet<Table>,
    /// Whether a task follows the changes.
    followed: bool,
}

impl TransactionLog {
    /// Nothing is logged at first.
    pub fn new(store: StoreHandle) -> TransactionLog {
        TransactionLog {
            store,
            tables: Arc::default(),
        }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn schemas(&self) -> Result<[Arc<DatabaseSchema>; 2], String> {
        let db = self.store.snapshot().await.map_err(|e| e.to_string())?;
        Ok([Arc::clone(db.schema()), DatabaseSchema::server()])
    }

    /// All tables, with what is done to each.
    pub(super) async fn list(&self) -> Answer {
        let mut text = String::from(
            "database        table                       logging\n--------        -----                       -------\n",
        );
        for schema in self.schemas().await? {
            let _ = writeln!(text, "{:<16} ", schema.name);
            let mut names: Vec<&str> = schema.tables.iter().map(|table| &*table.name).collect();
            names.sort_unstable();
            for name in names {
                let table = (schema.name.to_string(), name.to_owned());
                let on = self.tables().logged.contains(&table);
                let _ = writeln!(
                    text,
                    "{:<15} {name:<27} {}",
                    "",
                    if on { "ON" } else { "OFF" }
                );
            }
        }
        Ok(text)
    }

    /// Logs the changes of a table, or doesn't.
    pub(super) async fn set(&self, table: &str, flag: &str) -> Answer {
        let (database, table) = table.split_once(':').ok_or("invalid DB:TABLE argument")?;
        let schemas = self.schemas().await?;
        let schema = schemas.iter().find(|schema| *schema.name == *database);
        let schema = schema.ok_or("no such database")?;
        schema.table(table).ok_or("no such table")?;
        let table = (database.to_owned(), table.to_owned());
        match flag {
            "on" => self.start(table).await?,
            "off" => drop(self.tables().logged.remove(&table)),
            _ => return Err("invalid command argument".to_owned()),
        }
        Ok(String::new())
    }

    async fn start(&self, table: Table) -> Result<(), String> {
        let follow = {
            let mut tables = self.tables();
            tables.logged.insert(table);
            !std::mem::replace(&mut tables.followed, true)
        };
        if follow {
            // Before the answer, so that every change after it is seen.
            let (db, mut deltas) = self.store.subscribe().await.map_err(|e| e.to_string())?;
            let database = db.schema().name.to_string();
            let tables = Arc::clone(&self.tables);
            tokio::spawn(async move {
                while let Some(delta) = deltas.recv().await {
                    let mut tables = tables.lock().unwrap_or_else(PoisonError::into_inner);
                    let logged = |change: &&Change| {
                        let table = (database.clone(), change.table.to_string());
                        tables.logged.contains(&table)
                    };
                    for change in delta.changes.iter().filter(logged) {
                        info!(target: "transaction", "{}", line(change));
                    }
                    if tables.logged.is_empty() {
                        tables.followed = false;
                        return;
                    }
                }
            });
        }
        Ok(())
    }
}

/// A change in one line, as ovsdb-server has it.
fn line(change: &Change) -> String {
    let (what, row) = match (&change.old, &change.new) {
        (None, Some(row)) => ("inserted", row),
        (Some(row), None) => ("deleted", row),
        (_, Some(row)) => ("updated", row),
        (None, None) => return String::new(),
    };
    let mut text = format!("table:{},op:{what}", change.table);
    let _ = write!(text, ",_uuid:{},_version:{}", row.uuid(), row.version());
    for (name, value) in columns(row) {
        let _ = write!(text, ",{name}:{value}");
    }
    text
}

fn columns(row: &Row) -> impl Iterator<Item = (&str, String)> {
    let columns = row.schema().columns.iter().zip(row.values());
    columns.map(|(column, value)| (&*column.name, text(value, &column.ty)))
}

fn text(value: &Datum, ty: &ColumnType) -> String {
    let joined = |texts: Vec<String>| texts.join(", ");
    match value {
        Datum::Map(map) => {
            let pairs = map.iter().map(|(k, v)| format!("{}={}", word(k), word(v)));
            format!("{{{}}}", joined(pairs.collect()))
        }
        Datum::Set(set) => {
            let atoms = joined(set.iter().map(word).collect());
            if ty.max == 1 && !value.is_empty() {
                atoms
            } else {
                format!("[{atoms}]")
            }
        }
    }
}

/// A string that could be taken for something else stands in quotes.
fn word(atom: &Atom) -> String {
    match atom {
        Atom::String(text) => {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
            let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            if first && text.chars().all(plain) && !matches!(&**text, "true" | "false") {
                text.to_string()
            } else {
                serde_json::Value::from(&**text).to_string()
            }
        }
        Atom::Uuid(uuid) => uuid.to_string(),
        other => other.to_json().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use aorta_ovsdb::{Store, op};
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn tables_are_chosen_by_name() {
        let log = TransactionLog::new(Store::in_memory());
        let off = log.list().await.unwrap();
        assert!(off.starts_with("database        table                       logging\n"));
        assert!(
            off.contains("\nOpen_vSwitch     \n                AutoAttach                  OFF\n")
        );
        assert!(
            off.ends_with("\n_Server          \n                Database                    OFF\n")
        );
        log.set("Open_vSwitch:Bridge", "on").await.unwrap();
        let on = log.list().await.unwrap();
        assert!(on.contains("\n                Bridge                      ON\n"));
        log.set("Open_vSwitch:Bridge", "off").await.unwrap();
        assert_eq!(log.list().await.unwrap(), off);
        for (table, flag, words) in [
            ("Bridge", "on", "invalid DB:TABLE argument"),
            ("x:Bridge", "on", "no such database"),
            ("Open_vSwitch:x", "on", "no such table"),
            ("Open_vSwitch:Bridge", "x", "invalid command argument"),
        ] {
            assert_eq!(log.set(table, flag).await.unwrap_err(), words);
        }
    }

    #[tokio::test]
    async fn a_row_is_a_line() {
        let store = Store::in_memory();
        let (_, mut deltas) = store.subscribe().await.unwrap();
        let row = op::Columns::new()
            .set("type", Datum::scalar("linux-htb"))
            .set(
                "other_config",
                Datum::map([("max-rate", "10"), ("x", "a b")]),
            );
        let insert = op::insert("QoS", None, row);
        store.transact(json!([insert])).await.unwrap();
        let delta = deltas.recv().await.unwrap();
        let text = line(&delta.changes[0]);
        assert!(text.starts_with("table:QoS,op:inserted,_uuid:"), "{text}");
        for part in [
            ",type:linux-htb",
            ",other_config:{max-rate=\"10\", x=\"a b\"}",
            ",queues:{}",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}
