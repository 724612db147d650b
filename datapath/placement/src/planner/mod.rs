//! A placement that is kept up with changes.
//!
//! What becomes of a flow depends on flows of later tables that its packets meet, on older ones of the
//! same priority, and in table 0 on those above. So when one changes, those that depend on it are looked
//! at again, from the last table to the first and from the highest priority down: each once.

mod answer;
mod known;
mod looking;
mod way;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use aorta_flow::action::Action;
use aorta_flow::table::{Change, FlowId, TableFlow, Tables};
use aorta_flow::{Group, Meter, MeterId};

use crate::place::{Refs, candidate};
use crate::{Decision, Device, Placement, Rule, RuleKey, Told};
use answer::Answer;
use known::Known;

/// The place of a flow in the order of lookups.
type Place = (Reverse<u16>, FlowId);

/// The place of a flow in the order in which they are looked at.
type Turn = (Reverse<u8>, Place);

/// What a card should have of a bridge's flows, kept up with their changes: always what
/// [`place`](crate::place()) says of the same tables.
///
/// A change costs what depends on it, usually little, while the card has room for all that it could
/// take. Where it hasn't, each change and new rates cost a pass over all flows.
pub struct Planner {
    device: Device,
    told: Told,
    groups: BTreeMap<u32, Arc<Group>>,
    meters: BTreeMap<u32, Arc<Meter>>,
    /// Flows that go on in a group.
    group_users: BTreeMap<u32, BTreeSet<FlowId>>,
    /// Flows that a meter measures.
    meter_users: BTreeMap<u32, BTreeSet<FlowId>>,
    /// Flows whose group or meter is another one.
    renewed: BTreeSet<FlowId>,
    flows: HashMap<FlowId, TableFlow>,
    tables: BTreeMap<u8, Known>,
    /// How many flows that a card could have by themselves lead to a table.
    targets: BTreeMap<u8, usize>,
    /// Those that the card has room for.
    within: BTreeSet<u8>,
    /// Flows to be looked at.
    dirty: BTreeSet<Turn>,
    /// Flows about which something else may be decided.
    touched: BTreeSet<(u8, Place)>,
    /// What is decided about flows that aren't for the card's packets, or are gone.
    apart: BTreeMap<RuleKey, Option<Decision>>,
    answer: Answer,
}

/// How a placement differs from the one before.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Difference {
    /// Rules that are new, or other than before.
    pub put: Vec<Rule>,
    /// Rules that are gone.
    pub removed: Vec<RuleKey>,
    /// Flows about which something else is decided; nothing for those that are gone.
    pub decisions: Vec<(FlowId, Option<Decision>)>,
}

impl Difference {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.put.is_empty() && self.removed.is_empty() && self.decisions.is_empty()
    }
}

impl Planner {
    /// For a bridge without flows. Which flows are on the card, `told.placed`, is the planner's own to
    /// say from here on.
    pub fn new(device: Device, told: Told) -> Planner {
        Planner {
            device,
            told: Told {
                placed: BTreeSet::new(),
                ..told
            },
            groups: BTreeMap::new(),
            meters: BTreeMap::new(),
            group_users: BTreeMap::new(),
            meter_users: BTreeMap::new(),
            renewed: BTreeSet::new(),
            flows: HashMap::new(),
            tables: BTreeMap::new(),
            targets: BTreeMap::new(),
            within: BTreeSet::new(),
            dirty: BTreeSet::new(),
            touched: BTreeSet::new(),
            apart: BTreeMap::new(),
            answer: Answer::default(),
        }
    }

    /// For a bridge with these flows.
    pub fn of(tables: &Tables, device: Device, told: Told) -> Planner {
        let placed = told.placed.clone();
        let mut planner = Planner::new(device, told);
        planner.told.placed = placed;
        for group in tables.groups() {
            planner.groups.insert(group.id, Arc::clone(group));
        }
        for meter in tables.meters() {
            planner.change_meter(meter.id, Some(meter));
        }
        for entry in tables.flows() {
            planner.add(entry);
        }
        planner.settle();
        planner
    }

    /// What is known besides what flows say.
    pub fn told(&self) -> &Told {
        &self.told
    }

    /// The card.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What the card should have.
    pub fn rules(&self) -> &BTreeMap<RuleKey, Rule> {
        &self.answer.rules
    }

    /// What is decided about a flow, if there is one of this number.
    pub fn decision(&self, flow: FlowId) -> Option<&Decision> {
        self.answer.decisions.get(&flow)
    }

    /// All rules and decisions.
    pub fn placement(&self) -> Placement {
        let mut rules: Vec<Rule> = self.answer.rules.values().cloned().collect();
        rules.sort_by_key(Rule::order);
        Placement {
            rules,
            decisions: self.answer.decisions.clone(),
        }
    }

    /// Follows changes of the tables.
    pub fn change(&mut self, changes: &[Change]) -> Difference {
        for change in changes {
            match change {
                Change::FlowAdded(entry) => self.add(entry),
                Change::FlowReplaced { old, new, .. } => {
                    self.remove(old.id);
                    self.add(new);
                }
                Change::FlowRemoved { entry, .. } => self.remove(entry.id),
                Change::Group { id, new, .. } => self.change_group(*id, new.as_ref()),
                Change::Meter { id, new, .. } => self.change_meter(*id, new.as_ref()),
            }
        }
        for flow in std::mem::take(&mut self.renewed) {
            self.renew(flow);
        }
        self.settle()
    }

    /// Follows what is known of flows. What it says of `placed` isn't looked at.
    pub fn tell(&mut self, mut told: Told) -> Difference {
        told.placed = std::mem::take(&mut self.told.placed);
        let old = std::mem::replace(&mut self.told, told);
        for flow in self.concerned(&old) {
            self.renew(flow);
        }
        let tables: Vec<u8> = self
            .tables
            .keys()
            .copied()
            .chain(self.within.clone())
            .collect();
        for table in tables {
            if old.needs_software(table) != self.told.needs_software(table) {
                self.look_at_all_that_lead_to(table);
            }
        }
        self.settle()
    }

    /// Flows of which something else is known by itself.
    fn concerned(&self, old: &Told) -> Vec<FlowId> {
        let told = &self.told;
        let mut concerned: BTreeSet<FlowId> = old
            .refused_traps
            .symmetric_difference(&told.refused_traps)
            .copied()
            .collect();
        let refused = old
            .refused
            .iter()
            .chain(&told.refused)
            .map(|(flow, _)| *flow);
        concerned.extend(refused.filter(|flow| old.refused.get(flow) != told.refused.get(flow)));
        if old.excluded != told.excluded {
            let changed =
                |entry: &&TableFlow| old.excludes(&entry.flow) != told.excludes(&entry.flow);
            concerned.extend(self.flows.values().filter(changed).map(|entry| entry.id));
        }
        concerned.into_iter().collect()
    }

    fn change_group(&mut self, id: u32, new: Option<&Arc<Group>>) {
        match new {
            Some(group) => drop(self.groups.insert(id, Arc::clone(group))),
            None => drop(self.groups.remove(&id)),
        }
        let users = self.group_users.get(&id).into_iter().flatten();
        self.renewed.extend(users);
    }

    fn change_meter(&mut self, id: MeterId, new: Option<&Arc<Meter>>) {
        let MeterId::Number(id) = id else {
            return;
        };
        match new {
            Some(meter) => drop(self.meters.insert(id, Arc::clone(meter))),
            None => drop(self.meters.remove(&id)),
        }
        let users = self.meter_users.get(&id).into_iter().flatten();
        self.renewed.extend(users);
    }

    fn note_users(&mut self, entry: &TableFlow, more: bool) {
        for action in entry.flow.instructions.all_actions() {
            let users = match action {
                Action::Group(id) => self.group_users.entry(*id).or_default(),
                Action::Meter(id) => self.meter_users.entry(*id).or_default(),
                _ => continue,
            };
            match more {
                true => users.insert(entry.id),
                false => users.remove(&entry.id),
            };
        }
    }

    /// Looks at a flow anew.
    fn renew(&mut self, flow: FlowId) {
        if let Some(entry) = self.flows.get(&flow).cloned() {
            self.remove(flow);
            self.add(&entry);
        }
    }

    fn add(&mut self, entry: &TableFlow) {
        self.note_users(entry, true);
        self.flows.insert(entry.id, entry.clone());
        let key = key(entry);
        let refs = Refs {
            group: &|id| self.groups.get(&id).map(Arc::as_ref),
            meter: &|id| self.meters.get(&id).map(Arc::as_ref),
        };
        match candidate(entry, &self.device, &self.told, &refs) {
            Ok(candidate) => {
                self.apart.remove(&key);
                self.enter(candidate);
            }
            Err(why) => drop(self.apart.insert(key, Some(Decision::software(why)))),
        }
    }

    fn remove(&mut self, flow: FlowId) {
        if let Some(entry) = self.flows.remove(&flow) {
            self.note_users(&entry, false);
            self.leave(entry.flow.table, (Reverse(entry.flow.priority), flow));
            self.apart.insert(key(&entry), None);
        }
    }
}

fn key(entry: &TableFlow) -> RuleKey {
    RuleKey {
        table: entry.flow.table,
        flow: Some(entry.id),
    }
}
