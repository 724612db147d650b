//! Many packets through a program: each test run of a wrapper takes the next packet of a batch,
//! writes its headers over the frame, and jumps to the program. What the wrapper costs by itself
//! is measured with a program that does nothing, and subtracted.

use aorta_compiler::abi::{JUMPS, jump};
use aorta_compiler::pipeline::memory::Memory;
use aorta_ebpf::{Assembler, Cond, MapId, Program, Reg, Size};
use aorta_kernel::{Loaded, MappedMemory};
use aorta_testing::packet::Packet;

use crate::bare::Bare;

use Reg::{R0, R1, R2, R3, R4, R5, R6};

const PACKETS: MapId = MapId(0x9100);
const NEXT: MapId = MapId(0x9101);
/// Bytes of a packet that differ from packet to packet.
const HEADER_BYTES: usize = 48;
/// Bytes of a packet in memory.
const PLACE_BYTES: usize = 64;
/// Bytes of each frame.
const FRAME_BYTES: usize = 80;
/// Offsets in `struct __sk_buff`.
const DATA: i16 = 76;
const DATA_END: i16 = 80;
/// First of the jumps that belong to benches.
const FIRST: u32 = jump::patch(4000);
/// What programs answer that send a frame.
pub const REDIRECT: u32 = 7;
/// What programs answer that drop a frame.
pub const DROP: u32 = 2;

/// Packets, and programs to run on them.
pub struct Batch {
    frame: Vec<u8>,
    places: u32,
    wrappers: Vec<Loaded>,
}

/// Nanoseconds a packet, a sample for each round.
pub type Samples = Vec<f64>;

impl Batch {
    /// A batch that goes round these packets; their number is brought up to a power of two.
    pub fn new(bare: &mut Bare, packets: &[Packet]) -> Batch {
        let frames: Vec<Vec<u8>> = packets.iter().map(Packet::bytes).collect();
        Batch::of_frames(bare, &frames)
    }

    /// A frame as it is run: of the length of all, and 0 where they don't differ.
    pub fn as_run(frame: &[u8]) -> Vec<u8> {
        let mut frame = frame[..frame.len().min(HEADER_BYTES)].to_vec();
        frame.resize(FRAME_BYTES, 0);
        frame
    }

    /// As [`Batch::new`], of packets' bytes.
    pub fn of_frames(bare: &mut Bare, packets: &[Vec<u8>]) -> Batch {
        let places = packets.len().next_power_of_two() as u32;
        let bytes = places * PLACE_BYTES as u32;
        let mut memory = MappedMemory::create("packets", bytes).unwrap();
        for place in 0..places as usize {
            let mut frame = packets[place % packets.len()].clone();
            frame.resize(frame.len().max(FRAME_BYTES), 0);
            memory.fill((place * PLACE_BYTES) as u32, &frame[..HEADER_BYTES]);
        }
        bare.share_memory(PACKETS, memory);
        bare.share_memory(NEXT, MappedMemory::create("next", 8).unwrap());
        let mut frame = packets[0].clone();
        frame.resize(FRAME_BYTES, 0);
        Batch {
            frame,
            places,
            wrappers: Vec::new(),
        }
    }

    /// Adds a program to measure.
    pub fn add(&mut self, bare: &mut Bare, program: &Loaded) {
        let index = FIRST + self.wrappers.len() as u32;
        bare.put(index, program);
        let wrapper = wrapper(self.places, index);
        self.wrappers.push(bare.load(&wrapper));
    }

    /// What the programs answer to so many packets, as numbers of answers of each program that are
    /// `verdict`.
    pub fn answers(&self, packets: u32, verdict: u32) -> Vec<u32> {
        let one = |wrapper: &Loaded| {
            let run = || wrapper.test_run(&self.frame, 1).unwrap().verdict;
            (0..packets).filter(|_| run() == verdict).count() as u32
        };
        self.wrappers.iter().map(one).collect()
    }

    /// Runs the first program once over so many packets: nanoseconds a packet, wrapper included.
    pub fn once(&self, packets: u32) -> f64 {
        let run = self.wrappers[0].test_run(&self.frame, packets).unwrap();
        f64::from(run.duration_ns)
    }

    /// Runs all programs in turns; the first of them is what is subtracted from the others.
    pub fn measure(&self, rounds: usize, runs: u32) -> Vec<Samples> {
        let mut samples = vec![Vec::new(); self.wrappers.len()];
        // The first round warms up.
        for round in 0..=rounds {
            let time = |wrapper: &Loaded| {
                let run = wrapper.test_run(&self.frame, runs).unwrap();
                f64::from(run.duration_ns)
            };
            let times: Vec<f64> = self.wrappers.iter().map(time).collect();
            if round > 0 {
                for (samples, time) in samples.iter_mut().zip(&times) {
                    samples.push(time - times[0]);
                }
                samples[0][round - 1] = times[0];
            }
        }
        samples
    }
}

/// A program that does nothing.
pub fn nothing() -> Program {
    let mut a = Assembler::new("nothing");
    a.mov(R0, REDIRECT as i32);
    a.exit();
    a.finish().unwrap()
}

fn wrapper(places: u32, index: u32) -> Program {
    let mut a = Assembler::new("next_packet");
    let short = a.label("short");
    a.mov(R6, R1);
    a.load_map_value(R1, NEXT, 0);
    a.load(Size::Dw, R2, R1, 0);
    a.mov(R3, R2);
    a.add(R3, 1);
    a.store(Size::Dw, R1, 0, R3);
    a.and(R2, places as i32 - 1);
    a.lsh(R2, PLACE_BYTES.trailing_zeros() as i32);
    a.load_map_value(R1, PACKETS, 0);
    a.add(R1, R2);
    a.load(Size::W, R2, R6, DATA);
    a.load(Size::W, R3, R6, DATA_END);
    a.mov(R4, R2);
    a.add(R4, HEADER_BYTES as i32);
    a.jump_if(Cond::Gt, R4, R3, short);
    for at in (0..HEADER_BYTES as i16).step_by(8) {
        a.load(Size::Dw, R5, R1, at);
        a.store(Size::Dw, R2, at, R5);
    }
    a.mov(R1, R6);
    a.tail_call(JUMPS.id, index);
    a.bind(short);
    a.mov(R0, DROP as i32);
    a.exit();
    a.finish().unwrap()
}
