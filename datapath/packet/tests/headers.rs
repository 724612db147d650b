//! Which headers frames have: each rule once, on the frames of the corpus.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;

use aorta_packet::{
    Fragment, Headers, Ip, Network, Rewrite, TransportHeader, internet_checksum, proto,
};

fn frame(name: &str) -> Vec<u8> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/frames");
    fs::read(dir.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn headers(name: &str) -> Headers {
    Headers::parse(&frame(name)).unwrap()
}

fn ip(name: &str) -> Ip {
    match headers(name).network {
        Some(Network::Ip(ip)) => ip,
        other => panic!("{name}: {other:?}"),
    }
}

fn transport(name: &str) -> Option<TransportHeader> {
    ip(name).transport.map(|transport| transport.header)
}

#[test]
fn two_tags_are_read_and_a_third_is_a_type() {
    let two = headers("udp4_qinq");
    assert_eq!(
        two.outer.map(|tag| (tag.tpid, tag.tci.0)),
        Some((0x88a8, 0xf001))
    );
    assert_eq!(two.inner.map(|tag| tag.tci.0), Some(7));
    assert_eq!((two.ethertype, two.network_at()), (0x0800, 22));
    let three = headers("three_tags");
    assert_eq!((three.ethertype, three.network), (0x8100, None));
    let cut = headers("cut_tag");
    assert_eq!((cut.outer, cut.ethertype), (None, 0x8100));
}

#[test]
fn snap_has_a_type_and_other_802_2_has_none() {
    assert_eq!(headers("snap").ethertype, 0x0800);
    assert!(matches!(
        transport("snap"),
        Some(TransportHeader::Udp { dst: 53, .. })
    ));
    assert_eq!(
        (headers("llc").ethertype, headers("llc").network),
        (0x05ff, None)
    );
}

#[test]
fn a_header_that_contradicts_the_bytes_isn_t_there() {
    for name in ["longer_than_it_is", "arp_short", "mpls_cut", "bare_header"] {
        assert_eq!(headers(name).network, None, "{name}");
    }
    let mut bad = frame("tcp4");
    for (at, byte) in [(14, 0x55), (14, 0x44), (14, 0x4f), (16, 0xff)] {
        let good = std::mem::replace(&mut bad[at], byte);
        assert_eq!(
            Headers::parse(&bad).unwrap().network,
            None,
            "{byte:#x} at {at}"
        );
        bad[at] = good;
    }
    // A shorter length hides what is behind it.
    bad[17] = 39;
    let Some(Network::Ip(short)) = Headers::parse(&bad).unwrap().network else {
        panic!("no IPv4");
    };
    assert_eq!((short.proto, short.transport), (proto::TCP, None));
}

#[test]
fn fragments_have_ports_only_at_their_start() {
    assert_eq!(ip("first_fragment").fragment, Fragment::First);
    assert!(transport("first_fragment").is_some());
    assert_eq!(ip("later_fragment").fragment, Fragment::Later);
    assert_eq!(transport("later_fragment"), None);
    assert_eq!(ip("fragment6").fragment, Fragment::First);
    assert!(transport("fragment6").is_some());
    let later = ip("later6");
    assert_eq!(
        (later.fragment, later.proto),
        (Fragment::Later, proto::FRAGMENT)
    );
    assert_eq!(later.transport, None);
}

#[test]
fn extension_headers_are_passed_up_to_six() {
    assert!(matches!(
        transport("udp6_extensions"),
        Some(TransportHeader::Udp { .. })
    ));
    let many = ip("many_extensions");
    assert_eq!((many.proto, many.transport), (proto::DESTINATION, None));
    let cut = ip("cut_extension");
    assert_eq!((cut.proto, cut.transport), (proto::ROUTING, None));
    assert!(ip("routed6").source_routed && !ip("udp6_extensions").source_routed);
}

#[test]
fn neighbours_have_target_and_links_if_all_is_well_formed() {
    let neighbour = |name: &str| match transport(name) {
        Some(TransportHeader::Icmpv6 { neighbour, .. }) => neighbour,
        other => panic!("{name}: {other:?}"),
    };
    let solicit = neighbour("solicit").unwrap();
    assert_eq!(solicit.target & 0xffff, 2);
    assert_eq!(solicit.source_link.map(|link| link.0.0[5]), Some(1));
    assert_eq!(solicit.target_link, None);
    assert_eq!(
        neighbour("advert")
            .unwrap()
            .target_link
            .map(|link| link.0.0[5]),
        Some(2)
    );
    assert_eq!(neighbour("solicit_bad_option"), None);
}

/// The sum of a frame's transport and its pseudo header: 0 if its checksum is right.
fn transport_sum(frame: &[u8]) -> u16 {
    let Some(Network::Ip(ip)) = Headers::parse(frame).unwrap().network else {
        panic!("no IP");
    };
    let carried = ip.transport.unwrap();
    let bytes = &frame[carried.at..carried.end];
    let mut pseudo = [ip.src.to_be_bytes(), ip.dst.to_be_bytes()].concat();
    pseudo.extend([0, ip.proto]);
    pseudo.extend((bytes.len() as u16).to_be_bytes());
    internet_checksum(&[&pseudo, bytes].concat())
}

#[test]
fn a_wrong_checksum_stays_as_wrong_and_none_stays_none() {
    let rewritten = |name: &str| {
        let frame = frame(name);
        let mut to = Rewrite::new(&frame, &headers(name));
        to.set_ip_src(0x0909_0909);
        to.set_transport_dst(99);
        to.finish()
    };
    let wrong = transport_sum(&frame("udp4_wrong_sum"));
    assert_ne!(wrong, 0);
    assert_eq!(transport_sum(&rewritten("udp4_wrong_sum")), wrong);
    assert_eq!(rewritten("udp4_no_sum")[40..42], [0, 0]);
    assert_eq!(transport_sum(&rewritten("udp4_qinq")), 0);
}

#[test]
fn checksums_behind_a_routing_header_are_about_the_last_destination() {
    let frame = frame("routed6");
    let before = transport_sum(&frame);
    let mut to = Rewrite::new(&frame, &headers("routed6"));
    to.set_ip_dst(1);
    let moved = to.finish();
    assert_eq!(moved[moved.len() - 12..], frame[frame.len() - 12..]);
    assert_ne!(transport_sum(&moved), before);
}
