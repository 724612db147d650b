//! Ethernet II header with an optional outer VLAN tag (IEEE 802.3-2018 §3.1, IEEE 802.1Q-2018 §9.6).

use crate::{MacAddr, TPID_8021AD, TPID_8021Q, Tci, VLAN_TAG_LEN, VlanTag};

/// Destination, source and type: 14 bytes.
pub const ETH_HEADER_LEN: usize = 14;

const DST: std::ops::Range<usize> = 0..6;
const SRC: std::ops::Range<usize> = 6..12;

/// What the first bytes of a frame say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EthernetHeader {
    /// Destination address.
    pub dst: MacAddr,
    /// Source address.
    pub src: MacAddr,
    /// Outermost tag, if the type field is a tag protocol.
    pub tag: Option<VlanTag>,
}

/// The frame ends inside its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EthernetError {
    /// Fewer than 14 bytes.
    #[error("frame of {0} bytes is shorter than an Ethernet header")]
    Short(usize),
    /// The type field announces a tag that isn't there.
    #[error("frame of {0} bytes ends inside its VLAN tag")]
    TruncatedTag(usize),
}

impl EthernetHeader {
    /// Reads the header of `frame`, which starts at the destination address.
    pub fn parse(frame: &[u8]) -> Result<EthernetHeader, EthernetError> {
        let header = frame
            .get(..ETH_HEADER_LEN)
            .ok_or(EthernetError::Short(frame.len()))?;
        let tpid = be16(header, 12);
        let tag = if tpid == TPID_8021Q || tpid == TPID_8021AD {
            // A tag is complete only with the type field that follows it.
            if frame.len() < ETH_HEADER_LEN + VLAN_TAG_LEN {
                return Err(EthernetError::TruncatedTag(frame.len()));
            }
            Some(VlanTag {
                tpid,
                tci: Tci(be16(frame, ETH_HEADER_LEN)),
            })
        } else {
            None
        };
        Ok(EthernetHeader {
            dst: mac(&header[DST]),
            src: mac(&header[SRC]),
            tag,
        })
    }
}

impl VlanTag {
    /// `frame` without its outermost tag; the frame must have one.
    pub fn pop(frame: &[u8]) -> Vec<u8> {
        [&frame[..12], &frame[12 + VLAN_TAG_LEN..]].concat()
    }

    /// `frame` with `self` as its new outermost tag.
    pub fn push(self, frame: &[u8]) -> Vec<u8> {
        [
            &frame[..12],
            &self.tpid.to_be_bytes(),
            &self.tci.0.to_be_bytes(),
            &frame[12..],
        ]
        .concat()
    }
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn mac(bytes: &[u8]) -> MacAddr {
    let mut address = [0; 6];
    address.copy_from_slice(bytes);
    MacAddr(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNTAGGED: [u8; 16] = [
        1, 2, 3, 4, 5, 6, 0x52, 0x54, 0, 0, 0, 9, 0x08, 0x00, 0xaa, 0xbb,
    ];

    #[test]
    fn tag_is_read_back_after_push_and_gone_after_pop() {
        let tag = VlanTag {
            tpid: TPID_8021Q,
            tci: Tci(0xa064),
        };
        let tagged = tag.push(&UNTAGGED);
        assert_eq!(EthernetHeader::parse(&tagged).unwrap().tag, Some(tag));
        assert_eq!(VlanTag::pop(&tagged), UNTAGGED);
    }

    #[test]
    fn every_cut_of_a_tagged_frame_is_refused_until_the_tag_is_whole() {
        let tagged = VlanTag {
            tpid: TPID_8021AD,
            tci: Tci(5),
        }
        .push(&UNTAGGED);
        for len in 0..14 {
            assert_eq!(
                EthernetHeader::parse(&tagged[..len]),
                Err(EthernetError::Short(len))
            );
        }
        for len in 14..18 {
            assert_eq!(
                EthernetHeader::parse(&tagged[..len]),
                Err(EthernetError::TruncatedTag(len))
            );
        }
        assert!(EthernetHeader::parse(&tagged[..18]).is_ok());
    }
}
