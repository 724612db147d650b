//! What the program of a bridge's tables is made of: their rules, shapes, fields and limits.

mod reach;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aorta_flow::action::Action;
use aorta_flow::field::FieldId;
use aorta_flow::table::{AfterMiss, FlowId, MAX_TABLE, TableFlow, Tables};

use super::commit::Changes;
use super::extras::Extras;
use super::layout::{self, state};
use super::limits::Limits;
use super::record::{Rule, RuleId};
use super::rules::plan_flow;
use super::shape::Shape;
use super::shapes::Shapes;
use super::template::{Caps, TableImage};
use super::usage::Usage;
use super::{PipelineConfig, PipelineError, Refusal, upcall};

/// One table's part.
#[derive(Clone, Debug, Default)]
pub struct TablePlan {
    /// Its rules from the highest rank; none once they are in memory.
    pub rules: Vec<Rule>,
    /// Byte offsets in the key of the words that its rules ask for, or asked for.
    pub words: BTreeSet<i16>,
    /// The shapes that they have.
    pub shapes: BTreeSet<u32>,
    /// How many rules have each shape.
    pub users: BTreeMap<u32, u32>,
    /// Version for which the memory was planned.
    pub since: u32,
    /// Its rules in memory, unless they are code.
    pub image: Option<TableImage>,
    /// The rules in memory by rank, as long as they are few.
    pub few: Option<BTreeMap<u64, Arc<Rule>>>,
}

/// Up to this many rules in memory can be code in programs for one version of the tables.
const MAX_FEW_RULES: usize = 32;

impl TablePlan {
    /// A rule comes into memory.
    pub fn remember(&mut self, rule: &Rule) {
        let room = self.few.as_ref().map(|few| few.len() < MAX_FEW_RULES);
        match (&mut self.few, room) {
            (Some(few), Some(true)) if rule.clauses.is_empty() => {
                few.insert(rule.rank, Arc::new(rule.clone()));
            }
            _ => self.few = None,
        }
    }

    /// A rule of a shape comes.
    pub fn uses(&mut self, shape: u32) {
        *self.users.entry(shape).or_default() += 1;
    }

    /// A rule of a shape goes.
    pub fn uses_no_more(&mut self, shape: u32) {
        if let Some(users) = self.users.get_mut(&shape) {
            *users = users.saturating_sub(1);
        }
    }

    /// Leaves the shapes out that no rule has any more. One stays, for rules that are no more than
    /// parts of conjunctions.
    pub fn drop_unused_shapes(&mut self) {
        let some = self.users.keys().next().copied();
        self.users.retain(|_, users| *users > 0);
        if let Some(some) = some.filter(|_| self.users.is_empty()) {
            self.users.insert(some, 0);
        }
        self.shapes = self.users.keys().copied().collect();
    }
}

/// Up to this many rules are compared one by one in code.
const MAX_CODE_RULES: usize = 8;

/// What the program is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it depends on besides the tables.
    pub config: PipelineConfig,
    /// Nothing is chosen for these tables in particular.
    generic: bool,
    /// For a card: whoever plans it decides about templates.
    card: bool,
    /// Tables that had memories which they don't keep.
    outgrown: BTreeSet<u8>,
    /// Tables that packets can reach and that have flows.
    pub tables: BTreeMap<u8, TablePlan>,
    /// All shapes.
    pub shapes: Shapes,
    /// Fields that are read and written.
    pub usage: Usage,
    /// What must be counted at run time.
    pub limits: Limits,
    /// Tables that are looked up with another in port than the packet's.
    pub overridden: BTreeSet<u8>,
    /// Tables that are looked up while something is still to be done after them.
    pub framed: BTreeSet<u8>,
    /// Whether anything goes into action sets.
    pub action_set: bool,
    /// Whether anything is done with copies.
    pub copies: bool,
    /// Whether queues are chosen.
    pub queues: bool,
    /// What can be changed in packets' bytes.
    pub changes: Changes,
    /// Groups, meters, copies for the daemon.
    pub extras: Extras,
    /// What tables do without a flow, by their numbers; empty if they do nothing.
    misses: Vec<AfterMiss>,
    /// Whether flows resubmit packets, which do nothing then.
    pub resubmits: bool,
}

impl Plan {
    /// Plans the tables, with the shapes that there were before.
    ///
    /// # Errors
    /// When flows ask for what programs can't do.
    pub fn new(
        tables: &Tables,
        rule_of: &mut dyn FnMut(FlowId) -> RuleId,
        config: &PipelineConfig,
        shapes: Shapes,
    ) -> Result<Plan, PipelineError> {
        let mut plan = Plan::empty(config, shapes);
        for entry in tables.flows() {
            plan.add(entry, rule_of)?;
        }
        plan.finish(tables, rule_of)?;
        Ok(plan)
    }

    /// As [`Plan::new`], for a program that could be one of any tables.
    ///
    /// # Errors
    /// When flows ask for what programs can't do.
    pub fn generic(
        tables: &Tables,
        rule_of: &mut dyn FnMut(FlowId) -> RuleId,
        config: &PipelineConfig,
    ) -> Result<Plan, PipelineError> {
        let mut plan = Plan::empty(config, Shapes::default());
        plan.generic = true;
        for entry in tables.flows() {
            plan.add(entry, rule_of)?;
        }
        plan.finish(tables, rule_of)?;
        Ok(plan)
    }

    /// Plans rules of a card, which have their numbers.
    ///
    /// # Errors
    /// When flows ask for what programs can't do.
    pub fn of_card(
        flows: &[(TableFlow, RuleId)],
        config: &PipelineConfig,
    ) -> Result<Plan, PipelineError> {
        let mut plan = Plan::empty(config, Shapes::default());
        plan.card = true;
        for (entry, id) in flows {
            plan.add(entry, &mut |_| *id)?;
        }
        plan.finish(&Tables::new(), &mut |_| RuleId(0))?;
        Ok(plan)
    }

    /// As [`Plan::new`], with the tables of an earlier plan that are kept as they are, and its
    /// shapes; others of its tables in memory are outgrown.
    ///
    /// # Errors
    /// When flows ask for what programs can't do.
    pub fn renew(
        (kept, outgrown): (BTreeMap<u8, TablePlan>, BTreeSet<u8>),
        shapes: Shapes,
        tables: &Tables,
        rule_of: &mut dyn FnMut(FlowId) -> RuleId,
        config: &PipelineConfig,
    ) -> Result<Plan, PipelineError> {
        let mut plan = Plan::empty(config, shapes);
        plan.outgrown = outgrown;
        for number in (0..=u8::MAX).filter(|number| !kept.contains_key(number)) {
            let flows = tables.table(number).into_iter();
            for entry in flows.flat_map(|table| table.entries()) {
                plan.add(entry, rule_of)?;
            }
        }
        plan.tables.extend(kept);
        plan.finish(tables, rule_of)?;
        Ok(plan)
    }

    fn empty(config: &PipelineConfig, shapes: Shapes) -> Plan {
        Plan {
            config: config.clone(),
            generic: false,
            card: false,
            outgrown: BTreeSet::new(),
            tables: BTreeMap::new(),
            shapes,
            usage: Usage::default(),
            limits: Limits::default(),
            overridden: BTreeSet::new(),
            framed: BTreeSet::new(),
            action_set: false,
            copies: false,
            queues: false,
            changes: Changes::default(),
            extras: Extras::default(),
            misses: Vec::new(),
            resubmits: false,
        }
    }

    fn finish(
        &mut self,
        tables: &Tables,
        rule_of: &mut dyn FnMut(FlowId) -> RuleId,
    ) -> Result<(), PipelineError> {
        if !tables.misses().are_dropped() {
            self.misses = (0..=MAX_TABLE).map(|n| tables.after_miss(n)).collect();
        }
        self.extras = self.called(tables)?;
        self.restrict();
        self.extras.count_by(rule_of);
        self.changes = self.changed_by(tables);
        self.choose_templates();
        self.check_copies()
    }

    /// What is called by all tables.
    fn called(&self, tables: &Tables) -> Result<Extras, PipelineError> {
        let shapes = self.tables.iter().flat_map(|(number, table)| {
            let shapes = table.shapes.iter().filter_map(|n| self.shapes.get(*n));
            shapes.map(|shape| (*number, shape))
        });
        let steps = shapes.flat_map(|(number, shape)| {
            let steps = shape.all_steps().into_iter();
            steps.map(move |step| (number, step))
        });
        Extras::new(tables, steps).map_err(|refusal| PipelineError::Tables {
            bridge: self.config.bridge.clone(),
            refusal,
        })
    }

    fn add(
        &mut self,
        entry: &TableFlow,
        rule_of: &mut dyn FnMut(FlowId) -> RuleId,
    ) -> Result<(), PipelineError> {
        let planned = plan_flow(entry, rule_of(entry.id));
        let planned = planned.map_err(|refusal| self.config.refuse(entry, refusal))?;
        let shape = self.shapes.number(planned.shape, &entry.flow);
        let table = self.tables.entry(entry.flow.table).or_default();
        table.shapes.insert(shape);
        table.uses(shape);
        let words = planned.rule.words.iter().map(|word| word.at);
        table.words.extend(words);
        table.rules.push(Rule {
            shape,
            ..planned.rule
        });
        Ok(())
    }

    /// Where packets go that a table has no flow for.
    pub fn after_miss(&self, table: u8) -> AfterMiss {
        let miss = self.misses.get(usize::from(table));
        miss.copied().unwrap_or(AfterMiss::Drop)
    }

    /// Whether packets that a table has no flow for go anywhere.
    pub fn has_misses(&self) -> bool {
        !self.misses.is_empty()
    }

    /// The fields that go along with copies for the daemon.
    pub fn upcall_fields(&self) -> BTreeSet<FieldId> {
        self.extras.metadata(self.usage.all())
    }

    /// Their words, as byte offsets in the key.
    pub fn upcall_words(&self) -> Vec<i16> {
        match self.pauses() {
            true => upcall::words_with_notes(&self.upcall_fields()),
            false => upcall::words(&self.upcall_fields()),
        }
    }

    /// Whether packets may wait for controllers.
    pub fn pauses(&self) -> bool {
        let pauses = |action: &Action| matches!(action, Action::Controller(how) if how.pause);
        self.extras.upcalls.iter().any(pauses)
    }

    /// Tables with few rules become code, the others memory.
    fn choose_templates(&mut self) {
        if self.card {
            return;
        }
        let caps = Caps {
            seed: self.config.seed,
            ..Caps::default()
        };
        let planned = self.tables.iter_mut();
        for (number, table) in planned.filter(|(_, table)| table.image.is_none()) {
            let caps = match self.outgrown.contains(number) {
                true => caps.outgrown(table.rules.len()),
                false => caps,
            };
            let clauses = table.rules.iter().any(|rule| !rule.clauses.is_empty());
            if self.generic {
                table.image = Some(TableImage::plan_tuples(&table.rules, &caps));
                table.since = self.config.version;
            } else if clauses || table.rules.len() > MAX_CODE_RULES {
                table.image = Some(TableImage::plan(&table.rules, &caps));
                table.since = self.config.version;
                table.few = Some(BTreeMap::new());
                let rules = std::mem::take(&mut table.rules);
                for rule in rules.iter().take(MAX_FEW_RULES + 1) {
                    table.remember(rule);
                }
                table.rules = rules;
            }
        }
    }

    /// What the flows that packets can reach change in packets' bytes.
    fn changed_by(&self, tables: &Tables) -> Changes {
        let flows = self.used_numbers().into_iter();
        let instructions = flows.filter_map(|n| Some(&self.shapes.example(n)?.instructions));
        let flows = instructions.flat_map(|i| i.apply.iter().chain(&i.write_actions));
        let called: BTreeSet<u32> = self.extras.groups.keys().map(|(id, _)| *id).collect();
        let groups = called.into_iter().filter_map(|id| tables.group(id));
        let buckets = groups.flat_map(|group| group.buckets.iter());
        Changes::of(flows.chain(buckets.flat_map(|bucket| &bucket.actions)))
    }

    /// Whether rules of any table are in memory.
    pub fn has_memory(&self) -> bool {
        self.tables.values().any(|table| table.image.is_some())
    }

    /// The shapes of flows that packets can reach.
    pub fn used_shapes(&self) -> Vec<Arc<Shape>> {
        let shapes = self.used_numbers().into_iter();
        shapes.filter_map(|n| self.shapes.get(n).cloned()).collect()
    }

    fn used_numbers(&self) -> BTreeSet<u32> {
        let tables = self.tables.values();
        tables
            .flat_map(|table| table.shapes.iter().copied())
            .collect()
    }

    fn check_copies(&self) -> Result<(), PipelineError> {
        let (bytes, limit) = (self.saved_bytes(), state::SAVE_BYTES as usize);
        match self.copies && bytes > limit {
            true => Err(PipelineError::Tables {
                bridge: self.config.bridge.clone(),
                refusal: Refusal::TooMuchChanges { bytes, limit },
            }),
            false => Ok(()),
        }
    }

    /// Bytes that a copy sets aside.
    fn saved_bytes(&self) -> usize {
        let fields = self.usage.writes.iter();
        let fields: i16 = fields.map(|f| layout::storage_bytes(*f).max(8)).sum();
        let behind_labels = match self.changes.labels() {
            true => layout::HEADER_BYTES,
            false => 0,
        };
        (fields + behind_labels) as usize + super::codegen::SAVE_HEADER_BYTES
    }
}
