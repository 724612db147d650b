//! What a packet's way depends on: which of its bits lookups and actions looked at. What groups,
//! `multipath` and `bundle` hash isn't told.

use std::collections::BTreeMap;

use crate::action::{Action, LearnSpec};
use crate::field::{EtherType, FieldId};
use crate::table::{FlowId, FlowTable};
use crate::{FlowKey, Match, OfPort};

/// Bits of the packet as it came that were looked at, by field.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    bits: BTreeMap<FieldId, u128>,
}

/// What NORMAL looks at.
const BY_NORMAL: [FieldId; 3] = [FieldId::ETH_SRC, FieldId::ETH_DST, FieldId::VLAN_TCI];

fn read_by(spec: &LearnSpec) -> Option<FieldId> {
    match spec {
        LearnSpec::MatchField { from, .. }
        | LearnSpec::LoadField { from, .. }
        | LearnSpec::Output(from) => Some(from.field),
        LearnSpec::MatchValue { .. } | LearnSpec::LoadValue { .. } => None,
    }
}

impl Seen {
    fn note(&mut self, home: FieldId, bits: u128) {
        *self.bits.entry(home).or_default() |= bits;
    }

    /// A lookup that found this flow, or none. All that could have been found before it were looked
    /// at. Fields that changed since the packet came say nothing about it.
    pub(super) fn lookup(
        &mut self,
        table: &FlowTable,
        found: Option<FlowId>,
        first: &FlowKey,
        now: &FlowKey,
    ) {
        for entry in table.entries() {
            for part in entry.flow.matching.parts() {
                if first.home(part.field) == now.home(part.field) {
                    self.note(part.field, part.mask);
                }
            }
            if Some(entry.id) == found {
                return;
            }
        }
    }

    /// An action that is done, which may read fields.
    pub(super) fn action(&mut self, action: &Action) {
        let read = match action {
            Action::Output(OfPort::NORMAL) => BY_NORMAL.to_vec(),
            Action::DecTtl(_) => vec![FieldId::NW_TTL],
            Action::DecMplsTtl => vec![FieldId::MPLS_TTL],
            Action::OutputField(from) | Action::Push(from) | Action::Move { from, .. } => {
                vec![from.field]
            }
            Action::Learn(learn) => learn.specs.iter().filter_map(read_by).collect(),
            _ => Vec::new(),
        };
        for id in read {
            let field = id.field();
            self.note(field.home, field.full_mask() << field.shift);
        }
    }

    /// The match of all packets that agree with this one in these bits, as text.
    pub fn describe(&self, first: &FlowKey) -> String {
        let ethertype = first.get(FieldId::ETH_TYPE);
        let mut seen = self.clone();
        seen.note(FieldId::ETH_TYPE, u16::MAX.into());
        if ethertype == EtherType::IPV4.into() || ethertype == EtherType::IPV6.into() {
            seen.note(FieldId::IP_FRAG, 3);
        }
        seen.note(FieldId::IN_PORT, u16::MAX.into());
        let mut matching = Match::any();
        for (field, bits) in &seen.bits {
            let value = first.home(*field) & bits;
            if matching.set_masked(*field, value, *bits).is_err() {
                // One that has to be matched as a whole.
                let _ = matching.set(*field, first.home(*field));
            }
        }
        matching.normalise();
        format!("recirc_id=0,eth,{matching}")
    }
}
