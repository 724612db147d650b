//! Commands about the database.

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
            ("list-dbs", _) => Ok(format!("{MAIN}\n{SERVER}")),
            ("add-db", _) => Err(ONE_DATABASE.to_owned()),
            ("remove-db", [db]) => Err(match db.as_str() {
                SERVER => "Cannot remove reserved database.".to_owned(),
                MAIN => format!("{MAIN} stays: the switch is configured by it"),
                _ => "Failed to find the database.".to_owned(),
            }),
            ("add-remote", [remote]) => {
                let order = |to| Request::AddRemote(remote.clone(), to);
                let done = self.control.ask(order).await;
                done.map_err(|gone| gone.to_string())?
                    .map(|()| String::new())
            }
            ("remove-remote", [remote]) => {
                let order = |to| Request::RemoveRemote(remote.clone(), to);
                let done = self.control.ask(order).await;
                done.map_err(|gone| gone.to_string())?
                    .map(|()| String::new())
            }
            ("list-remotes", _) => {
                let all = self.control.ask(Request::ListRemotes).await;
                Ok(all.map_err(|gone| gone.to_string())?.join("\n"))
            }
            ("reconnect", _) => {
                let done = self.control.ask(Request::Reconnect).await;
                done.map(|()| String::new())
                    .map_err(|gone| gone.to_string())
            }
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
}
