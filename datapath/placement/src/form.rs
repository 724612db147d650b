//! A flow in the form that a card can take, or why it has none.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use aorta_flow::action::Action;
use aorta_flow::field::FieldId;
use aorta_flow::{Flow, Match};

use crate::{Capabilities, Device, Policer, Reason};

/// A flow as a card takes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Form {
    /// As [`Verdict::Forward`](crate::Verdict::Forward) says.
    pub actions: Vec<Action>,
    /// The table where packets go on.
    pub goto: Option<u8>,
    /// Storage of fields that the actions change.
    pub changed: BTreeSet<FieldId>,
    /// The meter that they name.
    pub policer: Option<Policer>,
}

/// For each field, whether it is one of those that actions or software would have told a packet of. It
/// is 0 in those that come to a card.
static UNSET: LazyLock<Vec<bool>> = LazyLock::new(|| {
    use FieldId as F;
    let known = [
        F::METADATA,
        F::TUN_ID,
        F::TUN_SRC,
        F::TUN_DST,
        F::TUN_IPV6_SRC,
        F::TUN_IPV6_DST,
        F::TUN_FLAGS,
        F::CT_STATE,
        F::CT_ZONE,
        F::CT_MARK,
        F::CT_LABEL,
    ];
    let registers = (0..16).map(|number| F::reg(number).field().home);
    let mut unset = vec![false; F::COUNT];
    for field in registers.chain(known) {
        unset[field.index()] = true;
    }
    unset
});

fn is_unset(field: FieldId) -> bool {
    UNSET[field.index()]
}

/// A flow's match, without what is so for all packets that the card sees.
///
/// # Errors
/// [`Reason::NotFromDevice`] if it matches none of these.
pub fn seen_by(flow: &Flow, device: &Device) -> Result<Match, Reason> {
    for part in flow.matching.parts() {
        let never = is_unset(part.field) && part.value != 0;
        let elsewhere = part.field == FieldId::IN_PORT
            && !device.ports.iter().any(|port| part.value == port.0.into());
        if never || elsewhere {
            return Err(Reason::NotFromDevice);
        }
    }
    Ok(flow.matching.without(is_unset))
}

/// Whether a card can match a part's field in this way.
fn key_reason(part: &aorta_flow::Part, capabilities: &Capabilities) -> Option<Reason> {
    let port = part.field == FieldId::IN_PORT;
    match capabilities.keys.get(&part.field) {
        _ if port => None,
        None => Some(Reason::Key(part.field)),
        Some(_) if !capabilities.matches(part) => Some(Reason::Mask(part.field)),
        Some(_) => None,
    }
}

/// Why a card can't match all that a match says.
pub fn unmatched(matching: &Match, capabilities: &Capabilities) -> Option<Reason> {
    let mut parts = matching.parts();
    parts.find_map(|part| key_reason(&part, capabilities))
}

/// What a card can match of a match: all its packets and perhaps more.
pub fn widened(matching: &Match, capabilities: &Capabilities) -> Match {
    let hard: BTreeSet<FieldId> = matching
        .parts()
        .filter(|part| key_reason(part, capabilities).is_some())
        .map(|part| part.field)
        .collect();
    if hard.is_empty() {
        return matching.clone();
    }
    // What a header's field means depends on those that are matched before it.
    let mut wide = matching.without(|field| hard.contains(&field));
    wide.normalise();
    wide
}
