//! Frames by their headers.
// Each test program uses a part of this.
#![allow(dead_code)]

use aorta_packet::internet_checksum;

/// Ethernet addresses of all frames: to station 2 from station 1.
pub const ADDRESSES: [u8; 12] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];

/// An IPv4 header.
#[derive(Clone)]
pub struct Ipv4 {
    pub src: [u8; 4],
    pub dst: [u8; 4],
    pub tos: u8,
    pub ttl: u8,
}

impl Ipv4 {
    pub const UDP: Ipv4 = Ipv4 {
        src: [10, 0, 0, 1],
        dst: [10, 0, 0, 2],
        tos: 0,
        ttl: 64,
    };

    /// A frame of UDP.
    pub fn udp(&self, src: u16, dst: u16, payload: &[u8]) -> Vec<u8> {
        let len = 8 + payload.len() as u16;
        let mut udp: Vec<u8> = [src, dst, len, 0].map(u16::to_be_bytes).concat();
        udp.extend(payload);
        let pseudo = [&self.src[..], &self.dst, &[0, 17], &len.to_be_bytes()].concat();
        let sum = internet_checksum(&[&pseudo, &*udp].concat());
        udp[6..8].copy_from_slice(&sum.to_be_bytes());
        ethernet(0x0800, &self.packet(17, &udp))
    }

    /// The header and what it carries.
    pub fn packet(&self, proto: u8, payload: &[u8]) -> Vec<u8> {
        let len = 20 + payload.len() as u16;
        let mut header = vec![0x45, self.tos];
        header.extend(len.to_be_bytes());
        header.extend([0, 0, 0, 0, self.ttl, proto, 0, 0]);
        header.extend(self.src);
        header.extend(self.dst);
        let sum = internet_checksum(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        header.extend(payload);
        header
    }
}

/// A frame of this type.
pub fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&ADDRESSES[..], &ethertype.to_be_bytes(), payload].concat()
}

/// A frame of UDP.
pub fn udp(src: u16, dst: u16, payload: &[u8]) -> Vec<u8> {
    Ipv4::UDP.udp(src, dst, payload)
}

/// The frame with a tag more.
pub fn tagged(tpid: u16, tci: u16, frame: &[u8]) -> Vec<u8> {
    let tag = [tpid.to_be_bytes(), tci.to_be_bytes()].concat();
    [&frame[..12], &tag, &frame[12..]].concat()
}

/// The frame back to where it came from.
pub fn reply(frame: &[u8]) -> Vec<u8> {
    [&frame[6..12], &frame[..6], &frame[12..]].concat()
}
