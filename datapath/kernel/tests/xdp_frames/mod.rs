//! Frames for the XDP form of pipelines.

use aorta_flow::OfPort;
use aorta_packet::{MacAddr, Tci, VlanTag};
use aorta_testing::packet::{Ipv4, Network, Packet, Transport};
use aorta_testing::{Frame, Offload};

use crate::bare::MTU_BYTES;

/// A frame from port 1 to a port of UDP.
pub fn udp(tags: &[(u16, u16)], port: u16) -> Frame {
    frame(&packet(tags, port), 1)
}

fn frame(packet: &Packet, in_port: u16) -> Frame {
    Frame {
        in_port: OfPort(in_port),
        offload: Offload::None,
        bytes: packet.bytes(),
    }
}

fn packet(tags: &[(u16, u16)], port: u16) -> Packet {
    Packet {
        dst: MacAddr([2, 0, 0, 0, 0, 2]),
        src: MacAddr([2, 0, 0, 0, 0, 1]),
        tags: tags
            .iter()
            .map(|(tpid, tci)| VlanTag {
                tpid: *tpid,
                tci: Tci(*tci),
            })
            .collect(),
        labels: Vec::new(),
        network: Network::Ipv4(Ipv4 {
            src: 0x0a00_0001,
            dst: 0x0a00_0002,
            tos: 0,
            ttl: 64,
            fragment: 0,
            options: Vec::new(),
            transport: Transport::Udp(1000, port, true),
        }),
        trailer: vec![0; 20],
    }
}

/// Frames of all kinds that differ in what a first table sees of them without parsing.
pub fn frames_of_all_depths(ports: u16) -> Vec<Frame> {
    let mut frames = Vec::new();
    let all_tags = [&[][..], &[(0x8100, 5)], &[(0x88a8, 5), (0x8100, 6)]];
    for (port, tags) in (1..=8).flat_map(|port| all_tags.map(|tags| (port, tags))) {
        let plain = packet(tags, port);
        let mut all = vec![plain.clone()];
        let mut vary = |change: &dyn Fn(&mut Ipv4)| {
            let mut other = plain.clone();
            if let Network::Ipv4(header) = &mut other.network {
                change(header);
            }
            all.push(other);
        };
        vary(&|header| header.options = vec![[1; 4]]);
        vary(&|header| header.fragment = 0x2000);
        vary(&|header| header.fragment = 0x0003);
        vary(&|header| header.src += 1);
        vary(&|header| header.ttl = 1);
        let mut long = plain.clone();
        long.trailer = vec![0; MTU_BYTES as usize];
        all.push(long);
        frames.extend((1..=ports).flat_map(|in_port| {
            let frames = all.iter().map(move |packet| frame(packet, in_port));
            frames.collect::<Vec<_>>()
        }));
    }
    frames
}
