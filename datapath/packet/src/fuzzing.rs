//! Entry points for fuzzers: each takes any bytes and panics only on a defect.

use crate::{
    ETHERTYPE_MPLS, Headers, Label, MacAddr, Network, Rewrite, TransportHeader, VlanTag, pop_label,
    push_label,
};

/// Reads the bytes as a frame. What is read must lie in it; written again it must be the same;
/// other values must be read as they were written; cut anywhere it must still be readable.
pub fn parse_frame(frame: &[u8]) {
    let Ok(headers) = Headers::parse(frame) else {
        assert!(frame.len() < 14);
        return;
    };
    let tags: Vec<VlanTag> = [headers.outer, headers.inner]
        .into_iter()
        .flatten()
        .collect();
    let same = Rewrite::new(frame, &headers).with_tags(&tags);
    assert_eq!(same, frame, "tags put back");
    assert_eq!(
        rewritten(frame, &headers, 0),
        frame,
        "written as it was read"
    );
    let other = rewritten(frame, &headers, 0x5a);
    assert_eq!(other.len(), frame.len());
    // A checksum may come back in the other form of 0.
    let back = Headers::parse(&rewritten(&other, &headers, 0));
    assert_eq!(back.as_ref(), Ok(&headers), "changed and back");
    let label = Label::from_bits(0x1234_5678);
    let pushed = push_label(frame, &headers, ETHERTYPE_MPLS, label);
    let read = Headers::parse(&pushed).map(|headers| headers.network);
    assert_eq!(read, Ok(Some(Network::Mpls(label))), "pushed label");
    if let Ok(under) = Headers::parse(&pushed) {
        let popped = pop_label(&pushed, &under, 0);
        assert_eq!(popped.len(), frame.len());
        assert_eq!(
            popped[headers.network_at()..],
            frame[headers.network_at()..]
        );
    }
    for len in [frame.len() / 2, frame.len() - 1] {
        let _ = Headers::parse(&frame[..len]);
    }
}

/// The frame with each field that can be changed set to what its headers say, with these bits
/// inverted.
fn rewritten(frame: &[u8], headers: &Headers, flip: u8) -> Vec<u8> {
    let wide = u128::from_ne_bytes([flip; 16]);
    let mac = |address: MacAddr| MacAddr(address.0.map(|byte| byte ^ flip));
    let mut to = Rewrite::new(frame, headers);
    to.set_dst(mac(headers.dst));
    to.set_src(mac(headers.src));
    match &headers.network {
        Some(Network::Ip(ip)) => {
            to.set_ip_src(ip.src ^ wide);
            to.set_ip_dst(ip.dst ^ wide);
            to.set_tos(ip.tos ^ flip);
            to.set_ttl(ip.ttl ^ flip);
            to.set_flow_label(ip.label ^ wide as u32);
            if let Some(transport) = &ip.transport {
                set_transport(&mut to, &transport.header, flip);
            }
        }
        Some(Network::Arp(arp)) => {
            to.set_arp_operation(arp.operation ^ wide as u16);
            to.set_arp_sha(mac(arp.sha));
            to.set_arp_spa(arp.spa ^ wide as u32);
            to.set_arp_tha(mac(arp.tha));
            to.set_arp_tpa(arp.tpa ^ wide as u32);
        }
        Some(Network::Mpls(label)) => {
            to.set_label(Label::from_bits(label.to_bits() ^ wide as u32));
        }
        None => {}
    }
    to.finish()
}

fn set_transport(to: &mut Rewrite, header: &TransportHeader, flip: u8) {
    let wide = u16::from_ne_bytes([flip; 2]);
    match header {
        TransportHeader::Tcp { src, dst, .. }
        | TransportHeader::Udp { src, dst }
        | TransportHeader::Sctp { src, dst } => {
            to.set_transport_src(src ^ wide);
            to.set_transport_dst(dst ^ wide);
        }
        TransportHeader::Icmp { kind, code } | TransportHeader::Icmpv6 { kind, code, .. } => {
            to.set_transport_src((kind ^ flip).into());
            to.set_transport_dst((code ^ flip).into());
        }
    }
    if let TransportHeader::Icmpv6 {
        neighbour: Some(neighbour),
        ..
    } = header
    {
        let mac = |address: MacAddr| MacAddr(address.0.map(|byte| byte ^ flip));
        to.set_nd_target(neighbour.target ^ u128::from_ne_bytes([flip; 16]));
        if let Some((address, _)) = neighbour.source_link {
            to.set_nd_source_link(mac(address));
        }
        if let Some((address, _)) = neighbour.target_link {
            to.set_nd_target_link(mac(address));
        }
    }
}
