//! A modelled card, and random things for it.
#![allow(dead_code, reason = "not every test needs all of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aorta_flow::action::{Action, Instructions};
use aorta_flow::field::FieldId;
use aorta_flow::table::{Change, FlowId, FlowMod, GroupMod, Modification, TableFlow, Tables};
use aorta_flow::text::Command;
use aorta_flow::translate::{Effect, Env, Packet, translate};
use aorta_flow::{Flow, Group, GroupKind, Match, OfPort, Part};
use aorta_placement::{Capabilities, Device, KeySupport, Rule, Verdict};
use aorta_testing::tables::{Kind, Profile, random_case};
use aorta_testing::{Case, Rng};

/// `AORTA_PLACEMENT_CASES` asks for others than so many.
pub fn cases(usual: u64) -> u64 {
    let asked = std::env::var("AORTA_PLACEMENT_CASES");
    asked.ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

/// Notes the flows that packets find.
#[derive(Default)]
pub struct Finds(pub Vec<FlowId>);

impl Env for Finds {
    fn traces(&self) -> bool {
        false
    }

    fn found(&mut self, flow: &TableFlow, _: &Packet) {
        self.0.push(flow.id);
    }
}

/// A card's rules as tables: their meaning is that of flows.
pub struct Card {
    tables: Tables,
    /// The switch's flow of each of the card's.
    flows: BTreeMap<FlowId, Option<FlowId>>,
}

fn flow_of(rule: &Rule, priorities: &BTreeSet<u16>) -> Flow {
    let instructions = match &rule.verdict {
        Verdict::Trap => Instructions::apply(vec![Action::Controller(Box::default())]),
        Verdict::Forward { actions, goto } => Instructions {
            goto_table: *goto,
            ..Instructions::apply(actions.clone())
        },
    };
    Flow {
        table: rule.table,
        // A miss rule comes after those of priority 0, too.
        priority: match rule.flow {
            None => 0,
            Some(_) => 1 + priorities.range(..rule.priority).count() as u16,
        },
        matching: rule.matching.clone(),
        instructions: instructions.into(),
        ..Flow::default()
    }
}

impl Card {
    /// A card with these rules. Which of several of one priority comes first is left to chance.
    pub fn new<'r>(rules: impl IntoIterator<Item = &'r Rule>, rng: &mut Rng) -> Card {
        let mut rules: Vec<&Rule> = rules.into_iter().collect();
        let priorities = rules.iter().map(|rule| rule.priority).collect();
        let mut card = Card {
            tables: Tables::new(),
            flows: BTreeMap::new(),
        };
        while !rules.is_empty() {
            let rule = rules.swap_remove(rng.below(rules.len()));
            card.put(rule, flow_of(rule, &priorities));
        }
        card
    }

    fn put(&mut self, rule: &Rule, flow: Flow) {
        let of = |tables: &Tables| {
            let table = tables.table(flow.table)?;
            Some(table.exact(flow.priority, &flow.matching)?.id)
        };
        // Of two that match the same, the first is taken always.
        if of(&self.tables).is_some() {
            return;
        }
        let add = Modification::Flow(FlowMod {
            table: Some(flow.table),
            flow: flow.clone(),
            ..FlowMod::default()
        });
        let done = self.tables.modify(&add);
        assert!(done.is_ok(), "{rule:?}: {done:?}");
        self.flows
            .extend(of(&self.tables).map(|id| (id, rule.flow)));
    }

    /// What it does with a packet and which flows it counts; nothing if it leaves it to software.
    pub fn decides(&self, packet: &Packet) -> Option<(Vec<Effect>, Vec<FlowId>)> {
        let mut finds = Finds::default();
        let done = translate(&self.tables, packet.clone(), &mut finds);
        let trapped = |effect: &Effect| matches!(effect, Effect::Controller { .. });
        if finds.0.is_empty() {
            return None;
        }
        if done.effects.iter().any(trapped) {
            // It can be left to software as it came only.
            let all = done.effects.iter().all(trapped);
            assert!(finds.0.len() == 1 && all, "{packet:?}");
            return None;
        }
        let flows = finds.0.iter().filter_map(|id| self.flows[id]).collect();
        Some((done.effects, flows))
    }
}

pub fn random_device(rng: &mut Rng) -> Device {
    let ports = (1..=6).filter(|_| rng.chance(70)).map(OfPort).collect();
    let mut capabilities = Capabilities::flower(*rng.pick(&[3, 8, 20, 1000, 1000]));
    let few = rng.below(4);
    for _ in 0..few {
        let keys: Vec<FieldId> = capabilities.keys.keys().copied().collect();
        let field = *rng.pick(&keys);
        match rng.chance(50) {
            true => drop(capabilities.keys.remove(&field)),
            false => drop(capabilities.keys.insert(field, KeySupport::Exact)),
        }
    }
    capabilities.traps = rng.chance(60);
    capabilities.vlan_tags = rng.chance(80);
    capabilities.dec_ttl = rng.chance(50);
    capabilities.to_in_port = rng.chance(50);
    capabilities.sets_masked = rng.chance(60);
    capabilities.changes_between_outputs = rng.chance(60);
    capabilities.max_outputs = *rng.pick(&[1, 2, 32]);
    capabilities.max_tables = *rng.pick(&[1, 2, 256, 256]);
    Device {
        ports,
        capabilities,
    }
}

/// What flows of the kinds that cards do look like, and now and then others.
pub fn random_tables(rng: &mut Rng) -> Case {
    let cards = [
        Kind::Output,
        Kind::SetHeader,
        Kind::Vlan,
        Kind::Goto,
        Kind::Exit,
        Kind::Note,
        Kind::Modify,
        Kind::InPort,
        Kind::Ttl,
        Kind::Group,
        Kind::ActionSet,
    ];
    let also = rng.below(3);
    let mut kinds: Vec<Kind> = cards.into();
    kinds.extend((0..also).map(|_| *rng.pick(&Kind::ALL)));
    let without = Kind::ALL.into_iter().filter(|kind| !kinds.contains(kind));
    let profile = Profile {
        tables: 4,
        without: without.collect(),
        ..Profile::default()
    };
    random_case(&profile, rng)
}

/// Makes most of a case's flows such that a card may take them, in as many priorities as asked for.
pub fn fit(case: &mut Case, device: &Device, priorities: usize, rng: &mut Rng) {
    let ports: Vec<OfPort> = device.ports.iter().copied().collect();
    for group in &mut case.groups {
        let buckets = group.buckets.iter_mut();
        let actions = buckets.flat_map(|bucket| &mut bucket.actions);
        fit_outputs(actions, &ports, rng);
    }
    let groups = Case {
        groups: case.groups.clone(),
        meters: case.meters.clone(),
        ..Case::default()
    };
    let mut tables = groups.tables().unwrap_or_default();
    let last = case.flows.iter().map(|flow| flow.table).max().unwrap_or(0);
    for mut flow in std::mem::take(&mut case.flows) {
        flow.priority = rng.below(priorities) as u16;
        if rng.chance(90) {
            fit_flow(&mut flow, device, &ports, rng);
        }
        if flow.table < last && rng.chance(25) {
            let to = rng.between(usize::from(flow.table) + 1, last.into()) as u8;
            Arc::make_mut(&mut flow.instructions).goto_table = Some(to);
        }
        let add = Modification::Flow(FlowMod {
            table: Some(flow.table),
            flow: flow.clone(),
            ..FlowMod::default()
        });
        if tables.modify(&add).is_ok() {
            case.flows.push(flow);
        }
    }
}

fn fit_outputs<'a>(actions: impl Iterator<Item = &'a mut Action>, ports: &[OfPort], rng: &mut Rng) {
    for action in actions {
        if let Action::Output(port) = action
            && !ports.is_empty()
        {
            *port = *rng.pick(ports);
        }
    }
}

fn fit_flow(flow: &mut Flow, device: &Device, ports: &[OfPort], rng: &mut Rng) {
    let parts: Vec<Part> = flow.matching.parts().collect();
    let strange = |field: FieldId| {
        let part = parts.iter().find(|part| part.field == field);
        part.is_some_and(|part| !device.capabilities.matches(part))
    };
    flow.matching = flow.matching.without(strange);
    if !ports.is_empty() && rng.chance(25) {
        let port = rng.pick(ports).0;
        let _ = flow.matching.set(FieldId::IN_PORT, port.into());
    }
    flow.matching.normalise();
    let instructions = Arc::make_mut(&mut flow.instructions);
    fit_outputs(instructions.apply.iter_mut(), ports, rng);
    fit_outputs(instructions.write_actions.iter_mut(), ports, rng);
}

/// A modification of tables whose flows may become like those of a pool.
fn random_change(tables: &Tables, pool: &[Flow], rng: &mut Rng) -> Modification {
    let there: Vec<&Flow> = tables.flows().map(|entry| &*entry.flow).collect();
    let mut flow_mod = FlowMod {
        flow: rng.pick(pool).clone(),
        ..FlowMod::default()
    };
    flow_mod.table = Some(flow_mod.flow.table);
    if there.is_empty() || rng.chance(40) {
        return Modification::Flow(flow_mod);
    }
    let instructions = flow_mod.flow.instructions;
    flow_mod.flow = (*rng.pick(&there)).clone();
    flow_mod.table = Some(flow_mod.flow.table);
    flow_mod.command = *rng.pick(&[Command::DeleteStrict, Command::ModifyStrict, Command::Add]);
    if flow_mod.command != Command::DeleteStrict {
        flow_mod.flow.instructions = instructions;
    }
    if rng.chance(5) {
        // All flows of a table.
        flow_mod.command = Command::Delete;
        flow_mod.flow.matching = Match::any();
    }
    Modification::Flow(flow_mod)
}

fn random_group_change(groups: &[Group], rng: &mut Rng) -> GroupMod {
    let mut group = rng.pick(groups).clone();
    if rng.chance(10) {
        return GroupMod::Delete(Some(group.id));
    }
    let other = rng.pick(groups);
    let kind = *rng.pick(&[GroupKind::All, GroupKind::All, other.kind]);
    (group.kind, group.buckets) = (kind, other.buckets.clone());
    GroupMod::Modify(group)
}

/// Changes tables in several ways at once, and tells what changed.
pub fn random_bundle(tables: &mut Tables, pool: &[Flow], rng: &mut Rng) -> Vec<Change> {
    let mut changes = Vec::new();
    for _ in 0..*rng.pick(&[1, 1, 1, 2, 4, 12]) {
        // What can't be isn't done.
        let groups: Vec<Group> = tables.groups().map(|group| (**group).clone()).collect();
        let asked = match !groups.is_empty() && rng.chance(30) {
            true => Modification::Group(random_group_change(&groups, rng)),
            false => random_change(tables, pool, rng),
        };
        changes.extend(tables.modify(&asked).unwrap_or_default());
    }
    changes
}

/// A flow that the rest of a table goes to.
pub fn last_flow() -> Flow {
    Flow {
        priority: 0,
        instructions: Instructions::apply(Vec::new()).into(),
        ..Flow::default()
    }
}
