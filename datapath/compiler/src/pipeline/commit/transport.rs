//! Transport headers: ports, types and codes, and the checksums that cover addresses too.

use aorta_ebpf::{Assembler, Cond, Label, Reg, Size};
use aorta_flow::field::{EtherType, FieldId, IpProto};

use super::emit::{MARK_MANGLED_0, PSEUDO, PSEUDO_HDR, fold32, forget, key, not32};
use super::{Emitter, dirty};
use crate::pipeline::layout::state;

use Reg::{R1, R2, R3, R4, R7, R8, R9};

/// A protocol with a checksum that the kernel's helper knows.
#[derive(Clone, Copy)]
struct Protocol {
    number: u8,
    checksum: i32,
    flags: i32,
}

const TCP: Protocol = Protocol {
    number: IpProto::TCP,
    checksum: 16,
    flags: 0,
};
const UDP: Protocol = Protocol {
    number: IpProto::UDP,
    checksum: 6,
    flags: MARK_MANGLED_0,
};
const ICMP: Protocol = Protocol {
    number: IpProto::ICMP,
    checksum: 2,
    flags: 0,
};
const ICMPV6: Protocol = Protocol {
    number: IpProto::ICMPV6,
    ..ICMP
};

impl Emitter<'_> {
    /// The checksum's part of changed addresses, then what stands in the header itself.
    pub(super) fn transport(&mut self) {
        let addresses = [
            FieldId::IP_SRC,
            FieldId::IP_DST,
            FieldId::IPV6_SRC,
            FieldId::IPV6_DST,
        ];
        let addresses = addresses.iter().any(|field| self.changes.has(*field));
        let header = self.changes.in_groups(dirty::TRANSPORT);
        if !addresses && !header {
            return;
        }
        let after = self.a.label("transport_done");
        self.a.load(Size::W, R1, R7, state::L4);
        self.a.jump_if(Cond::Eq, R1, 0, after);
        if addresses {
            self.pseudo_header();
        }
        if header {
            self.header(after);
        }
        self.a.bind(after);
        forget(self.a);
    }

    /// Brings the checksum on by PSEUDO.
    fn pseudo_header(&mut self) {
        let after = self.a.label("pseudo_header_done");
        self.a.load(Size::Dw, R9, R7, PSEUDO);
        self.a.jump_if(Cond::Eq, R9, 0, after);
        fold32(self.a, R9, R1);
        let mut protocols = vec![TCP, UDP];
        if self.changes.has(FieldId::IPV6_SRC) || self.changes.has(FieldId::IPV6_DST) {
            protocols.push(ICMPV6);
        }
        for protocol in protocols {
            let other = self.a.label("other_protocol");
            unless_protocol(self.a, protocol.number, other);
            self.checksum(protocol.checksum, R9, PSEUDO_HDR | protocol.flags);
            self.a.jump(after);
            self.a.bind(other);
        }
        self.a.bind(after);
        forget(self.a);
    }

    fn header(&mut self, after: Label) {
        self.unless_dirty(dirty::TRANSPORT, after);
        let icmp = [
            (
                ICMP,
                EtherType::IPV4,
                FieldId::ICMP_TYPE,
                FieldId::ICMP_CODE,
            ),
            (
                ICMPV6,
                EtherType::IPV6,
                FieldId::ICMPV6_TYPE,
                FieldId::ICMPV6_CODE,
            ),
        ];
        for (protocol, ethertype, kind, code) in icmp {
            if self.changes.has(kind) || self.changes.has(code) {
                let other = self.a.label("other_protocol");
                unless_protocol(self.a, protocol.number, other);
                self.unless_type(&[ethertype], other);
                self.type_and_code(protocol, after);
                self.a.jump(after);
                self.a.bind(other);
            }
        }
        for (protocol, names) in [
            (TCP, [FieldId::TCP_SRC, FieldId::TCP_DST]),
            (UDP, [FieldId::UDP_SRC, FieldId::UDP_DST]),
        ] {
            // The older names of the ports are TCP's, and mean all protocols.
            let tcp = [FieldId::TCP_SRC, FieldId::TCP_DST];
            if names.iter().chain(&tcp).any(|f| self.changes.has(*f)) {
                let other = self.a.label("other_protocol");
                unless_protocol(self.a, protocol.number, other);
                self.ports(protocol, after);
                self.a.jump(after);
                self.a.bind(other);
            }
        }
        self.sctp(after);
    }

    fn ports(&mut self, protocol: Protocol, after: Label) {
        self.packet(Some(state::L4), 4);
        let a = &mut *self.a;
        a.load(Size::W, R3, R7, key(FieldId::TCP_SRC));
        a.be16(R3);
        a.load(Size::W, R4, R7, key(FieldId::TCP_DST));
        a.be16(R4);
        a.lsh(R4, 16);
        a.or(R3, R4);
        self.replace(Size::W, protocol, after);
    }

    fn type_and_code(&mut self, protocol: Protocol, after: Label) {
        self.packet(Some(state::L4), 2);
        let a = &mut *self.a;
        a.load(Size::W, R3, R7, key(FieldId::TCP_SRC));
        a.and(R3, 0xff);
        a.load(Size::W, R4, R7, key(FieldId::TCP_DST));
        a.and(R4, 0xff);
        a.lsh(R4, 8);
        a.or(R3, R4);
        self.replace(Size::H, protocol, after);
    }

    /// Writes R3 to the begin of the header at R1 and brings the checksum on by the difference.
    fn replace(&mut self, size: Size, protocol: Protocol, after: Label) {
        let a = &mut *self.a;
        a.load(size, R2, R1, 0);
        a.jump_if(Cond::Eq, R2, R3, after);
        a.store(size, R1, 0, R3);
        a.mov(R8, R3);
        not32(a, R2);
        a.add(R8, R2);
        fold32(a, R8, R1);
        self.checksum(protocol.checksum, R8, protocol.flags);
    }
}

/// Skips to `other` unless the packet has this protocol. Uses R1.
pub(super) fn unless_protocol(a: &mut Assembler, number: u8, other: Label) {
    a.load(Size::W, R1, R7, key(FieldId::NW_PROTO));
    a.jump_if(Cond::Ne, R1, i32::from(number), other);
}
