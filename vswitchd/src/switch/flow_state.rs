//! The flow tables of one bridge, as the switch keeps them beside the datapath's.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use aorta_flow::action::{Action, Instructions};
use aorta_flow::table::{Change, FlowId, FlowMod, GroupMod, Modification, Tables};
use aorta_flow::text::Command;
use aorta_flow::{BridgeName, Flow, Learned, OfPort};
use tracing::{debug, warn};

use super::Switch;
use crate::clock;
use crate::control::Atomic;
use crate::metrics;
use crate::ofproto::{self, BridgeFlows, FlowError, Moment};
use crate::reconcile::{Datapath, DatapathError, Effects, FlowCounters};

/// The flow tables of one bridge, and what the switch knows of them.
#[derive(Debug, Default)]
pub(super) struct Flows {
    pub(super) tables: BridgeFlows,
    /// Whether the bridge began with no flow.
    pub(super) secure: bool,
    /// Whether controllers decide what it has.
    pub(super) controlled: bool,
    /// The bridge switches by itself until a controller is back: the datapath has one flow that
    /// does so, whatever the tables have.
    pub(super) failing_open: bool,
    /// Since when.
    pub(super) failing_since: Moment,
    /// Whether the datapath has the tables.
    pub(super) given: bool,
    /// Why it hasn't.
    pub(super) problem: Option<String>,
    /// What flows did with packets of controllers, which the datapath doesn't see.
    pub(super) sent: HashMap<FlowId, FlowCounters>,
}

type Answer<T> = Result<T, FlowError>;

/// The flow that makes a bridge a learning switch.
fn normal_flow() -> Modification {
    let instructions = Instructions::apply(vec![Action::Output(OfPort::NORMAL)]);
    Modification::Flow(FlowMod {
        table: Some(0),
        flow: Flow {
            priority: 0,
            instructions: instructions.into(),
            ..Flow::default()
        },
        ..FlowMod::default()
    })
}

/// What takes all flows and groups away.
fn flush() -> [Modification; 2] {
    let all = FlowMod {
        command: Command::Delete,
        ..FlowMod::default()
    };
    [
        Modification::Flow(all),
        Modification::Group(GroupMod::Delete(None)),
    ]
}

/// Tables of a bridge that switches by itself.
fn learning_switch() -> BridgeFlows {
    let mut flows = Flows::default();
    flows.begin(clock::now());
    flows.tables
}

impl Flows {
    /// Has the datapath switch by itself, without any of the flows, or obey the tables again.
    /// Returns the changes of the tables.
    pub(super) fn fail_open(&mut self, open: bool, now: Moment) -> Vec<Change> {
        let changes = if open { self.begin(now) } else { Vec::new() };
        self.failing_open = open;
        self.failing_since = now;
        self.given = false;
        changes
    }

    /// Begins anew: with no flow, or as a learning switch.
    pub(super) fn begin(&mut self, now: Moment) -> Vec<Change> {
        self.given = false;
        self.failing_open = false;
        let mut modifications = flush().to_vec();
        if !self.secure {
            modifications.push(normal_flow());
        }
        // None of these is ever refused.
        let Ok(pending) = self.tables.prepare(&modifications, Atomic::Yes) else {
            return Vec::new();
        };
        self.tables.commit(&pending.changes, now);
        pending.changes
    }

    /// Has the datapath do something with the tables that packets are to obey.
    pub(super) fn obeyed<D: Datapath>(
        &self,
        name: &BridgeName,
        datapath: &mut D,
        act: impl Fn(&mut D, &BridgeName, &Tables),
    ) {
        match self.failing_open {
            true => act(datapath, name, learning_switch().tables()),
            false => act(datapath, name, self.tables.tables()),
        }
    }

    /// Gives the datapath all of the tables, if it hasn't got them.
    pub(super) fn give<D: Datapath>(&mut self, name: &BridgeName, datapath: &mut D) {
        if self.given {
            return;
        }
        let alone = self.failing_open.then(learning_switch);
        let tables = alone.as_ref().unwrap_or(&self.tables);
        match datapath.apply_flows(name, tables.tables(), None) {
            Ok(()) => {
                self.given = true;
                self.problem = None;
            }
            Err(DatapathError(why)) => {
                warn!("the datapath refused the flows of {name}: {why}");
                self.problem = Some(why);
            }
        }
    }

    /// Gives the datapath changes; what it refuses is taken back.
    pub(super) fn install<D: Datapath>(
        &mut self,
        name: &BridgeName,
        changes: &[Change],
        datapath: &mut D,
    ) -> Answer<()> {
        if changes.is_empty() {
            return Ok(());
        }
        self.forget_sent(changes);
        if self.failing_open {
            self.tables.commit(changes, clock::now());
            return Ok(());
        }
        let known = self.given.then_some(changes);
        let began = Instant::now();
        let applied = datapath.apply_flows(name, self.tables.tables(), known);
        metrics::FLOW_CHANGE.add(began.elapsed());
        match applied {
            Ok(()) => {
                self.given = true;
                self.problem = None;
                self.tables.commit(changes, clock::now());
                Ok(())
            }
            Err(DatapathError(why)) => {
                self.tables.revert(changes);
                Err(FlowError::Datapath(why))
            }
        }
    }

    /// Makes flows that packets ask for; those that the tables can't have are left out.
    pub(super) fn learn<D: Datapath>(
        &mut self,
        name: &BridgeName,
        asked: &[Learned],
        datapath: &mut D,
        now: Moment,
    ) -> Answer<Vec<Change>> {
        let mut changes = Vec::new();
        for learned in asked {
            match self.tables.prepare_learned(learned, now) {
                Ok(pending) => changes.extend(pending.changes),
                Err(error) => debug!("{name}: {} can't be learned: {error}", learned.flow),
            }
        }
        self.install(name, &changes, datapath)?;
        Ok(changes)
    }

    /// Forgets what flows did that are gone or count anew.
    fn forget_sent(&mut self, changes: &[Change]) {
        if self.sent.is_empty() {
            return;
        }
        for change in changes {
            match change {
                Change::FlowRemoved { entry, .. }
                | Change::FlowReplaced {
                    new: entry,
                    reset_counts: true,
                    ..
                } => drop(self.sent.remove(&entry.id)),
                _ => {}
            }
        }
    }
}

impl<E: Effects, D: Datapath> Switch<E, D> {
    /// All flow tables as the journal has them.
    pub fn flows_as_text(&self) -> String {
        everything(&self.flows, &self.datapath)
    }
}

/// The journal's lines about all bridges.
pub(super) fn everything<D: Datapath>(flows: &BTreeMap<BridgeName, Flows>, datapath: &D) -> String {
    let bridge = |(name, flows): (&BridgeName, &Flows)| {
        let rule = |flow| datapath.flow_rule(name, flow);
        ofproto::everything((name.as_str(), flows.secure), &flows.tables, &rule)
    };
    flows.iter().map(bridge).collect()
}

#[cfg(test)]
impl Flows {
    pub(super) fn entries(&self) -> impl Iterator<Item = &aorta_flow::table::TableFlow> {
        self.tables.tables().flows()
    }

    /// As if every flow had been added at a moment.
    pub(super) fn age(&mut self, added: Moment) {
        let entries: Vec<_> = self.entries().cloned().collect();
        let added_then: Vec<Change> = entries.into_iter().map(Change::FlowAdded).collect();
        self.tables.commit(&added_then, added);
    }
}
