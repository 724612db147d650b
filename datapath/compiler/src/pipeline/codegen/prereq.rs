//! Which packets have a field, asked at run time.

use aorta_ebpf::{Assembler, Cond, Label, Reg, Size};
use aorta_flow::field::{EtherType, FieldId, IpProto, Prereq};

use super::key;

use Reg::{R1, R7};

/// ICMPv6 types of neighbour discovery (RFC 4861 §4.3, §4.4).
const ND_SOLICIT: i32 = 135;
const ND_ADVERT: i32 = 136;
/// Bit of `vlan_tci` that says that there is a tag.
const TAGGED: i32 = 0x1000;
/// Bit of `ct_state` that says that the packet went through connection tracking.
const TRACKED: i32 = 0x20;

/// Goes to `without` unless the packet meets a prerequisite. Uses R1.
pub fn emit(a: &mut Assembler, prereq: Prereq, without: Label) {
    use EtherType as E;
    const IP: &[u16] = &[E::IPV4, E::IPV6];
    match prereq {
        // Everything has an Ethernet header.
        Prereq::None | Prereq::Ethernet => {}
        Prereq::Vlan => unless_set(a, FieldId::VLAN_TCI, TAGGED, without),
        Prereq::Arp => unless_type(a, &[E::ARP, E::RARP], without),
        Prereq::Ipv4 => unless_type(a, &[E::IPV4], without),
        Prereq::Ipv6 => unless_type(a, &[E::IPV6], without),
        Prereq::Ip => unless_type(a, IP, without),
        Prereq::Mpls => unless_type(a, &[E::MPLS, E::MPLS_MULTICAST], without),
        Prereq::Nsh => unless_type(a, &[E::NSH], without),
        Prereq::Tcp => unless_proto(a, IP, IpProto::TCP, without),
        Prereq::Udp => unless_proto(a, IP, IpProto::UDP, without),
        Prereq::Sctp => unless_proto(a, IP, IpProto::SCTP, without),
        Prereq::Icmpv4 => unless_proto(a, &[E::IPV4], IpProto::ICMP, without),
        Prereq::Icmpv6 => unless_proto(a, &[E::IPV6], IpProto::ICMPV6, without),
        Prereq::Nd => unless_nd(a, &[ND_SOLICIT, ND_ADVERT], without),
        Prereq::NdSolicit => unless_nd(a, &[ND_SOLICIT], without),
        Prereq::NdAdvert => unless_nd(a, &[ND_ADVERT], without),
        Prereq::Ct | Prereq::CtIpv4 | Prereq::CtIpv6 => {
            let types: &[u16] = match prereq {
                Prereq::CtIpv4 => &[E::IPV4],
                Prereq::CtIpv6 => &[E::IPV6],
                _ => IP,
            };
            unless_type(a, types, without);
            unless_set(a, FieldId::CT_STATE, TRACKED, without);
        }
    }
}

/// Goes to `without` unless the packet is of TCP, UDP or SCTP.
pub fn emit_any_ports(a: &mut Assembler, without: Label) {
    unless_type(a, &[EtherType::IPV4, EtherType::IPV6], without);
    let protos = [IpProto::TCP, IpProto::UDP, IpProto::SCTP];
    a.load(Size::W, R1, R7, key(FieldId::NW_PROTO));
    unless_any(a, &protos.map(i32::from), without);
}

fn unless_set(a: &mut Assembler, field: FieldId, bit: i32, without: Label) {
    let set = a.label("set");
    a.load(Size::W, R1, R7, key(field));
    a.jump_if(Cond::Set, R1, bit, set);
    a.jump(without);
    a.bind(set);
}

fn unless_type(a: &mut Assembler, types: &[u16], without: Label) {
    let types: Vec<i32> = types.iter().copied().map(i32::from).collect();
    a.load(Size::W, R1, R7, key(FieldId::ETH_TYPE));
    unless_any(a, &types, without);
}

/// Goes to `without` unless R1 is one of these.
fn unless_any(a: &mut Assembler, values: &[i32], without: Label) {
    let Some((last, before)) = values.split_last() else {
        return;
    };
    let one = a.label("one_of_them");
    for value in before {
        a.jump_if(Cond::Eq, R1, *value, one);
    }
    a.jump_if(Cond::Ne, R1, *last, without);
    a.bind(one);
}

fn unless_proto(a: &mut Assembler, types: &[u16], proto: u8, without: Label) {
    unless_type(a, types, without);
    a.load(Size::W, R1, R7, key(FieldId::NW_PROTO));
    a.jump_if(Cond::Ne, R1, i32::from(proto), without);
}

fn unless_nd(a: &mut Assembler, types: &[i32], without: Label) {
    unless_proto(a, &[EtherType::IPV6], IpProto::ICMPV6, without);
    a.load(Size::W, R1, R7, key(FieldId::TCP_SRC));
    a.and(R1, 0xff);
    unless_any(a, types, without);
    a.load(Size::W, R1, R7, key(FieldId::TCP_DST));
    a.and(R1, 0xff);
    a.jump_if(Cond::Ne, R1, 0, without);
}
