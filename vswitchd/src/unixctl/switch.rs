//! Commands about the switch itself.

use super::{Answer, Commands};
use crate::control::{Gone, Request};

/// The switch ends, so it can't be asked.
pub(super) fn gone(error: Gone) -> String {
    error.to_string()
}

impl Commands {
    pub(super) async fn switch(&self, name: &str, arguments: &[String]) -> Answer {
        match (name, arguments) {
            ("bridge/reconnect", bridge) => self.reconnect(bridge.first()).await,
            // What other hardware does would be told of each flow; none does anything.
            ("bridge/dump-flows", [.., bridge]) => self.dump_flows(bridge).await,
            ("ofproto/trace", arguments) => self.trace(arguments).await,
            // Packets obey every change of flows when it is answered, and nothing is cached.
            ("revalidator/wait" | "revalidator/purge", _) => Ok(String::new()),
            ("qos/show", [interface]) => self.qos_show(interface).await,
            ("qos/show-types", [interface]) => self.qos_types(interface).await,
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
}
