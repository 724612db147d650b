//! The tables of real controllers.

use std::collections::BTreeSet;
use std::sync::Arc;

use aorta_flow::action::Action;
use aorta_flow::text::{NoNames, parse_flow_file, parse_group, parse_meter};

use crate::packet::Packet;
use crate::{Case, Frame, Offload, Rng};

/// Names of the pipelines, and their flows as they were dumped.
pub const SAMPLES: [(&str, &str); 3] = [
    (
        "neutron-br-int",
        include_str!("../../flow/tests/samples/neutron-br-int.flows"),
    ),
    (
        "neutron-br-tun",
        include_str!("../../flow/tests/samples/neutron-br-tun.flows"),
    ),
    (
        "ovn-br-int",
        include_str!("../../flow/tests/samples/ovn-br-int.flows"),
    ),
];

/// A pipeline's flows with the groups and meters that they refer to, which weren't dumped. Where
/// packets go through connection tracking, they go on at once.
///
/// # Panics
/// If a sample isn't what it should be.
#[allow(clippy::panic, reason = "the samples are part of the program")]
pub fn sample(flows: &str) -> Case {
    let read = parse_flow_file(flows, &NoNames);
    let read = read.unwrap_or_else(|e| panic!("{e}"));
    let mut case = Case {
        flows: read.into_iter().map(|(_, text)| text.into_flow()).collect(),
        ..Case::default()
    };
    for flow in &mut case.flows {
        let instructions = Arc::make_mut(&mut flow.instructions);
        let apply = std::mem::take(&mut instructions.apply);
        instructions.apply = without_tracking(apply);
    }
    let all = case.flows.iter();
    let all: Vec<&Action> = all.flat_map(|f| f.instructions.all_actions()).collect();
    let groups: BTreeSet<u32> = all.iter().filter_map(|a| group_of(a)).collect();
    let meters: BTreeSet<u32> = all.iter().filter_map(|a| meter_of(a)).collect();
    let group = |id| {
        parse_group(
            &format!("group_id={id},type=all,bucket=resubmit(,34)"),
            &NoNames,
        )
    };
    let meter = |id| parse_meter(&format!("meter={id},kbps,band=type=drop,rate=1000000"));
    case.groups = groups.into_iter().filter_map(|id| group(id).ok()).collect();
    case.meters = meters.into_iter().filter_map(|id| meter(id).ok()).collect();
    case
}

fn group_of(action: &Action) -> Option<u32> {
    match action {
        Action::Group(id) => Some(*id),
        _ => None,
    }
}

fn meter_of(action: &Action) -> Option<u32> {
    match action {
        Action::Meter(id) => Some(*id),
        Action::Controller(how) => how.meter,
        _ => None,
    }
}

fn without_tracking(actions: Vec<Action>) -> Vec<Action> {
    let one = |action| match action {
        Action::Ct(ct) => ct.table.map(|table| Action::Resubmit {
            in_port: None,
            table: Some(table),
            ct: false,
        }),
        Action::CtClear => None,
        Action::Clone(inner) => Some(Action::Clone(without_tracking(inner))),
        other => Some(other),
    };
    actions.into_iter().filter_map(one).collect()
}

/// Frames that flows of a case are for, from the ports that they name.
pub fn frames_for(case: &Case, n: usize, rng: &mut Rng) -> Vec<Frame> {
    let anchors: Vec<Packet> = (0..32).map(|_| Packet::random(rng)).collect();
    (0..n)
        .map(|_| {
            let matching = &rng.pick(&case.flows).matching;
            let packet = rng.pick(&anchors).bent_to(matching, rng);
            Frame {
                in_port: aorta_flow::OfPort(rng.between(1, 6) as u16),
                offload: Offload::None,
                bytes: packet.bytes(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_tables() {
        for (name, flows) in SAMPLES {
            let case = sample(flows);
            let tables = case.tables().unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(tables.len() >= 20, "{name}");
            let tracked = |a: &&&Action| matches!(a, Action::Ct(_));
            let flows = case.flows.iter();
            let all: Vec<_> = flows.flat_map(|f| f.instructions.all_actions()).collect();
            assert_eq!(all.iter().filter(tracked).count(), 0);
            assert_eq!(frames_for(&case, 5, &mut Rng::new(1)).len(), 5);
        }
    }
}
