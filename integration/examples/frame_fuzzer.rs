//! A guest that sends nonsense: random, damaged and well-formed frames out of a raw socket, for a
//! while. Arguments: the index of the device, the seed, seconds. It prints how many frames it sent
//! and how many the device didn't take.

use std::error::Error;
use std::time::{Duration, Instant};

use aorta_flow::IfIndex;
use aorta_kernel::FrameSender;
use aorta_testing::Rng;
use aorta_testing::packet::{Packet, damaged};

/// Frames that are sent at once.
const BATCH: usize = 32;
/// Shortest frame that a raw socket sends: an Ethernet header.
const SHORTEST: usize = 14;
/// Longest frame that a device with an MTU of 1500 bytes takes, with a tag.
const LONGEST: usize = 1518;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [index, seed, seconds] = &words[..] else {
        return Err("usage: frame_fuzzer IFINDEX SEED SECONDS".into());
    };
    let device = IfIndex::new(index.parse()?).ok_or("no device has the index 0")?;
    let mut rng = Rng::new(seed.parse()?);
    let sender = FrameSender::open()?;
    let end = Instant::now() + Duration::from_secs(seconds.parse()?);
    let (mut sent, mut refused) = (0, 0);
    while Instant::now() < end {
        let frames: Vec<Vec<u8>> = (0..BATCH).map(|_| frame(&mut rng)).collect();
        let batch: Vec<(IfIndex, &[u8])> = frames.iter().map(|f| (device, &f[..])).collect();
        sent += BATCH;
        refused += sender.send(&batch);
    }
    println!("sent {sent} refused {refused}");
    Ok(())
}

/// A frame: a packet of any kind, one that is damaged, or bytes without meaning behind addresses
/// that a switch treats specially.
fn frame(rng: &mut Rng) -> Vec<u8> {
    let mut frame = match rng.below(3) {
        0 => Packet::random(rng).bytes(),
        1 => damaged(&Packet::random(rng).bytes(), SHORTEST, rng),
        _ => noise(rng),
    };
    frame.truncate(LONGEST);
    if frame.len() < SHORTEST {
        frame.resize(SHORTEST, 0);
    }
    frame
}

fn noise(rng: &mut Rng) -> Vec<u8> {
    let destinations = [
        [0xff; 6],
        [0x01, 0x80, 0xc2, 0x00, 0x00, rng.below(0x30) as u8],
        [0x01, 0x00, 0x5e, 0, 0, 1],
        [0; 6],
        [0x52, 0x54, 0, 0, 0, 0x0b],
    ];
    let types = [
        0x8100, 0x88a8, 0x0800, 0x86dd, 0x0806, 0x8847, 0x8808, 0x88cc, 0x0003,
    ];
    let mut frame = rng.pick(&destinations).to_vec();
    frame.extend(rng.bytes(6));
    for _ in 0..rng.below(4) {
        frame.extend(u16::to_be_bytes(*rng.pick(&types)));
        frame.extend(rng.bytes(2));
    }
    let length = rng.below(LONGEST - SHORTEST);
    frame.extend(rng.bytes(length));
    frame
}
