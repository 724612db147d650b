//! Changes of tables, taken over by the memories where the program needn't change.

use std::collections::BTreeSet;

use aorta_flow::table::{Change, FlowId, TableFlow};

use super::compiled::{Memories, Outcome, Retired};
use super::plan::Plan;
use super::record::{Rule, RuleId};
use super::rules::plan_flow;
use super::template::Fit;
use super::usage::fields_of;
use super::{PipelineConfig, PipelineError, Refusal};

/// One step of a change, for a table in memory.
enum Step {
    Kill(u8, RuleId),
    Insert(u8, Box<Rule>),
}

/// What a flow's coming or going means for the program.
enum Effect {
    /// Packets can't get to its table.
    None,
    Step(Step),
    Rebuild(String),
}

/// Takes over changes, for packets of `version` and later: all or nothing.
pub fn change(
    plan: &mut Plan,
    changes: &[Change],
    rule_of: &mut dyn FnMut(FlowId) -> RuleId,
    version: u32,
    memories: &mut dyn Memories,
) -> Result<Outcome, PipelineError> {
    let mut steps = Vec::with_capacity(changes.len());
    for change in changes {
        let (gone, new) = match change {
            Change::FlowAdded(new) => (None, Some(new)),
            Change::FlowRemoved { entry, .. } => (Some(entry), None),
            Change::FlowReplaced { old, new, .. } => (Some(old), Some(new)),
            Change::Group { .. } | Change::Meter { .. } => {
                return Ok(rebuild("groups and meters are part of the program"));
            }
        };
        let gone = gone.map(|entry| going(plan, entry, rule_of(entry.id)));
        let new = new.map(|entry| coming(plan, entry, rule_of(entry.id)));
        for effect in [gone, new.transpose()?].into_iter().flatten() {
            match effect {
                Effect::None => {}
                Effect::Step(step) => steps.push(step),
                Effect::Rebuild(why) => return Ok(rebuild(why)),
            }
        }
    }
    Ok(apply(plan, steps, version, memories))
}

/// The tables that changes are about.
pub fn tables_of(changes: &[Change]) -> BTreeSet<u8> {
    let tables = changes.iter().filter_map(|change| match change {
        Change::FlowAdded(entry)
        | Change::FlowRemoved { entry, .. }
        | Change::FlowReplaced { new: entry, .. } => Some(entry.flow.table),
        Change::Group { .. } | Change::Meter { .. } => None,
    });
    tables.collect()
}

fn rebuild(why: impl Into<String>) -> Outcome {
    Outcome::Rebuild { why: why.into() }
}

fn going(plan: &Plan, entry: &TableFlow, id: RuleId) -> Effect {
    let table = entry.flow.table;
    match plan.tables.get(&table) {
        None => Effect::None,
        Some(planned) if planned.image.is_some() => Effect::Step(Step::Kill(table, id)),
        Some(_) => Effect::Rebuild(format!("table {table} is code")),
    }
}

fn coming(plan: &Plan, entry: &TableFlow, id: RuleId) -> Result<Effect, PipelineError> {
    let table = entry.flow.table;
    let planned = plan_flow(entry, id);
    let planned = planned.map_err(|refusal| plan.config.refuse(entry, refusal))?;
    if !plan.limits.reachable.contains(&table) {
        return Ok(Effect::None);
    }
    let Some(here) = plan.tables.get(&table) else {
        return Ok(Effect::Rebuild(format!("table {table} had no flows")));
    };
    if here.image.is_none() {
        return Ok(Effect::Rebuild(format!("table {table} is code")));
    }
    // Parts of conjunctions do nothing by themselves: any shape is as good.
    let clause = !planned.rule.clauses.is_empty();
    let known = plan.shapes.find(&planned.shape);
    let known = known.filter(|shape| here.shapes.contains(shape));
    let Some(shape) = known.or(clause.then_some(0)) else {
        return Ok(Effect::Rebuild(format!(
            "table {table} had no flow that does what the new one does"
        )));
    };
    if !fields_of(&planned.rule.words).is_subset(&plan.usage.reads) {
        return Ok(Effect::Rebuild(format!(
            "table {table} asks for a field that nothing asked for before"
        )));
    }
    let rule = Rule {
        shape,
        ..planned.rule
    };
    Ok(Effect::Step(Step::Insert(table, Box::new(rule))))
}

fn apply(plan: &mut Plan, steps: Vec<Step>, version: u32, memories: &mut dyn Memories) -> Outcome {
    let mut retired = Retired::default();
    let mut touched = BTreeSet::new();
    for step in steps {
        if let Err(why) = do_step(plan, step, version, memories, &mut touched, &mut retired) {
            roll_back(plan, &touched, version, memories);
            return rebuild(why);
        }
    }
    Outcome::InPlace { retired }
}

fn do_step(
    plan: &mut Plan,
    step: Step,
    version: u32,
    memories: &mut dyn Memories,
    touched: &mut BTreeSet<u8>,
    retired: &mut Retired,
) -> Result<(), String> {
    let (Step::Kill(table, _) | Step::Insert(table, _)) = step;
    let missing = || format!("table {table} has no memory");
    let planned = plan.tables.get_mut(&table).ok_or_else(missing)?;
    let memory = memories.memory(table).ok_or_else(missing)?;
    let image = planned.image.as_mut().ok_or_else(missing)?;
    touched.insert(table);
    match step {
        Step::Kill(_, rule) => {
            if image.kill(rule, version, memory) {
                retired.records.push((table, rule));
            }
            Ok(())
        }
        Step::Insert(_, rule) => match image.insert(&rule, version, memory) {
            Fit::InPlace => {
                planned.words.extend(rule.words.iter().map(|word| word.at));
                Ok(())
            }
            Fit::Rebuild(why) => Err(format!("table {table}: {why}")),
        },
    }
}

fn roll_back(plan: &mut Plan, tables: &BTreeSet<u8>, version: u32, memories: &mut dyn Memories) {
    for table in tables {
        let planned = plan.tables.get_mut(table);
        let image = planned.and_then(|planned| planned.image.as_mut());
        if let (Some(image), Some(memory)) = (image, memories.memory(*table)) {
            image.rollback(version, memory);
        }
    }
}

impl PipelineConfig {
    pub(super) fn refuse(&self, entry: &TableFlow, refusal: Refusal) -> PipelineError {
        PipelineError::Flow {
            bridge: self.bridge.clone(),
            table: entry.flow.table,
            cookie: entry.flow.cookie,
            refusal,
        }
    }
}
