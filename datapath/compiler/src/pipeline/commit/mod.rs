//! Packets' bytes follow the key: what actions changed is written into the frame before a copy
//! leaves.
//!
//! Old values are those of the frame itself, so nothing has to be remembered of it but its VLAN
//! tags. Checksums are updated by the difference (RFC 1624), never computed anew: one that was
//! wrong stays as wrong as it was. Frames whose checksum a device is going to complete, frames that
//! are going to be segmented, and checksums of whole frames from a device are left to the kernel's
//! helpers, which know them.

pub mod actions;
mod arp;
mod changes;
mod emit;
mod ethernet;
mod extensions;
mod ipv4;
mod ipv6;
mod mpls;
mod nd;
mod sctp;
mod tags;
mod transport;
pub mod xdp;

pub use changes::{Changes, dirty, dirty_bit, xdp_changes};

use aorta_ebpf::{Assembler, Cond, Helper, Label, Reg, Size};
use aorta_flow::field::{EtherType, FieldId};

use super::Hook;
use super::layout::state;
use crate::skb;
use emit::{MAX_OFFSET, PSEUDO, forget, frame_key, key};

use Reg::{R0, R1, R2, R3, R4, R5, R6, R7, R9};

/// What a commit is made for.
#[derive(Clone, Copy, Debug)]
pub struct CommitFacts<'a> {
    /// What the bridge can change.
    pub changes: &'a Changes,
    /// Where to go on when the bytes are as the key says.
    pub done: Label,
    /// Where to go if the kernel refuses a change, which it does only without memory. The frame
    /// must not be sent any more.
    pub failed: Label,
}

/// What is emitted, and where it goes if it fails.
struct Emitter<'a> {
    a: &'a mut Assembler,
    changes: &'a Changes,
    hook: Hook,
    failed: Label,
}

/// A block that brings the frame to what the key says, in all groups whose bit in
/// [`state::DIRTY`] is set; the bits are clear afterwards. A bit that is set without need costs
/// only time. In: R6, R7. Keeps nothing else, and takes the stack from R10 - 64 on.
///
/// What was pending must have left before: its bytes would change.
pub fn emit_commit(a: &mut Assembler, facts: &CommitFacts<'_>) {
    a.comment("commit: the frame's bytes follow the key");
    if facts.changes.is_empty() {
        a.jump(facts.done);
        return;
    }
    a.load(Size::Dw, R1, R7, state::DIRTY);
    a.jump_if(Cond::Eq, R1, 0, facts.done);
    let mut e = Emitter {
        a,
        changes: facts.changes,
        hook: Hook::Tc,
        failed: facts.failed,
    };
    e.linear();
    forget(e.a);
    e.ethernet();
    e.neighbour_discovery();
    e.layers();
    e.transport();
    if e.changes.tags() {
        e.tags();
    }
    e.a.store(Size::Dw, R7, state::DIRTY, 0);
    e.a.jump(facts.done);
}

/// Takes the base from the key, once the key is read from the frame. Uses R1 to R3.
pub fn emit_base(a: &mut Assembler, changes: &Changes) {
    if changes.tags() {
        tags::copy_to_base(a);
        if changes.length() {
            actions::without_tags(a);
        }
    }
}

impl Emitter<'_> {
    /// Makes sure that the headers can be accessed directly.
    fn linear(&mut self) {
        let headers = dirty::NETWORK | dirty::ARP | dirty::TRANSPORT | dirty::ND | dirty::MPLS;
        if !self.changes.in_groups(headers) {
            return;
        }
        const IPV6_HEADER_BYTES: i32 = 40;
        const TCP_HEADER_BYTES: i32 = 20;
        let a = &mut *self.a;
        let (network, known, short) = (a.label("network"), a.label("needed"), a.label("linear"));
        let whole = a.label("whole");
        a.load(Size::W, R2, R7, state::L4);
        a.jump_if(Cond::Eq, R2, 0, network);
        a.add(R2, TCP_HEADER_BYTES);
        a.jump(known);
        a.bind(network);
        a.load(Size::W, R2, R7, state::L3);
        a.add(R2, IPV6_HEADER_BYTES);
        a.bind(known);
        a.load(Size::W, R3, R6, skb::LEN);
        a.jump_if(Cond::Le, R2, R3, whole);
        a.mov(R2, R3);
        a.bind(whole);
        a.and(R2, MAX_OFFSET);
        a.load(Size::W, R4, R6, skb::DATA);
        a.load(Size::W, R5, R6, skb::DATA_END);
        a.add(R4, R2);
        a.jump_if(Cond::Le, R4, R5, short);
        a.mov(R1, R6);
        a.call(Helper::SkbPullData);
        a.jump_if(Cond::Ne, R0, 0, self.failed);
        self.a.bind(short);
    }

    /// The network layer, by EtherType; leaves in PSEUDO by how much the sum of a transport's pseudo
    /// header changed.
    fn layers(&mut self) {
        let a = &mut *self.a;
        a.mov(R9, 0);
        a.store(Size::Dw, R7, PSEUDO, R9);
        let groups = dirty::NETWORK | dirty::ARP | dirty::MPLS;
        if !self.changes.in_groups(groups) {
            return;
        }
        let after = a.label("network_done");
        a.load(Size::Dw, R1, R7, state::DIRTY);
        a.and(R1, groups);
        a.jump_if(Cond::Eq, R1, 0, after);
        a.load(Size::W, R1, R7, state::L3);
        a.jump_if(Cond::Eq, R1, 0, after);
        self.ipv4_or_next(after);
        self.ipv6_or_next(after);
        self.mpls_or_next(after);
        self.arp_or_next(after);
        self.a.bind(after);
        forget(self.a);
    }

    /// Skips to the label unless the packet is of one of these types.
    fn unless_type(&mut self, types: &[u16], other: Label) {
        let a = &mut *self.a;
        a.load(Size::W, R1, R7, key(FieldId::ETH_TYPE));
        match types {
            [only] => a.jump_if(Cond::Ne, R1, i32::from(*only), other),
            many => {
                let this = a.label("of_this_type");
                for kind in many {
                    a.jump_if(Cond::Eq, R1, i32::from(*kind), this);
                }
                a.jump(other);
                a.bind(this);
            }
        }
    }

    fn ipv4_or_next(&mut self, after: Label) {
        let fields = [
            FieldId::IP_SRC,
            FieldId::IP_DST,
            FieldId::NW_TOS,
            FieldId::IP_DSCP,
            FieldId::NW_ECN,
            FieldId::NW_TTL,
        ];
        if fields.iter().any(|field| self.changes.has(*field)) {
            let next = self.a.label("not_ipv4");
            self.unless_type(&[EtherType::IPV4], next);
            self.ipv4();
            self.a.store(Size::Dw, R7, PSEUDO, R9);
            self.a.jump(after);
            self.a.bind(next);
        }
    }

    fn ipv6_or_next(&mut self, after: Label) {
        let homes = [
            FieldId::IPV6_SRC,
            FieldId::IPV6_DST,
            FieldId::IPV6_LABEL,
            FieldId::NW_TOS,
            FieldId::NW_TTL,
        ];
        if homes.iter().any(|home| self.changes.has_home(*home)) {
            let next = self.a.label("not_ipv6");
            self.unless_type(&[EtherType::IPV6], next);
            self.ipv6();
            self.a.store(Size::Dw, R7, PSEUDO, R9);
            self.a.jump(after);
            self.a.bind(next);
        }
    }

    fn arp_or_next(&mut self, after: Label) {
        if arp::FIELDS.iter().any(|field| self.changes.has(*field)) {
            self.unless_type(&[EtherType::ARP, EtherType::RARP], after);
            self.arp();
        }
    }

    /// R1 = packet + offset in the state word, with `bytes` accessible from there on. Uses R2, R3.
    fn packet(&mut self, offset: Option<i16>, bytes: i32) {
        frame_key(self.a, self.hook, (offset, bytes), self.failed);
    }
}
