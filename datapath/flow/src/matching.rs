//! Matches: which packets a flow is for.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::LazyLock;

use crate::FlowKey;
use crate::OfPort;
use crate::field::{EtherType, FieldId, IpProto, NO_VLAN, Prereq, VLAN_PRESENT};

/// Which packets a flow is for: values and masks of fields. Fields that aren't named match
/// anything. Two matches are equal if they have the same bits, however these were written.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Match {
    /// Sorted by place; each mask isn't 0, and values have no bits outside of it.
    words: Vec<Word>,
}

/// 32 bits of a match: most flows look at few, so that this is small and quick to compare.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Word {
    place: Place,
    value: u32,
    mask: u32,
}

impl Hash for Word {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from(self.mask) << 32 | u64::from(self.value));
        state.write_u16(self.place.0.index() as u16 * u16::from(WORDS) + u16::from(self.place.1));
    }
}

/// Which word of which field's storage, the least significant first.
type Place = (FieldId, u8);

impl fmt::Debug for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.parts()).finish()
    }
}

/// What a match says about one field.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Part {
    /// The field whose storage it is, not an overlay.
    pub field: FieldId,
    /// Value under the mask.
    pub value: u128,
    /// Bits that matter.
    pub mask: u128,
}

/// Why a match can't be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatchError {
    /// A field has no meaning in the packets that the rest of the match describes
    /// (OFPBMC_BAD_PREREQ).
    #[error("{field} needs {}", prereq.remedy())]
    Prerequisite {
        /// The field.
        field: FieldId,
        /// What it needs.
        prereq: Prereq,
    },
    /// A mask on a field that must match exactly (OFPBMC_BAD_MASK).
    #[error("{0} can't be matched with a mask")]
    NotMaskable(FieldId),
    /// The value has bits that the field hasn't (OFPBMC_BAD_VALUE).
    #[error("{value:#x} is too large for {field}")]
    TooLarge {
        /// The field.
        field: FieldId,
        /// The value.
        value: u128,
    },
}

/// Bits of `nw_tos` that a match of it asks for.
const DSCP_IN_TOS: u128 = 0xfc;

/// For each field with storage, the fields that lie in it.
static OVERLAYS: LazyLock<Vec<Vec<FieldId>>> = LazyLock::new(|| {
    let mut overlays = vec![Vec::new(); FieldId::COUNT];
    for id in FieldId::all() {
        overlays[id.field().home.index()].push(id);
    }
    overlays
});

impl Match {
    /// A match of all packets.
    pub fn any() -> Match {
        Match::default()
    }

    /// Takes no more memory than it needs.
    pub(crate) fn shrink(&mut self) {
        self.words.shrink_to_fit();
    }

    /// What it says of the other fields. Takes fields whose storage it is, not overlays.
    #[must_use]
    pub fn without(&self, unwanted: impl Fn(FieldId) -> bool) -> Match {
        let mut words = self.words.clone();
        words.retain(|word| !unwanted(word.place.0));
        Match { words }
    }

    /// What it says, by field.
    pub fn parts(&self) -> impl Iterator<Item = Part> {
        self.words
            .chunk_by(|a, b| a.place.0 == b.place.0)
            .map(assembled)
    }

    /// Asks for a value of a field, exactly.
    ///
    /// # Errors
    /// As for [`Match::set_masked`].
    pub fn set(&mut self, id: FieldId, value: u128) -> Result<(), MatchError> {
        self.set_masked(id, value, id.field().full_mask())
    }

    /// Asks for the bits of `value` under `mask`; what was asked of these bits before is
    /// replaced. `dl_vlan` of 0xffff asks for no tag.
    ///
    /// # Errors
    /// When the field hasn't these bits, or can't have such a mask.
    pub fn set_masked(&mut self, id: FieldId, value: u128, mask: u128) -> Result<(), MatchError> {
        let field = id.field();
        let full = field.full_mask();
        if mask != full && mask != 0 && !field.maskable {
            return Err(MatchError::NotMaskable(id));
        }
        let value = narrow_port(id, value);
        let no_vlan = id == FieldId::DL_VLAN && value == NO_VLAN;
        if mask & !full != 0 || (value & !full != 0 && !no_vlan) {
            return Err(MatchError::TooLarge { field: id, value });
        }
        if mask == 0 {
            self.put(field.home, 0, 0, full << field.shift);
            return Ok(());
        }
        let (value, mask) = match id {
            FieldId::DL_VLAN if no_vlan => (0, full | VLAN_PRESENT),
            FieldId::DL_VLAN => (value | VLAN_PRESENT, full | VLAN_PRESENT),
            FieldId::VLAN_PCP | FieldId::DL_VLAN_PCP => (
                value << field.shift | VLAN_PRESENT,
                full << field.shift | VLAN_PRESENT,
            ),
            // A packet without a tag has no priority either.
            FieldId::VLAN_TCI if value == 0 && mask == full => (0, 0x1fff),
            FieldId::PACKET_TYPE if value == 0 => (0, 0),
            // Its low two bits are ECN, a field of its own.
            FieldId::NW_TOS => (value & DSCP_IN_TOS, DSCP_IN_TOS),
            _ => (value << field.shift, mask << field.shift),
        };
        let window = match id {
            FieldId::NW_TOS => DSCP_IN_TOS,
            _ => full << field.shift | mask,
        };
        self.put(field.home, value, mask, window);
        Ok(())
    }

    /// Replaces the bits of `window` in a field's storage.
    fn put(&mut self, home: FieldId, value: u128, mask: u128, window: u128) {
        for number in 0..WORDS {
            let of = |all: u128| (all >> (32 * number)) as u32;
            if of(window) != 0 {
                self.put_word((home, number), of(value), of(mask), of(window));
            }
        }
    }

    fn put_word(&mut self, place: Place, value: u32, mask: u32, window: u32) {
        let at = self.words.binary_search_by_key(&place, |word| word.place);
        let old = at.ok().map_or((0, 0), |at| {
            let word = self.words[at];
            (word.value & !window, word.mask & !window)
        });
        let word = Word {
            place,
            value: old.0 | value & mask,
            mask: old.1 | mask,
        };
        match at {
            Ok(at) if word.mask == 0 => {
                self.words.remove(at);
            }
            Ok(at) => self.words[at] = word,
            Err(_) if word.mask == 0 => {}
            Err(at) => self.words.insert(at, word),
        }
    }

    /// Value and mask of a field; 0 and 0 if nothing is asked of it.
    pub fn get(&self, id: FieldId) -> (u128, u128) {
        let field = id.field();
        let start = self
            .words
            .partition_point(|word| word.place < (field.home, 0));
        let words = &self.words[start..];
        let end = words
            .iter()
            .position(|word| word.place.0 != field.home)
            .unwrap_or(words.len());
        if end == 0 {
            return (0, 0);
        }
        let part = assembled(&words[..end]);
        let bits = |all: u128| all >> field.shift & field.full_mask();
        (bits(part.value), bits(part.mask))
    }

    /// A field's value if it is matched exactly.
    pub fn exact(&self, id: FieldId) -> Option<u128> {
        let (value, mask) = self.get(id);
        (mask == id.field().full_mask()).then_some(value)
    }

    /// Whether a part says something that one of its fields can say in these packets.
    fn has_meaning(&self, part: &Part, kind: &[(FieldId, (u128, u128)); 2]) -> bool {
        let known = |other: FieldId| {
            let common = kind.iter().find(|(field, _)| *field == other);
            common.map_or_else(|| self.get(other), |(_, known)| *known)
        };
        OVERLAYS[part.field.index()].iter().any(|id| {
            let field = id.field();
            let window = field.full_mask() << field.shift;
            let exact = part.mask & window == window && part.value & !window == 0;
            (field.maskable || exact) && field.prereq.met(&known)
        })
    }

    /// Whether each field has a meaning in the packets that the match describes.
    ///
    /// # Errors
    /// [`MatchError::Prerequisite`] of the first field that has none.
    pub fn check(&self) -> Result<(), MatchError> {
        // What most fields depend on is looked up once.
        let kind = [FieldId::ETH_TYPE, FieldId::NW_PROTO].map(|field| (field, self.get(field)));
        match self.parts().find(|part| !self.has_meaning(part, &kind)) {
            None => Ok(()),
            Some(part) => Err(MatchError::Prerequisite {
                field: part.field,
                prereq: part.field.field().prereq,
            }),
        }
    }

    /// Takes out what has no meaning in the packets that the match describes, and tells which
    /// fields these were. Ports of packets of ICMP become type and code.
    pub fn normalise(&mut self) -> Vec<FieldId> {
        let mut removed = Vec::new();
        // Each round may take away what another field needs.
        while let Err(MatchError::Prerequisite { field, .. }) = self.check() {
            self.words.retain(|word| word.place.0 != field);
            removed.push(field);
        }
        self.narrow_icmp();
        removed
    }

    /// Gives type and code of ICMP the one form that they have, however they were named.
    pub(crate) fn narrow_icmp(&mut self) {
        let proto = match self.exact(FieldId::ETH_TYPE) {
            Some(t) if t == EtherType::IPV4.into() => IpProto::ICMP,
            Some(t) if t == EtherType::IPV6.into() => IpProto::ICMPV6,
            _ => return,
        };
        if self.exact(FieldId::NW_PROTO) != Some(proto.into()) {
            return;
        }
        for word in &mut self.words {
            let port = word.place.0 == FieldId::TCP_SRC || word.place.0 == FieldId::TCP_DST;
            if port && word.value <= 0xff && word.mask & 0xff != 0 {
                word.mask &= 0xff;
            }
        }
    }

    /// Whether a packet matches.
    pub fn matches(&self, key: &FlowKey) -> bool {
        self.words.iter().all(|word| {
            let (field, number) = word.place;
            (key.home(field) >> (32 * number)) as u32 & word.mask == word.value
        })
    }

    /// Whether all packets of `other` match too: what loose changes go by.
    pub fn covers(&self, other: &Match) -> bool {
        let mut others = other.words.iter();
        self.words.iter().all(|word| {
            let same = others.find(|o| o.place >= word.place);
            same.is_some_and(|o| {
                o.place == word.place
                    && o.mask & word.mask == word.mask
                    && o.value & word.mask == word.value
            })
        })
    }

    /// Whether some packet could match both.
    pub fn overlaps(&self, other: &Match) -> bool {
        let mut others = other.words.iter().peekable();
        self.words.iter().all(|word| {
            while others.next_if(|o| o.place < word.place).is_some() {}
            match others.peek() {
                Some(o) if o.place == word.place => {
                    (o.value ^ word.value) & o.mask & word.mask == 0
                }
                _ => true,
            }
        })
    }
}

/// Words of a field's storage.
const WORDS: u8 = 4;

/// What words of the same field say together.
fn assembled(words: &[Word]) -> Part {
    let mut part = Part {
        field: words[0].place.0,
        value: 0,
        mask: 0,
    };
    for word in words {
        let shift = 32 * u32::from(word.place.1);
        part.value |= u128::from(word.value) << shift;
        part.mask |= u128::from(word.mask) << shift;
    }
    part
}

/// Fields of 32-bit port numbers are stored as 16 bits.
fn narrow_port(id: FieldId, value: u128) -> u128 {
    match id {
        FieldId::IN_PORT_OXM | FieldId::ACTSET_OUTPUT => u32::try_from(value)
            .ok()
            .and_then(OfPort::from_u32)
            .map_or(value, |port| port.0.into()),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parts: &[(FieldId, u128)]) -> Match {
        let mut m = Match::any();
        for (id, value) in parts {
            m.set(*id, *value).unwrap();
        }
        m
    }

    #[test]
    fn equal_however_written() {
        let wide = of(&[(FieldId::xreg(0), 0x5_0000_0006)]);
        assert_eq!(wide, of(&[(FieldId::reg(1), 6), (FieldId::reg(0), 5)]));
        let ip = [(FieldId::ETH_TYPE, 0x800), (FieldId::NW_PROTO, 1)];
        let mut port = of(&[ip[0], ip[1], (FieldId::TCP_SRC, 8)]);
        assert_eq!(port.normalise(), []);
        assert_eq!(port, of(&[ip[0], ip[1], (FieldId::ICMP_TYPE, 8)]));
    }

    #[test]
    fn fields_without_their_prerequisites_are_found_and_removed() {
        let mut m = of(&[
            (FieldId::NW_PROTO, 6),
            (FieldId::TCP_DST, 80),
            (FieldId::reg(0), 1),
        ]);
        assert!(matches!(m.check(), Err(MatchError::Prerequisite { .. })));
        assert_eq!(m.normalise().len(), 2);
        assert_eq!(m, of(&[(FieldId::reg(0), 1)]));
    }

    #[test]
    fn vlan_fields_share_a_tag() {
        let m = of(&[(FieldId::DL_VLAN, 5), (FieldId::DL_VLAN_PCP, 3)]);
        assert_eq!(m.get(FieldId::VLAN_TCI), (0x7005, 0xffff));
        let none = of(&[(FieldId::DL_VLAN, 0xffff)]);
        assert_eq!(none.get(FieldId::VLAN_TCI), (0, 0x1fff));
        assert_eq!(none, of(&[(FieldId::VLAN_TCI, 0)]));
    }

    #[test]
    fn covering_and_overlapping() {
        let mut subnet = of(&[(FieldId::ETH_TYPE, 0x800)]);
        subnet
            .set_masked(FieldId::IP_SRC, 0x0a00_0000, 0xff00_0000)
            .unwrap();
        let host = of(&[
            (FieldId::ETH_TYPE, 0x800),
            (FieldId::IP_SRC, 0x0a01_0203),
            (FieldId::IP_DST, 1),
        ]);
        assert!(subnet.covers(&host) && !host.covers(&subnet));
        assert!(Match::any().covers(&host) && subnet.overlaps(&host));
        let arp = of(&[(FieldId::ETH_TYPE, 0x806), (FieldId::reg(0), 1)]);
        assert!(!arp.overlaps(&host) && !arp.covers(&host) && !subnet.covers(&arp));
        let mut key = FlowKey::new();
        key.set(FieldId::ETH_TYPE, 0x800);
        key.set(FieldId::IP_SRC, 0x0aff_ffff);
        assert!(subnet.matches(&key) && !host.matches(&key) && Match::any().matches(&key));
    }
}
