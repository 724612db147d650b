//! What rules mean: that of flows.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use aorta_flow::Flow;
use aorta_flow::action::{Action, Instructions};
use aorta_flow::table::{FlowId, TableFlow, Tables};
use aorta_flow::translate::{Effect, Env, Packet, translate};

use crate::{Rule, RuleKey, Verdict};

/// What becomes of a packet that comes to a card.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It goes to software as it came.
    Software,
    /// It goes to software from a later table, or when a copy has left: no rules that are planned for a
    /// card lead there.
    Midway,
    /// It ends on the card.
    Ended {
        /// What happens, in order.
        effects: Vec<Effect>,
        /// The rules that count it, in order.
        rules: Vec<RuleKey>,
    },
}

impl Outcome {
    /// What happens on the card and which rules count it; nothing if the packet goes to software.
    pub fn ended(self) -> Option<(Vec<Effect>, Vec<RuleKey>)> {
        match self {
            Outcome::Ended { effects, rules } => Some((effects, rules)),
            Outcome::Software | Outcome::Midway => None,
        }
    }
}

/// What rules of a card mean, as the interpreter of flows has it.
#[derive(Clone, Debug)]
pub struct Meaning {
    tables: Tables,
    /// By the number of the flow that stands for each.
    rules: Vec<RuleKey>,
}

impl Meaning {
    /// Of these rules. Of several of one priority, the first comes first.
    pub fn new<'r>(rules: impl IntoIterator<Item = &'r Rule>) -> Meaning {
        let mut by_table: BTreeMap<u8, Vec<&Rule>> = BTreeMap::new();
        for rule in rules {
            by_table.entry(rule.table).or_default().push(rule);
        }
        let mut meaning = Meaning {
            tables: Tables::new(),
            rules: Vec::new(),
        };
        for mut table in by_table.into_values() {
            table.sort_by_key(|rule| (rule.flow.is_none(), Reverse(rule.priority)));
            for (below, rule) in table.into_iter().rev().enumerate() {
                meaning.add(rule, u16::try_from(below).unwrap_or(u16::MAX));
            }
        }
        meaning
    }

    fn add(&mut self, rule: &Rule, priority: u16) {
        let flow = rule.as_flow(Action::Controller(Box::default()));
        self.tables.restore_flow(TableFlow {
            id: FlowId(self.rules.len() as u64),
            flow: Arc::new(Flow { priority, ..flow }),
        });
        self.rules.push(rule.key());
    }

    /// What becomes of a packet.
    pub fn outcome(&self, packet: &Packet) -> Outcome {
        let mut finds = Finds::default();
        let effects = translate(&self.tables, packet.clone(), &mut finds).effects;
        let trapped = |effect: &Effect| matches!(effect, Effect::Controller { .. });
        let Finds(found) = finds;
        if found.is_empty() {
            return Outcome::Software;
        }
        if effects.iter().any(trapped) {
            return match found.len() == 1 && effects.iter().all(trapped) {
                true => Outcome::Software,
                false => Outcome::Midway,
            };
        }
        let key = |FlowId(number): FlowId| self.rules.get(number as usize).copied();
        Outcome::Ended {
            effects,
            rules: found.into_iter().filter_map(key).collect(),
        }
    }
}

impl Rule {
    /// The flow that does the same with packets of the card; `trap` is what one does that leaves its
    /// packets to software.
    pub fn as_flow(&self, trap: Action) -> Flow {
        let instructions = match &self.verdict {
            Verdict::Trap => Instructions::apply(vec![trap]),
            Verdict::Forward { actions, goto } => Instructions {
                goto_table: *goto,
                ..Instructions::apply(actions.clone())
            },
        };
        Flow {
            table: self.table,
            priority: self.priority,
            matching: self.matching.clone(),
            instructions: instructions.into(),
            ..Flow::default()
        }
    }
}

/// Notes which flows a packet finds.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Finds(pub Vec<FlowId>);

impl Env for Finds {
    fn traces(&self) -> bool {
        false
    }

    fn found(&mut self, flow: &TableFlow, _: &Packet) {
        self.0.push(flow.id);
    }
}
