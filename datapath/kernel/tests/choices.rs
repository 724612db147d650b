//! Hashes and meters in the kernel against the same in plain Rust. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use aorta_compiler::pipeline::choice::{emit_hash, emit_mixed};
use aorta_compiler::pipeline::layout::{self, state};
use aorta_compiler::pipeline::maps::{METERS, STATE, meters};
use aorta_compiler::pipeline::meters::{MeterExits, Places, emit_meter, emit_remark};
use aorta_ebpf::{Assembler, Cond, Helper, Reg, Size};
use aorta_flow::action::HashFields;
use aorta_flow::field::FieldId;
use aorta_flow::hash;
use aorta_flow::meter::remarked;
use aorta_flow::text::parse_meter;
use aorta_flow::{FlowKey, MeterId};
use aorta_kernel::{Loaded, Loader, Map, MappedMemory};

use Reg::{R0, R1, R2, R6, R7, R10};

const FRAME: [u8; 60] = [0; 60];

/// Maps, and programs that have the state in R7 and return R0.
struct Bench {
    state: Map,
    meters: MappedMemory,
    loader: Loader,
}

impl Bench {
    fn new() -> Bench {
        Bench {
            state: Map::create(&STATE, STATE.name).unwrap(),
            meters: MappedMemory::create("meters", meters::BYTES).unwrap(),
            loader: Loader::new(),
        }
    }

    fn load(&mut self, body: impl FnOnce(&mut Assembler)) -> Loaded {
        let mut a = Assembler::new("choice");
        let lost = a.label("lost");
        a.mov(R6, R1);
        a.store(Size::W, R10, -4, 0);
        a.mov(R2, R10);
        a.add(R2, -4);
        a.load_map(R1, STATE.id);
        a.call(Helper::MapLookupElem);
        a.jump_if(Cond::Eq, R0, 0, lost);
        a.mov(R7, R0);
        body(&mut a);
        a.exit();
        a.bind(lost);
        a.mov(R0, -1);
        a.exit();
        let (state, meters) = (self.state.raw_fd(), self.meters.map().raw_fd());
        let map = |id| match id {
            id if id == STATE.id => Some(state),
            METERS => Some(meters),
            _ => None,
        };
        let program = a.finish().unwrap();
        let loaded = self.loader.load(&program, map);
        loaded.unwrap_or_else(|e| panic!("{}", aorta_kernel::chain(&e)))
    }

    fn set(&self, words: &[(i16, u32)]) {
        let mut value = vec![0; state::BYTES];
        for (at, word) in words {
            value[*at as usize..*at as usize + 4].copy_from_slice(&word.to_ne_bytes());
        }
        self.state.set(&0u32.to_ne_bytes(), &value).unwrap();
    }

    fn u64_at(&self, at: u32) -> u64 {
        let half = |at| u64::from(self.meters.u32_at(at));
        half(at) | half(at + 4) << 32
    }
}

fn run(program: &Loaded) -> u32 {
    program.test_run(&FRAME, 1).unwrap().verdict
}

/// A packet whose fields all have some value that depends on `seed`.
fn packet(seed: u64) -> FlowKey {
    let mut key = FlowKey::new();
    let mut number = u128::from(seed) << 64 | 0x1234_5678_9abc_def1;
    for field in [
        FieldId::ETH_SRC,
        FieldId::ETH_DST,
        FieldId::ETH_TYPE,
        FieldId::VLAN_TCI,
        FieldId::IP_SRC,
        FieldId::IP_DST,
        FieldId::IPV6_SRC,
        FieldId::IPV6_DST,
        FieldId::TCP_SRC,
        FieldId::TCP_DST,
    ] {
        number = number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) ^ number >> 71;
        key.set(field, number);
    }
    let protocols = [6, 17, 132, 1];
    key.set(FieldId::NW_PROTO, protocols[seed as usize % 4]);
    key
}

fn words(key: &FlowKey) -> Vec<(i16, u32)> {
    let mut words = Vec::new();
    for field in FieldId::all().filter(|field| field.field().home == *field) {
        for number in 0..4 {
            if let Some(at) = layout::word(field, number) {
                let word = (key.get(field) >> (32 * u32::from(number))) as u32;
                words.push((state::KEY + at, word));
            }
        }
    }
    words
}

#[test]
fn hashes_are_the_interpreter_s() {
    let mut bench = Bench::new();
    for (name, fields) in HashFields::ALL {
        let program = bench.load(|a| emit_hash(a, hash::words(fields), 77));
        for seed in 0..50 {
            let key = packet(seed);
            bench.set(&words(&key));
            let expected = hash::of_fields(fields, 77, &key);
            assert_eq!(run(&program), expected, "{name}, packet {seed}");
        }
    }
}

#[test]
fn candidates_are_mixed_as_by_the_interpreter() {
    let mut bench = Bench::new();
    for candidate in [0, 1, 7, 0xfffe, u32::MAX] {
        let program = bench.load(|a| {
            a.load(Size::W, R0, R7, state::HASH);
            emit_mixed(a, candidate);
            a.mov(R0, R1);
        });
        for hash in [0, 1, 0x8000_0000, 0xdead_beef] {
            bench.set(&[(state::HASH, hash)]);
            assert_eq!(run(&program), hash::mixed(hash, candidate));
        }
    }
}

#[test]
fn drop_precedence_is_raised() {
    let mut bench = Bench::new();
    let program = bench.load(|a| {
        a.load(Size::W, R2, R7, state::HASH);
        a.load(Size::W, R1, R7, state::HASHED);
        emit_remark(a);
        a.mov(R0, R2);
    });
    for dscp in 0..64u8 {
        for levels in [0, 1, 2, 3, 255] {
            bench.set(&[(state::HASH, dscp.into()), (state::HASHED, levels.into())]);
            assert_eq!(run(&program), remarked(dscp, levels).into(), "{dscp}");
        }
    }
}

/// Verdicts of a meter's program.
const PASS: i32 = 0;
const DROP: i32 = 1;
const REMARK: i32 = 100;

fn meter(bench: &mut Bench, text: &str) -> (Loaded, u32) {
    let meter = parse_meter(text).unwrap();
    let places = Places::new([meter.id, MeterId::Number(1)]).unwrap();
    let offset = places.offset(meter.id).unwrap();
    let program = bench.load(|a| {
        let [pass, drop, remark] = ["pass", "drop", "remark"].map(|name| a.label(name));
        let exits = MeterExits { pass, drop, remark };
        emit_meter(a, &meter, offset, &exits);
        a.bind(pass);
        a.mov(R0, PASS);
        a.exit();
        a.bind(drop);
        a.mov(R0, DROP);
        if text.contains("dscp_remark") {
            a.exit();
            a.bind(remark);
            a.mov(R0, R1);
            a.add(R0, REMARK);
        }
    });
    (program, offset)
}

#[test]
fn a_meter_lets_its_burst_pass_and_counts() {
    let mut bench = Bench::new();
    // Slow enough that no second one comes while this runs: one packet in 1000 s.
    let text = "meter=5,kbps,burst,band=type=drop,rate=1,burst_size=1000";
    let (program, offset) = meter(&mut bench, text);
    // 125,000 bytes of burst.
    bench.set(&[(state::LEN, 50_000)]);
    let verdicts: Vec<u32> = (0..5).map(|_| run(&program)).collect();
    assert_eq!(verdicts, [0, 0, 1, 1, 1]);
    let at = |word: i16| bench.u64_at(offset + word as u32);
    assert_eq!(at(meters::PACKETS), 5);
    assert_eq!(at(meters::BYTES_SEEN), 250_000);
    assert_eq!(at(meters::BANDS + meters::OVER_PACKETS), 3);
    assert_eq!(at(meters::BANDS + meters::OVER_BYTES), 150_000);
}

#[test]
fn the_band_of_the_highest_rate_decides() {
    let mut bench = Bench::new();
    let text = "meter=257,pktps,burst,band=type=dscp_remark,rate=1,burst_size=1,prec_level=2,\
                band=type=drop,rate=2,burst_size=8000";
    let (program, offset) = meter(&mut bench, text);
    bench.set(&[(state::LEN, 100)]);
    let verdicts: Vec<u32> = (0..3).map(|_| run(&program)).collect();
    assert_eq!(verdicts, [0, 102, 102], "more than one packet in a second");
    let over = bench.u64_at(offset + (meters::BANDS + meters::OVER_PACKETS) as u32);
    assert_eq!(over, 2);
    // The other band's bucket holds more than can be put in at once.
    let full = program.test_run(&FRAME, 9000).unwrap();
    assert_eq!(full.verdict, DROP as u32);
}

#[test]
fn nothing_passes_at_a_rate_of_0() {
    let mut bench = Bench::new();
    for unit in ["kbps", "pktps"] {
        let (program, _) = meter(&mut bench, &format!("meter=9,{unit},band=type=drop,rate=0"));
        bench.set(&[(state::LEN, 100)]);
        assert_eq!(run(&program), DROP as u32);
    }
}
