//! What changed of a packet, field by field, and a packet's fields as text.

use std::fmt;

use crate::field::{FieldId, Prereq, show};
use crate::{FlowKey, Match, OfPort};

/// A field that changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldChange {
    /// The field, by the name that it has in this packet.
    pub field: FieldId,
    /// What it was, as text.
    pub before: String,
    /// What it is.
    pub after: String,
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {}", self.field, self.before, self.after)
    }
}

/// Registers are told one by one; their storage is that of four.
const REGISTERS: u8 = 16;

/// The fields that differ, by the names that they have in `after`.
pub fn changes(before: &FlowKey, after: &FlowKey) -> Vec<FieldChange> {
    let homes = FieldId::all().filter(|id| id.field().home == *id);
    let different = homes.filter(|id| before.home(*id) != after.home(*id));
    let named = different.flat_map(|home| match is_register(home) {
        true => registers_in(home),
        false => vec![name_in(home, after)],
    });
    named
        .filter(|field| before.get(*field) != after.get(*field))
        .map(|field| FieldChange {
            field,
            before: shown(field, before),
            after: shown(field, after),
        })
        .collect()
}

fn is_register(home: FieldId) -> bool {
    (0..REGISTERS).any(|n| FieldId::reg(n).field().home == home)
}

fn registers_in(home: FieldId) -> Vec<FieldId> {
    let registers = (0..REGISTERS).map(FieldId::reg);
    registers.filter(|reg| reg.field().home == home).collect()
}

/// The name of a field's storage in a packet: that of the first of its fields that has a meaning
/// there and is all of it.
fn name_in(home: FieldId, key: &FlowKey) -> FieldId {
    let known = |field: FieldId| (key.get(field), field.field().full_mask());
    let whole = |id: &FieldId| {
        let field = id.field();
        // Type and code of ICMP are in the low half of ports.
        let wide = field.key_bits == home.field().key_bits || field.key_bits == 8;
        field.home == home && field.shift == 0 && wide && field.prereq != Prereq::Ethernet
    };
    let mut names = FieldId::all().filter(whole);
    names
        .find(|id| id.field().prereq.met(&known))
        .unwrap_or(home)
}

fn shown(field: FieldId, key: &FlowKey) -> String {
    let mut text = String::new();
    show(&mut text, field, key.get(field), field.field().full_mask());
    text
}

/// Fields that are told only if they aren't 0.
fn is_metadata(id: FieldId) -> bool {
    id.field().prereq == Prereq::None && id != FieldId::IN_PORT
}

/// A packet's fields as a flow's match: those that a packet of its kind has, and metadata that
/// isn't 0. A packet whose port is [`OfPort::ANY`] comes from no port.
pub fn describe(key: &FlowKey) -> String {
    let known = |field: FieldId| (key.get(field), field.field().full_mask());
    let mut matching = Match::any();
    for id in FieldId::all().filter(|id| id.field().prereq.met(&known)) {
        let value = key.get(id);
        let skipped = matches!(
            id,
            FieldId::NW_TOS
                | FieldId::ND_RESERVED
                | FieldId::ND_OPTIONS_TYPE
                | FieldId::PACKET_TYPE
                | FieldId::VLAN_TCI
                | FieldId::VLAN_VID
                | FieldId::VLAN_PCP
                | FieldId::DL_VLAN
                | FieldId::DL_VLAN_PCP
        );
        let nowhere = id == FieldId::IN_PORT && value == OfPort::ANY.0.into();
        let wide = is_register(id.field().home) && id.field().bits > 32;
        if skipped || nowhere || wide || is_metadata(id) && value == 0 {
            continue;
        }
        // A field has its own width.
        let _ = matching.set(id, value);
    }
    let _ = matching.set(FieldId::VLAN_TCI, key.get(FieldId::VLAN_TCI));
    // What asks for no tag says less of it than a packet's own field.
    let text = matching.to_string();
    text.replace("vlan_tci=0x0000/0x1fff", "vlan_tci=0x0000")
}
