//! SCTP, whose checksum is a CRC over the whole packet (RFC 9260 §6.8).
//!
//! A CRC is linear: where the first four bytes of a packet change by `d`, it changes by the CRC of
//! `d` and as many zeros as bytes follow, begun and ended without inversion. That is `d` times a
//! power of x that depends on the length alone, modulo the polynomial.

use aorta_ebpf::{AluOp, Assembler, Cond, Label, Reg, Size, Width};
use aorta_flow::field::{EtherType, FieldId, IpProto};

use super::Emitter;
use super::emit::{RECOMPUTE_CSUM, SPACE, forget, key};
use super::transport::unless_protocol;
use crate::pipeline::layout::state;

use Reg::{R1, R2, R3, R4, R5, R7, R8, R9};

/// CRC-32C, the bits in the order of the wire: x^0 is the highest one.
const POLYNOMIAL: u32 = 0x82f6_3b78;
const ONE: u32 = 1 << 31;
/// Bits of a packet's length in bytes.
const LENGTH_BITS: usize = 16;

const CHECKSUM: i32 = 8;
const HEADER_BYTES: i32 = 12;
const IPV4_TOTAL_LENGTH: i16 = 2;
const IPV6_HEADER_BYTES: i32 = 40;
const IPV6_PAYLOAD_LENGTH: i16 = 4;

/// In the commit's space: ports and checksum as they are to be.
const PORTS: i16 = SPACE - 8;
const SUM: i16 = SPACE - 4;

/// Words of the state that are free while bytes follow the key.
const CRC: i16 = state::CHOSEN;
const FACTOR: i16 = state::CHOSEN + 4;
const POWER: i16 = state::CHOSEN + 8;
const STEPS: i16 = state::CHOSEN + 12;
const LENGTH: i16 = state::WEIGHT;

/// `value` times x.
const fn times_x(value: u32) -> u32 {
    (value >> 1) ^ (POLYNOMIAL & (value & 1).wrapping_neg())
}

const fn product(mut a: u32, mut b: u32) -> u32 {
    let mut sum = 0;
    let mut bit = 0;
    while bit < 32 {
        sum ^= (a >> 31).wrapping_neg() & b;
        a <<= 1;
        b = times_x(b);
        bit += 1;
    }
    sum
}

/// For each bit of the length, what a packet of that many bytes multiplies by.
const fn powers() -> [u32; LENGTH_BITS] {
    let mut byte = ONE;
    let mut bit = 0;
    while bit < 8 {
        byte = times_x(byte);
        bit += 1;
    }
    let mut powers = [byte; LENGTH_BITS];
    let mut n = 1;
    while n < LENGTH_BITS {
        powers[n] = product(powers[n - 1], powers[n - 1]);
        n += 1;
    }
    powers
}

static POWERS: [u32; LENGTH_BITS] = powers();

impl Emitter<'_> {
    /// Whether ports of SCTP can be changed: by their own names, or the older ones that mean all
    /// protocols.
    fn sctp_changes(&self) -> bool {
        [
            FieldId::SCTP_SRC,
            FieldId::SCTP_DST,
            FieldId::TCP_SRC,
            FieldId::TCP_DST,
        ]
        .iter()
        .any(|field| self.changes.has(*field))
    }

    /// Writes the ports if the packet is SCTP. A CRC that was wrong stays as wrong.
    pub(super) fn sctp(&mut self, after: Label) {
        if !self.sctp_changes() {
            return;
        }
        let other = self.a.label("not_sctp");
        unless_protocol(self.a, IpProto::SCTP, other);
        self.sctp_length();
        self.packet(Some(state::L4), HEADER_BYTES);
        let a = &mut *self.a;
        a.load(Size::W, R8, R7, key(FieldId::TCP_SRC));
        a.be16(R8);
        a.load(Size::W, R4, R7, key(FieldId::TCP_DST));
        a.be16(R4);
        a.lsh(R4, 16);
        a.or(R8, R4);
        a.store(Size::W, R7, PORTS, R8);
        a.load(Size::W, R2, R1, 0);
        a.jump_if(Cond::Eq, R2, R8, after);
        a.xor(R8, R2);
        a.store(Size::W, R7, CRC, R8);
        a.load(Size::W, R2, R1, CHECKSUM as i16);
        a.store(Size::W, R7, SUM, R2);
        for (bit, power) in POWERS.iter().enumerate() {
            multiply_if(a, 1 << bit, *power, self.failed);
        }
        a.load(Size::W, R8, R7, CRC);
        a.load(Size::W, R2, R7, SUM);
        a.xor(R8, R2);
        a.store(Size::W, R7, SUM, R8);
        self.write(state::L4, 0, PORTS, 4, RECOMPUTE_CSUM);
        self.write(state::L4, CHECKSUM, SUM, 4, RECOMPUTE_CSUM);
        self.a.jump(after);
        self.a.bind(other);
    }

    /// LENGTH = that of the packet from its ports on.
    fn sctp_length(&mut self) {
        self.packet(Some(state::L3), IPV4_TOTAL_LENGTH as i32 + 4);
        let a = &mut *self.a;
        let (ipv6, known) = (a.label("ipv6_length"), a.label("sctp_length"));
        a.load(Size::W, R2, R7, key(FieldId::ETH_TYPE));
        a.jump_if(Cond::Eq, R2, i32::from(EtherType::IPV6), ipv6);
        a.load(Size::H, R9, R1, IPV4_TOTAL_LENGTH);
        a.be16(R9);
        a.jump(known);
        a.bind(ipv6);
        a.load(Size::H, R9, R1, IPV6_PAYLOAD_LENGTH);
        a.be16(R9);
        a.add(R9, IPV6_HEADER_BYTES);
        a.bind(known);
        a.load(Size::W, R2, R7, state::L3);
        a.add(R9, R2);
        a.load(Size::W, R2, R7, state::L4);
        a.sub(R9, R2);
        a.store(Size::W, R7, LENGTH, R9);
    }
}

/// CRC = CRC times `power` if LENGTH has the bit. Nothing stays in registers from step to step, so
/// that the verifier finds each in one state and is done. Uses R1 to R5, R8 and R9.
fn multiply_if(a: &mut Assembler, bit: i32, power: u32, failed: Label) {
    let skip = a.label("bit_clear");
    forget(a);
    a.load(Size::W, R1, R7, LENGTH);
    a.and(R1, bit);
    a.jump_if(Cond::Eq, R1, 0, skip);
    a.load(Size::W, R1, R7, CRC);
    a.store(Size::W, R7, FACTOR, R1);
    a.store(Size::W, R7, POWER, power as i32);
    a.store(Size::W, R7, CRC, 0);
    a.store(Size::W, R7, STEPS, 0);
    forget(a);
    let step = a.here("times");
    a.may_goto(failed);
    a.load(Size::W, R5, R7, STEPS);
    a.jump_if(Cond::Ge, R5, 32, skip);
    a.add(R5, 1);
    a.store(Size::W, R7, STEPS, R5);
    a.load(Size::W, R2, R7, FACTOR);
    a.load(Size::W, R3, R7, POWER);
    a.load(Size::W, R8, R7, CRC);
    a.mov32(R4, R2);
    a.alu(AluOp::Rsh, Width::W32, R4, 31);
    a.alu(AluOp::Neg, Width::W32, R4, 0);
    a.and(R4, R3);
    a.xor(R8, R4);
    a.store(Size::W, R7, CRC, R8);
    a.alu(AluOp::Lsh, Width::W32, R2, 1);
    a.store(Size::W, R7, FACTOR, R2);
    a.mov32(R4, R3);
    a.alu(AluOp::And, Width::W32, R4, 1);
    a.alu(AluOp::Neg, Width::W32, R4, 0);
    a.alu(AluOp::And, Width::W32, R4, POLYNOMIAL as i32);
    a.alu(AluOp::Rsh, Width::W32, R3, 1);
    a.xor(R3, R4);
    a.store(Size::W, R7, POWER, R3);
    forget(a);
    a.jump(step);
    a.bind(skip);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_bytes_of_zeros() {
        let zeros = |value: u32, bytes: usize| (0..8 * bytes).fold(value, |v, _| times_x(v));
        let delta = 0x1234_5678;
        for bit in [0, 3, 9] {
            assert_eq!(product(delta, POWERS[bit]), zeros(delta, 1 << bit));
        }
    }
}
