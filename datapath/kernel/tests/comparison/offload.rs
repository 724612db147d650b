//! Frames whose checksum is left to the hardware, or which it is to cut into segments, as guests
//! send them: with a header of their own in front (virtio 1.2 §5.1.6).

use aorta_flow::action::Action;
use aorta_packet::{
    Headers, Network, Transport, TransportHeader, internet_checksum, pseudo_header,
};
use aorta_testing::{Case, Frame, Offload};

/// Bytes of the header in front.
pub const HEADER_BYTES: usize = 10;
/// Flag: the checksum is only begun.
const NEEDS_CHECKSUM: u8 = 1;
const SEGMENTS_TCP4: u8 = 1;
const SEGMENTS_TCP6: u8 = 4;

/// Whether frames of a case can leave something to the hardware: what is cut or sent under another
/// header comes out in pieces, or without the rest that a checksum is about.
pub fn possible(case: &Case) -> bool {
    let flows = case
        .flows
        .iter()
        .flat_map(|flow| flow.instructions.all_actions());
    let buckets = case.groups.iter().flat_map(|group| &group.buckets);
    let mut actions = flows.chain(buckets.flat_map(|bucket| &bucket.actions));
    !actions.any(|action| {
        matches!(
            action,
            Action::OutputTruncated { .. } | Action::PushMpls(_) | Action::PushVlan(_)
        )
    })
}

/// The frame as it is written to a tap, and whether it leaves something to the hardware.
pub fn written(frame: &Frame, possible: bool) -> (Vec<u8>, bool) {
    let begun = match frame.offload {
        Offload::None => None,
        _ if !possible => None,
        offload => begun(&frame.bytes, offload),
    };
    match begun {
        Some(bytes) => (bytes, true),
        None => ([&[0; HEADER_BYTES][..], &frame.bytes].concat(), false),
    }
}

/// The frame with a checksum that is only begun, if it has a right one.
fn begun(frame: &[u8], offload: Offload) -> Option<Vec<u8>> {
    let headers = Headers::parse(frame).ok()?;
    let Some(Network::Ip(ip)) = &headers.network else {
        return None;
    };
    let transport = ip.transport.as_ref()?;
    let place = transport.at + checksum_at(transport)?;
    let pseudo = pseudo_header(ip, transport);
    let sum = |bytes: &[u8]| internet_checksum(&[&pseudo, bytes].concat());
    let covered = frame.get(transport.at..transport.end)?;
    let optional = matches!(transport.header, TransportHeader::Udp { .. });
    let nothing_behind = frame[transport.end..].iter().all(|byte| *byte == 0);
    let absent = optional && frame.get(place..place + 2)? == [0, 0];
    let whole = ip.fragment == aorta_packet::Fragment::No && !ip.source_routed;
    if sum(covered) != 0 || absent || !nothing_behind || !whole {
        return None;
    }
    let mut bytes = vec![0; HEADER_BYTES];
    bytes[0] = NEEDS_CHECKSUM;
    bytes[6..8].copy_from_slice(&(transport.at as u16).to_ne_bytes());
    bytes[8..10].copy_from_slice(&((place - transport.at) as u16).to_ne_bytes());
    if let Offload::Segments(size) = offload {
        let options = headers.network_at() + if ip.v6 { 40 } else { 20 } != transport.at;
        let tcp = matches!(transport.header, TransportHeader::Tcp { .. });
        let payload = covered.len().checked_sub(20)?;
        let padded = frame.len() != transport.end;
        if !tcp || options || padded || headers.outer.is_some() || payload <= usize::from(size) {
            return None;
        }
        bytes[1] = if ip.v6 { SEGMENTS_TCP6 } else { SEGMENTS_TCP4 };
        bytes[2..4].copy_from_slice(&((transport.at + 20) as u16).to_ne_bytes());
        bytes[4..6].copy_from_slice(&size.to_ne_bytes());
    }
    bytes.extend(frame);
    let begin = !internet_checksum(&pseudo);
    let at = HEADER_BYTES + place;
    bytes[at..at + 2].copy_from_slice(&begin.to_be_bytes());
    Some(bytes)
}

fn checksum_at(transport: &Transport) -> Option<usize> {
    match transport.header {
        TransportHeader::Tcp { .. } => Some(16),
        TransportHeader::Udp { .. } => Some(6),
        _ => None,
    }
}

/// A frame as it is on the wire, of one that was read from a tap.
pub fn completed(read: &[u8]) -> Vec<u8> {
    let (header, frame) = read.split_at(HEADER_BYTES.min(read.len()));
    let mut frame = frame.to_vec();
    if header
        .first()
        .is_some_and(|flags| flags & NEEDS_CHECKSUM != 0)
    {
        let word = |at: usize| usize::from(u16::from_ne_bytes([header[at], header[at + 1]]));
        let (start, place) = (word(6), word(6) + word(8));
        if place + 2 <= frame.len() {
            let sum = internet_checksum(&frame[start..]);
            let udp = word(8) == 6;
            let sum = if udp && sum == 0 { 0xffff } else { sum };
            frame[place..place + 2].copy_from_slice(&sum.to_be_bytes());
        }
    }
    frame
}
