//! The state as metrics tell it.

use super::*;
use crate::metrics::SwitchValues;
use crate::reconcile::FlowCounters;

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
            let cards = self.cards_of(&bridge.name);
            values
                .cards
                .extend(cards.into_iter().map(|card| (name.clone(), card)));
            if self.flows.contains_key(&bridge.name)
                && let Ok(explained) = self.datapath.explain(&bridge.name)
            {
                let matched = self.matched(&bridge.name);
                let of_bridge = |(table, counted)| ((name.clone(), table), counted);
                values.matched.extend(matched.into_iter().map(of_bridge));
                values.explained.push((name, explained));
            }
        }
        values
    }

    /// What the flows of a bridge have counted, by table.
    fn matched(&self, bridge: &BridgeName) -> BTreeMap<u8, FlowCounters> {
        let mut tables = BTreeMap::<u8, FlowCounters>::new();
        let (Some(flows), Ok(counters)) = (self.flows.get(bridge), self.counters_of(bridge)) else {
            return tables;
        };
        for entry in flows.tables.tables().flows() {
            if let Some(counted) = counters.get(&entry.id) {
                tables.entry(entry.flow.table).or_default().add(counted);
            }
        }
        tables
    }
}
