//! The state as metrics tell it.

use super::*;
use crate::metrics::SwitchValues;

impl<E: Effects, D: Datapath> Switch<E, D> {
    /// Everything that metrics tell of the switch.
    pub fn metrics(&self) -> SwitchValues {
        let (bridges, problems) = self.status();
        let mut values = SwitchValues {
            bridges,
            problems,
            lost_upcalls: self.datapath.lost_upcalls().unwrap_or(0),
            ..SwitchValues::default()
        };
        for bridge in &self.desired.bridges {
            let name = bridge.name.to_string();
            let connections = self.connections_of(&bridge.name);
            values.connections.insert(name.clone(), connections);
            if self.flows.contains_key(&bridge.name)
                && let Ok(explained) = self.datapath.explain(&bridge.name)
            {
                values.explained.push((name, explained));
            }
        }
        values
    }
}
