//! Conjunctions: flows whose clauses must all match.

use aorta_flow::action::{Action, Instructions};
use aorta_flow::field::FieldId;
use aorta_flow::{Flow, Match, OfPort};

use super::{Profile, matches};
use crate::Rng;
use crate::packet::Packet;

/// Flows of the clauses of a conjunction, and the flow that is for it.
pub(super) fn make(profile: &Profile, used: u8, anchors: &[Packet], rng: &mut Rng) -> Vec<Flow> {
    let n_clauses = rng.between(2, 4) as u8;
    let id = rng.between(1, 9) as u32;
    let table = rng.below(used.into()) as u8;
    let priority = *rng.pick(&[5, 10, 100, 0x8000]);
    let mut flows = Vec::new();
    for clause in 1..=n_clauses {
        for _ in 0..rng.between(1, 4) {
            let matching = matches::random(rng.pick(anchors), profile.ports, rng);
            flows.push(Flow {
                table,
                // Clauses of other priorities don't count.
                priority: if rng.chance(8) {
                    priority - 1
                } else {
                    priority
                },
                matching,
                instructions: Instructions::apply(vec![Action::Conjunction {
                    id,
                    clause,
                    n_clauses,
                }])
                .into(),
                ..Flow::default()
            });
        }
    }
    let mut matching = Match::any();
    // The number fits the field.
    let _ = matching.set(FieldId::CONJ_ID, id.into());
    let port = OfPort(rng.between(1, profile.ports.into()) as u16);
    flows.push(Flow {
        table,
        priority: *rng.pick(&[priority, 1, 0xffff]),
        matching,
        instructions: Instructions::apply(vec![Action::Output(port)]).into(),
        ..Flow::default()
    });
    flows
}
