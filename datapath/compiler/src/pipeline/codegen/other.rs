//! Actions that stand in shapes as they are.

use aorta_ebpf::{Reg, Size};
use aorta_flow::action::Action;
use aorta_flow::field::{FieldId, Prereq};

use super::site::Site;
use super::{Block, Gen, commit, key, prereq};
use crate::pipeline::Refusal;
use crate::pipeline::layout::state;
use commit::actions::{emit_dec_ttl, emit_ensure_vlan, emit_pop_vlan, emit_push_vlan};

use Reg::{R1, R7};

/// Refuses an action without code.
///
/// # Errors
/// With the reason.
pub fn check(action: &Action) -> Result<(), Refusal> {
    let reason = match action {
        Action::PushVlan(_)
        | Action::PopVlan
        | Action::StripVlan
        | Action::SetVlanVid { .. }
        | Action::SetVlanPcp { .. }
        | Action::DecTtl(_)
        | Action::DecMplsTtl => return Ok(()),
        Action::Ct(_) | Action::CtClear => "connection tracking isn't there yet",
        Action::Conjunction { .. } => "lookups don't put clauses together yet",
        Action::DecNshTtl => "network service headers aren't parsed",
        _ => "there is no code for it yet",
    };
    Err(Refusal::Action {
        action: action.to_string(),
        reason,
    })
}

/// The fields that an action reads and writes, which [`check`] accepts.
pub fn fields(action: &Action) -> Vec<FieldId> {
    match action {
        Action::PushVlan(_)
        | Action::PopVlan
        | Action::StripVlan
        | Action::SetVlanVid { .. }
        | Action::SetVlanPcp { .. } => vec![FieldId::VLAN_TCI],
        Action::DecTtl(_) => vec![FieldId::NW_TTL, FieldId::ETH_TYPE],
        Action::DecMplsTtl => vec![FieldId::MPLS_TTL, FieldId::ETH_TYPE],
        _ => Vec::new(),
    }
}

/// Emits an action that [`check`] accepts. True if control never comes to what is behind it.
pub fn emit(code: &mut Gen<'_>, site: &Site, action: &Action, _tail: bool) -> bool {
    match action {
        Action::PushVlan(tpid) => {
            let full = code.block(Block::TooDeep);
            emit_push_vlan(&mut code.a, code.changes, *tpid, full);
        }
        Action::PopVlan | Action::StripVlan => emit_pop_vlan(&mut code.a, code.changes),
        Action::SetVlanVid { vid, .. } => set_tag(code, 0x0fff, i32::from(*vid & 0xfff)),
        Action::SetVlanPcp { pcp, .. } => set_tag(code, 0xe000, i32::from(*pcp & 7) << 13),
        Action::DecTtl(_) => dec_ttl(code, site, FieldId::NW_TTL, Prereq::Ip),
        Action::DecMplsTtl => dec_ttl(code, site, FieldId::MPLS_TTL, Prereq::Mpls),
        _ => {}
    }
    false
}

/// Sets bits of the outer tag, which is added if there is none.
fn set_tag(code: &mut Gen<'_>, mask: i32, value: i32) {
    let full = code.block(Block::TooDeep);
    emit_ensure_vlan(&mut code.a, code.changes, full);
    let at = key(FieldId::VLAN_TCI);
    let a = &mut code.a;
    a.load(Size::W, R1, R7, at);
    a.and(R1, !mask);
    a.or(R1, value);
    a.store(Size::W, R7, at, R1);
    code.written(FieldId::VLAN_TCI);
}

/// Lowers a time to live; where it is over, the list ends.
fn dec_ttl(code: &mut Gen<'_>, site: &Site, field: FieldId, needs: Prereq) {
    let (over, skip) = (code.a.label("ttl_over"), code.a.label("skip"));
    let end = code.list_end(site);
    prereq::emit(&mut code.a, needs, skip);
    emit_dec_ttl(&mut code.a, field, over);
    code.a.jump(skip);
    code.a.bind(over);
    // A copy went to controllers, as far as any want it.
    let a = &mut code.a;
    a.load(Size::W, R1, R7, state::OUTPUTS);
    a.add(R1, 1);
    a.store(Size::W, R7, state::OUTPUTS, R1);
    a.jump(end);
    code.a.bind(skip);
}
