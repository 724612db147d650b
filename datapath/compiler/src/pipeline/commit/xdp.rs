//! What XDP programs change in frames. Helpers that know checksums aren't there, nor tags beside
//! frames: checksums are brought on here, which are all in the frame, and tags are made room for at
//! the frame's head. Whatever can't be done is found out before the first byte is changed.

use aorta_ebpf::{AluOp, Assembler, Cond, Helper, Label, Reg, Size, Width};
use aorta_flow::field::{FieldId, IpProto};

use super::emit::{PSEUDO, fold16, fold32, forget, key, not32};
use super::tags::{HAS, MAX_TAGS, WANTED, complete, hide, slot};
use super::transport::unless_protocol;
use super::{Changes, Emitter, dirty};
use crate::pipeline::Hook;
use crate::pipeline::layout::{state, vlan};
use crate::xdp;

use Reg::{R0, R1, R2, R3, R4, R6, R7, R8, R9};

const KEY: i16 = state::KEY;
const TAG_BYTES: i16 = 4;
/// Both addresses of an Ethernet header.
const ADDRESSES_BYTES: i16 = 12;
/// In the commit's space: these addresses.
const ADDRESSES: i16 = state::COMMIT_AT;
const IPV6_HEADER_BYTES: i32 = 40;
const IPV6_HOP_LIMIT: i16 = 7;
/// Bits of IPv6's first word that are the traffic class.
const IPV6_CLASS: i32 = 0x0ff0_0000;
const IPV6_CLASS_SHIFT: i32 = 20;

/// Number, bytes of the header, and offset of the checksum.
const TCP: (u8, i32, i16) = (IpProto::TCP, 20, 16);
const UDP: (u8, i32, i16) = (IpProto::UDP, 8, 6);

/// Where an XDP commit goes if it can't be done.
#[derive(Clone, Copy, Debug)]
pub struct XdpExits {
    /// Nothing has been changed.
    pub pass: Label,
    /// What was read before can't be read any more, which can't be.
    pub broken: Label,
}

/// [`state::LEAVING_LEN`] = length of the frame as it is to be, without its outer tag. R7 is the
/// state; uses R1 to R3, R8, R9.
pub fn emit_length(a: &mut Assembler, changes: &Changes) {
    let known = a.label("length_known");
    a.load(Size::W, R1, R7, state::BARE_LEN);
    a.store(Size::W, R7, state::LEAVING_LEN, R1);
    if !changes.tags() {
        return a.bind(known);
    }
    let untagged = a.label("leaves_untagged");
    a.load(Size::Dw, R1, R7, state::DIRTY);
    a.and(R1, dirty::VLAN);
    a.jump_if(Cond::Eq, R1, 0, known);
    complete(a, KEY, R8);
    hide(a, WANTED, R8);
    complete(a, state::BASE, R9);
    hide(a, HAS, R9);
    a.load(Size::W, R1, R7, state::LEN);
    a.lsh(R9, 2);
    a.sub(R1, R9);
    a.jump_if(Cond::Eq, R8, 0, untagged);
    a.sub(R8, 1);
    a.lsh(R8, 2);
    a.add(R1, R8);
    a.bind(untagged);
    a.store(Size::W, R7, state::LEAVING_LEN, R1);
    a.bind(known);
    forget(a);
}

/// Brings the frame to what the key says, and falls through. [`emit_length`] comes before. Keeps
/// R6 and R7 alone.
pub fn emit(a: &mut Assembler, changes: &Changes, exits: XdpExits) {
    let mut e = Emitter {
        a,
        changes,
        hook: Hook::Xdp,
        failed: exits.broken,
    };
    e.refuse_transport(exits.pass);
    if changes.tags() {
        e.tags_in_band(exits.pass);
    }
    e.ethernet();
    e.layers_in_band();
    e.transport_in_band();
}

impl Emitter<'_> {
    /// Ports of SCTP are covered by a checksum over all of the packet.
    fn refuse_transport(&mut self, pass: Label) {
        if !self.changes.in_groups(dirty::TRANSPORT) {
            return;
        }
        let known = self.a.label("known_transport");
        self.unless_dirty(dirty::TRANSPORT, known);
        let a = &mut *self.a;
        a.load(Size::W, R1, R7, state::L4);
        a.jump_if(Cond::Eq, R1, 0, known);
        a.load(Size::W, R1, R7, key(FieldId::NW_PROTO));
        for (number, ..) in [TCP, UDP] {
            a.jump_if(Cond::Eq, R1, i32::from(number), known);
        }
        a.jump(pass);
        a.bind(known);
    }

    /// Moves the addresses, and writes the tags anew.
    fn tags_in_band(&mut self, pass: Label) {
        let [after, moved] = ["tags_done", "head_moved"].map(|name| self.a.label(name));
        self.unless_dirty(dirty::VLAN, after);
        self.packet(None, ADDRESSES_BYTES.into());
        let a = &mut *self.a;
        a.load(Size::Dw, R2, R1, 0);
        a.store(Size::Dw, R7, ADDRESSES, R2);
        a.load(Size::W, R2, R1, 8);
        a.store(Size::W, R7, ADDRESSES + 8, R2);
        a.load(Size::W, R2, R7, HAS);
        a.load(Size::W, R1, R7, WANTED);
        a.sub(R2, R1);
        a.jump_if(Cond::Eq, R2, 0, moved);
        a.lsh(R2, 2);
        a.mov(R1, R6);
        a.call(Helper::XdpAdjustHead);
        a.jump_if(Cond::Ne, R0, 0, pass);
        a.bind(moved);
        self.write_head();
        self.headers_follow();
        self.a.bind(after);
        forget(self.a);
    }

    /// Addresses and tags, the outermost first.
    fn write_head(&mut self) {
        let written = self.a.label("tags_written");
        self.packet(None, ADDRESSES_BYTES.into());
        let a = &mut *self.a;
        a.load(Size::Dw, R2, R7, ADDRESSES);
        a.store(Size::Dw, R1, 0, R2);
        a.load(Size::W, R2, R7, ADDRESSES + 8);
        a.store(Size::W, R1, 8, R2);
        a.load(Size::W, R8, R7, WANTED);
        for number in 0..MAX_TAGS as i16 {
            let a = &mut *self.a;
            a.jump_if(Cond::Eq, R8, 0, written);
            a.sub(R8, 1);
            slot(a, R4, R8);
            a.load(Size::W, R4, R4, KEY + vlan::INNER);
            a.be32(R4);
            let at = ADDRESSES_BYTES + TAG_BYTES * number;
            self.packet(None, (at + TAG_BYTES).into());
            self.a.store(Size::W, R1, at, R4);
        }
        self.a.bind(written);
    }

    /// Headers behind the tags are elsewhere now.
    fn headers_follow(&mut self) {
        let a = &mut *self.a;
        a.load(Size::W, R1, R7, WANTED);
        a.load(Size::W, R2, R7, HAS);
        a.sub(R1, R2);
        a.lsh(R1, 2);
        for header in [state::L3, state::L4] {
            let none = a.label("no_header");
            a.load(Size::W, R2, R7, header);
            a.jump_if(Cond::Eq, R2, 0, none);
            a.add(R2, R1);
            a.store(Size::W, R7, header, R2);
            a.bind(none);
        }
    }

    /// The network layer; leaves in PSEUDO by how much the sum of a transport's pseudo header changed.
    fn layers_in_band(&mut self) {
        let a = &mut *self.a;
        a.mov(R9, 0);
        a.store(Size::Dw, R7, PSEUDO, R9);
        if !self.changes.in_groups(dirty::NETWORK) {
            return;
        }
        let after = self.a.label("network_done");
        self.unless_dirty(dirty::NETWORK, after);
        self.a.load(Size::W, R1, R7, state::L3);
        self.a.jump_if(Cond::Eq, R1, 0, after);
        self.ipv4_or_next(after);
        self.ipv6_in_band(after);
        self.a.bind(after);
        forget(self.a);
    }

    fn ipv6_in_band(&mut self, after: Label) {
        let class = self.changes.has_home(FieldId::NW_TOS);
        let hops = self.changes.has_home(FieldId::NW_TTL);
        if !class && !hops {
            return;
        }
        self.unless_type(&[aorta_flow::field::EtherType::IPV6], after);
        self.packet(Some(state::L3), IPV6_HEADER_BYTES);
        let a = &mut *self.a;
        if class {
            a.load(Size::W, R3, R1, 0);
            a.be32(R3);
            a.and(R3, !IPV6_CLASS);
            a.load(Size::W, R4, R7, key(FieldId::NW_TOS));
            a.and(R4, 0xff);
            a.lsh(R4, IPV6_CLASS_SHIFT);
            a.or(R3, R4);
            a.be32(R3);
            a.store(Size::W, R1, 0, R3);
        }
        if hops {
            a.load(Size::W, R3, R7, key(FieldId::NW_TTL));
            a.store(Size::B, R1, IPV6_HOP_LIMIT, R3);
        }
    }

    /// Ports, and the checksum, by what they and the pseudo header change.
    fn transport_in_band(&mut self) {
        let addresses = self.changes.has(FieldId::IP_SRC) || self.changes.has(FieldId::IP_DST);
        let ports = self.changes.in_groups(dirty::TRANSPORT);
        if !addresses && !ports {
            return;
        }
        let after = self.a.label("transport_done");
        let a = &mut *self.a;
        a.load(Size::W, R1, R7, state::L4);
        a.jump_if(Cond::Eq, R1, 0, after);
        a.load(Size::Dw, R9, R7, PSEUDO);
        fold32(a, R9, R1);
        for protocol in [TCP, UDP] {
            let other = self.a.label("other_protocol");
            unless_protocol(self.a, protocol.0, other);
            self.protocol_in_band(protocol, ports, after);
            self.a.jump(after);
            self.a.bind(other);
        }
        self.a.bind(after);
        forget(self.a);
    }

    /// R9 is by how much the sum changes, apart from the ports.
    fn protocol_in_band(&mut self, (number, bytes, at): (u8, i32, i16), ports: bool, after: Label) {
        self.packet(Some(state::L4), bytes);
        let a = &mut *self.a;
        if ports {
            let same = a.label("same_ports");
            a.load(Size::W, R3, R7, key(FieldId::TCP_SRC));
            a.be16(R3);
            a.load(Size::W, R4, R7, key(FieldId::TCP_DST));
            a.be16(R4);
            a.lsh(R4, 16);
            a.or(R3, R4);
            a.load(Size::W, R2, R1, 0);
            a.jump_if(Cond::Eq, R2, R3, same);
            a.store(Size::W, R1, 0, R3);
            a.add(R9, R3);
            not32(a, R2);
            a.add(R9, R2);
            a.bind(same);
        }
        a.jump_if(Cond::Eq, R9, 0, after);
        a.load(Size::H, R2, R1, at);
        let udp = number == UDP.0;
        if udp {
            // There is none.
            a.jump_if(Cond::Eq, R2, 0, after);
        }
        a.alu(AluOp::Xor, Width::W32, R2, 0xffff);
        a.add(R2, R9);
        fold32(a, R2, R3);
        fold16(a, R2, R3);
        a.alu(AluOp::Xor, Width::W32, R2, 0xffff);
        if udp {
            let some = a.label("some_checksum");
            a.jump_if(Cond::Ne, R2, 0, some);
            a.mov(R2, 0xffff);
            a.bind(some);
        }
        a.store(Size::H, R1, at, R2);
    }
}

/// Ends the program: the frame is lost.
pub fn emit_broken(a: &mut Assembler) {
    a.mov(R0, xdp::DROP);
    a.exit();
}
