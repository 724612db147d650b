//! Tables in memory that are kept when a bridge gets another program: they follow the changes that
//! lead to it.

use std::collections::{BTreeMap, BTreeSet};

use aorta_flow::table::{Change, FlowId, TableFlow};

use super::change::{Step, do_step, full, leaving};
use super::compiled::{Memories, Retired};
use super::plan::{Plan, TablePlan};
use super::record::{Rule, RuleId};
use super::rules::plan_flow;
use super::shapes::Shapes;
use super::{PipelineConfig, PipelineError};

/// The tables that are kept, as they are after the changes.
pub struct Follow {
    version: u32,
    /// Tables whose memories are too small.
    full: BTreeSet<u8>,
    steps: BTreeMap<u8, Vec<Step>>,
    shapes: Shapes,
    kept: BTreeMap<u8, TablePlan>,
    retired: Retired,
}

impl Follow {
    /// Plans what `changes` mean for the tables of `plan` that are in memory. Nothing is written
    /// yet.
    ///
    /// # Errors
    /// When flows ask for what programs can't do.
    pub fn new(
        plan: &Plan,
        changes: &[Change],
        rule_of: &mut dyn FnMut(FlowId) -> RuleId,
        config: &PipelineConfig,
    ) -> Result<Follow, PipelineError> {
        let mut follow = Follow {
            version: config.version,
            full: full(plan, changes),
            steps: BTreeMap::new(),
            shapes: plan.shapes.clone(),
            kept: BTreeMap::new(),
            retired: Retired::default(),
        };
        let in_memory = plan.tables.iter().filter(|(_, t)| t.image.is_some());
        let in_memory: BTreeSet<u8> = in_memory.map(|(number, _)| *number).collect();
        let kept = &in_memory - &follow.full;
        let about = |entry: &&TableFlow| kept.contains(&entry.flow.table);
        for change in changes {
            let (gone, new) = match change {
                Change::FlowAdded(new) => (None, Some(new)),
                Change::FlowRemoved { entry, .. } => (Some(entry), None),
                Change::FlowReplaced { old, new, .. } => (Some(old), Some(new)),
                Change::Group { .. } | Change::Meter { .. } => (None, None),
            };
            if let Some(entry) = gone.filter(about) {
                let rule = leaving(entry, &follow.shapes, config)?;
                follow.step(Step::Kill(entry.flow.table, Box::new(rule)));
            }
            if let Some(entry) = new.filter(about) {
                let rule = follow.coming(entry, rule_of(entry.id), config)?;
                follow.step(Step::Insert(entry.flow.table, Box::new(rule)));
            }
        }
        Ok(follow)
    }

    fn step(&mut self, step: Step) {
        let (Step::Kill(table, _) | Step::Insert(table, _)) = &step;
        self.steps.entry(*table).or_default().push(step);
    }

    fn coming(
        &mut self,
        entry: &TableFlow,
        id: RuleId,
        config: &PipelineConfig,
    ) -> Result<Rule, PipelineError> {
        let planned = plan_flow(entry, id).map_err(|refusal| config.refuse(entry, refusal))?;
        let shape = self.shapes.number(planned.shape, &entry.flow);
        Ok(Rule {
            shape,
            ..planned.rule
        })
    }

    /// Keeps a table, with what changes in it written into its memory; or not, if that doesn't fit.
    pub fn table(&mut self, number: u8, table: &TablePlan, memories: &mut dyn Memories) {
        if self.full.contains(&number) {
            return;
        }
        let mut table = table.clone();
        if let Some(steps) = self.steps.remove(&number) {
            let mut retired = Retired::default();
            let Some(memory) = memories.memory(number) else {
                return;
            };
            for step in steps {
                if do_step(&mut table, step, self.version, memory, &mut retired).is_err() {
                    if let Some(image) = &mut table.image {
                        image.rollback(self.version, memory);
                    }
                    return;
                }
            }
            self.retired.records.extend(retired.records);
        }
        table.drop_unused_shapes();
        self.kept.insert(number, table);
    }

    /// The tables that are kept, the shapes, and what no packet of the new version finds.
    pub fn done(self) -> (BTreeMap<u8, TablePlan>, Shapes, Retired) {
        (self.kept, self.shapes, self.retired)
    }
}
