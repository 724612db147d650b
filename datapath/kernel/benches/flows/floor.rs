//! What no lookup in a table of so many rules can get below on this machine: programs that make as many
//! reads as a lookup needs, one after the other, at random places in memories of the sizes that it
//! needs, and nothing else. What they cost more in larger tables is the machine's memory alone.

use aorta_compiler::pipeline::maps::stats;
use aorta_ebpf::{MapId, Program};
use aorta_kernel::{Loaded, MappedMemory};

use crate::bare::Bare;
use crate::batch::Batch;

/// Bytes of what is read of each rule: what tells which it is, and what it does.
const RECORD_BYTES: u32 = 64;
/// Bytes of a place in a hash array of twice as many.
const BUCKET_BYTES: u32 = 8;

/// What is read, one after the other.
pub const NAMES: [&str; 3] = [
    "floor: record",
    "floor: record, counters",
    "floor: bucket, record, counters",
];

const RECORDS: MapId = MapId(0x9300);
const COUNTERS: MapId = MapId(0x9301);
const BUCKETS: MapId = MapId(0x9302);

/// A memory of which a place is read, of so many of these bytes each.
struct Read {
    map: MapId,
    places: u32,
    bytes: u32,
}

/// Adds the floors of tables of so many rules to a batch.
pub fn add(bare: &mut Bare, batch: &mut Batch, rules: u32) {
    let [buckets, records, counters] = &memories(bare, rules);
    for reads in [
        &[records][..],
        &[records, counters],
        &[buckets, records, counters],
    ] {
        let text = include_str!("by_hand/floor.ebpf");
        let loaded = bare.load(&program(text, reads));
        batch.add(bare, &loaded);
    }
}

/// XDP programs that send all to a device: one that looks at headers before, and one that makes the three
/// reads for a table of so many rules as well.
pub fn xdp(bare: &mut Bare, device: u32, rules: u32) -> [Loaded; 2] {
    let [buckets, records, counters] = &memories(bare, rules);
    let text = include_str!("by_hand/xdp_floor.ebpf");
    let text = text.replace("DEVICE", &device.to_string());
    let all: [&[&Read]; 2] = [&[], &[buckets, records, counters]];
    all.map(|reads| bare.load_xdp(&program(&text, reads)))
}

fn memories(bare: &mut Bare, rules: u32) -> [Read; 3] {
    let all = [
        (BUCKETS, 2 * rules, BUCKET_BYTES),
        (RECORDS, rules, RECORD_BYTES),
        (COUNTERS, rules, stats::BYTES as u32),
    ];
    all.map(|(map, places, bytes)| {
        let memory = MappedMemory::create("floor", places * bytes).unwrap();
        bare.share_memory(map, memory);
        Read { map, places, bytes }
    })
}

fn program(text: &str, reads: &[&Read]) -> Program {
    let reads: String = reads.iter().map(|read| read.text()).collect();
    Program::parse(&text.replace("    READS\n", &reads)).unwrap()
}

impl Read {
    /// R7 is a hash that says where; it is another one afterwards, known once this was read.
    fn text(&self) -> String {
        let Read {
            map: MapId(map),
            places,
            bytes,
        } = self;
        let count = match self.map == COUNTERS {
            true => {
                "    r3 = r1\n    r3 += 1\n    *(u64 *)(r2 + 0) = r3\n    r3 = *(u64 *)(r2 + 8)\n    \
                 r3 += r8\n    *(u64 *)(r2 + 8) = r3\n    r1 = 0\n"
            }
            false => "",
        };
        format!(
            "    r1 = r7\n    r1 >>= 32\n    r1 *= {places}\n    r1 >>= 32\n    r1 *= {bytes}\n    \
             r2 = &map[{map}] + 0\n    r2 += r1\n    r1 = *(u64 *)(r2 + 0)\n{count}    r7 ^= r1\n    \
             r7 *= r9\n"
        )
    }
}
