//! Actions that stand in shapes as they are.

use aorta_flow::action::{Action, Controller, MultipathAlgorithm};
use aorta_flow::field::{FieldId, Prereq};
use aorta_flow::translate::CONNECTION;
use aorta_flow::{DropReason, OfPort, hash};

use super::site::Site;
use super::{Block, Gen, choose, commit, prereq, upcalls};
use crate::pipeline::extras::upcalls_of;
use crate::pipeline::{Hook, Refusal, choice};
use commit::actions::{emit_dec_ttl, emit_pop_vlan, emit_push_vlan};

/// Refuses an action without code.
///
/// # Errors
/// With the reason.
pub fn check(action: &Action) -> Result<(), Refusal> {
    let reason = match action {
        Action::PushVlan(_)
        | Action::PopVlan
        | Action::StripVlan
        | Action::DecTtl(_)
        | Action::OutputTruncated { .. }
        | Action::DecMplsTtl
        | Action::PushMpls(_)
        | Action::Group(_)
        | Action::Meter(_)
        | Action::Controller(_)
        | Action::Output(OfPort::CONTROLLER | OfPort::ANY | OfPort::UNSET | OfPort::TABLE)
        | Action::Sample(_)
        | Action::Ct(_)
        | Action::CtClear
        | Action::FinTimeout { .. } => return Ok(()),
        Action::Learn(learn) if learn.result.is_none() || learn.limit == 0 => return Ok(()),
        Action::Learn(_) => {
            "the daemon learns later, and can't tell the packet whether there were enough flows \
             already: result_dst goes without limit only"
        }
        Action::Multipath(how) if how.n_links as usize <= choose::MAX_CANDIDATES => return Ok(()),
        Action::Multipath(how)
            if matches!(
                how.algorithm,
                MultipathAlgorithm::ModuloN | MultipathAlgorithm::HashThreshold
            ) =>
        {
            return Ok(());
        }
        Action::Bundle(how) if how.members.len() <= choose::MAX_CANDIDATES => return Ok(()),
        Action::Multipath(_) | Action::Bundle(_) => "it chooses among too many, 64 are possible",
        Action::PopMpls(0x8100 | 0x88a8) => "what is behind a label has no VLAN tag",
        Action::PopMpls(_) => return Ok(()),
        Action::DecNshTtl => "network service headers aren't parsed",
        _ => "there is no code for it yet",
    };
    Err(Refusal::Action {
        action: action.to_string(),
        reason,
    })
}

/// The fields that an action reads, which [`check`] accepts: their storage.
pub fn reads(action: &Action) -> Vec<FieldId> {
    match action {
        Action::Multipath(how) => choice::fields(hash::words(how.fields))
            .into_iter()
            .collect(),
        Action::Bundle(how) => choice::fields(hash::words(how.fields))
            .into_iter()
            .collect(),
        Action::Learn(learn) => upcalls::learn_reads(learn),
        Action::FinTimeout { .. } => {
            vec![FieldId::ETH_TYPE, FieldId::NW_PROTO, FieldId::TCP_FLAGS]
        }
        _ => Vec::new(),
    }
}

/// The fields that an action writes, if the packet has them, by the names that it has for them.
pub fn writes(action: &Action) -> Vec<FieldId> {
    match action {
        Action::PushVlan(_) | Action::PopVlan | Action::StripVlan => vec![FieldId::VLAN_TCI],
        Action::Ct(_) | Action::CtClear => CONNECTION.to_vec(),
        Action::DecTtl(_) => vec![FieldId::NW_TTL],
        Action::DecMplsTtl => vec![FieldId::MPLS_TTL],
        Action::Multipath(how) => vec![how.to.field],
        Action::Learn(how) => how.result.map(|to| to.field).into_iter().collect(),
        Action::Bundle(how) => how.to.map(|to| to.field).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// Emits an action that [`check`] accepts. True if control never comes to what is behind it.
pub fn emit(code: &mut Gen<'_>, site: &Site, action: &Action, tail: bool) -> bool {
    match action {
        Action::PushVlan(tpid) => {
            let full = code.block(Block::TooDeep);
            emit_push_vlan(&mut code.a, *tpid, full);
        }
        Action::PopVlan | Action::StripVlan => emit_pop_vlan(&mut code.a),
        Action::DecTtl(_) => dec_ttl(code, site, FieldId::NW_TTL, Prereq::Ip, action),
        Action::OutputTruncated {
            port,
            max_len_bytes,
        } => code.output_cut(*port, *max_len_bytes, site),
        Action::PushMpls(ethertype) => code.push_mpls(*ethertype, site),
        Action::PopMpls(ethertype) => code.pop_mpls(*ethertype, site),
        Action::DecMplsTtl => dec_ttl(code, site, FieldId::MPLS_TTL, Prereq::Mpls, action),
        Action::Group(id) => return code.group(*id, site, tail),
        Action::Meter(id) => code.meter(*id, site),
        Action::Controller(how) => return code.controller(how, site),
        Action::Output(OfPort::CONTROLLER) => {
            return code.controller(&Controller::default(), site);
        }
        Action::Learn(learn) => code.learn(learn, site),
        Action::Sample(how) => code.sample(how, site),
        Action::FinTimeout { .. } => code.fin_timeout(action, site),
        Action::Ct(ct) => {
            if ct.table.is_some() {
                code.lost_copy(DropReason::Untracked);
            }
            forget_connection(code);
        }
        Action::CtClear => forget_connection(code),
        Action::Multipath(how) => code.multipath(how),
        Action::Bundle(how) => code.bundle(how, site),
        _ => {}
    }
    false
}

/// Without a connection tracker, `ct` has nothing to find: the copy that would go through it ends.
fn forget_connection(code: &mut Gen<'_>) {
    for field in CONNECTION {
        if code.plan.usage.reads.contains(&field) {
            code.clear(field);
        }
    }
}

/// Lowers a time to live; where it is over, controllers hear of it and the list ends.
fn dec_ttl(code: &mut Gen<'_>, site: &Site, field: FieldId, needs: Prereq, action: &Action) {
    let (over, skip) = (code.a.label("ttl_over"), code.a.label("skip"));
    prereq::emit(&mut code.a, needs, skip);
    emit_dec_ttl(&mut code.a, field, over);
    code.a.jump(skip);
    code.a.bind(over);
    if code.hook == Hook::Xdp {
        let pass = code.block(Block::Pass);
        code.a.jump(pass);
        code.a.bind(skip);
        return;
    }
    for upcall in upcalls_of(action) {
        if let Action::Controller(how) = &upcall {
            code.controller(how, site);
        }
    }
    let end = code.list_end(site);
    code.a.jump(end);
    code.a.bind(skip);
}
