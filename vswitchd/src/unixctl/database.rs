//! Commands about the database.

use super::switch::gone;
use super::{Answer, Commands};
use crate::control::Request;

/// The database that the switch lives from, and the one that tells about it.
const MAIN: &str = "Open_vSwitch";
const SERVER: &str = "_Server";

const ALONE: &str = "this server is nobody's backup: replication is not supported";
const ONE_DATABASE: &str = "this server has one database; for another, start another vswitchd \
                            with its own --rundir and --db";

impl Commands {
    pub(super) async fn database(&self, name: &str, arguments: &[String]) -> Answer {
        let nothing = Ok(String::new());
        match (name.trim_start_matches("ovsdb-server/"), arguments) {
            ("compact", databases) => self.compact(databases).await,
            ("add-remote", [remote]) => {
                let added = self
                    .control
                    .ask(|to| Request::AddRemote(remote.clone(), to));
                added.await.map_err(gone)?.map(|()| String::new())
            }
            ("remove-remote", [remote]) => {
                let removed = self
                    .control
                    .ask(|to| Request::RemoveRemote(remote.clone(), to));
                removed.await.map_err(gone)?.map(|()| String::new())
            }
            ("list-remotes", _) => {
                let remotes = self.control.ask(Request::ListRemotes).await.map_err(gone)?;
                Ok(remotes.join("\n"))
            }
            ("reconnect", _) => {
                self.control.ask(Request::Reconnect).await.map_err(gone)?;
                nothing
            }
            ("list-dbs", _) => Ok(format!("{MAIN}\n{SERVER}")),
            ("add-db", _) => Err(ONE_DATABASE.to_owned()),
            ("remove-db", [db]) => Err(match db.as_str() {
                SERVER => "Cannot remove reserved database.".to_owned(),
                MAIN => format!("{MAIN} stays: the switch is configured by it"),
                _ => "Failed to find the database.".to_owned(),
            }),
            ("get-db-storage-status", [db]) => self.storage(db).await,
            ("sync-status", _) => Ok("state: active".to_owned()),
            ("get-active-ovsdb-server", _) => nothing,
            (
                "set-active-ovsdb-server"
                | "connect-active-ovsdb-server"
                | "disconnect-active-ovsdb-server",
                _,
            ) => Err(ALONE.to_owned()),
            ("perf-counters-show", _) => {
                Ok("performance counter is not supported on this platform".to_owned())
            }
            ("perf-counters-clear", _) => nothing,
            // Freed memory goes back to the system by itself.
            ("memory-trim-on-compaction", [flag]) => match flag.as_str() {
                "on" | "off" => nothing,
                _ => Err("invalid argument".to_owned()),
            },
            ("tlog-list", _) => self.transactions.list().await,
            ("tlog-set", [table, flag]) => self.transactions.set(table, flag).await,
            (other, _) => Err(format!("{other:?} takes other arguments")),
        }
    }

    async fn storage(&self, db: &str) -> Answer {
        let usage = self.store.usage().await.map_err(|e| e.to_string())?;
        match db {
            MAIN if usage.untrusted => Ok("status: the disk has refused to flush the log; \
                ovsdb-server/compact writes it anew"
                .to_owned()),
            MAIN | SERVER => Ok("status: ok".to_owned()),
            _ => Err("Failed to find the database.".to_owned()),
        }
    }

    /// Drops the history of a database; of the one that has any where none is named.
    async fn compact(&self, databases: &[String]) -> Answer {
        match databases.first().map(String::as_str) {
            None | Some(MAIN) => {
                let compacted = self.store.compact().await;
                compacted
                    .map(|()| String::new())
                    .map_err(|error| crate::errors::line(&error))
            }
            Some(SERVER) => Err("cannot compact built-in databases".to_owned()),
            Some(_) => Err("no database by that name".to_owned()),
        }
    }
}
