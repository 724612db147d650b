//! Checksums that a device was to complete.

use crate::headers::{Headers, Network};
use crate::internet_checksum;
use crate::ip::{Fragment, Ip, Transport, TransportHeader};

/// Completes the checksum of a whole frame, if it is one of TCP or UDP that is only begun: the
/// sender left the sum of the pseudo header there for a device to go on from. A checksum that is
/// right already stays, even if it is the same number.
pub fn complete_checksum(frame: &mut [u8]) {
    let Ok(headers) = Headers::parse(frame) else {
        return;
    };
    let Some(Network::Ip(ip)) = &headers.network else {
        return;
    };
    let Some(transport) = ip
        .transport
        .as_ref()
        .filter(|_| ip.fragment == Fragment::No)
    else {
        return;
    };
    let (checksum_at, udp) = match transport.header {
        TransportHeader::Tcp { .. } => (transport.at + 16, false),
        TransportHeader::Udp { .. } => (transport.at + 6, true),
        _ => return,
    };
    let pseudo = pseudo_header(ip, transport);
    let checksum = u16::from_be_bytes([frame[checksum_at], frame[checksum_at + 1]]);
    let absent = udp && checksum == 0;
    if absent || !same_sum(checksum, !internet_checksum(&pseudo)) {
        return;
    }
    frame[checksum_at..checksum_at + 2].fill(0);
    let body = &frame[transport.at..transport.end];
    let mut sum = internet_checksum(&[&pseudo, body].concat());
    if udp && sum == 0 {
        sum = 0xffff;
    }
    frame[checksum_at..checksum_at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// Zero has two forms in ones' complement.
fn same_sum(a: u16, b: u16) -> bool {
    a % 0xffff == b % 0xffff
}

/// What checksums of a transport are about besides the packet itself: both addresses, its length and
/// its protocol, in network byte order (RFC 9293 §3.1, RFC 8200 §8.1).
pub fn pseudo_header(ip: &Ip, transport: &Transport) -> Vec<u8> {
    let mut bytes = Vec::new();
    for address in [ip.src, ip.dst] {
        let address = address.to_be_bytes();
        bytes.extend(if ip.v6 { &address[..] } else { &address[12..] });
    }
    bytes.extend(((transport.end - transport.at) as u32).to_be_bytes());
    bytes.extend([0, 0, 0, ip.proto]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A UDP packet with a right checksum, and the place of that.
    fn udp() -> (Vec<u8>, usize) {
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
        frame.extend([0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0]);
        frame.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        frame.extend([0x12, 0x34, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4]);
        let pseudo = [10, 0, 0, 1, 10, 0, 0, 2, 0, 17, 0, 12];
        let sum = internet_checksum(&[&pseudo[..], &frame[34..]].concat());
        frame[40..42].copy_from_slice(&sum.to_be_bytes());
        (frame, 40)
    }

    #[test]
    fn one_that_is_begun_is_completed() {
        let (whole, at) = udp();
        let mut begun = whole.clone();
        let pseudo = [10, 0, 0, 1, 10, 0, 0, 2, 0, 17, 0, 12];
        let sum = !internet_checksum(&pseudo);
        begun[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        complete_checksum(&mut begun);
        assert_eq!(begun, whole);
    }

    #[test]
    fn others_stay_as_they_are() {
        let (whole, at) = udp();
        let mut right = whole.clone();
        complete_checksum(&mut right);
        assert_eq!(right, whole);
        let mut wrong = whole.clone();
        wrong[at] ^= 0x55;
        let before = wrong.clone();
        complete_checksum(&mut wrong);
        assert_eq!(wrong, before);
        let mut none = whole;
        none[at..at + 2].fill(0);
        let before = none.clone();
        complete_checksum(&mut none);
        assert_eq!(none, before);
        for len in 0..before.len() {
            let mut cut = before[..len].to_vec();
            complete_checksum(&mut cut);
            assert_eq!(cut, before[..len]);
        }
    }
}
