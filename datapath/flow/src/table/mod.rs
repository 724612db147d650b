//! Flow tables, groups and meters as values, and how messages change them.
//!
//! Each change tells what it did, so that whoever keeps a copy (the kernel's maps, monitors) can
//! follow, and so that it can be taken back.

mod change;
mod check;
mod error;
mod flow_table;
mod groups;
mod identity;
mod learn;
mod limit;
mod lists;
mod lookup;
mod misses;

pub use change::{BundleError, Change, FlowMod, GroupMod, MeterMod, Modification, RemovedReason};
pub use error::{OpenFlowError, TableError};
pub use flow_table::{FlowId, FlowTable, TableFlow};
pub use limit::TableLimit;
pub use misses::{AfterMiss, Miss, Misses};

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::text::Command;
use crate::{Flow, FlowFlags, FlowKey, Group, Meter, MeterId};
use lists::Lists;

/// Highest table that controllers can change; the one after it is the switch's own.
pub const MAX_TABLE: u8 = 253;

/// All tables, groups and meters of a bridge.
#[derive(Clone, Default, Debug)]
pub struct Tables {
    flows: BTreeMap<u8, FlowTable>,
    groups: BTreeMap<u32, Arc<Group>>,
    meters: BTreeMap<MeterId, Arc<Meter>>,
    limits: BTreeMap<u8, TableLimit>,
    misses: Misses,
    lists: Lists,
    next_id: u64,
}

impl Tables {
    /// Tables without flows.
    pub fn new() -> Tables {
        Tables::default()
    }

    /// One table, if it has flows.
    pub fn table(&self, number: u8) -> Option<&FlowTable> {
        self.flows.get(&number)
    }

    /// The tables that have flows, by number.
    pub fn numbered(&self) -> impl Iterator<Item = &FlowTable> {
        self.flows.values()
    }

    /// All flows: by table, then from the highest priority.
    pub fn flows(&self) -> impl Iterator<Item = &TableFlow> {
        self.flows.values().flat_map(FlowTable::entries)
    }

    /// How many flows there are.
    pub fn len(&self) -> usize {
        self.flows.values().map(FlowTable::len).sum()
    }

    /// Whether there is no flow.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The flow that a packet gets in a table.
    pub fn lookup(&self, table: u8, key: &FlowKey) -> Option<&TableFlow> {
        self.flows.get(&table)?.lookup(key)
    }

    /// A group.
    pub fn group(&self, id: u32) -> Option<&Arc<Group>> {
        self.groups.get(&id)
    }

    /// All groups.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.groups.values()
    }

    /// A meter.
    pub fn meter(&self, id: MeterId) -> Option<&Arc<Meter>> {
        self.meters.get(&id)
    }

    /// All meters.
    pub fn meters(&self) -> impl Iterator<Item = &Arc<Meter>> {
        self.meters.values()
    }

    /// Does one modification, and tells what changed.
    ///
    /// # Errors
    /// When it can't be done; then nothing has changed.
    pub fn modify(&mut self, modification: &Modification) -> Result<Vec<Change>, TableError> {
        match modification {
            Modification::Flow(flow_mod) => self.flow_mod(flow_mod),
            Modification::Group(group_mod) => self.group_mod(group_mod),
            Modification::Meter(meter_mod) => self.meter_mod(meter_mod),
        }
    }

    /// Does all modifications, or none. Costs what changes, not what there is.
    ///
    /// # Errors
    /// With the position of the first that can't be done; then nothing has changed.
    pub fn modify_all(&mut self, bundle: &[Modification]) -> Result<Vec<Change>, BundleError> {
        let mut changes = Vec::new();
        for (position, modification) in bundle.iter().enumerate() {
            match self.modify(modification) {
                Ok(more) => changes.extend(more),
                Err(error) => {
                    self.revert(&changes);
                    return Err(BundleError { position, error });
                }
            }
        }
        Ok(changes)
    }

    /// Takes changes back, which must be the last ones that were made.
    pub fn revert(&mut self, changes: &[Change]) {
        for change in changes.iter().rev() {
            match change {
                Change::FlowAdded(entry) => self.take(entry),
                Change::FlowReplaced { old, new, .. } => {
                    self.take(new);
                    self.put(old.clone());
                }
                Change::FlowRemoved { entry, .. } => self.put(entry.clone()),
                Change::Group { id, old, .. } => set(&mut self.groups, *id, old.clone()),
                Change::Meter { id, old, .. } => set(&mut self.meters, *id, old.clone()),
            }
        }
    }

    /// Makes changes that other tables with the same content have made. Nothing is checked: they
    /// did.
    pub fn redo(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::FlowAdded(entry) => drop(self.restore_flow(entry.clone())),
                Change::FlowReplaced { old, new, .. } => {
                    self.take(old);
                    self.put(new.clone());
                }
                Change::FlowRemoved { entry, .. } => self.take(entry),
                Change::Group { id, new, .. } => set(&mut self.groups, *id, new.clone()),
                Change::Meter { id, new, .. } => set(&mut self.meters, *id, new.clone()),
            }
        }
    }

    /// Puts back a flow that earlier tables of the same bridge had, under its number, and gives it
    /// as it is kept. Nothing is checked: they did.
    pub fn restore_flow(&mut self, TableFlow { id, flow }: TableFlow) -> TableFlow {
        self.next_id = self.next_id.max(id.0);
        let flow = self.kept(Arc::unwrap_or_clone(flow));
        let entry = TableFlow { id, flow };
        self.put(entry.clone());
        entry
    }

    /// Puts back a group that earlier tables of the same bridge had. Nothing is checked.
    pub fn restore_group(&mut self, group: Group) {
        self.groups.insert(group.id, Arc::new(group));
    }

    /// Puts back a meter that earlier tables of the same bridge had. Nothing is checked.
    pub fn restore_meter(&mut self, meter: Meter) {
        self.meters.insert(meter.id, Arc::new(meter));
    }

    /// A flow as it is kept: no larger than it must be.
    fn kept(&mut self, mut flow: Flow) -> Arc<Flow> {
        flow.matching.shrink();
        flow.instructions = self.lists.shared(&flow.instructions);
        Arc::new(flow)
    }

    fn put(&mut self, entry: TableFlow) {
        self.flows.entry(entry.flow.table).or_default().put(entry);
    }

    fn take(&mut self, entry: &TableFlow) {
        if let Some(table) = self.flows.get_mut(&entry.flow.table) {
            table.take(entry);
            if table.is_empty() {
                self.flows.remove(&entry.flow.table);
            }
        }
    }

    fn flow_mod(&mut self, flow_mod: &FlowMod) -> Result<Vec<Change>, TableError> {
        if let Some(table) = flow_mod.table.filter(|table| *table > MAX_TABLE) {
            return Err(TableError::ReservedTable(table));
        }
        match flow_mod.command {
            Command::Add => self.add(flow_mod),
            Command::Modify | Command::ModifyStrict => self.change_instructions(flow_mod),
            Command::Delete | Command::DeleteStrict => {
                let chosen = self.chosen(flow_mod);
                Ok(self.remove(chosen, RemovedReason::Deleted))
            }
        }
    }

    fn add(&mut self, flow_mod: &FlowMod) -> Result<Vec<Change>, TableError> {
        let flow = Flow {
            table: flow_mod.table.unwrap_or(0),
            ..flow_mod.flow.clone()
        };
        self.check(&flow)?;
        let table = self.flows.get(&flow.table);
        let same = table.and_then(|table| table.exact(flow.priority, &flow.matching));
        if let Some(old) = same.cloned() {
            return Ok(vec![self.replace(
                old,
                flow,
                flow_mod.resets_counts(),
                true,
            )]);
        }
        if flow.flags.contains(FlowFlags::CHECK_OVERLAP)
            && let Some(other) = table.and_then(|t| t.overlapping(flow.priority, &flow.matching))
        {
            return Err(TableError::Overlap(other.flow.to_string()));
        }
        let mut changes: Vec<Change> = self.make_room(flow.table)?.into_iter().collect();
        self.next_id += 1;
        let entry = TableFlow {
            id: FlowId(self.next_id),
            flow: self.kept(flow),
        };
        self.put(entry.clone());
        changes.push(Change::FlowAdded(entry));
        Ok(changes)
    }

    fn change_instructions(&mut self, flow_mod: &FlowMod) -> Result<Vec<Change>, TableError> {
        check::check_alone(&Flow {
            table: flow_mod.table.unwrap_or(0),
            ..flow_mod.flow.clone()
        })?;
        let chosen = self.chosen(flow_mod);
        if chosen.is_empty() && flow_mod.add_if_absent {
            return self.add(flow_mod);
        }
        let instructions = self.lists.shared(&flow_mod.flow.instructions);
        let mut changed = Vec::with_capacity(chosen.len());
        for old in chosen {
            let flow = Flow {
                instructions: Arc::clone(&instructions),
                cookie: flow_mod.new_cookie.unwrap_or(old.flow.cookie),
                ..(*old.flow).clone()
            };
            self.check(&flow)?;
            changed.push((old, flow));
        }
        let reset_counts = flow_mod.resets_counts();
        Ok(changed
            .into_iter()
            .map(|(old, flow)| self.replace(old, flow, reset_counts, false))
            .collect())
    }

    fn replace(
        &mut self,
        old: TableFlow,
        flow: Flow,
        reset_counts: bool,
        restarted: bool,
    ) -> Change {
        let new = TableFlow {
            id: old.id,
            flow: self.kept(flow),
        };
        self.take(&old);
        self.put(new.clone());
        Change::FlowReplaced {
            old,
            new,
            reset_counts,
            restarted,
        }
    }

    /// The flows that a change of this table, cookie, output and match would be about, by table
    /// and from the highest priority. [`FlowMod::command`] says whether match and priority must be
    /// the same.
    pub fn selected(&self, flow_mod: &FlowMod) -> Vec<TableFlow> {
        self.chosen(flow_mod)
    }

    /// The flows that a change is about.
    fn chosen(&self, flow_mod: &FlowMod) -> Vec<TableFlow> {
        let tables = self
            .flows
            .iter()
            .filter(|(number, _)| flow_mod.table.is_none_or(|table| table == **number));
        let strict = matches!(
            flow_mod.command,
            Command::ModifyStrict | Command::DeleteStrict
        );
        let (priority, matching) = (flow_mod.flow.priority, &flow_mod.flow.matching);
        let candidates: Vec<&TableFlow> = match strict {
            true => tables
                .filter_map(|(_, table)| table.exact(priority, matching))
                .collect(),
            false => tables
                .flat_map(|(_, table)| table.entries())
                .filter(|entry| matching.covers(&entry.flow.matching))
                .collect(),
        };
        candidates
            .into_iter()
            .filter(|entry| flow_mod.selects(&entry.flow))
            .cloned()
            .collect()
    }

    /// Removes a flow whose time is over, or that had to go for another; `None` if it isn't
    /// there any more.
    pub fn expire(&mut self, entry: &TableFlow, reason: RemovedReason) -> Option<Change> {
        let flow = &entry.flow;
        let table = self.flows.get(&flow.table)?;
        let there = table.exact(flow.priority, &flow.matching)?;
        if there.id != entry.id {
            return None;
        }
        let there = there.clone();
        self.remove(vec![there], reason).pop()
    }

    /// Lowers the timeouts of a flow (`fin_timeout`): one that is longer, or isn't there, becomes the
    /// given one, unless that is 0. `None` if the flow isn't there any more, or nothing changes.
    pub fn shorten(&mut self, entry: &TableFlow, idle_s: u16, hard_s: u16) -> Option<Change> {
        let flow = &entry.flow;
        let table = self.flows.get(&flow.table)?;
        let there = table.exact(flow.priority, &flow.matching)?;
        if there.id != entry.id {
            return None;
        }
        let shorter = |now: u16, to: u16| match (now, to) {
            (_, 0) => now,
            (0, _) => to,
            _ => now.min(to),
        };
        let shortened = Flow {
            idle_timeout_s: shorter(there.flow.idle_timeout_s, idle_s),
            hard_timeout_s: shorter(there.flow.hard_timeout_s, hard_s),
            ..(*there.flow).clone()
        };
        if shortened == *there.flow {
            return None;
        }
        let there = there.clone();
        Some(self.replace(there, shortened, false, false))
    }

    fn remove(&mut self, entries: Vec<TableFlow>, reason: RemovedReason) -> Vec<Change> {
        entries
            .into_iter()
            .map(|entry| {
                self.take(&entry);
                Change::FlowRemoved { entry, reason }
            })
            .collect()
    }
}

fn set<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

#[cfg(test)]
mod tests;
