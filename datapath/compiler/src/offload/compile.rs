//! From rules to a program and what its maps hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aorta_ebpf::{MapId, Program};
use aorta_flow::action::Action;
use aorta_flow::field::FieldId;
use aorta_flow::table::{FlowId, TableFlow};
use aorta_flow::{Flow, OfPort};
use aorta_placement::{Rule, RuleKey, Verdict};

use super::entries::{Entries, Entry, value_bytes};
use super::follow::Standing;
use super::layout::{self, Layout};
use super::{COUNTERS, CardError, CardLimits};
use crate::abi::MapKind;
use crate::pipeline::card::{self, CardForm};
use crate::pipeline::codegen::xdp;
use crate::pipeline::plan::Plan;
use crate::pipeline::record::{self, RuleId};
use crate::pipeline::rules::plan_flow;
use crate::pipeline::shapes::Shapes;
use crate::pipeline::{Hook, PipelineConfig};

/// What a program is made for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// Name of the program, of which the kernel keeps 15 characters.
    pub name: String,
    /// The port whose packets it sees.
    pub port: OfPort,
    /// Other ports of the card, with the indices of their devices; those of a card that doesn't
    /// redirect are not asked for.
    pub sends: BTreeMap<OfPort, u32>,
    /// What the card allows.
    pub limits: CardLimits,
    /// Entries of the map of counters: numbers of rules are lower, and not 0.
    pub counters: u32,
}

/// A map that a program needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CardMap {
    /// How the program names it.
    pub id: MapId,
    /// [`MapKind::Hash`] or [`MapKind::Array`].
    pub kind: MapKind,
    /// Bytes of a key.
    pub key_bytes: u32,
    /// Bytes of a value.
    pub value_bytes: u32,
    /// Most entries.
    pub max_entries: u32,
}

/// A program for a card, and what its maps hold.
#[derive(Clone, Debug)]
pub struct CardProgram {
    program: Program,
    maps: Vec<CardMap>,
    pub(super) entries: BTreeMap<MapId, Entries>,
    /// Rules of hashed tables.
    pub(super) standing: BTreeMap<RuleKey, Standing>,
    /// Those that ask for the same, the one that wins last.
    pub(super) rivals: BTreeMap<Entry, BTreeSet<(u64, RuleKey)>>,
    /// Rules that are code.
    pub(super) code: BTreeSet<RuleKey>,
    pub(super) shapes: Shapes,
    pub(super) tables: BTreeMap<u8, Layout>,
}

impl CardProgram {
    /// The program, of kind XDP.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The maps that it needs, that of the counters first.
    pub fn maps(&self) -> &[CardMap] {
        &self.maps
    }

    /// What the hash maps hold.
    pub fn entries(&self) -> &BTreeMap<MapId, Entries> {
        &self.entries
    }
}

/// Compiles the rules of a port, which have these numbers.
///
/// # Errors
/// When a card with these limits can't have it.
pub fn compile(
    rules: &[Rule],
    numbers: &BTreeMap<RuleKey, u32>,
    target: &Target,
) -> Result<CardProgram, CardError> {
    let flows = flows(rules, numbers, target)?;
    let config = PipelineConfig {
        bridge: target.name.as_str().into(),
        bridge_slot: 0,
        hook: Hook::Xdp,
        version: 0,
        seed: 0,
        counted_rules: target.counters,
    };
    let plan = Plan::of_card(&flows, &config)?;
    let tables = layout::layouts(&plan, &target.limits)?;
    let hashed = tables.iter().map(|(n, table)| (*n, table.hashed.clone()));
    let form = CardForm {
        name: target.name.clone(),
        port: target.port,
        sends: target.sends.clone(),
        hashed: hashed.collect(),
        counters: COUNTERS,
    };
    let program = card::generate(&plan, &form)?.map_err(|bytes| CardError::Stack {
        needed: bytes as usize,
        limit: CardLimits::STACK_BYTES,
    })?;
    let limit = target.limits.insns;
    if program.len() > limit {
        let needed = program.len();
        return Err(CardError::TooLong { needed, limit });
    }
    let mut compiled = CardProgram {
        program,
        maps: layout::maps(&tables, target.counters),
        entries: BTreeMap::new(),
        standing: BTreeMap::new(),
        rivals: BTreeMap::new(),
        code: BTreeSet::new(),
        shapes: plan.shapes.clone(),
        tables,
    };
    compiled.fill(&plan, rules);
    Ok(compiled)
}

/// The rules of the port as flows.
fn flows(
    rules: &[Rule],
    numbers: &BTreeMap<RuleKey, u32>,
    target: &Target,
) -> Result<Vec<(TableFlow, RuleId)>, CardError> {
    let mut flows = Vec::with_capacity(rules.len());
    for rule in rules {
        if !target.is_for(rule) {
            continue;
        }
        let key = rule.key();
        let number = numbers.get(&key).copied().unwrap_or(0);
        if number == 0 || number >= target.counters {
            let counters = target.counters;
            return Err(CardError::NoCounter { key, counters });
        }
        let entry = entry_of(rule);
        check(rule, &entry, target)?;
        flows.push((entry, RuleId(number)));
    }
    Ok(flows)
}

impl Target {
    /// Whether packets of its port can meet a rule.
    pub(super) fn is_for(&self, rule: &Rule) -> bool {
        let (value, mask) = rule.matching.get(FieldId::IN_PORT);
        u128::from(self.port.0) & mask == value
    }
}

/// A rule as a flow.
pub(super) fn entry_of(rule: &Rule) -> TableFlow {
    TableFlow {
        id: id_of(rule),
        flow: Arc::new(flow(rule)),
    }
}

fn flow(rule: &Rule) -> Flow {
    // What is left to software is a flow that no program in front of the stack does.
    let flow = rule.as_flow(Action::Output(OfPort::NORMAL));
    Flow {
        matching: flow.matching.without(|field| field == FieldId::IN_PORT),
        ..flow
    }
}

/// Refuses a rule that there is no code for: it would be left to software without a word.
pub(super) fn check(rule: &Rule, entry: &TableFlow, target: &Target) -> Result<(), CardError> {
    let refuse = |why: String| {
        let key = rule.key();
        Err(CardError::Rule { key, why })
    };
    let Verdict::Forward { actions, goto } = &rule.verdict else {
        return Ok(());
    };
    if goto.is_some_and(|goto| goto <= rule.table) {
        return refuse("it doesn't lead to a later table".to_owned());
    }
    for action in actions {
        match action {
            Action::Output(OfPort::IN_PORT) => {}
            Action::Output(port) if *port == target.port => {}
            Action::Output(port) if !target.limits.redirects => {
                return refuse(format!(
                    "output to port {port}: the card sends back to the port only that a packet came from"
                ));
            }
            Action::Output(port) if !target.sends.contains_key(port) => {
                return refuse(format!("output to port {port}, which isn't the card's"));
            }
            Action::PushVlan(_) | Action::PopVlan if !target.limits.adjusts_head => {
                return refuse(format!(
                    "{action}: the card makes no frame longer or shorter"
                ));
            }
            _ => {}
        }
    }
    let planned = match plan_flow(entry, RuleId(0)) {
        Ok(planned) => planned,
        Err(why) => return refuse(why.to_string()),
    };
    let steps = planned.shape.all_steps();
    if !steps.into_iter().all(xdp::takes_step) {
        let actions: Vec<String> = actions.iter().map(ToString::to_string).collect();
        return refuse(format!("actions={}", actions.join(",")));
    }
    Ok(())
}

impl CardProgram {
    /// Puts the rules of hashed tables into their maps.
    fn fill(&mut self, plan: &Plan, rules: &[Rule]) {
        let ranked = rules.iter().map(|rule| {
            let rank = record::rank(rule.priority, id_of(rule).0);
            ((rule.table, rank), rule)
        });
        let ranked: BTreeMap<(u8, u64), &Rule> = ranked.collect();
        for (number, planned) in &plan.tables {
            for rule in &planned.rules {
                let Some(of) = ranked.get(&(*number, rule.rank)) else {
                    continue;
                };
                let layout = self.tables.get(number);
                match layout.and_then(|layout| Some((layout, layout.place_of(&rule.words)?))) {
                    Some((layout, entry)) => {
                        let value = value_bytes(rule, order(of), layout.value_bytes);
                        self.stand(
                            of.key(),
                            Standing {
                                entry,
                                rank: rule.rank,
                                value,
                            },
                        );
                    }
                    None => drop(self.code.insert(of.key())),
                }
            }
        }
    }
}

/// Which of several rules of a table wins, the highest; never 0. Of rules of one priority that matter to
/// each other there is one only.
pub(super) fn order(rule: &Rule) -> u32 {
    match rule.flow {
        Some(_) => u32::from(rule.priority) + 2,
        None => 1,
    }
}

/// What packets that match no flow meet comes last.
fn id_of(rule: &Rule) -> FlowId {
    rule.flow.unwrap_or(FlowId(u64::MAX))
}
