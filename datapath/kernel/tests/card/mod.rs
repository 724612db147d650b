//! What rules of a card mean: that of flows.

use std::collections::BTreeMap;

use aorta_flow::Flow;
use aorta_flow::action::{Action, Instructions};
use aorta_flow::table::{FlowId, FlowMod, Modification, TableFlow, Tables};
use aorta_flow::translate::{Effect, Env, Packet, translate};
use aorta_placement::{Rule, RuleKey, Verdict};

/// Notes the flows that packets find.
#[derive(Default)]
struct Finds(Vec<FlowId>);

impl Env for Finds {
    fn traces(&self) -> bool {
        false
    }

    fn found(&mut self, flow: &TableFlow, _: &Packet) {
        self.0.push(flow.id);
    }
}

/// A card's rules as tables.
pub struct Model {
    tables: Tables,
    /// The rule of each flow.
    rules: BTreeMap<FlowId, RuleKey>,
}

fn flow_of(rule: &Rule) -> Flow {
    let instructions = match &rule.verdict {
        Verdict::Trap => Instructions::apply(vec![Action::Controller(Box::default())]),
        Verdict::Forward { actions, goto } => Instructions {
            goto_table: *goto,
            ..Instructions::apply(actions.clone())
        },
    };
    Flow {
        table: rule.table,
        // A rule for packets that match no flow is the last one of a table that is added.
        priority: rule.priority,
        matching: rule.matching.clone(),
        instructions: instructions.into(),
        ..Flow::default()
    }
}

/// Whether a rule is one that a switch could have.
pub fn is_valid(rule: &Rule) -> bool {
    let flow = flow_of(rule);
    let add = Modification::Flow(FlowMod {
        table: Some(flow.table),
        flow,
        ..FlowMod::default()
    });
    Tables::new().modify(&add).is_ok()
}

impl Model {
    /// Of these rules.
    pub fn new(rules: &[Rule]) -> Model {
        let mut model = Model {
            tables: Tables::new(),
            rules: BTreeMap::new(),
        };
        for rule in rules {
            let flow = flow_of(rule);
            let add = Modification::Flow(FlowMod {
                table: Some(flow.table),
                flow: flow.clone(),
                ..FlowMod::default()
            });
            let done = model.tables.modify(&add);
            assert!(done.is_ok(), "{rule:?}: {done:?}");
            let table = model.tables.table(flow.table);
            let entry = table.and_then(|table| table.exact(flow.priority, &flow.matching));
            model
                .rules
                .extend(entry.map(|entry| (entry.id, rule.key())));
        }
        model
    }

    /// What the card does with a packet and which rules count it; nothing if it leaves it to software.
    pub fn decides(&self, packet: &Packet) -> Option<(Vec<Effect>, Vec<RuleKey>)> {
        let mut finds = Finds::default();
        let done = translate(&self.tables, packet.clone(), &mut finds);
        let trapped = |effect: &Effect| matches!(effect, Effect::Controller { .. });
        if finds.0.is_empty() || done.effects.iter().any(trapped) {
            return None;
        }
        let keys = finds.0.iter().map(|id| self.rules[id]).collect();
        Some((done.effects, keys))
    }
}
