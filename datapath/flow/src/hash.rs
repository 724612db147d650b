//! Hashes of packets, by which select groups, `multipath` and `bundle` choose. Whatever runs a
//! pipeline computes the same ones.
//!
//! A hash is of 32-bit words, one after the other: `h` starts as the basis plus [`START`]; for each
//! word, `h = (h ^ word) * MULTIPLIER`, then `h ^= h >> 29`; the hash is the upper half of `h`. All
//! numbers have 64 bits and wrap.

use crate::action::HashFields;
use crate::field::{FieldId, IpProto};
use crate::{FlowKey, Group};

/// What a hash starts with, besides its basis.
pub const START: u64 = 0x9e37_79b9_7f4a_7c15;
/// What each step multiplies with.
pub const MULTIPLIER: u64 = 0xbf58_476d_1ce4_e5b9;
/// How far each step shifts.
pub const SHIFT: u32 = 29;

/// Where a word of a hash comes from. `word` is the number of 32 bits of a field's storage, the
/// least significant first; fields that the packet doesn't have are 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Word {
    /// Bits of a field's storage.
    Of {
        /// The field, one with storage of its own.
        field: FieldId,
        /// Which word.
        word: u8,
        /// Which bits.
        mask: u32,
    },
    /// Of two fields, exclusive or: the same for both directions.
    Both {
        /// One field.
        one: FieldId,
        /// The other.
        other: FieldId,
        /// Which word.
        word: u8,
    },
    /// Both ports, exclusive or, if the protocol is one of these; else 0.
    Ports(&'static [u8]),
}

const fn all(field: FieldId, word: u8) -> Word {
    let mask = u32::MAX;
    Word::Of { field, word, mask }
}

const fn both(one: FieldId, other: FieldId, word: u8) -> Word {
    Word::Both { one, other, word }
}

const IPV4: Word = both(FieldId::IP_SRC, FieldId::IP_DST, 0);
const IPV6: [Word; 4] = [
    both(FieldId::IPV6_SRC, FieldId::IPV6_DST, 0),
    both(FieldId::IPV6_SRC, FieldId::IPV6_DST, 1),
    both(FieldId::IPV6_SRC, FieldId::IPV6_DST, 2),
    both(FieldId::IPV6_SRC, FieldId::IPV6_DST, 3),
];
const PROTO: Word = all(FieldId::NW_PROTO, 0);
const TYPE: Word = all(FieldId::ETH_TYPE, 0);
const VID: Word = Word::Of {
    field: FieldId::VLAN_TCI,
    word: 0,
    mask: 0xfff,
};
const PORTS: Word = Word::Ports(&[IpProto::TCP, IpProto::SCTP]);
const PORTS_UDP: Word = Word::Ports(&[IpProto::TCP, IpProto::SCTP, IpProto::UDP]);

const ETH_SRC: &[Word] = &[all(FieldId::ETH_SRC, 0), all(FieldId::ETH_SRC, 1)];
const SYMMETRIC_L4: &[Word] = &[
    both(FieldId::ETH_SRC, FieldId::ETH_DST, 0),
    both(FieldId::ETH_SRC, FieldId::ETH_DST, 1),
    VID,
    TYPE,
    IPV4,
    IPV6[0],
    IPV6[1],
    IPV6[2],
    IPV6[3],
    PROTO,
    PORTS,
];
const SYMMETRIC_L3: &[Word] = &[TYPE, IPV4, IPV6[0], IPV6[1], IPV6[2], IPV6[3]];
const SYMMETRIC_L3L4: &[Word] = &[TYPE, IPV4, IPV6[0], IPV6[1], IPV6[2], IPV6[3], PROTO, PORTS];
const SYMMETRIC_L3L4_UDP: &[Word] = &[
    TYPE, IPV4, IPV6[0], IPV6[1], IPV6[2], IPV6[3], PROTO, PORTS_UDP,
];
const NW_SRC: &[Word] = &[
    all(FieldId::IP_SRC, 0),
    all(FieldId::IPV6_SRC, 0),
    all(FieldId::IPV6_SRC, 1),
    all(FieldId::IPV6_SRC, 2),
    all(FieldId::IPV6_SRC, 3),
];
const NW_DST: &[Word] = &[
    all(FieldId::IP_DST, 0),
    all(FieldId::IPV6_DST, 0),
    all(FieldId::IPV6_DST, 1),
    all(FieldId::IPV6_DST, 2),
    all(FieldId::IPV6_DST, 3),
];
/// Addresses, protocol and ports.
const FIVE_TUPLE: &[Word] = &[
    all(FieldId::IP_SRC, 0),
    all(FieldId::IP_DST, 0),
    all(FieldId::IPV6_SRC, 0),
    all(FieldId::IPV6_SRC, 1),
    all(FieldId::IPV6_SRC, 2),
    all(FieldId::IPV6_SRC, 3),
    all(FieldId::IPV6_DST, 0),
    all(FieldId::IPV6_DST, 1),
    all(FieldId::IPV6_DST, 2),
    all(FieldId::IPV6_DST, 3),
    PROTO,
    all(FieldId::TCP_SRC, 0),
    all(FieldId::TCP_DST, 0),
];

/// The words of a hash that an action names.
pub fn words(fields: HashFields) -> &'static [Word] {
    match fields {
        HashFields::EthSrc => ETH_SRC,
        HashFields::SymmetricL4 => SYMMETRIC_L4,
        HashFields::SymmetricL3 => SYMMETRIC_L3,
        HashFields::SymmetricL3l4 => SYMMETRIC_L3L4,
        HashFields::SymmetricL3l4Udp => SYMMETRIC_L3L4_UDP,
        HashFields::NwSrc => NW_SRC,
        HashFields::NwDst => NW_DST,
    }
}

/// The words of a select group's hash, and its basis: of the fields that it names, in their order;
/// or addresses, protocol and ports if it names none.
pub fn group_words(group: &Group) -> (Vec<Word>, u64) {
    let Some(selection) = &group.selection else {
        return (FIVE_TUPLE.to_vec(), 0);
    };
    if selection.fields.is_empty() {
        return (FIVE_TUPLE.to_vec(), selection.parameter);
    }
    let mut words = Vec::new();
    for (id, mask) in &selection.fields {
        let field = id.field();
        let mask = (mask & field.full_mask()) << field.shift;
        for word in 0..4 {
            let mask = (mask >> (32 * word)) as u32;
            if mask != 0 {
                let (field, word) = (field.home, word);
                words.push(Word::Of { field, word, mask });
            }
        }
    }
    (words, selection.parameter)
}

impl Word {
    /// Its value in a packet.
    pub fn read(self, key: &FlowKey) -> u32 {
        let of = |field: FieldId, word: u8| (key.home(field) >> (32 * word)) as u32;
        match self {
            Word::Of { field, word, mask } => of(field, word) & mask,
            Word::Both { one, other, word } => of(one, word) ^ of(other, word),
            Word::Ports(protocols) => {
                let proto = key.get(FieldId::NW_PROTO) as u8;
                match protocols.contains(&proto) {
                    true => of(FieldId::TCP_SRC, 0) ^ of(FieldId::TCP_DST, 0),
                    false => 0,
                }
            }
        }
    }
}

/// The hash of words.
pub fn hash(words: impl IntoIterator<Item = u32>, basis: u64) -> u32 {
    let step = |h: u64, word: u32| {
        let h = (h ^ u64::from(word)).wrapping_mul(MULTIPLIER);
        h ^ h >> SHIFT
    };
    (words.into_iter().fold(START.wrapping_add(basis), step) >> 32) as u32
}

/// The hash that an action names, of a packet.
pub fn of_fields(fields: HashFields, basis: u16, key: &FlowKey) -> u32 {
    hash(
        words(fields).iter().map(|word| word.read(key)),
        basis.into(),
    )
}

/// The hash by which a select group chooses.
pub fn of_group(group: &Group, key: &FlowKey) -> u32 {
    let (words, basis) = group_words(group);
    hash(words.iter().map(|word| word.read(key)), basis)
}

/// A number that depends on a hash and a candidate without order, for choices that change little
/// when candidates come and go.
pub fn mixed(hash: u32, candidate: u32) -> u32 {
    let mut mixed = u64::from(hash) << 32 | u64::from(candidate);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(parts: &[(FieldId, u128)]) -> FlowKey {
        let mut key = FlowKey::new();
        for (field, value) in parts {
            key.set(*field, *value);
        }
        key
    }

    #[test]
    fn both_directions_hash_alike_and_others_don_t() {
        let tcp = [
            (FieldId::ETH_TYPE, 0x800),
            (FieldId::NW_PROTO, 6),
            (FieldId::IP_SRC, 0x0a00_0001),
            (FieldId::IP_DST, 0x0a00_0002),
            (FieldId::TCP_SRC, 1000),
            (FieldId::TCP_DST, 80),
        ];
        let there = key(&tcp);
        let mut back = there.clone();
        for (field, other) in [(2, 3), (3, 2), (4, 5), (5, 4)] {
            back.set(tcp[field].0, tcp[other].1);
        }
        for fields in [
            HashFields::SymmetricL4,
            HashFields::SymmetricL3,
            HashFields::SymmetricL3l4,
            HashFields::SymmetricL3l4Udp,
        ] {
            let of = |key| of_fields(fields, 7, key);
            assert_eq!(of(&there), of(&back), "{}", fields.name());
        }
        assert_ne!(
            of_fields(HashFields::NwSrc, 7, &there),
            of_fields(HashFields::NwSrc, 7, &back)
        );
        let mut udp = there.clone();
        udp.set(FieldId::NW_PROTO, 17);
        let mut other = udp.clone();
        other.set(FieldId::TCP_SRC, 1001);
        let of = |fields, key| of_fields(fields, 0, key);
        let l3l4 = HashFields::SymmetricL3l4;
        assert_eq!(of(l3l4, &udp), of(l3l4, &other), "UDP's ports don't count");
        let with_udp = HashFields::SymmetricL3l4Udp;
        assert_ne!(of(with_udp, &udp), of(with_udp, &other));
    }

    #[test]
    fn the_function_stays_what_it_is() {
        assert_eq!(hash([], 0), 0x9e37_79b9);
        let by_hand = (START ^ 5).wrapping_mul(MULTIPLIER);
        assert_eq!(hash([5], 0), ((by_hand ^ by_hand >> 29) >> 32) as u32);
        assert_ne!(hash([5], 0), hash([5], 1));
    }

    #[test]
    fn a_quarter_of_hashes_in_each_quarter() {
        let mut quarters = [0; 4];
        for n in 0..4096 {
            quarters[(hash([n, 0, n / 7], 3) >> 30) as usize] += 1;
        }
        assert!(
            quarters.iter().all(|n| (900..1150).contains(n)),
            "{quarters:?}"
        );
    }
}
