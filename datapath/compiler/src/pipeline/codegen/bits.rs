//! Runs of bits, copied from place to place.

use aorta_ebpf::{AluOp, Assembler, Cond, Reg, Size, Width};
use aorta_flow::Subfield;
use aorta_flow::field::FieldId;

use super::key;

use Reg::{R1, R2, R7, R10};

/// Bits in memory: words of 32 bits, the least significant first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bits {
    /// Register that holds an address.
    pub base: Reg,
    /// Byte offset of the first word.
    pub at: i16,
    /// First bit.
    pub start: u16,
    /// How many.
    pub count: u16,
}

/// Stack frame: 16 bytes for bits that are copied within one field.
const TEMPORARY: i16 = -32;
/// Stack frame: a port number of 32 bits.
const WIDE_PORT: i16 = -40;
/// First of the port numbers that have all bits set above 16.
const RESERVED_PORTS: i32 = 0xff00;

impl Bits {
    /// Bits of a field in the key.
    pub fn of(part: Subfield) -> Bits {
        let field = part.field.field();
        Bits {
            base: R7,
            at: key(field.home),
            start: u16::from(field.shift) + u16::from(part.start),
            count: part.bits.into(),
        }
    }

    /// The same, but without those that the field's storage hasn't: they are 0 and stay so.
    fn stored(part: Subfield) -> Bits {
        let bits = Bits::of(part);
        let there = u16::from(part.field.field().key_bits);
        Bits {
            count: bits.count.min(there.saturating_sub(part.start.into())),
            ..bits
        }
    }

    fn skip(self, bits: u16) -> Bits {
        Bits {
            start: self.start + bits,
            count: self.count - bits,
            ..self
        }
    }

    fn word(self) -> i16 {
        self.at + 4 * (self.start / 32) as i16
    }
}

/// Copies bits of one field to as many of another. Uses R1, R2.
pub fn copy_field(a: &mut Assembler, from: Subfield, to: Subfield) {
    let (source, target) = (read(a, from), Bits::stored(to));
    let mut source = source;
    if from.field.field().home == to.field.field().home {
        let aside = Bits {
            base: R10,
            at: TEMPORARY,
            start: 0,
            count: source.count,
        };
        clear(a, aside);
        copy(a, source, aside);
        source = aside;
    }
    copy(a, source, target);
    // Bits that the source hasn't are 0.
    if source.count < target.count {
        clear_bits(a, target.skip(source.count));
    }
}

/// The bits of a field as actions read them. Uses R1, R2.
pub fn read(a: &mut Assembler, from: Subfield) -> Bits {
    if !is_wide_port(from.field) {
        return Bits::stored(from);
    }
    // Port numbers have 16 bits in the key, 32 for those who read them by this name.
    let ordinary = a.label("ordinary_port");
    a.load(Size::W, R1, R7, key(from.field.field().home));
    a.jump_if(Cond::Lt, R1, RESERVED_PORTS, ordinary);
    a.alu(AluOp::Or, Width::W32, R1, !0xffff);
    a.bind(ordinary);
    a.store(Size::W, R10, WIDE_PORT, R1);
    Bits {
        base: R10,
        at: WIDE_PORT,
        start: from.start.into(),
        count: from.bits.into(),
    }
}

/// Copies bits to as many bits of a field, and cuts off what the field hasn't.
pub fn copy_to_field(a: &mut Assembler, from: Bits, to: Subfield) {
    copy(a, from, Bits::stored(to));
}

/// Copies as many bits as both have. Uses R1, R2.
pub fn copy(a: &mut Assembler, from: Bits, to: Bits) {
    let (mut from, mut to) = (from, to);
    let mut left = from.count.min(to.count);
    while left > 0 {
        let (of_from, of_to) = (from.start % 32, to.start % 32);
        let take = left.min(32 - of_from).min(32 - of_to);
        chunk(a, from, to, take);
        from = from.skip(take);
        to = to.skip(take);
        left -= take;
    }
}

/// Copies bits within one word of each.
fn chunk(a: &mut Assembler, from: Bits, to: Bits, count: u16) {
    let (of_from, of_to) = (from.start % 32, to.start % 32);
    a.load(Size::W, R1, from.base, from.word());
    if count < 32 {
        if of_from > 0 {
            a.rsh(R1, i32::from(of_from));
        }
        let mask = (1u32 << count) - 1;
        if of_from + count < 32 {
            a.alu(AluOp::And, Width::W32, R1, mask as i32);
        }
        if of_to > 0 {
            a.alu(AluOp::Lsh, Width::W32, R1, i32::from(of_to));
        }
        a.load(Size::W, R2, to.base, to.word());
        a.alu(AluOp::And, Width::W32, R2, !(mask << of_to) as i32);
        a.or(R1, R2);
    }
    a.store(Size::W, to.base, to.word(), R1);
}

fn clear_bits(a: &mut Assembler, bits: Bits) {
    let (mut bits, mut left) = (bits, bits.count);
    while left > 0 {
        let take = left.min(32 - bits.start % 32);
        let mask = (u64::from(u32::MAX) >> (32 - take)) << (bits.start % 32);
        a.load(Size::W, R1, bits.base, bits.word());
        a.alu(AluOp::And, Width::W32, R1, !(mask as u32) as i32);
        a.store(Size::W, bits.base, bits.word(), R1);
        bits = bits.skip(take);
        left -= take;
    }
}

/// Makes 16 bytes 0.
pub fn clear(a: &mut Assembler, bits: Bits) {
    a.store(Size::Dw, bits.base, bits.at, 0);
    a.store(Size::Dw, bits.base, bits.at + 8, 0);
}

/// Whether a field's value in the key isn't what actions read of it.
fn is_wide_port(field: FieldId) -> bool {
    matches!(field, FieldId::IN_PORT_OXM | FieldId::ACTSET_OUTPUT)
}
