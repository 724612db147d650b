//! Changes of tables, taken over by the memories where the program needn't change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aorta_flow::table::{Change, FlowId, TableFlow};

use super::compiled::{Memories, Outcome, Retired, RetiredRule};
use super::memory::Memory;
use super::plan::{Plan, TablePlan};
use super::record::{Rule, RuleId};
use super::rules::plan_flow;
use super::shapes::Shapes;
use super::template::{Fit, Why};
use super::{PipelineConfig, PipelineError, Refusal};

/// One step of a change, for a table in memory. Clauses have no shape of their own.
pub(super) enum Step {
    Kill(u8, Box<Rule>),
    Insert(u8, Box<Rule>),
}

/// What is taken back of a table: how many rules have each shape, and which they are.
type Before = (BTreeMap<u32, u32>, Option<BTreeMap<u64, Arc<Rule>>>);

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
    if let Some(full) = full(plan, changes).first() {
        return Ok(rebuild(format!("table {full}: {}", Why::Full)));
    }
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
        let gone = gone.map(|entry| going(plan, entry));
        let new = new.map(|entry| coming(plan, entry, rule_of(entry.id)));
        for effect in [gone.transpose()?, new.transpose()?].into_iter().flatten() {
            match effect {
                Effect::None => {}
                Effect::Step(step) => steps.push(step),
                Effect::Rebuild(why) => return Ok(rebuild(why)),
            }
        }
    }
    Ok(apply(plan, steps, version, memories))
}

fn rebuild(why: impl Into<String>) -> Outcome {
    Outcome::Rebuild { why: why.into() }
}

/// The tables that can't hold what comes: each flow takes a place at least.
pub(super) fn full(plan: &Plan, changes: &[Change]) -> BTreeSet<u8> {
    let mut coming: BTreeMap<u8, u32> = BTreeMap::new();
    for change in changes {
        if let Change::FlowAdded(new) | Change::FlowReplaced { new, .. } = change {
            *coming.entry(new.flow.table).or_default() += 1;
        }
    }
    let is_full = |(number, count): &(u8, u32)| {
        let image = plan.tables.get(number).and_then(|t| t.image.as_ref());
        image.is_some_and(|image| !image.has_places(*count))
    };
    let full = coming.into_iter().filter(is_full);
    full.map(|(number, _)| number).collect()
}

fn going(plan: &Plan, entry: &TableFlow) -> Result<Effect, PipelineError> {
    let table = entry.flow.table;
    match plan.tables.get(&table) {
        None => Ok(Effect::None),
        Some(planned) if planned.image.is_some() => {
            let rule = leaving(entry, &plan.shapes, &plan.config)?;
            Ok(Effect::Step(Step::Kill(table, Box::new(rule))))
        }
        Some(_) => Ok(Effect::Rebuild(format!("table {table} is code"))),
    }
}

/// A flow that goes, as the rule that it was.
pub(super) fn leaving(
    entry: &TableFlow,
    shapes: &Shapes,
    config: &PipelineConfig,
) -> Result<Rule, PipelineError> {
    // It is found by what it matches, whatever its number.
    let planned = plan_flow(entry, RuleId(0)).map_err(|refusal| config.refuse(entry, refusal))?;
    let shape = shapes.find(&planned.shape).unwrap_or(u32::MAX);
    Ok(Rule {
        shape,
        ..planned.rule
    })
}

fn coming(plan: &Plan, entry: &TableFlow, id: RuleId) -> Result<Effect, PipelineError> {
    let table = entry.flow.table;
    let planned = plan_flow(entry, id);
    let planned = planned.map_err(|refusal| plan.config.refuse(entry, refusal))?;
    if !plan.limits.reachable.contains(&table) {
        // Packets that other tables have no flow for may go on in a table that has one.
        return Ok(match plan.has_misses() {
            true => Effect::Rebuild(format!("table {table} had no flows")),
            false => Effect::None,
        });
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
    if !plan.usage.reads_all(&planned.rule.words) {
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
    let mut before: BTreeMap<u8, Before> = BTreeMap::new();
    for step in steps {
        let (Step::Kill(number, _) | Step::Insert(number, _)) = step;
        let done = match (plan.tables.get_mut(&number), memories.memory(number)) {
            (Some(table), Some(memory)) => {
                let was = || (table.users.clone(), table.few.clone());
                before.entry(number).or_insert_with(was);
                do_step(table, step, version, memory, &mut retired)
            }
            _ => Err("it has no memory".to_owned()),
        };
        if let Err(why) = done {
            roll_back(plan, before, version, memories);
            return rebuild(format!("table {number}: {why}"));
        }
    }
    Outcome::InPlace { retired }
}

/// Does a step for packets of `version` and later, or tells why that can't be.
pub(super) fn do_step(
    table: &mut TablePlan,
    step: Step,
    version: u32,
    memory: &mut dyn Memory,
    retired: &mut Retired,
) -> Result<(), String> {
    let Some(image) = &mut table.image else {
        return Err("it has no memory".to_owned());
    };
    match step {
        Step::Kill(number, rule) => {
            if let Some(kill) = image.kill(&rule, version, memory) {
                retired.records.push(RetiredRule {
                    table: number,
                    since: table.since,
                    kill,
                });
            }
            if let Some(few) = &mut table.few {
                few.remove(&rule.rank);
            }
            if rule.clauses.is_empty() {
                table.uses_no_more(rule.shape);
            }
        }
        Step::Insert(_, rule) => match image.insert(&rule, version, memory) {
            Fit::InPlace => {
                table.words.extend(rule.words.iter().map(|word| word.at));
                table.remember(&rule);
                if rule.clauses.is_empty() {
                    table.uses(rule.shape);
                }
            }
            Fit::Rebuild(why) => return Err(why.to_string()),
        },
    }
    Ok(())
}

fn roll_back(
    plan: &mut Plan,
    before: BTreeMap<u8, Before>,
    version: u32,
    memories: &mut dyn Memories,
) {
    for (number, (users, few)) in before {
        let Some(table) = plan.tables.get_mut(&number) else {
            continue;
        };
        table.users = users;
        table.few = few;
        if let (Some(image), Some(memory)) = (&mut table.image, memories.memory(number)) {
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
