//! The datapath's flow tables, bridge by bridge.

use std::collections::{BTreeMap, HashMap};

use aorta_compiler::PortModule;
use aorta_compiler::abi::counter;
use aorta_compiler::pipeline::counted::group_of;
use aorta_compiler::pipeline::record::RuleId;
use aorta_flow::action::{Action, Instructions};
use aorta_flow::meter::MeterState;
use aorta_flow::table::{Change, FlowId, Tables};
use aorta_flow::{BridgeName, Match, MeterId, OfPort};

use crate::datapath::{Datapath, is_patch};
use crate::error::DatapathError;
use crate::flows::{
    Asked, Explained, FlowCounters, FlowsApplied, FlowsError, GroupCounters, Kernel, Numbered,
    Place, Rules, Taken, Upcall, Upcalls,
};
use crate::state::State;

impl Datapath {
    /// Gives the flows of a bridge the numbers of rules that they had, so that they go on counting
    /// where they were: before [`Datapath::apply_flows`] is called for the bridge the first time.
    pub fn adopt_rules(&mut self, bridge: &BridgeName, rules: &HashMap<FlowId, RuleId>) {
        let slot = self.state.slots().bridges.get(bridge).copied();
        let adopted = self.flows.adopt(slot, rules);
        self.adopted.insert(bridge.clone(), adopted);
    }

    /// Brings the flow tables of a bridge into the kernel: each packet obeys the tables as they were
    /// or as they are. `changes` lead there from those of the last call that succeeded; without them
    /// the tables are taken as new ones. A bridge whose tables were never applied does what NORMAL
    /// says.
    ///
    /// A daemon that starts calls this before the first [`Datapath::apply`], which leads the ports to
    /// the flows.
    ///
    /// # Errors
    /// When the tables can't be compiled or the kernel refuses them. Then the bridge goes on as
    /// before.
    pub fn apply_flows(
        &mut self,
        bridge: &BridgeName,
        tables: &Tables,
        changes: Option<&[Change]>,
    ) -> Result<FlowsApplied, FlowsError> {
        let slot = self.state.allocate_bridge(bridge)?;
        let mut kernel = Kernel {
            loader: &mut self.loader,
            generation: &self.generation,
            state: &self.state,
        };
        let only = normal_flow(tables);
        // Reading counters costs calls for each port.
        let taken = match only.is_some() || self.flows.normal_flow(slot).is_some() {
            true => taken(&self.state, &self.installed.ports, slot)?,
            false => Taken::default(),
        };
        let adopted = self.adopted.remove(bridge).unwrap_or_default();
        if let Some(flow) = only {
            let why = self.flows.has(slot).then(|| "NORMAL alone is left".into());
            self.flows.reclaim(&self.generation)?;
            self.flows
                .begin_normal(&mut kernel, (slot, flow), adopted, taken)?;
            if self.flowing.remove(&slot) {
                self.lead_ports(slot).inspect_err(|_| {
                    // Ports that still lead to the flows find them, until the next try.
                    self.flowing.insert(slot);
                    self.flows.spoil(slot);
                })?;
                self.settle_xdp()?;
            }
            self.flows.remove(slot);
            return Ok(FlowsApplied {
                in_place: why.is_none(),
                why_rebuilt: why,
                ..FlowsApplied::default()
            });
        }
        let normal = self.flows.end_normal(slot, taken);
        let adopted = match normal {
            Some(it) => Rules::from_iter([(it.flow, it.rule)]),
            None => adopted,
        };
        let bridge = (bridge, slot);
        let applied = self
            .flows
            .apply(&mut kernel, bridge, tables, changes, adopted);
        if let (Err(_), Some(it)) = (&applied, normal) {
            self.flows.go_on_normal(slot, it, taken);
        }
        let applied = applied?;
        if self.flowing.insert(slot) {
            let ports = numbered(&self.installed.ports, slot);
            self.flows.set_ports(slot, ports);
            self.lead_ports(slot)
                .inspect_err(|_| self.flows.spoil(slot))?;
            self.settle_xdp().inspect_err(|_| self.flows.spoil(slot))?;
        }
        Ok(applied)
    }

    /// Exchanges the programs of a bridge's ports for those of its kind.
    fn lead_ports(&mut self, bridge_slot: u32) -> Result<(), FlowsError> {
        let mut ports: Vec<(u32, PortModule)> = self
            .installed
            .ports
            .iter()
            .filter(|(_, port)| port.bridge_slot == bridge_slot)
            .map(|(slot, port)| (*slot, port.clone()))
            .collect();
        ports.sort_by_key(|(_, port)| !is_patch(port));
        for (slot, port) in ports {
            self.install_program(slot, &port, false)
                .map_err(|source| FlowsError::Port {
                    port: port.name,
                    source,
                })?;
        }
        Ok(())
    }

    /// Number of the rule of a flow; none if the bridge has no such flow.
    pub fn rule(&self, bridge: &BridgeName, flow: FlowId) -> Option<RuleId> {
        let slot = self.slot(bridge)?;
        if let Some(it) = self.flows.normal_flow(slot) {
            return (it.flow == flow).then_some(RuleId(it.rule));
        }
        self.flows.rules(slot)?.get(flow).map(RuleId)
    }

    /// Numbers of the rules of a bridge's flows, for [`Datapath::adopt_rules`].
    pub fn rules(&self, bridge: &BridgeName) -> HashMap<FlowId, RuleId> {
        let Some(slot) = self.slot(bridge) else {
            return HashMap::new();
        };
        if let Some(it) = self.flows.normal_flow(slot) {
            return HashMap::from([(it.flow, RuleId(it.rule))]);
        }
        let pairs = self.flows.rules(slot).into_iter().flat_map(|r| r.iter());
        let pairs = pairs.filter(|(id, _)| group_of(*id).is_none());
        pairs.map(|(flow, id)| (flow, RuleId(id))).collect()
    }

    /// Counters of a bridge's flows. Of one that does NORMAL alone it isn't known when the newest
    /// packet came.
    ///
    /// # Errors
    /// When the kernel's counters can't be read.
    pub fn flow_stats(
        &self,
        bridge: &BridgeName,
    ) -> Result<HashMap<FlowId, FlowCounters>, DatapathError> {
        let Some(slot) = self.slot(bridge) else {
            return Ok(HashMap::new());
        };
        if self.flows.normal_flow(slot).is_some() {
            let taken = taken(&self.state, &self.installed.ports, slot)?;
            return self.flows.normal_counters(slot, taken);
        }
        let now = self.ticks()?;
        self.flows.counters(slot, now, self.clock.hz())
    }

    /// Adds packets to what a flow of a bridge has counted, which somebody else has matched: a network
    /// card. They are kept as those are that programs count. False if the bridge has no such flow.
    ///
    /// # Errors
    /// When the kernel's tick counter can't be read.
    pub fn add_flow_stats(
        &self,
        bridge: &BridgeName,
        flow: FlowId,
        counted: FlowCounters,
    ) -> Result<bool, DatapathError> {
        let Some(RuleId(rule)) = self.rule(bridge, flow) else {
            return Ok(false);
        };
        let tick = match counted.idle {
            None => 0,
            Some(idle) => {
                let ago = idle.as_millis() * u128::from(self.clock.hz()) / 1000;
                let ago = u64::try_from(ago).unwrap_or(u64::MAX);
                self.ticks()?.saturating_sub(ago).max(1)
            }
        };
        self.flows.add(rule, [counted.packets, counted.bytes, tick]);
        Ok(true)
    }

    /// Counters of the groups of a bridge. Those of groups that no flow leads to are missing.
    ///
    /// # Errors
    /// When the kernel's counters can't be read.
    pub fn group_stats(
        &self,
        bridge: &BridgeName,
    ) -> Result<BTreeMap<u32, GroupCounters>, DatapathError> {
        let Some(slot) = self.slot(bridge) else {
            return Ok(BTreeMap::new());
        };
        let now = self.ticks()?;
        self.flows.group_counters(slot, now, self.clock.hz())
    }

    /// The tick counter.
    fn ticks(&self) -> Result<u64, DatapathError> {
        self.clock.ticks().map_err(|source| DatapathError::Map {
            what: "read the time of",
            name: "flow_stats".into(),
            source,
        })
    }

    /// What became of a bridge's tables; `None` if it does NORMAL alone.
    pub fn explain_flows(&self, bridge: &BridgeName) -> Option<Explained> {
        let slot = self.slot(bridge)?;
        let explained = self.flows.explained(slot)?;
        let ports = self.installed.ports.values();
        let own = ports.filter(|port| port.bridge_slot == slot && self.is_tailored(&port.name));
        Some(Explained {
            own_programs: own.count(),
            ..explained
        })
    }

    /// The packets that flows send to the daemon; `None` as long as no bridge has flows. They go to
    /// one reader only.
    ///
    /// # Errors
    /// When the kernel's queue can't be read.
    pub fn upcalls(&self) -> Result<Option<Upcalls>, DatapathError> {
        self.flows.upcalls().map(Upcalls::new).transpose()
    }

    /// Packets for the daemon that were lost because they came faster than it took them, since the
    /// datapath was opened.
    ///
    /// # Errors
    /// When the kernel's counters can't be read.
    pub fn lost_upcalls(&self) -> Result<u64, DatapathError> {
        self.flows.lost_upcalls()
    }

    /// What a packet that came to the daemon is there for; `None` if the flows that sent it have
    /// been replaced by others meanwhile.
    pub fn asked(&self, upcall: &Upcall) -> Option<Asked> {
        let bridge = self.bridge_in(upcall.bridge_slot)?.clone();
        let (action, flow, packet) = self.flows.asked(upcall)?;
        Some(Asked {
            bridge,
            flow,
            table: upcall.table,
            action,
            packet,
            noted: self.flows.noted(upcall),
        })
    }

    /// What the meters of a bridge have counted, with as many bands as a meter can have.
    pub fn meter_stats(&self, bridge: &BridgeName) -> BTreeMap<MeterId, MeterState> {
        let slot = self.slot(bridge);
        slot.map_or_else(BTreeMap::new, |slot| self.flows.meters(slot))
    }

    /// The bridge in a slot.
    pub fn bridge_in(&self, slot: u32) -> Option<&BridgeName> {
        let mut bridges = self.state.slots().bridges.iter();
        bridges.find(|(_, s)| **s == slot).map(|(name, _)| name)
    }

    fn slot(&self, bridge: &BridgeName) -> Option<u32> {
        self.state.slots().bridges.get(bridge).copied()
    }
}

/// Ports of a bridge by number.
pub fn numbered(ports: &BTreeMap<u32, PortModule>, bridge_slot: u32) -> Numbered {
    ports
        .iter()
        .filter(|(_, port)| port.bridge_slot == bridge_slot)
        .map(|(slot, port)| {
            let (slot, floods) = (*slot, port.floods);
            (port.ofport, Place { slot, floods })
        })
        .collect()
}

/// What the ports of a bridge have taken since they have their slots.
fn taken(
    state: &State,
    ports: &BTreeMap<u32, PortModule>,
    bridge_slot: u32,
) -> Result<Taken, DatapathError> {
    let mut taken = Taken::default();
    for (slot, _) in ports.iter().filter(|(_, p)| p.bridge_slot == bridge_slot) {
        let words = state.words(*slot)?;
        taken.packets += words[counter::RX_PACKETS];
        taken.bytes += words[counter::RX_BYTES];
    }
    Ok(taken)
}

/// The only flow, if every packet does what NORMAL says, and nothing else.
fn normal_flow(tables: &Tables) -> Option<FlowId> {
    let mut flows = tables.flows();
    let (Some(only), None) = (flows.next(), flows.next()) else {
        return None;
    };
    let flow = &only.flow;
    let normal = Instructions {
        apply: vec![Action::Output(OfPort::NORMAL)],
        ..Instructions::default()
    };
    let any = flow.table == 0 && flow.matching == Match::any();
    (any && flow.idle_timeout_s == 0 && *flow.instructions == normal).then_some(only.id)
}
