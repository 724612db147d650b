//! Matches of a packet's fields.

use aorta_flow::field::{FieldId, ones};
use aorta_flow::{Match, MatchError};

use crate::Rng;
use crate::packet::Packet;

/// Fields that no packet carries: all are 0 at first, and flows change them.
pub(super) const METADATA: [FieldId; 11] = [
    FieldId::reg(0),
    FieldId::reg(0),
    FieldId::reg(1),
    FieldId::reg(7),
    FieldId::reg(15),
    FieldId::xreg(0),
    FieldId::xxreg(0),
    FieldId::METADATA,
    FieldId::METADATA,
    FieldId::TUN_ID,
    FieldId::PKT_MARK,
];

/// A match of some of a packet's fields, of its port, and of fields that flows change.
pub(super) fn random(packet: &Packet, ports: u16, rng: &mut Rng) -> Match {
    let mut matching = Match::any();
    let fields = packet.fields();
    for _ in 0..rng.below(4) {
        let (field, value) = *rng.pick(&fields);
        put(&mut matching, field, value, rng);
    }
    if rng.chance(25) {
        let port = rng.between(1, ports.into()) as u128;
        put(&mut matching, FieldId::IN_PORT, port, rng);
    }
    if rng.chance(30) {
        let value = *rng.weighted(&[(3, 0), (3, 1), (1, 2), (1, 0xff)]);
        put(&mut matching, *rng.pick(&METADATA), value, rng);
    }
    if rng.chance(65) {
        // Actions on headers need to know what the packet is.
        put_exact(&mut matching, FieldId::ETH_TYPE, &fields);
        put_exact(&mut matching, FieldId::NW_PROTO, &fields);
    }
    complete(&mut matching, &fields);
    matching
}

/// Asks for the value under a random mask; now and then for another value.
fn put(matching: &mut Match, field: FieldId, value: u128, rng: &mut Rng) {
    let row = field.field();
    let full = row.full_mask();
    let value = match rng.chance(10) {
        true => value ^ (1 << rng.below(row.key_bits.into())),
        false => value,
    };
    let mask = match row.maskable && rng.chance(50) {
        true => mask(row.key_bits, rng),
        false => full,
    };
    // What the field can't have isn't asked for.
    let _ = matching.set_masked(field, value & mask & full, mask & full);
}

/// A prefix, a suffix, one bit, or any bits.
pub(super) fn mask(bits: u8, rng: &mut Rng) -> u128 {
    let part = rng.between(1, bits.into()) as u8;
    match rng.below(5) {
        0 | 1 => ones(bits) & !ones(bits - part),
        2 => ones(part),
        3 => 1 << (part - 1),
        _ => rng.bits(bits).max(1),
    }
}

fn put_exact(matching: &mut Match, field: FieldId, fields: &[(FieldId, u128)]) {
    let own = |id: FieldId| fields.iter().find(|(other, _)| *other == id);
    if let Some((_, value)) = own(field) {
        let _ = matching.set(field, *value);
    }
}

/// Adds what fields need, and takes out those that the packet doesn't have.
pub(super) fn complete(matching: &mut Match, fields: &[(FieldId, u128)]) {
    if let Err(MatchError::Prerequisite { .. }) = matching.check() {
        put_exact(matching, FieldId::ETH_TYPE, fields);
    }
    if let Err(MatchError::Prerequisite { .. }) = matching.check() {
        put_exact(matching, FieldId::NW_PROTO, fields);
    }
    if let Err(MatchError::Prerequisite { .. }) = matching.check() {
        put_exact(matching, FieldId::ICMPV6_TYPE, fields);
        put_exact(matching, FieldId::ICMPV6_CODE, fields);
    }
    matching.normalise();
}
