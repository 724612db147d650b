//! Flows made of packets.

use super::Packet;
use crate::action::{Action, Instructions, Learn, LearnSpec};
use crate::field::{FieldId, ones};
use crate::{Flow, FlowFlags, Match, OfPort, Subfield};

/// The flow that `learn` makes of a packet. Parts that can't go together are left out of it.
pub fn learned_flow(learn: &Learn, packet: &Packet) -> Flow {
    let mut matching = Match::any();
    let mut actions = Vec::new();
    if learn.fin_idle_timeout_s != 0 || learn.fin_hard_timeout_s != 0 {
        actions.push(Action::FinTimeout {
            idle_timeout_s: learn.fin_idle_timeout_s,
            hard_timeout_s: learn.fin_hard_timeout_s,
        });
    }
    for spec in &learn.specs {
        match spec {
            LearnSpec::MatchValue { to, value } => set(&mut matching, *to, *value),
            LearnSpec::MatchField { to, from } => {
                set(&mut matching, *to, packet.key.read(*from));
            }
            LearnSpec::LoadValue { to, value } => actions.push(load(*to, *value)),
            LearnSpec::LoadField { to, from } => actions.push(load(*to, packet.key.read(*from))),
            LearnSpec::Output(from) => {
                let number = packet.key.read(*from) as u32;
                actions.extend(OfPort::from_u32(number).map(Action::Output));
            }
        }
    }
    matching.normalise();
    Flow {
        table: learn.table,
        priority: learn.priority,
        cookie: learn.cookie,
        idle_timeout_s: learn.idle_timeout_s,
        hard_timeout_s: learn.hard_timeout_s,
        importance: 0,
        flags: match learn.send_flow_removed {
            true => FlowFlags::SEND_FLOW_REM,
            false => FlowFlags::default(),
        },
        matching,
        instructions: Instructions::apply(actions).into(),
    }
}

/// Adds bits of a field to a match. Bits that were asked for before stay.
fn set(matching: &mut Match, to: Subfield, value: u128) {
    let mask = ones(to.bits) << to.start & to.field.field().full_mask();
    let (old_value, old_mask) = matching.get(to.field);
    let value = old_value & !mask | value << to.start & mask;
    // A mask that a field can't have leaves it out; the parser accepts whole fields only there.
    let _ = matching.set_masked(to.field, value, old_mask | mask);
}

/// Sets bits of a field: as a load where 64 bits are enough.
fn load(to: Subfield, value: u128) -> Action {
    match to.bits {
        0..=64 => Action::Load {
            to,
            value: value as u64,
        },
        _ => set_field(to.field, value << to.start, ones(to.bits) << to.start),
    }
}

fn set_field(field: FieldId, value: u128, mask: u128) -> Action {
    Action::SetField { field, value, mask }
}
