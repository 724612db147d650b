//! What a card changes of a frame.

use aorta_packet::{
    Headers, Label, Network, Rewrite, TransportHeader, internet_checksum, pop_label, pseudo_header,
    push_label,
};

use crate::offload::flower::{Csum, Header, Pedit, TcAction};

/// Offset of the first tag, or of the type.
const TAGS_AT: usize = 12;
const TAG_BYTES: usize = 4;

/// Does an action to a frame; what it is to other headers than the frame has isn't done.
pub fn change(frame: &mut Vec<u8>, action: &TcAction) {
    let Ok(headers) = Headers::parse(frame) else {
        return;
    };
    match action {
        TcAction::VlanPush { tpid, vid, pcp } => {
            let tci = u16::from(*pcp) << 13 | vid;
            let tag = [tpid.to_be_bytes(), tci.to_be_bytes()].concat();
            frame.splice(TAGS_AT..TAGS_AT, tag);
        }
        TcAction::VlanPop if headers.outer.is_some() => {
            frame.drain(TAGS_AT..TAGS_AT + TAG_BYTES);
        }
        TcAction::VlanModify { tpid, vid, pcp } => {
            if let Some(old) = headers.outer {
                let pcp = pcp.map_or(old.tci.0 & 0xe000, |pcp| u16::from(pcp) << 13);
                let tci = old.tci.0 & 0x1000 | pcp | vid;
                frame[TAGS_AT..TAGS_AT + 2].copy_from_slice(&tpid.to_be_bytes());
                frame[TAGS_AT + 2..TAGS_AT + 4].copy_from_slice(&tci.to_be_bytes());
            }
        }
        TcAction::Pedit(changes) => {
            for one in changes {
                pedit(frame, &headers, one);
            }
        }
        TcAction::Csum(which) => checksums(frame, &headers, *which),
        TcAction::MplsPush { ethertype, label } => {
            let label = Label {
                label: label.label,
                class: label.class,
                bottom: !matches!(headers.network, Some(Network::Mpls(_))),
                ttl: label.ttl,
            };
            *frame = push_label(frame, &headers, *ethertype, label);
        }
        TcAction::MplsPop { ethertype } => *frame = pop_label(frame, &headers, *ethertype),
        TcAction::MplsModify(change) => {
            if let Some(Network::Mpls(old)) = headers.network {
                let mut changed = Rewrite::new(frame, &headers);
                changed.set_label(Label {
                    label: change.label.unwrap_or(old.label),
                    class: change.class.unwrap_or(old.class),
                    bottom: old.bottom,
                    ttl: change.ttl.unwrap_or(old.ttl),
                });
                *frame = changed.finish();
            }
        }
        _ => {}
    }
}

fn pedit(frame: &mut [u8], headers: &Headers, change: &Pedit) {
    let ip = match &headers.network {
        Some(Network::Ip(ip)) => Some(ip),
        _ => None,
    };
    let network = |v6: bool| ip.filter(|ip| ip.v6 == v6).map(|_| headers.network_at());
    let transport = ip.and_then(|ip| ip.transport.as_ref());
    let start = match change.header {
        Header::Ethernet => Some(0),
        Header::Ipv4 => network(false),
        Header::Ipv6 => network(true),
        Header::Tcp => transport
            .filter(|t| matches!(t.header, TransportHeader::Tcp { .. }))
            .map(|t| t.at),
        Header::Udp => transport
            .filter(|t| matches!(t.header, TransportHeader::Udp { .. }))
            .map(|t| t.at),
        Header::Network => Some(headers.network_at()),
    };
    let Some(start) = start else {
        return;
    };
    let at = start + change.at as usize;
    let bytes = change
        .value
        .to_be_bytes()
        .into_iter()
        .zip(change.mask.to_be_bytes());
    for (byte, (value, mask)) in frame[at..].iter_mut().zip(bytes) {
        let new = match change.adds {
            true => byte.wrapping_add(value),
            false => value,
        };
        *byte = *byte & !mask | new & mask;
    }
}

/// Makes checksums anew.
fn checksums(frame: &mut [u8], headers: &Headers, which: Csum) {
    let Ok(now) = Headers::parse(frame) else {
        return;
    };
    let Some(Network::Ip(ip)) = &now.network else {
        return;
    };
    if which.contains(Csum::IPV4) && !ip.v6 {
        let at = headers.network_at();
        let length = usize::from(frame[at] & 0xf) * 4;
        frame[at + 10..at + 12].fill(0);
        let sum = internet_checksum(&frame[at..at + length]);
        frame[at + 10..at + 12].copy_from_slice(&sum.to_be_bytes());
    }
    let Some(transport) = &ip.transport else {
        return;
    };
    let (flag, at) = match transport.header {
        TransportHeader::Tcp { .. } => (Csum::TCP, 16),
        TransportHeader::Udp { .. } => (Csum::UDP, 6),
        TransportHeader::Icmpv6 { .. } => (Csum::ICMP, 2),
        _ => return,
    };
    let at = transport.at + at;
    let udp = flag == Csum::UDP;
    if !which.contains(flag) || udp && frame[at..at + 2] == [0, 0] {
        return;
    }
    frame[at..at + 2].fill(0);
    let body = &frame[transport.at..transport.end];
    let sum = internet_checksum(&[&pseudo_header(ip, transport), body].concat());
    let sum = if udp && sum == 0 { u16::MAX } else { sum };
    frame[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}
