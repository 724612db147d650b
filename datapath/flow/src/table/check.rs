//! Whether a flow's actions make sense for the packets that it matches.

use super::{TableError, Tables};
use std::sync::Arc;

use crate::action::{Action, Instructions, LearnSpec};
use crate::field::{FieldId, Prereq, VLAN_PRESENT};
use crate::translate::Packet;
use crate::{Flow, Match, MatchError, MeterId, OfPort, PacketOut};

/// VLAN tags that a packet can have.
const MAX_VLAN_TAGS: u32 = 2;

impl Tables {
    /// Refuses a flow that can't be in these tables.
    pub(super) fn check(&self, flow: &Flow) -> Result<(), TableError> {
        check_alone(flow)?;
        self.check_references(flow)
    }

    /// Refuses actions that can't be done with a packet that a controller sends.
    ///
    /// # Errors
    /// With the first that can't be done.
    pub fn check_sent(&self, sent: &PacketOut) -> Result<(), TableError> {
        let mut matching = Match::default();
        if let Ok(packet) = Packet::from_frame(&sent.frame, sent.in_port) {
            for field in [
                FieldId::ETH_TYPE,
                FieldId::VLAN_TCI,
                FieldId::NW_PROTO,
                FieldId::TCP_SRC,
                FieldId::TCP_DST,
            ] {
                let prereq = field.field().prereq;
                let ports = [FieldId::TCP_SRC, FieldId::TCP_DST].contains(&field);
                if packet.has(prereq) || (ports && packet.has(Prereq::Icmpv6)) {
                    // A key has no value that its field can't have.
                    let _ = matching.set(field, packet.key.get(field));
                }
            }
        }
        let to_tables = |action: &&Action| **action == Action::Output(OfPort::TABLE);
        let actions = sent.actions.iter().filter(|action| !to_tables(action));
        let flow = Flow {
            matching,
            instructions: Arc::new(Instructions::apply(actions.cloned().collect())),
            ..Flow::default()
        };
        self.check(&flow)
    }

    fn check_references(&self, flow: &Flow) -> Result<(), TableError> {
        let refused = |action: &Action| match action {
            Action::Group(id) if !self.groups.contains_key(id) => Some(TableError::NoGroup(*id)),
            Action::Meter(id) if !self.meters.contains_key(&MeterId::Number(*id)) => {
                Some(TableError::NoMeter(MeterId::Number(*id)))
            }
            Action::Output(port @ (OfPort::ANY | OfPort::UNSET | OfPort::TABLE)) => {
                Some(TableError::OutPort(*port))
            }
            _ => None,
        };
        let refused = flow.instructions.find_action(&mut |action| refused(action));
        refused.map_or(Ok(()), Err)
    }
}

/// Refuses a flow that can't be in any tables.
pub(super) fn check_alone(flow: &Flow) -> Result<(), TableError> {
    if let Err(MatchError::Prerequisite { field, .. }) = flow.matching.check() {
        return Err(TableError::MatchPrerequisite(field));
    }
    let instructions = &flow.instructions;
    if let Some(to) = instructions.goto_table.filter(|to| *to <= flow.table) {
        let from = flow.table;
        return Err(TableError::GotoBackwards { from, to });
    }
    check_conjunctions(flow)?;
    if instructions.write_actions.is_empty() && instructions.apply.iter().all(needs_nothing) {
        return Ok(());
    }
    let mut known = Known::of(&flow.matching);
    check_actions(&instructions.apply, &mut known)?;
    if let Some(action) = instructions.write_actions.iter().find(|a| !fits_in_set(a)) {
        return Err(TableError::NotInActionSet(action.to_string()));
    }
    check_actions(&instructions.write_actions, &mut known)
}

/// Whether an action can be done with any packet. Most flows have no others.
fn needs_nothing(action: &Action) -> bool {
    matches!(
        action,
        Action::Output(_)
            | Action::Group(_)
            | Action::Meter(_)
            | Action::Controller(_)
            | Action::Resubmit { .. }
            | Action::Conjunction { .. }
            | Action::Note(_)
    )
}

fn check_conjunctions(flow: &Flow) -> Result<(), TableError> {
    let is_clause = |action: &Action| matches!(action, Action::Conjunction { .. });
    let goes_along = |action: &Action| is_clause(action) || matches!(action, Action::Note(_));
    let any = |wanted: &dyn Fn(&Action) -> bool| {
        let found = |action: &Action| wanted(action).then_some(());
        flow.instructions.find_action(&mut |a| found(a)).is_some()
    };
    let clause = any(&is_clause);
    let alone = !any(&|action| !goes_along(action))
        && flow.instructions.goto_table.is_none()
        && flow.instructions.write_metadata.is_none()
        && !flow.instructions.clear_actions;
    match clause && !alone {
        true => Err(TableError::ConjunctionMixed),
        false => Ok(()),
    }
}

/// Whether an action can be part of an action set (OpenFlow 1.3.5 §5.10, with extensions).
fn fits_in_set(action: &Action) -> bool {
    matches!(
        action,
        Action::Output(_)
            | Action::OutputTruncated { .. }
            | Action::OutputField(_)
            | Action::Controller(_)
            | Action::Group(_)
            | Action::SetField { .. }
            | Action::Load { .. }
            | Action::Modify { .. }
            | Action::Move { .. }
            | Action::SetVlanVid { .. }
            | Action::SetVlanPcp { .. }
            | Action::PushVlan(_)
            | Action::PopVlan
            | Action::StripVlan
            | Action::PushMpls(_)
            | Action::PopMpls(_)
            | Action::DecMplsTtl
            | Action::DecTtl(_)
            | Action::DecNshTtl
            | Action::SetTunnel { .. }
            | Action::SetQueue(_)
            | Action::Resubmit { .. }
            | Action::Ct(_)
            | Action::Clone(_)
    )
}

fn check_actions(actions: &[Action], known: &mut Known) -> Result<(), TableError> {
    for action in actions {
        for field in fields(action) {
            require(action, field.field().prereq, known)?;
        }
        match action {
            Action::DecTtl(_) => require(action, Prereq::Ip, known)?,
            Action::DecMplsTtl | Action::PopMpls(_) => require(action, Prereq::Mpls, known)?,
            Action::DecNshTtl => require(action, Prereq::Nsh, known)?,
            Action::Ct(_) => require(action, Prereq::Ip, known)?,
            // By its older name, strip_vlan, it may find no tag.
            Action::PopVlan
            | Action::SetVlanVid { push: false, .. }
            | Action::SetVlanPcp { push: false, .. }
            | Action::SetField {
                field: FieldId::VLAN_VID | FieldId::VLAN_PCP,
                ..
            } => {
                require(action, Prereq::Vlan, known)?;
            }
            Action::Clone(inner) => check_actions(inner, &mut known.clone())?,
            _ => {}
        }
        follow(action, known)?;
    }
    Ok(())
}

/// What is known about the packet.
#[derive(Clone)]
struct Known {
    matching: Match,
    /// VLAN tags that it has at least.
    tags: u32,
}

impl Known {
    fn of(matching: &Match) -> Known {
        let tagged = Prereq::Vlan.met(&|field| matching.get(field));
        Known {
            matching: matching.clone(),
            tags: tagged.into(),
        }
    }

    fn set_tags(&mut self, tags: u32) {
        self.tags = tags;
        let mask = if tags > 0 { VLAN_PRESENT } else { 0 };
        // The value fits its field.
        let _ = self.matching.set_masked(FieldId::VLAN_TCI, mask, mask);
    }
}

/// Brings what is known up to date after an action.
fn follow(action: &Action, known: &mut Known) -> Result<(), TableError> {
    match action {
        Action::PushVlan(_) if known.tags >= MAX_VLAN_TAGS => return Err(TableError::TooManyTags),
        Action::PushVlan(_) => known.set_tags(known.tags + 1),
        Action::SetVlanVid { push: true, .. } | Action::SetVlanPcp { push: true, .. } => {
            known.set_tags(known.tags.max(1));
        }
        Action::PopVlan | Action::StripVlan => known.set_tags(known.tags.saturating_sub(1)),
        Action::PushMpls(ethertype) | Action::PopMpls(ethertype) => {
            // These values fit their fields.
            let _ = known.matching.set(FieldId::ETH_TYPE, (*ethertype).into());
            let _ = known.matching.set_masked(FieldId::NW_PROTO, 0, 0);
        }
        _ => {}
    }
    Ok(())
}

fn require(action: &Action, prereq: Prereq, known: &Known) -> Result<(), TableError> {
    // Ports are where they are, whichever protocol has them.
    let transport = [Prereq::Tcp, Prereq::Udp, Prereq::Sctp];
    let met = |prereq: Prereq| prereq.met(&|field| known.matching.get(field));
    let any_transport = matches!(action, Action::Modify { .. }) && transport.contains(&prereq);
    if met(prereq) || (any_transport && transport.into_iter().any(met)) {
        return Ok(());
    }
    Err(TableError::Prerequisite {
        action: action.to_string(),
        needs: prereq.remedy(),
    })
}

/// The fields that an action reads or changes.
fn fields(action: &Action) -> Vec<FieldId> {
    match action {
        Action::OutputField(part) | Action::Push(part) | Action::Pop(part) => vec![part.field],
        Action::SetField { field, .. } | Action::Modify { field, .. } => vec![*field],
        Action::Load { to, .. } => vec![to.field],
        Action::Move { from, to } => vec![from.field, to.field],
        Action::CheckPktLarger { to, .. } => vec![to.field],
        Action::Multipath(multipath) => vec![multipath.to.field],
        Action::Bundle(bundle) => bundle.to.iter().map(|to| to.field).collect(),
        Action::Learn(learn) => learn
            .specs
            .iter()
            .filter_map(|spec| match spec {
                LearnSpec::MatchField { from, .. } | LearnSpec::LoadField { from, .. } => {
                    Some(from.field)
                }
                LearnSpec::Output(from) => Some(from.field),
                LearnSpec::MatchValue { .. } | LearnSpec::LoadValue { .. } => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}
