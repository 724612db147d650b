//! Packets between their fields and their bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bytes;

use aorta_flow::OfPort;
use aorta_flow::field::FieldId;
use aorta_flow::text::NoNames;
use aorta_flow::translate::Packet;
use aorta_packet::{Headers, Network, TPID_8021AD, TransportHeader, crc32c, internet_checksum};
use bytes::{ethernet, tagged, udp};

/// Packets of each kind, by their fields.
const KINDS: &[&str] = &[
    "in_port=3,dl_type=0x1234,dl_src=02:00:00:00:00:01",
    "in_port=3,dl_vlan=5,dl_vlan_pcp=3,arp,arp_op=2,arp_spa=10.0.0.1,arp_tpa=10.0.0.2,\
     arp_sha=02:00:00:00:00:01,arp_tha=02:00:00:00:00:02",
    "mpls,mpls_label=77,mpls_tc=3,mpls_ttl=9,mpls_bos=1",
    "tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_tos=44,nw_ecn=2,nw_ttl=9,tcp_src=1,tcp_dst=2,\
     tcp_flags=0x12",
    "udp,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=9,udp_src=1,udp_dst=2,nw_frag=first",
    "udp,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=9,nw_frag=later",
    "icmp,nw_src=10.0.0.1,nw_dst=10.0.0.2,icmp_type=8,icmp_code=0",
    "sctp,nw_src=10.0.0.1,nw_dst=10.0.0.2,sctp_src=1,sctp_dst=2",
    "ip,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_proto=89",
    "tcp6,ipv6_src=fd00::1,ipv6_dst=fd00::2,ipv6_label=0x12345,nw_tos=44,nw_ttl=9,tcp_src=1,\
     tcp_dst=2",
    "udp6,ipv6_src=fd00::1,ipv6_dst=fd00::2,udp_src=1,udp_dst=2,nw_frag=first",
    "icmp6,ipv6_src=fd00::1,ipv6_dst=fd00::2,icmpv6_type=135,icmpv6_code=0,nd_target=fd00::3,\
     nd_sll=02:00:00:00:00:01",
    "icmp6,ipv6_src=fd00::1,ipv6_dst=fd00::2,icmpv6_type=136,icmpv6_code=0,nd_target=fd00::3,\
     nd_tll=02:00:00:00:00:01",
];

/// Changes of every field that can be changed, with a packet that has it.
const CHANGES: &[(&str, FieldId, u128)] = &[
    (KINDS[0], FieldId::ETH_SRC, 0x0200_0000_0009),
    (KINDS[0], FieldId::ETH_DST, 0x0200_0000_0009),
    (KINDS[1], FieldId::ARP_OP, 1),
    (KINDS[1], FieldId::ARP_SPA, 5),
    (KINDS[1], FieldId::ARP_TPA, 5),
    (KINDS[1], FieldId::ARP_SHA, 5),
    (KINDS[1], FieldId::ARP_THA, 5),
    (KINDS[1], FieldId::VLAN_PCP, 6),
    (KINDS[2], FieldId::MPLS_LABEL, 78),
    (KINDS[2], FieldId::MPLS_TC, 1),
    (KINDS[2], FieldId::MPLS_TTL, 1),
    (KINDS[3], FieldId::IP_SRC, 0xffff_ffff),
    (KINDS[3], FieldId::IP_DST, 0),
    (KINDS[3], FieldId::IP_DSCP, 46),
    (KINDS[3], FieldId::NW_ECN, 3),
    (KINDS[3], FieldId::NW_TTL, 200),
    (KINDS[3], FieldId::TCP_SRC, 0xffff),
    (KINDS[3], FieldId::TCP_DST, 0),
    (KINDS[4], FieldId::IP_SRC, 7),
    (KINDS[4], FieldId::UDP_DST, 9),
    (KINDS[5], FieldId::IP_SRC, 7),
    (KINDS[6], FieldId::ICMP_TYPE, 13),
    (KINDS[6], FieldId::ICMP_CODE, 3),
    (KINDS[6], FieldId::IP_DST, 7),
    (KINDS[7], FieldId::SCTP_SRC, 7),
    (KINDS[7], FieldId::IP_SRC, 7),
    (KINDS[9], FieldId::IPV6_SRC, u128::MAX),
    (KINDS[9], FieldId::IPV6_DST, 1),
    (KINDS[9], FieldId::IPV6_LABEL, 0xf_ffff),
    (KINDS[9], FieldId::IP_DSCP, 0),
    (KINDS[9], FieldId::NW_ECN, 1),
    (KINDS[9], FieldId::NW_TTL, 1),
    (KINDS[9], FieldId::TCP_DST, 99),
    (KINDS[10], FieldId::IPV6_DST, 1),
    (KINDS[11], FieldId::ND_TARGET, 5),
    (KINDS[11], FieldId::ND_SLL, 5),
    (KINDS[11], FieldId::IPV6_SRC, 5),
    (KINDS[11], FieldId::ICMPV6_TYPE, 1),
    (KINDS[12], FieldId::ND_TLL, 5),
];

fn packet(fields: &str) -> Packet {
    match Packet::from_text(fields, &NoNames) {
        Ok(packet) => packet,
        Err(e) => panic!("{}", e.render(fields)),
    }
}

/// The packet as it is read from its own bytes.
fn read_again(packet: &Packet) -> Packet {
    let in_port = OfPort(packet.key.get(FieldId::IN_PORT) as u16);
    Packet::from_frame(&packet.frame().unwrap(), in_port).unwrap()
}

/// Asserts that all checksums of a frame are right, and tells how many there were.
fn check_sums(frame: &[u8]) -> usize {
    let headers = Headers::parse(frame).unwrap();
    let Some(Network::Ip(ip)) = &headers.network else {
        return 0;
    };
    let mut checked = 0;
    if !ip.v6 {
        let start = headers.network_at();
        assert_eq!(internet_checksum(&frame[start..start + 20]), 0, "IPv4");
        checked += 1;
    }
    let Some(transport) = &ip.transport else {
        return checked;
    };
    let carried = &frame[transport.at..transport.end];
    let (src, dst) = (ip.src.to_be_bytes(), ip.dst.to_be_bytes());
    let proto = u16::from(ip.proto).to_be_bytes();
    let len = (carried.len() as u16).to_be_bytes();
    let pseudo = match transport.header {
        TransportHeader::Sctp { .. } => {
            let sum = u32::from_le_bytes(carried[8..12].try_into().unwrap());
            let rest = [&carried[..8], &[0; 4], &carried[12..]].concat();
            assert_eq!(sum, crc32c(rest), "SCTP");
            return checked + 1;
        }
        TransportHeader::Icmp { .. } => Vec::new(),
        _ => [&src[..], &dst, &proto, &len].concat(),
    };
    assert_eq!(
        internet_checksum(&[&pseudo, carried].concat()),
        0,
        "{:?}",
        transport.header
    );
    checked + 1
}

#[test]
fn bytes_say_the_fields_they_were_made_of() {
    for kind in KINDS {
        let made = packet(kind);
        let read = read_again(&made);
        assert_eq!(read.key, made.key, "{kind}");
        check_sums(&made.frame().unwrap());
    }
}

#[test]
fn each_change_is_read_back_and_checksums_follow() {
    let mut checked = 0;
    for (kind, field, value) in CHANGES {
        let mut changed = packet(kind);
        let before = changed.frame().unwrap();
        assert_ne!(changed.key.get(*field), *value, "{kind}: {field}");
        assert!(changed.set(*field, *value, u128::MAX), "{kind}: {field}");
        let frame = changed.frame().unwrap();
        assert_eq!(frame.len(), before.len());
        let read = read_again(&changed);
        // Another type of ICMPv6 has no target any more.
        if *field != FieldId::ICMPV6_TYPE {
            assert_eq!(read.key, changed.key, "{kind}: {field}");
        }
        checked += check_sums(&frame);
    }
    assert!(checked > 30, "{checked}");
}

#[test]
fn what_has_no_place_in_the_bytes_stays_in_the_fields() {
    let mut later = packet(KINDS[5]);
    let before = later.frame().unwrap();
    assert!(later.set(FieldId::UDP_DST, 9, u128::MAX));
    assert_eq!(
        (later.key.get(FieldId::UDP_DST), later.frame().unwrap()),
        (9, before)
    );
    // An IPv4 header of a wrong version.
    let bad = ethernet(0x0800, &[0x55; 40]);
    let mut bad_packet = Packet::from_frame(&bad, OfPort(1)).unwrap();
    assert_eq!(bad_packet.key.get(FieldId::IP_SRC), 0);
    assert!(bad_packet.set(FieldId::IP_SRC, 5, u128::MAX));
    assert_eq!(bad_packet.frame().unwrap(), bad);
    // An operation over 255 is no field's value.
    let mut arp = packet(KINDS[1]).frame().unwrap();
    arp[24] = 0x77;
    let mut strange = Packet::from_frame(&arp, OfPort(1)).unwrap();
    assert_eq!(strange.key.get(FieldId::ARP_OP), 0);
    assert_eq!(strange.frame().unwrap(), arp);
    strange.set(FieldId::ARP_OP, 3, u128::MAX);
    assert_eq!(strange.frame().unwrap()[24..26], [0, 3]);
}

#[test]
fn tags_come_and_go_with_their_protocols_and_drop_eligibility() {
    let plain = udp(1, 2, b"x");
    let inner = tagged(0x8100, 0x7005, &plain);
    let frame = tagged(TPID_8021AD, 0xf009, &inner);
    let mut packet = Packet::from_frame(&frame, OfPort(1)).unwrap();
    assert_eq!(packet.key.get(FieldId::VLAN_TCI), 0xf009);
    assert_eq!(packet.frame().unwrap(), frame);
    packet.set_vlan(FieldId::DL_VLAN, 3);
    assert_eq!(packet.frame().unwrap(), tagged(TPID_8021AD, 0xf003, &inner));
    packet.push_vlan(0x8100);
    assert_eq!(packet.len_bytes() as usize, frame.len() + 4);
    let three = tagged(0x8100, 0, &tagged(TPID_8021AD, 0xf003, &inner));
    assert_eq!(packet.frame().unwrap(), three);
    packet.pop_vlan();
    packet.pop_vlan();
    assert_eq!(packet.frame().unwrap(), inner);
    packet.pop_vlan();
    packet.pop_vlan();
    assert_eq!(packet.frame().unwrap(), plain);
    // A third tag is no tag, but a type.
    let three = Packet::from_frame(&three, OfPort(1)).unwrap();
    assert_eq!(three.key.get(FieldId::ETH_TYPE), 0x8100);
    // Without the outer one there is none, whatever is behind.
    let mut without = Packet::from_frame(&frame, OfPort(1)).unwrap();
    without.set(FieldId::VLAN_TCI, 0, u128::MAX);
    assert_eq!(without.frame().unwrap(), plain);
    assert_eq!(without.len_bytes() as usize, plain.len());
}

#[test]
fn labels_come_and_go_and_what_is_under_them_is_read() {
    let plain = tagged(0x8100, 5, &udp(1, 2, b"x"));
    let mut packet = Packet::from_frame(&plain, OfPort(1)).unwrap();
    packet.set(FieldId::NW_TTL, 63, u128::MAX);
    packet.push_mpls(0x8847);
    packet.set(FieldId::MPLS_LABEL, 99, u128::MAX);
    packet.push_mpls(0x8848);
    let frame = packet.frame().unwrap();
    assert_eq!(frame.len(), plain.len() + 8);
    // Behind the tag: type, label 99 twice, of which the second is the last.
    assert_eq!(frame[16..26], [0x88, 0x48, 0, 6, 0x30, 63, 0, 6, 0x31, 63]);
    assert_eq!(packet.key.get(FieldId::IP_SRC), 0);
    packet.pop_mpls(0x8847);
    packet.pop_mpls(0x0800);
    assert_eq!(packet.key.get(FieldId::NW_TTL), 63);
    assert_eq!(packet.key.get(FieldId::UDP_DST), 2);
    assert_eq!(packet.len_bytes() as usize, plain.len());
    check_sums(&packet.frame().unwrap());
    // A label that it came with.
    let came = Packet::from_frame(&frame, OfPort(1)).unwrap();
    let mut came = came.clone();
    came.pop_mpls(0x8847);
    came.pop_mpls(0x0800);
    assert_eq!(came.key, packet.key);
}
