//! A modelled card, and random things for it.
#![allow(dead_code, reason = "not every test needs all of it")]

use std::sync::Arc;

use aorta_flow::action::{Action, Instructions};
use aorta_flow::field::FieldId;
use aorta_flow::table::{Change, FlowId, FlowMod, GroupMod, MeterMod, Modification, Tables};
use aorta_flow::text::Command;
use aorta_flow::translate::{Effect, Packet};
use aorta_flow::{BandKind, Flow, Group, GroupKind, Match, Meter, OfPort, Part};
use aorta_placement::{Capabilities, Device, KeySupport, Meaning, Outcome, Rule};
use aorta_testing::tables::{Kind, Profile, random_case};
use aorta_testing::{Case, Rng};

/// `AORTA_PLACEMENT_CASES` asks for others than so many.
pub fn cases(usual: u64) -> u64 {
    let asked = std::env::var("AORTA_PLACEMENT_CASES");
    asked.ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

/// A card with these rules. Which of several of one priority comes first is left to chance.
pub fn card<'r>(rules: impl IntoIterator<Item = &'r Rule>, rng: &mut Rng) -> Meaning {
    let mut rules: Vec<&Rule> = rules.into_iter().collect();
    for left in (1..rules.len()).rev() {
        rules.swap(left, rng.below(left + 1));
    }
    Meaning::new(rules)
}

/// What a card does with a packet and which flows it counts; nothing if it leaves it to software, which
/// it can do as the packet came only.
pub fn decides(card: &Meaning, packet: &Packet) -> Option<(Vec<Effect>, Vec<FlowId>)> {
    let outcome = card.outcome(packet);
    assert_ne!(outcome, Outcome::Midway, "{packet:?}");
    let (effects, rules) = outcome.ended()?;
    Some((effects, rules.iter().filter_map(|key| key.flow).collect()))
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
    capabilities.mpls_labels = rng.chance(80);
    capabilities.meters = rng.chance(80);
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
    let mut profile = Profile {
        tables: 4,
        ..Profile::of_cards()
    };
    for _ in 0..rng.below(3) {
        let also = *rng.pick(&Kind::ALL);
        profile.without.retain(|kind| *kind != also);
    }
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

fn random_meter_change(meters: &[Meter], rng: &mut Rng) -> MeterMod {
    let mut meter = rng.pick(meters).clone();
    for band in &mut meter.bands {
        band.rate = rng.between(500_000_000, 1_000_000_000) as u32;
        if rng.chance(30) {
            band.kind = *rng.pick(&[BandKind::Drop, BandKind::DscpRemark(1)]);
        }
    }
    MeterMod::Modify(meter)
}

/// Changes tables in several ways at once, and tells what changed.
pub fn random_bundle(tables: &mut Tables, pool: &[Flow], rng: &mut Rng) -> Vec<Change> {
    let mut changes = Vec::new();
    for _ in 0..*rng.pick(&[1, 1, 1, 2, 4, 12]) {
        // What can't be isn't done.
        let groups: Vec<Group> = tables.groups().map(|group| (**group).clone()).collect();
        let meters: Vec<Meter> = tables.meters().map(|meter| (**meter).clone()).collect();
        let asked = if !groups.is_empty() && rng.chance(30) {
            Modification::Group(random_group_change(&groups, rng))
        } else if !meters.is_empty() && rng.chance(30) {
            Modification::Meter(random_meter_change(&meters, rng))
        } else {
            random_change(tables, pool, rng)
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
