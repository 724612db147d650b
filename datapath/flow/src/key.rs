//! A packet's fields, and parts of fields.

use std::fmt;

use crate::OfPort;
use crate::field::{FieldId, ones};

/// Values of all fields of one packet. Fields that the packet doesn't have are 0.
#[derive(Clone, PartialEq, Eq)]
pub struct FlowKey {
    storage: Box<[u128; FieldId::COUNT]>,
}

impl Default for FlowKey {
    fn default() -> Self {
        FlowKey {
            storage: Box::new([0; FieldId::COUNT]),
        }
    }
}

impl FlowKey {
    /// A key whose fields are all 0.
    pub fn new() -> FlowKey {
        FlowKey::default()
    }

    /// A field's value, in its low bits.
    pub fn get(&self, id: FieldId) -> u128 {
        let field = id.field();
        let value = self.storage[field.home.index()] >> field.shift & field.full_mask();
        match id {
            FieldId::IN_PORT_OXM | FieldId::ACTSET_OUTPUT => OfPort(value as u16).to_u32().into(),
            _ => value,
        }
    }

    /// Changes a field; bits over its width are cut off.
    pub fn set(&mut self, id: FieldId, value: u128) {
        let field = id.field();
        let mask = field.full_mask() << field.shift;
        let slot = &mut self.storage[field.home.index()];
        *slot = *slot & !mask | value << field.shift & mask;
    }

    /// The bits of a subfield, lowest first.
    pub fn read(&self, part: Subfield) -> u128 {
        self.get(part.field) >> part.start & ones(part.bits)
    }

    /// Changes the bits of a subfield; the other bits of its field stay.
    pub fn write(&mut self, part: Subfield, value: u128) {
        let mask = ones(part.bits) << part.start;
        let old = self.get(part.field);
        self.set(part.field, old & !mask | value << part.start & mask);
    }

    pub(crate) fn home(&self, id: FieldId) -> u128 {
        self.storage[id.index()]
    }
}

impl fmt::Debug for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = FieldId::all().filter(|id| id.field().home == *id && self.home(*id) != 0);
        f.debug_map()
            .entries(set.map(|id| (id, self.home(id))))
            .finish()
    }
}

/// Consecutive bits of a field: `NXM_NX_REG0[4..7]`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subfield {
    /// The field.
    pub field: FieldId,
    /// Lowest bit.
    pub start: u8,
    /// How many bits, at least 1.
    pub bits: u8,
}

/// Bits that a field doesn't have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubfieldError {
    /// Beyond its end.
    #[error("{field} has no bit {bit}: its bits are 0 to {}", field.field().bits - 1)]
    NoBit {
        /// The field.
        field: FieldId,
        /// The bit asked for.
        bit: u32,
    },
    /// The wrong way round.
    #[error("bit {start} is after bit {end}: write the lower one first")]
    Reversed {
        /// First.
        start: u32,
        /// Last.
        end: u32,
    },
}

impl Subfield {
    /// A whole field.
    pub fn whole(field: FieldId) -> Subfield {
        Subfield {
            field,
            start: 0,
            bits: field.field().bits,
        }
    }

    /// The bits from `start` to `end`, both included.
    ///
    /// # Errors
    /// When the field doesn't have them.
    pub fn range(field: FieldId, start: u32, end: u32) -> Result<Subfield, SubfieldError> {
        let bits = u32::from(field.field().bits);
        if end >= bits {
            return Err(SubfieldError::NoBit { field, bit: end });
        }
        if start > end {
            return Err(SubfieldError::Reversed { start, end });
        }
        Ok(Subfield {
            field,
            start: start as u8,
            bits: (end - start + 1) as u8,
        })
    }

    /// Whether it is all of its field.
    pub fn is_whole(self) -> bool {
        self == Subfield::whole(self.field)
    }
}

impl fmt::Display for Subfield {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = self.field.field();
        f.write_str(field.code().map_or(field.name, |code| code.name))?;
        if self.is_whole() {
            f.write_str("[]")
        } else if self.bits == 1 {
            write!(f, "[{}]", self.start)
        } else {
            write!(f, "[{}..{}]", self.start, self.start + self.bits - 1)
        }
    }
}

impl fmt::Debug for Subfield {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_overlay_their_wider_forms() {
        let mut key = FlowKey::new();
        key.set(FieldId::reg(4), 1);
        key.set(FieldId::reg(5), 2);
        assert_eq!(key.get(FieldId::xreg(2)), 0x1_0000_0002);
        assert_eq!(key.get(FieldId::xxreg(1)), 0x1_0000_0002 << 64);
        key.write(Subfield::range(FieldId::xxreg(1), 127, 127).unwrap(), 1);
        assert_eq!(key.get(FieldId::reg(4)), 0x8000_0001);
    }

    #[test]
    fn ports_have_two_widths() {
        let mut key = FlowKey::new();
        key.set(FieldId::IN_PORT, OfPort::LOCAL.0.into());
        assert_eq!(key.get(FieldId::IN_PORT_OXM), 0xffff_fffe);
        key.set(FieldId::IN_PORT_OXM, 0xffff_fffd);
        assert_eq!(key.get(FieldId::IN_PORT), OfPort::CONTROLLER.0.into());
    }

    #[test]
    fn subfields_print_with_the_code_s_name() {
        let reg = FieldId::reg(0);
        assert_eq!(Subfield::whole(reg).to_string(), "NXM_NX_REG0[]");
        let part = |start, end| Subfield::range(reg, start, end);
        assert_eq!(part(0, 15).unwrap().to_string(), "NXM_NX_REG0[0..15]");
        assert_eq!(part(3, 3).unwrap().to_string(), "NXM_NX_REG0[3]");
        assert!(part(3, 32).is_err() && part(4, 3).is_err());
        assert_eq!(
            Subfield::whole(FieldId::METADATA).to_string(),
            "OXM_OF_METADATA[]"
        );
    }
}
