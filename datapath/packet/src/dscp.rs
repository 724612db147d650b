//! DSCP in the headers of IP (RFC 2474 §3).

use crate::{
    ETH_HEADER_LEN, ETHERTYPE_IPV4, ETHERTYPE_IPV6, TPID_8021AD, TPID_8021Q, VLAN_TAG_LEN,
};

/// Bits of the type of service, or of the traffic class, that are the DSCP.
const DSCP: u8 = 0xfc;
const IPV4_LEN: usize = 20;
const IPV4_CHECKSUM: usize = 10;
const IPV6_LEN: usize = 40;
/// VLAN tags that are looked behind.
const MAX_TAGS: usize = 2;

/// The frame with this DSCP (0 to 63) in its IPv4 or IPv6 header, behind two VLAN tags at most; its
/// checksum is brought on by the change (RFC 1624). A frame without such a header, or with a cut one,
/// stays as it is.
pub fn with_dscp(mut frame: Vec<u8>, dscp: u8) -> Vec<u8> {
    let bits = dscp << 2;
    match network(&mut frame) {
        Some((ETHERTYPE_IPV4, ip)) => set_ipv4(ip, bits),
        Some((ETHERTYPE_IPV6, ip)) => set_ipv6(ip, bits),
        _ => None,
    };
    frame
}

/// Type and contents of a frame behind its tags.
fn network(frame: &mut [u8]) -> Option<(u16, &mut [u8])> {
    let mut at = ETH_HEADER_LEN - 2;
    for _ in 0..MAX_TAGS {
        if matches!(word(frame, at)?, TPID_8021Q | TPID_8021AD) {
            at += VLAN_TAG_LEN;
        }
    }
    let ethertype = word(frame, at)?;
    Some((ethertype, frame.get_mut(at + 2..)?))
}

fn set_ipv4(ip: &mut [u8], bits: u8) -> Option<()> {
    let header = ip.get_mut(..IPV4_LEN)?;
    if header[0] >> 4 != 4 || header[0] & 0x0f < 5 {
        return None;
    }
    let old = word(header, 0)?;
    header[1] = header[1] & !DSCP | bits;
    let new = word(header, 0)?;
    if new != old {
        let mut sum = u32::from(!word(header, IPV4_CHECKSUM)?) + u32::from(!old) + u32::from(new);
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        header[IPV4_CHECKSUM..IPV4_CHECKSUM + 2].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    }
    Some(())
}

fn set_ipv6(ip: &mut [u8], bits: u8) -> Option<()> {
    let header = ip.get_mut(..IPV6_LEN)?;
    if header[0] >> 4 != 6 {
        return None;
    }
    header[0] = header[0] & 0xf0 | bits >> 4;
    header[1] = header[1] & 0x3f | bits << 4;
    Some(())
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    let two = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_be_bytes(*two))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::internet_checksum;

    fn frame(tags: &[u8], ethertype: u16, network: &[u8]) -> Vec<u8> {
        [&[2; 12], tags, &ethertype.to_be_bytes(), network].concat()
    }

    fn ipv4(tos: u8) -> Vec<u8> {
        let mut header = vec![
            0x45, tos, 0, 20, 1, 2, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
        ];
        let sum = internet_checksum(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        header
    }

    const TAGS: [&[u8]; 3] = [
        &[],
        &[0x81, 0, 0xa0, 7],
        &[0x88, 0xa8, 0, 9, 0x81, 0, 0xa0, 7],
    ];

    #[test]
    fn the_class_of_ipv4_changes_with_the_checksum() {
        for tags in TAGS {
            for tos in 0..=255 {
                for dscp in [0, 10, 46, 63] {
                    let marked = with_dscp(frame(tags, ETHERTYPE_IPV4, &ipv4(tos)), dscp);
                    let wanted = frame(tags, ETHERTYPE_IPV4, &ipv4(dscp << 2 | tos & 3));
                    assert_eq!(marked, wanted, "{tos:#x}, {dscp}");
                }
            }
        }
    }

    #[test]
    fn the_class_of_ipv6_changes_and_nothing_beside_it() {
        let mut header = [0xa5; IPV6_LEN];
        for class in 0..=255u8 {
            (header[0], header[1]) = (0x60 | class >> 4, class << 4 | 0x0c);
            let mut wanted = header;
            let new = 46 << 2 | class & 3;
            (wanted[0], wanted[1]) = (0x60 | new >> 4, new << 4 | 0x0c);
            let marked = with_dscp(frame(TAGS[1], ETHERTYPE_IPV6, &header), 46);
            assert_eq!(marked, frame(TAGS[1], ETHERTYPE_IPV6, &wanted));
        }
    }

    #[test]
    fn other_frames_stay_as_they_are() {
        let mut bad = ipv4(0);
        bad[0] = 0x55;
        let mut short = ipv4(0);
        short[0] = 0x44;
        let three = [TAGS[2], TAGS[1]].concat();
        for frame in [
            frame(&[], 0x0806, &ipv4(0)),
            frame(&[], ETHERTYPE_IPV4, &bad),
            frame(&[], ETHERTYPE_IPV4, &short),
            frame(&[], ETHERTYPE_IPV4, &ipv4(0)[..19]),
            frame(&[], ETHERTYPE_IPV6, &[0x60; 39]),
            frame(&three, ETHERTYPE_IPV4, &ipv4(0)),
            vec![0x81; 13],
            Vec::new(),
        ] {
            assert_eq!(with_dscp(frame.clone(), 63), frame);
        }
    }
}
