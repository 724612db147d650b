//! The control sockets of OVS's daemons, as `ovs-appctl` uses them: a command's name and its
//! arguments, one text back.

mod commands;
mod database;
mod datapath;
mod fdb;
mod flows;
mod missing;
mod qos;
mod reports;
mod sim;
mod socket;
mod switch;
mod tlog;
mod vlog;

use aorta_ovsdb::StoreHandle;

pub use socket::{ControlSocket, listen, serve, socket_path};

use crate::control::Control;
use crate::coverage;
use crate::logging::LogControl;
use tlog::TransactionLog;

/// Which daemon's commands a socket answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// ovs-vswitchd.
    Switch,
    /// ovsdb-server.
    Database,
}

/// Answers commands.
#[derive(Debug, Clone)]
pub struct Commands {
    target: Target,
    /// Whether devices are in memory.
    simulated: bool,
    control: Control,
    store: StoreHandle,
    log: LogControl,
    transactions: TransactionLog,
}

/// A command's text, or why there is none. `ovs-appctl` prints the first and exits with status 0,
/// or the second and exits with 2.
type Answer = Result<String, String>;

impl Commands {
    /// Commands of a target.
    pub fn new(target: Target, control: Control, store: StoreHandle, log: LogControl) -> Commands {
        Commands {
            target,
            simulated: false,
            control,
            log,
            transactions: TransactionLog::new(store.clone()),
            store,
        }
    }

    /// Has commands about devices in memory, too, or hasn't.
    pub fn simulated(self, simulated: bool) -> Commands {
        Commands { simulated, ..self }
    }

    /// Runs one command. The texts end with a line's end, unless they are empty.
    ///
    /// # Errors
    /// With what is wrong, for a person.
    pub async fn run(&self, name: &str, arguments: &[String]) -> Answer {
        coverage::UNIXCTL_RECEIVED.hit();
        let answer = self.answer(name, arguments).await;
        coverage::UNIXCTL_REPLIED.hit();
        answer.map(ended).map_err(ended)
    }

    async fn answer(&self, name: &str, arguments: &[String]) -> Answer {
        let set = commands::Set {
            target: self.target,
            simulated: self.simulated,
        };
        set.check(name, arguments.len())?;
        let family = name.split_once('/').map_or(name, |(family, _)| family);
        match family {
            "list-commands" => Ok(set.list()),
            "version" => Ok(version()),
            "exit" => self.exit(arguments).await,
            "coverage" => reports::coverage(name, arguments),
            "memory" => self.memory().await,
            "ovsdb-server" => self.database(name, arguments).await,
            "dpctl" | "dpif" => self.datapath(name, arguments).await,
            "fdb" => self.addresses(name, arguments).await,
            "netdev-dummy" | "time" => self.simulation(name, arguments).await,
            "vlog" => vlog::run(&self.log, name, arguments),
            _ => self.switch(name, arguments).await,
        }
    }
}

/// The daemon's name and version in one line.
pub fn version() -> String {
    let (own, ovs) = (env!("CARGO_PKG_VERSION"), crate::identity::OVS_VERSION);
    format!("vswitchd (Aorta) {own}, compatible with Open vSwitch {ovs}")
}

fn ended(text: String) -> String {
    if text.is_empty() || text.ends_with('\n') {
        text
    } else {
        text + "\n"
    }
}

#[cfg(test)]
mod tests;
