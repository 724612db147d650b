//! Whether frames from a port's device are too many.

use aorta_ebpf::{AluOp, Cond, Label, Reg, Size, Width};
use aorta_flow::DropReason;
use aorta_flow::guard::Policing;
use aorta_packet::{ETH_HEADER_LEN, ETHERTYPE_IPV4, ETHERTYPE_IPV6, proto};

use super::{Cost, Gate, INDEX, take};
use crate::abi::{BUCKETS, bucket};
use crate::emit::{CTX, lookup_index};
use crate::skb;

use Reg::{R0, R1, R2, R7, R8, R9, R10};

/// Stack frame: what was read of the frame, from its type on.
const READ: i16 = -24;
const READ_AT: i16 = ETH_HEADER_LEN as i16 - 2;
const READ_LEN: i32 = 12;
/// Stack frame: a byte of a TCP header.
const BYTE: i16 = -32;
const IPV6_LEN: i32 = 40;
const UDP_LEN: i32 = 8;
const TCP_LEN: i32 = 20;
/// Offset in a TCP header of its own length, in words, in the upper half of a byte.
const TCP_DATA_OFFSET: i32 = 12;

impl Gate<'_> {
    /// Falls through if the frame is within its port's rates. In the code: R7 is the record of the
    /// buckets, R8 the frame's bytes, R9 its packets.
    pub(super) fn police(&mut self, policing: &Policing) {
        let (bytes, packets) = (policing.bytes(), policing.packets());
        if bytes.is_none() && packets.is_none() {
            return;
        }
        let over = self.drop(DropReason::Policed);
        let names = ["measured", "segments", "police"].map(|name| self.a.label(name));
        let [measured, segments, police] = names;
        let a = &mut *self.a;
        a.load(Size::W, R8, CTX, skb::LEN);
        a.mov(R9, 1);
        a.load(Size::W, R1, CTX, skb::GSO_SIZE);
        a.jump_if(Cond::Ne, R1, 0, segments);
        a.jump(measured);
        a.bind(segments);
        self.segments(measured);
        let a = &mut *self.a;
        a.bind(measured);
        lookup_index(a, BUCKETS.id, INDEX, self.slot as i32);
        a.jump_if(Cond::Ne, R0, 0, police);
        a.jump(over);
        a.bind(police);
        a.mov(R7, R0);
        if let Some(rate) = bytes {
            take(a, &rate, (R7, bucket::BYTES_FULL), Cost::Units(R8), over);
        }
        if let Some(rate) = packets {
            take(a, &rate, (R7, bucket::PACKETS_FULL), Cost::Units(R9), over);
        }
    }

    /// R9 = the segments that a frame is to be cut into, R8 = their bytes in all: each has the headers.
    /// What carries the segments' bytes is TCP or UDP, in IPv4 or IPv6.
    fn segments(&mut self, measured: Label) {
        let [udp, headers, v6, transport] =
            ["gso_udp", "gso_headers", "gso_v6", "gso_transport"].map(|n| self.a.label(n));
        self.read(i32::from(READ_AT), READ, READ_LEN, measured);
        let at = |offset: i16| READ + offset - READ_AT;
        let a = &mut *self.a;
        // R7 = length of the headers so far.
        a.load(Size::H, R1, R10, at(READ_AT));
        a.jump_if(Cond::Eq, R1, i32::from(ETHERTYPE_IPV6.to_be()), v6);
        a.jump_if(Cond::Ne, R1, i32::from(ETHERTYPE_IPV4.to_be()), measured);
        a.load(Size::B, R7, R10, at(14));
        a.and(R7, 0xf);
        a.lsh(R7, 2);
        a.load(Size::B, R2, R10, at(23));
        a.jump(transport);
        a.bind(v6);
        a.mov(R7, IPV6_LEN);
        a.load(Size::B, R2, R10, at(20));
        a.bind(transport);
        a.add(R7, ETH_HEADER_LEN as i32);
        a.jump_if(Cond::Eq, R2, i32::from(proto::UDP), udp);
        a.mov(R2, R7);
        a.add(R2, TCP_DATA_OFFSET);
        self.read(R2, BYTE, 1, measured);
        let a = &mut *self.a;
        a.load(Size::B, R1, R10, BYTE);
        a.rsh(R1, 4);
        a.lsh(R1, 2);
        a.jump_if(Cond::Lt, R1, TCP_LEN, measured);
        a.add(R7, R1);
        a.jump(headers);
        a.bind(udp);
        a.add(R7, UDP_LEN);
        a.bind(headers);
        a.jump_if(Cond::Ge, R7, R8, measured);
        a.load(Size::W, R1, CTX, skb::GSO_SIZE);
        a.mov(R9, R8);
        a.sub(R9, R7);
        a.add(R9, R1);
        a.sub(R9, 1);
        a.alu(AluOp::Div, Width::W64, R9, R1);
        a.mov(R1, R9);
        a.sub(R1, 1);
        a.alu(AluOp::Mul, Width::W64, R1, R7);
        a.add(R8, R1);
    }
}
