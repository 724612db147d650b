//! MPLS labels that come and go.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use aorta_flow::action::Action;
use aorta_flow::field::{EtherType, FieldId, Prereq};

use super::Maker;
use crate::Reason;

/// What a label says that packets bear: its number, its class, its time to live.
const LABEL: [FieldId; 3] = [FieldId::MPLS_LABEL, FieldId::MPLS_TC, FieldId::MPLS_TTL];

/// Number, class and time to live of a label on packets that are neither IP nor MPLS.
const PLAIN: [u128; 3] = [0, 0, 64];
/// Explicit null of IPv4 and of IPv6 (RFC 3032 §2.1).
const NULLS: [(u16, u128); 2] = [(EtherType::IPV4, 0), (EtherType::IPV6, 2)];

/// Storage of fields that a packet has because of its type.
static BEHIND_TYPE: LazyLock<Vec<FieldId>> = LazyLock::new(|| {
    let always = [Prereq::None, Prereq::Ethernet, Prereq::Vlan];
    let fields = FieldId::all().filter(|id| !always.contains(&id.field().prereq));
    let homes: BTreeSet<FieldId> = fields.map(|id| id.field().home).collect();
    homes.into_iter().chain([FieldId::ETH_TYPE]).collect()
});

/// What is behind the VLAN tags.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Behind {
    /// What the match says.
    #[default]
    Matched,
    /// A label that was pushed, under this type.
    Label(u16),
    /// What was under a label: nobody knows.
    Unknown,
}

/// Labels of a packet.
#[derive(Clone, Default)]
pub struct Labels {
    behind: Behind,
    /// What isn't known yet of the label that was pushed last.
    unset: BTreeSet<FieldId>,
}

impl Labels {
    /// Some bits of a field are set.
    pub fn set(&mut self, home: FieldId, bits: u128) {
        if bits == home.field().full_mask() {
            self.unset.remove(&home);
        }
    }

    /// That somebody may see the packet.
    ///
    /// # Errors
    /// When a label that was pushed isn't known.
    pub fn check(&self) -> Result<(), Reason> {
        match self.unset.is_empty() {
            true => Ok(()),
            false => Err(Reason::Action(
                "push_mpls without setting the label, its class and its time to live",
            )),
        }
    }
}

impl Maker<'_, '_> {
    /// What is known of a field now: value and bits.
    pub(super) fn known(&self, field: FieldId) -> (u128, u128) {
        let home = field.field().home;
        match self.labels.behind {
            Behind::Matched => self.matching.get(field),
            Behind::Label(ethertype) if home == FieldId::ETH_TYPE => {
                (ethertype.into(), field.field().full_mask())
            }
            _ if BEHIND_TYPE.contains(&home) => (0, 0),
            _ => self.matching.get(field),
        }
    }

    /// What is known of the label that is pushed next: a copy of the outermost one, or an explicit null
    /// with the packet's own class and time to live.
    fn next_label(&self) -> [Option<u128>; 3] {
        let exact = |field: FieldId| {
            let (value, mask) = self.known(field);
            let whole = mask == field.field().full_mask();
            let changed = self.form.changed.contains(&field.field().home);
            (whole && !changed).then_some(value)
        };
        let Some(ethertype) = exact(FieldId::ETH_TYPE) else {
            return [None; 3];
        };
        if self.has(Prereq::Mpls) {
            return LABEL.map(exact);
        }
        let null = NULLS.iter().find(|(of, _)| ethertype == u128::from(*of));
        let Some((_, null)) = null else {
            return PLAIN.map(Some);
        };
        let class = exact(FieldId::IP_DSCP).map(|dscp| dscp & 7);
        let ttl = exact(FieldId::NW_TTL).map(|ttl| if ttl == 0 { PLAIN[2] } else { ttl });
        [Some(*null), class, ttl]
    }

    /// What is known of a new label is set as if the flow did.
    pub(super) fn push_label(&mut self, ethertype: u16) -> Result<(), Reason> {
        self.check_labels()?;
        let known = self.next_label();
        self.change(Action::PushMpls(ethertype), FieldId::ETH_TYPE)?;
        self.form.changed.extend(BEHIND_TYPE.iter());
        self.labels = Labels {
            behind: Behind::Label(ethertype),
            unset: LABEL.into(),
        };
        for (field, value) in LABEL.into_iter().zip(known) {
            if let Some(value) = value {
                let mask = field.field().wire_mask();
                let action = Action::SetField { field, value, mask };
                self.set(&action, field, value, mask)?;
            }
        }
        Ok(())
    }

    pub(super) fn pop_label(&mut self, ethertype: u16) -> Result<(), Reason> {
        self.check_labels()?;
        if !self.has(Prereq::Mpls) {
            return Err(Reason::FieldUnknown(FieldId::MPLS_LABEL));
        }
        self.change(Action::PopMpls(ethertype), FieldId::ETH_TYPE)?;
        self.form.changed.extend(BEHIND_TYPE.iter());
        self.labels.behind = Behind::Unknown;
        Ok(())
    }

    fn check_labels(&self) -> Result<(), Reason> {
        match self.device.capabilities.mpls_labels {
            true => self.labels.check(),
            false => Err(Reason::Action("MPLS labels")),
        }
    }
}
