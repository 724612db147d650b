//! A bridge's flow tables at work.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::around::Around;
use super::{Interpreter, Journey, Verdict};
use crate::action::Controller;
use crate::meter::MeterState;
use crate::table::{BundleError, Change, FlowId, FlowMod, Modification, TableError, Tables};
use crate::text::Command;
use crate::translate::{Continuation, Notes, Packet, Trace, Translation, translate};
use crate::{BridgeName, DropReason, Flow, FlowKey, MeterId, PortName};

/// A copy for controllers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PacketIn {
    /// From which bridge.
    pub bridge: BridgeName,
    /// How it is sent.
    pub how: Controller,
    /// From which table.
    pub table: u8,
    /// Cookie of the flow that sent it, if there is one.
    pub cookie: Option<u64>,
    /// That flow.
    pub flow: Option<FlowId>,
    /// All its fields.
    pub fields: FlowKey,
    /// Its bytes: all of them, whatever length is asked for, because nobody keeps the rest.
    pub frame: Vec<u8>,
    /// Its whole length.
    pub frame_bytes: u32,
    /// What is left to be done with it, if it waits and that is known.
    pub left: Option<Box<Continuation>>,
    /// What is known of its way instead.
    pub noted: Option<Box<Notes>>,
}

/// A flow that a flow wants to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Learned {
    /// In which bridge.
    pub bridge: BridgeName,
    /// The flow.
    pub flow: Flow,
    /// Most flows of the same table and cookie that there may be then; 0 for any number.
    pub limit: u32,
    /// The flow that learned it.
    pub by: Option<FlowId>,
    /// Whether it goes when that flow goes.
    pub delete_learned: bool,
}

/// What is counted of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FlowCount {
    /// Packets that it matched: once for each lookup that found it.
    pub packets: u64,
    /// Bytes of these, as they were received.
    pub bytes: u64,
    /// When the last one came.
    pub last_used: Option<Duration>,
}

impl FlowCount {
    pub(super) fn add(&mut self, bytes: u32, now: Duration) {
        self.packets += 1;
        self.bytes += u64::from(bytes);
        self.last_used = Some(now);
    }
}

/// What is counted of a group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GroupCount {
    /// Of the whole group.
    pub all: FlowCount,
    /// Of each bucket that was done, by its number.
    pub buckets: BTreeMap<u32, FlowCount>,
}

/// Flow tables with what they have counted.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    pub tables: Arc<Tables>,
    pub flows: HashMap<FlowId, FlowCount>,
    pub groups: HashMap<u32, GroupCount>,
    pub meters: HashMap<MeterId, MeterState>,
}

impl Pipeline {
    pub fn new(tables: Arc<Tables>) -> Pipeline {
        Pipeline {
            tables,
            flows: HashMap::new(),
            groups: HashMap::new(),
            meters: HashMap::new(),
        }
    }

    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    pub fn modify(&mut self, bundle: &[Modification]) -> Result<Vec<Change>, BundleError> {
        let changes = Arc::make_mut(&mut self.tables).modify_all(bundle)?;
        for change in &changes {
            self.follow(change);
        }
        Ok(changes)
    }

    /// Takes changes that other tables of the same content have made.
    pub fn follow_changes(&mut self, changes: &[Change]) {
        Arc::make_mut(&mut self.tables).redo(changes);
        for change in changes {
            self.follow(change);
        }
    }

    /// Takes other tables. What both have goes on counting.
    pub fn replace(&mut self, tables: Tables) {
        let ids: HashSet<FlowId> = tables.flows().map(|entry| entry.id).collect();
        self.flows.retain(|id, _| ids.contains(id));
        self.groups.retain(|id, _| tables.group(*id).is_some());
        self.meters.retain(|id, _| tables.meter(*id).is_some());
        self.tables = Arc::new(tables);
    }

    /// Forgets counts of what is gone, or starts anew.
    fn follow(&mut self, change: &Change) {
        match change {
            Change::FlowRemoved { entry, .. }
            | Change::FlowReplaced {
                new: entry,
                reset_counts: true,
                ..
            } => {
                self.flows.remove(&entry.id);
            }
            Change::Group { id, new: None, .. } => {
                self.groups.remove(id);
            }
            // The group itself goes on counting (OpenFlow 1.3.5 §6.5).
            Change::Group { id, .. } => {
                if let Some(count) = self.groups.get_mut(id) {
                    count.buckets.clear();
                }
            }
            Change::Meter { id, .. } => {
                self.meters.remove(id);
            }
            _ => {}
        }
    }
}

impl Interpreter {
    /// What was counted of a flow.
    pub fn flow_count(&self, bridge: &BridgeName, flow: FlowId) -> FlowCount {
        let pipeline = self.pipeline(bridge);
        let count = pipeline.and_then(|pipeline| pipeline.flows.get(&flow));
        count.copied().unwrap_or_default()
    }

    /// What was counted of a group.
    pub fn group_count(&self, bridge: &BridgeName, group: u32) -> GroupCount {
        let pipeline = self.pipeline(bridge);
        let count = pipeline.and_then(|pipeline| pipeline.groups.get(&group));
        count.cloned().unwrap_or_default()
    }

    /// What a meter is at, and has counted.
    pub fn meter_state(&self, bridge: &BridgeName, meter: MeterId) -> MeterState {
        let pipeline = self.pipeline(bridge);
        let state = pipeline.and_then(|pipeline| pipeline.meters.get(&meter));
        state.cloned().unwrap_or_default()
    }

    /// Makes a flow that a flow wants: changes the actions and the cookie of the one of the same
    /// priority and match, or adds it, unless there are enough of them.
    ///
    /// # Errors
    /// When the tables can't have it.
    pub fn learn(&mut self, learned: &Learned) -> Result<Vec<Change>, TableError> {
        let Some(tables) = self.tables(&learned.bridge) else {
            return Ok(Vec::new());
        };
        let flow = &learned.flow;
        if !tables.may_learn(flow, learned.limit, 0) {
            return Ok(Vec::new());
        }
        let modification = Modification::Flow(FlowMod {
            command: Command::ModifyStrict,
            table: Some(flow.table),
            flow: flow.clone(),
            new_cookie: Some(flow.cookie),
            add_if_absent: true,
            ..FlowMod::default()
        });
        match self.modify(&learned.bridge, &[modification]) {
            Ok(changes) => Ok(changes.unwrap_or_default()),
            Err(e) => Err(e.error),
        }
    }

    /// A frame's way through a bridge's tables.
    pub(super) fn run(
        &mut self,
        tables: &Tables,
        b: usize,
        p: usize,
        frame: &[u8],
        journey: Journey,
        verdict: &mut Verdict,
    ) -> Result<(), DropReason> {
        let in_port = self.bridges[b].ports[p].ofport;
        let packet = Packet::from_frame(frame, in_port).map_err(|_| DropReason::Malformed)?;
        let from = self.bridges[b].ports[p].name.clone();
        let before = std::mem::take(&mut verdict.followed);
        let translation = self.translate(tables, b, from, packet, journey, verdict);
        if journey.traced {
            let mut way = Trace::begin(self.bridges[b].name.clone());
            way.within(translation.trace);
            verdict.followed = before;
            verdict.followed.append(way, 1, 0);
        }
        translation.drop.map_or(Ok(()), Err)
    }

    /// A packet's way through tables of bridge number `b`, where it came from port `from`.
    pub(super) fn translate(
        &mut self,
        tables: &Tables,
        b: usize,
        from: PortName,
        packet: Packet,
        journey: Journey,
        verdict: &mut Verdict,
    ) -> Translation {
        let mut around = Around {
            switch: self,
            b,
            from,
            journey,
            verdict,
            sent_by_controller: false,
            decided: None,
        };
        translate(tables, packet, &mut around)
    }
}
