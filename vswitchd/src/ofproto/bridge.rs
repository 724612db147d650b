//! The flow tables of one bridge, with what is known of each flow besides. Pure: the time is an
//! argument.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aorta_api::{Counted, FlowPlacement};
use aorta_flow::action::Action;
use aorta_flow::meter::{MeterCount, MeterState};
use aorta_flow::runs::{Continued, Runs};
use aorta_flow::table::{
    Change, FlowId, FlowMod, Misses, Modification, TableError, TableFlow, TableLimit, Tables,
};
use aorta_flow::{Flow, FlowStats, Group, Meter, MeterId};

use super::expiry::Timed;
use super::learned::Learners;
use super::{FlowDumped, FlowError, GroupDumped, MeterDumped, Moment, PortNames, RestoredBridge};
use crate::control::Atomic;
use crate::reconcile::{FlowCounters, GroupCounters};

/// Since when a flow is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ages {
    /// When it was added.
    pub created: Moment,
    /// When it was last changed.
    pub modified: Moment,
}

/// Flows that were added together are as old.
impl Continued for Ages {
    fn after(self, _: u32) -> Ages {
        self
    }
}

/// The flow tables of one bridge.
#[derive(Debug, Default)]
pub struct BridgeFlows {
    /// Shared with whoever looks packets up meanwhile.
    pub(super) tables: Arc<Tables>,
    pub(super) ages: Runs<Ages>,
    timed: Timed,
    learners: Learners,
    pub(super) groups_since: BTreeMap<u32, Moment>,
    pub(super) meters_since: BTreeMap<MeterId, Moment>,
    /// Names of the ports.
    pub names: Arc<PortNames>,
}

/// Changes that the tables have taken, and that can be taken back until they are committed.
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Pending {
    /// What changed.
    pub changes: Vec<Change>,
    /// Why the rest was not done, if the request wasn't atomic.
    pub stopped: Option<FlowError>,
}

impl BridgeFlows {
    /// The tables.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The tables as they are now, for whoever looks packets up. They are copied at the next change
    /// if they are still in use then.
    pub fn shared(&self) -> Arc<Tables> {
        Arc::clone(&self.tables)
    }

    fn change(&mut self) -> &mut Tables {
        Arc::make_mut(&mut self.tables)
    }

    /// Has the tables do one modification of several, after which they are to be settled.
    ///
    /// # Errors
    /// If it can't be done; nothing has changed then.
    pub fn try_one(&mut self, modification: &Modification) -> Result<Vec<Change>, TableError> {
        self.change().modify(modification)
    }

    /// Adds what follows from changes by itself: learned flows go with those that learned them.
    pub fn settle(&mut self, changes: &mut Vec<Change>) {
        self.learners
            .follow(Arc::make_mut(&mut self.tables), changes);
    }

    /// Limits a table, or not any more. Flows that are too many go.
    pub fn limit(&mut self, table: u8, limit: Option<TableLimit>) -> Vec<Change> {
        self.change().set_limit(table, limit)
    }

    /// Has the tables do so with packets that no flow matches; false if they do already.
    pub fn set_misses(&mut self, misses: Misses) -> bool {
        let others = misses != *self.tables.misses();
        if others {
            self.change().set_misses(misses);
        }
        others
    }

    /// How long a flow has been there.
    pub fn age(&self, id: FlowId, now: Moment) -> Duration {
        Duration::from_millis(now.since_ms(self.ages_of(id, now).created))
    }

    /// Flows that a selection chooses, with what was counted of them.
    pub fn records(
        &self,
        selection: &FlowMod,
        counters: &HashMap<FlowId, FlowCounters>,
        now: Moment,
    ) -> Vec<(Arc<Flow>, FlowStats)> {
        let chosen = self.tables.selected(selection).into_iter();
        let seconds = |ms: u64| u32::try_from(ms / 1000).unwrap_or(u32::MAX);
        let record = |entry: TableFlow| {
            let ages = self.ages_of(entry.id, now);
            let counted = counters.get(&entry.id).copied().unwrap_or_default();
            let used = counted.used.unwrap_or(ages.created).max(ages.created);
            let stats = FlowStats {
                duration: Duration::from_millis(now.since_ms(ages.created)),
                n_packets: counted.packets,
                n_bytes: counted.bytes,
                idle_age_s: Some(seconds(now.since_ms(used))),
                hard_age_s: Some(seconds(now.since_ms(ages.modified))),
            };
            (entry.flow, stats)
        };
        chosen.map(record).collect()
    }

    /// Has the tables do modifications.
    ///
    /// # Errors
    /// If one can't be done; nothing has changed then. Without atomicity, those before it have,
    /// and [`Pending::stopped`] tells.
    pub fn prepare(
        &mut self,
        modifications: &[Modification],
        atomic: Atomic,
    ) -> Result<Pending, FlowError> {
        let mut pending = Pending::default();
        for (index, modification) in modifications.iter().enumerate() {
            match self.change().modify(modification) {
                Ok(changes) => pending.changes.extend(changes),
                Err(error) => {
                    if atomic == Atomic::Yes {
                        self.change().revert(&pending.changes);
                        pending.changes.clear();
                    }
                    let changed = pending.changes.len() as u64;
                    let refusal = FlowError::Table {
                        index,
                        error,
                        changed,
                    };
                    if changed == 0 {
                        return Err(refusal);
                    }
                    pending.stopped = Some(refusal);
                    break;
                }
            }
        }
        self.settle(&mut pending.changes);
        Ok(pending)
    }

    /// Takes changes back, which must be the last ones.
    pub fn revert(&mut self, changes: &[Change]) {
        self.change().revert(changes);
    }

    /// Makes changes last.
    pub fn commit(&mut self, changes: &[Change], now: Moment) {
        self.learners.commit(changes);
        for change in changes {
            match change {
                Change::FlowAdded(entry) => self.follow(entry, now, now),
                Change::FlowReplaced { new, restarted, .. } => {
                    let created = self.ages.get(new.id).map(|ages| ages.created);
                    let created = created.filter(|_| !restarted).unwrap_or(now);
                    self.follow(new, created, now);
                }
                Change::FlowRemoved { entry, .. } => {
                    self.ages.remove(entry.id);
                    self.timed.remove(entry.id);
                }
                Change::Group { id, old, new } => {
                    since(
                        &mut self.groups_since,
                        *id,
                        (old.is_some(), new.is_some()),
                        now,
                    );
                }
                Change::Meter { id, old, new } => {
                    since(
                        &mut self.meters_since,
                        *id,
                        (old.is_some(), new.is_some()),
                        now,
                    );
                }
            }
        }
    }

    /// Tables as they were, with the numbers under which the datapath counted their flows.
    pub fn restore(restored: RestoredBridge) -> (BridgeFlows, HashMap<FlowId, u32>) {
        let mut flows = BridgeFlows::default();
        let mut rules = HashMap::with_capacity(restored.flows.len());
        let mut added = Vec::with_capacity(restored.flows.len());
        for (entry, ages, rule) in restored.flows {
            rules.extend(rule.map(|rule| (entry.id, rule)));
            let entry = flows.change().restore_flow(entry);
            flows.follow(&entry, ages.created, ages.modified);
            added.push(Change::FlowAdded(entry));
        }
        flows.learners.commit(&added);
        for (group, since) in restored.groups {
            flows.groups_since.insert(group.id, since);
            flows.change().restore_group(group);
        }
        for (meter, since) in restored.meters {
            flows.meters_since.insert(meter.id, since);
            flows.change().restore_meter(meter);
        }
        (flows, rules)
    }

    /// Keeps track of a flow.
    fn follow(&mut self, entry: &TableFlow, created: Moment, modified: Moment) {
        self.ages.insert(entry.id, Ages { created, modified });
        self.timed.set(entry, modified);
    }

    /// Flows that a selection chooses, with their counters.
    pub fn dump(
        &self,
        selection: &FlowMod,
        counters: &HashMap<FlowId, FlowCounters>,
        place: impl Fn(u8) -> (Arc<str>, Arc<str>),
        placement: impl Fn(&TableFlow) -> Option<FlowPlacement>,
        now: Moment,
    ) -> Vec<FlowDumped> {
        let mut places: BTreeMap<u8, (Arc<str>, Arc<str>)> = BTreeMap::new();
        let chosen = self.tables.selected(selection).into_iter();
        let dump = |entry: TableFlow| {
            let ages = self.ages_of(entry.id, now);
            let counted = counters.get(&entry.id).copied().unwrap_or_default();
            let table = entry.flow.table;
            let (hook, reason) = places.entry(table).or_insert_with(|| place(table)).clone();
            let used = counted.used.unwrap_or(ages.created).max(ages.created);
            FlowDumped {
                placement: placement(&entry),
                flow: entry.flow,
                counters: Counted {
                    packets: counted.packets,
                    bytes: counted.bytes,
                },
                duration_ms: now.since_ms(ages.created),
                idle_ms: now.since_ms(used),
                hard_age_ms: now.since_ms(ages.modified),
                hook,
                reason,
            }
        };
        chosen.map(dump).collect()
    }

    fn ages_of(&self, id: FlowId, now: Moment) -> Ages {
        let unknown = Ages {
            created: now,
            modified: now,
        };
        self.ages.get(id).unwrap_or(unknown)
    }

    /// One group or all.
    pub fn dump_groups(
        &self,
        id: Option<u32>,
        counters: &BTreeMap<u32, GroupCounters>,
        now: Moment,
    ) -> Vec<GroupDumped> {
        let groups = self.tables.groups();
        let groups = groups.filter(|group| id.is_none_or(|id| id == group.id));
        let dump = |group: &Arc<Group>| {
            let counted = counters.get(&group.id).cloned().unwrap_or_default();
            let mut buckets = counted.buckets;
            buckets.resize(group.buckets.len(), Counted::default());
            GroupDumped {
                group: group.clone(),
                flows: self.users(|action| *action == Action::Group(group.id)),
                duration_ms: now.since_ms(self.group_since(group.id).unwrap_or(now)),
                counters: counted.all,
                buckets,
            }
        };
        groups.map(dump).collect()
    }

    /// One meter or all.
    pub fn dump_meters(
        &self,
        id: Option<MeterId>,
        states: &BTreeMap<MeterId, MeterState>,
        now: Moment,
    ) -> Vec<MeterDumped> {
        let meters = self.tables.meters();
        let meters = meters.filter(|meter| id.is_none_or(|id| id == meter.id));
        let uses = |meter: &Meter, action: &Action| match action {
            Action::Meter(number) => meter.id == MeterId::Number(*number),
            _ => false,
        };
        let told = |count: &MeterCount| Counted {
            packets: count.packets,
            bytes: count.bytes,
        };
        let dump = |meter: &Arc<Meter>| {
            let state = states.get(&meter.id).cloned().unwrap_or_default();
            let mut bands: Vec<Counted> = state.bands.iter().map(told).collect();
            bands.resize(meter.bands.len(), Counted::default());
            MeterDumped {
                meter: meter.clone(),
                flows: self.users(|action| uses(meter, action)),
                duration_ms: now.since_ms(self.meter_since(meter.id).unwrap_or(now)),
                counters: told(&state.input),
                bands,
            }
        };
        meters.map(dump).collect()
    }

    /// When a group was added.
    pub fn group_since(&self, id: u32) -> Option<Moment> {
        self.groups_since.get(&id).copied()
    }

    /// When a meter was added.
    pub fn meter_since(&self, id: MeterId) -> Option<Moment> {
        self.meters_since.get(&id).copied()
    }

    fn users(&self, wanted: impl Fn(&Action) -> bool) -> u64 {
        let flows = self.tables.flows();
        flows
            .filter(|entry| {
                let actions = entry.flow.instructions.all_actions();
                actions.into_iter().any(&wanted)
            })
            .count() as u64
    }
}

/// Notes since when something is there that (was, is) there.
fn since<K: Ord>(all: &mut BTreeMap<K, Moment>, key: K, there: (bool, bool), now: Moment) {
    match there {
        (_, false) => drop(all.remove(&key)),
        (false, true) => drop(all.insert(key, now)),
        (true, true) => {}
    }
}

/// Time that runs out.
impl BridgeFlows {
    /// When a flow's time may be over; never if no flow has a timeout.
    pub fn next_expiry(&self) -> Option<Moment> {
        self.timed.next()
    }

    /// Whether counters must be known to tell which flows are over.
    pub fn expiry_needs_counters(&self, now: Moment) -> bool {
        self.timed.needs_counters(now)
    }

    /// Takes over when flows were last used.
    pub fn take_counters(&mut self, counters: &HashMap<FlowId, FlowCounters>) {
        self.timed.take(counters);
    }

    /// Has counters that took so long to read not be read again for a while.
    pub fn counters_took(&mut self, now: Moment, took: Duration) {
        self.timed.read_took(now, took);
    }

    /// Removes the flows whose time is over.
    pub fn prepare_expiry(&mut self, now: Moment) -> Pending {
        let mut pending = Pending::default();
        for (entry, reason) in self.timed.over(now) {
            pending.changes.extend(self.change().expire(&entry, reason));
        }
        self.settle(&mut pending.changes);
        pending
    }

    /// Has a flow's timeouts start anew.
    pub(super) fn refresh(&mut self, id: FlowId, now: Moment) {
        if let Some(ages) = self.ages.get(id) {
            let modified = now;
            self.ages.insert(id, Ages { modified, ..ages });
        }
        self.timed.refresh(id, now);
    }

    /// Lowers the timeouts of a flow, because the connection ended. They go on from when they began.
    /// The datapath needn't know. `None` if nothing changes.
    pub fn shorten(
        &mut self,
        id: FlowId,
        table: u8,
        to: (u16, u16),
        now: Moment,
    ) -> Option<Change> {
        let timed = self.timed.entry(id).cloned();
        let among_all = || {
            let mut flows = self.tables.table(table)?.entries();
            flows.find(|entry| entry.id == id).cloned()
        };
        let entry = timed.or_else(among_all)?;
        let change = self.change().shorten(&entry, to.0, to.1)?;
        if let Change::FlowReplaced { new, .. } = &change {
            let modified = self.ages_of(id, now).modified;
            self.timed.shorten(new, modified);
        }
        Some(change)
    }

    /// Looks again soon, because what was over could not be removed.
    pub fn look_again(&mut self, now: Moment) {
        self.timed.again(now);
    }
}
