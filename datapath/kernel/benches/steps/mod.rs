//! How many instructions a program executes for one frame, counted in the interpreter.

use aorta_compiler::abi::{COUNTERS, EPOCH, PORTS, RECENT, fdb};
use aorta_ebpf::interp::{Machine, MapKind, MapSpec};
use aorta_ebpf::{Helper, MapId, Program};

/// What the interpreter's redirect answers (`TC_ACT_REDIRECT`).
const REDIRECT: u64 = 7;
/// The interpreter's time, in ticks.
const NOW: u64 = 1 << 33;

/// Executes `program` on `frame`, whose stations both are in `stations`: the sender behind port
/// 0, the destination behind port 1, whose record is `record`.
pub fn executed(
    program: &Program,
    stations: MapId,
    keys: [[u8; 8]; 2],
    record: &[u8],
    frame: &[u8],
) -> u64 {
    let mut machine = Machine::default();
    let shape = |kind, key, value: usize| MapSpec {
        kind,
        key,
        value,
        max_entries: 8192,
    };
    let counters = shape(MapKind::Array, 4, COUNTERS.value_bytes as usize);
    machine.maps.create(COUNTERS.id, counters);
    machine
        .maps
        .create(PORTS.id, shape(MapKind::Array, 4, record.len()));
    machine
        .maps
        .create(stations, shape(MapKind::LruHash, 8, fdb::BYTES));
    for spec in [RECENT, EPOCH] {
        let value = spec.value_bytes as usize;
        machine
            .maps
            .create(spec.id, shape(MapKind::Array, 4, value));
    }
    let mut put = |map, key: &[u8], value: &[u8]| {
        let Machine { memory, maps, .. } = &mut machine;
        // An array's element is there once it has been looked up.
        maps.lookup(memory, map, key);
        maps.update(memory, map, key, value, 0).unwrap();
    };
    put(PORTS.id, &1u32.to_ne_bytes(), record);
    for (port, key) in keys.iter().enumerate() {
        let mut station = vec![0; fdb::BYTES];
        station[0] = port as u8;
        station[fdb::SEEN as usize..][..8].copy_from_slice(&NOW.to_ne_bytes());
        put(stations, key, &station);
    }
    let context = machine.skb(frame);
    let mut helpers = |helper, _: [u64; 5], _: &mut Machine| {
        Ok(match helper {
            Helper::Jiffies64 => NOW,
            Helper::GetSmpProcessorId => 0,
            Helper::Redirect => REDIRECT,
            other => panic!("{other:?} is not on the way of a known frame"),
        })
    };
    let run = machine.run(program, context, &mut helpers).unwrap();
    assert_eq!(run.verdict, REDIRECT, "the frame is known");
    run.steps
}
