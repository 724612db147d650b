//! Whether ARP and RARP messages speak of their sender.

use aorta_ebpf::{Cond, Label, Reg, Size};
use aorta_flow::DropReason;
use aorta_packet::ETH_HEADER_LEN;

use super::Gate;
use super::addresses::Sets;

use Reg::{R1, R2, R4, R8, R9};

/// Offsets in the frame (RFC 826).
const MESSAGE: i16 = ETH_HEADER_LEN as i16;
const LENGTHS: i16 = MESSAGE + 4;
const SENDER_MAC: i16 = MESSAGE + 8;
const SENDER_IP: i16 = MESSAGE + 14;
const LEN: i32 = ETH_HEADER_LEN as i32 + 28;
/// Ethernet and IPv4, as on the wire.
const ETHERNET_IPV4: i32 = i32::from_le_bytes([0, 1, 8, 0]);
/// Their lengths.
const SIX_AND_FOUR: i32 = i32::from_le_bytes([6, 4, 0, 0]);

impl Gate<'_> {
    /// Goes to `fine`, or drops. R4 and R5 are first byte and end of the frame, R8 the set of the host,
    /// R9 its address.
    pub(super) fn arp(&mut self, sets: &Sets, fine: Label) {
        let spoofed = self.drop(DropReason::SpoofedArp);
        self.within(LEN, spoofed);
        let a = &mut *self.a;
        a.load(Size::W, R1, R4, MESSAGE);
        a.jump_if(Cond::Ne, R1, ETHERNET_IPV4, spoofed);
        a.load(Size::H, R1, R4, LENGTHS);
        a.jump_if(Cond::Ne, R1, SIX_AND_FOUR, spoofed);
        a.load(Size::Dw, R1, R4, SENDER_MAC);
        a.lsh(R1, 16);
        a.rsh(R1, 16);
        a.jump_if(Cond::Ne, R1, R9, spoofed);
        a.load(Size::W, R2, R4, SENDER_IP);
        a.be32(R2);
        a.jump_if(Cond::Eq, R2, 0, fine);
        if sets.differ() {
            a.mov(R1, R8);
        }
        self.find_v4(sets, fine, spoofed);
    }
}
