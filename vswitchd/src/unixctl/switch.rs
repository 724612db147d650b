//! Commands about the switch itself.

use std::fmt::Write as _;

use super::{Answer, Commands};
use crate::control::{FdbError, Gone, Request};
use crate::reconcile::Fdb;

/// The switch ends, so it can't be asked.
pub(super) fn gone(error: Gone) -> String {
    error.to_string()
}

impl Commands {
    pub(super) async fn switch(&self, name: &str, arguments: &[String]) -> Answer {
        match (name, arguments) {
            ("fdb/show", [bridge]) => self.fdb(bridge).await,
            ("fdb/flush", bridge) => self.flush(bridge.first()).await,
            ("bridge/reconnect", bridge) => self.reconnect(bridge.first()).await,
            // What other hardware does would be told of each flow; none does anything.
            ("bridge/dump-flows", [.., bridge]) => self.dump_flows(bridge).await,
            ("ofproto/trace", arguments) => self.trace(arguments).await,
            ("dpif/show", _) => self.ports().await,
            _ => self.bridges().await,
        }
    }

    pub(super) async fn exit(&self, arguments: &[String]) -> Answer {
        match arguments {
            [] => Ok(String::new()),
            [option] if option == "--cleanup" => {
                let cleaned = self.control.ask(Request::CleanUp).await.map_err(gone)?;
                cleaned.map(|()| String::new())
            }
            [other, ..] => Err(format!(
                "{other:?} is not an option of exit (only --cleanup)"
            )),
        }
    }

    async fn reconnect(&self, bridge: Option<&String>) -> Answer {
        let question = |answer| Request::ReconnectBridges(bridge.cloned(), answer);
        match self.control.ask(question).await.map_err(gone)? {
            true => Ok(String::new()),
            false => Err("Unknown bridge".to_owned()),
        }
    }

    async fn bridges(&self) -> Answer {
        let bridges = self.control.ask(Request::Bridges).await.map_err(gone)?;
        Ok(bridges.iter().map(|bridge| format!("{bridge}\n")).collect())
    }

    async fn flush(&self, bridge: Option<&String>) -> Answer {
        let question = |answer| Request::FlushFdb(bridge.cloned(), answer);
        match self.control.ask(question).await.map_err(gone)? {
            Ok(()) => Ok("table successfully flushed".to_owned()),
            Err(FdbError::NoBridge(_)) => Err("no such bridge".to_owned()),
            Err(FdbError::Datapath(why)) => Err(why),
        }
    }

    async fn fdb(&self, bridge: &str) -> Answer {
        let question = |answer| Request::Fdb(bridge.to_owned(), answer);
        match self.control.ask(question).await.map_err(gone)? {
            Ok(entries) => Ok(fdb_table(&entries)),
            Err(FdbError::NoBridge(_)) => Err("no such bridge".to_owned()),
            Err(FdbError::Datapath(why)) => Err(why),
        }
    }
}

/// Columns as `ovs-appctl fdb/show` has them.
fn fdb_table(entries: &[Fdb]) -> String {
    let mut text = " port  VLAN  MAC                Age\n".to_owned();
    for entry in entries {
        let local = aorta_flow::OfPort(entry.ofport) == aorta_flow::OfPort::LOCAL;
        let port = if local {
            "LOCAL".to_owned()
        } else {
            entry.ofport.to_string()
        };
        let _ = writeln!(
            text,
            "{port:>5}  {:>4}  {}  {:>3}",
            entry.vlan, entry.mac, entry.age_s
        );
    }
    text
}
