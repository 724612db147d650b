//! Compiled flow tables against the reference interpreter without a kernel: random tables and
//! random frames through the interpreted program.
//!
//! `AORTA_DIFF_CASES` sets the number of tables, and `AORTA_DIFF_SEED` where to begin.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod skb;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aorta_compiler::abi::{self, COUNTERS, GENERATION_MAPS, JUMPS, PORTS, counter, jump};
use aorta_compiler::pipeline::maps::{self, STATE, flow_stats_spec, ports, stats};
use aorta_compiler::pipeline::memory::Memory as _;
use aorta_compiler::pipeline::record::RuleId;
use aorta_compiler::pipeline::{Hook, Pipeline, PipelineConfig};
use aorta_compiler::{FlowEntryFacts, Origin, Refuses, compile_flow_entry};
use aorta_ebpf::interp::{Machine, MapKind, MapSpec};
use aorta_ebpf::{MapId, Program, Size};
use aorta_flow::table::{FlowId, MAX_TABLE, Miss, Misses, Tables};
use aorta_flow::{
    Attachment, Bridge, DropReason, IfIndex, Interpreter, OfPort, Port, PortName, Restrictions,
    Snapshot,
};
use aorta_testing::tables::{Kind, Profile, random_case};
use aorta_testing::{Case, Rng, shrink};
use skb::{REDIRECT, Skb};

/// Tables in the short form.
const TABLES: u64 = 150;
const PORTS_OF_BRIDGE: u16 = 6;
const MTU_BYTES: u32 = 1500;
/// Rules that can be counted: more than tables here have.
const COUNTED_RULES: u32 = 1 << 12;
/// Device of port 0; those of the others follow.
const FIRST_DEVICE: u32 = 100;

/// What needs other programs or a kernel, or isn't compiled.
const LEFT_OUT: [Kind; 5] = [
    Kind::Normal,
    Kind::Learn,
    Kind::Controller,
    Kind::Truncated,
    Kind::Meter,
];

/// A bridge's program with all that is around it.
struct Bridged {
    machine: Machine,
    context: u64,
    entries: Vec<Program>,
    rules: HashMap<FlowId, RuleId>,
}

impl Bridged {
    /// `fixed` if the program is to be that for one version of the tables.
    fn new(tables: &Tables, fixed: bool) -> Result<Bridged, String> {
        let config = PipelineConfig {
            bridge: "br0".into(),
            bridge_slot: 0,
            hook: Hook::Tc,
            version: 1,
            seed: 1,
            counted_rules: COUNTED_RULES,
        };
        let mut rules = HashMap::new();
        let mut rule_of = |flow| {
            let next = RuleId(rules.len() as u32);
            *rules.entry(flow).or_insert(next)
        };
        let built = Pipeline::build(tables, &mut rule_of, &config);
        let mut pipeline = built.map_err(|e| e.to_string())?;
        let mut machine = Machine::default();
        machine.budget = 20_000_000;
        let shared = GENERATION_MAPS.iter().copied();
        let own = [
            COUNTERS,
            STATE,
            maps::ASIDE,
            maps::UPCALL_SPACE,
            flow_stats_spec(1, COUNTED_RULES),
        ];
        for spec in shared.chain(own) {
            let kind = match spec.kind {
                abi::MapKind::Hash => MapKind::Hash,
                abi::MapKind::LruHash => MapKind::LruHash,
                abi::MapKind::ProgArray => MapKind::ProgArray,
                _ => MapKind::Array,
            };
            let spec_of = MapSpec {
                kind,
                key: spec.key_bytes as usize,
                value: spec.value_bytes as usize,
                max_entries: spec.max_entries as usize,
            };
            machine.maps.create(spec.id, spec_of);
        }
        memory(&mut machine, maps::BRIDGE_PORTS, bridge_ports());
        memory(
            &mut machine,
            maps::VERSION,
            [1u8, 0, 0, 0, 0, 0, 0, 0].to_vec(),
        );
        for wanted in pipeline.memories() {
            let mut bytes = vec![0; wanted.bytes as usize];
            let filled = pipeline.fill(wanted.table, &mut bytes);
            filled.map_err(|e| e.to_string())?;
            memory(&mut machine, wanted.map, bytes);
        }
        for port in 1..=PORTS_OF_BRIDGE {
            put(&mut machine, PORTS.id, port.into(), &record(port));
        }
        let root = pipeline.program().map_err(|e| e.to_string())?;
        let other = pipeline.fixed_program(config.version);
        let other = other.map_err(|e| e.to_string())?.filter(|_| fixed);
        machine.set_program(JUMPS.id, jump::bridge(0), other.unwrap_or(root));
        let context = machine.skb(&[]);
        Ok(Bridged {
            machine,
            context,
            entries: (1..=PORTS_OF_BRIDGE).map(entry).collect(),
            rules,
        })
    }

    /// Sends a frame; what left, by port.
    fn send(&mut self, port: u16, frame: &[u8]) -> Result<Vec<(u16, Vec<u8>)>, String> {
        let machine = &mut self.machine;
        let mut skb = Skb::receive(machine, self.context, frame);
        let entry = &self.entries[usize::from(port) - 1];
        let mut env = |helper, args, machine: &mut Machine| skb.call(helper, args, machine);
        let run = machine.run(entry, self.context, &mut env);
        let run = run.map_err(|e| e.to_string())?;
        if run.verdict == REDIRECT {
            let device = skb.redirect.unwrap_or(0);
            let last = skb.on_wire(machine);
            skb.outputs.push((device, last));
        }
        let port = |device: u32| device.wrapping_sub(FIRST_DEVICE) as u16;
        let outputs = skb.outputs.into_iter();
        Ok(outputs
            .map(|(device, frame)| (port(device), frame))
            .collect())
    }

    /// What a rule has counted on the only processor.
    fn rule_words(&mut self, rule: RuleId) -> Vec<u64> {
        let words = stats::BYTES / 8;
        let first = rule.0 as usize * words;
        self.words(maps::FLOW_STATS, 0, first + words)
            .split_off(first)
    }

    fn words(&mut self, map: MapId, index: u32, n: usize) -> Vec<u64> {
        let machine = &mut self.machine;
        let key = index.to_ne_bytes();
        let at = machine.maps.lookup(&mut machine.memory, map, &key).unwrap();
        let word = |n: usize| machine.memory.load(Size::Dw, at + 8 * n as u64).unwrap();
        (0..n).map(word).collect()
    }
}

fn memory(machine: &mut Machine, id: MapId, bytes: Vec<u8>) {
    let spec = MapSpec {
        kind: MapKind::Array,
        key: 4,
        value: bytes.len(),
        max_entries: 1,
    };
    machine.maps.create(id, spec);
    put(machine, id, 0, &bytes);
}

fn put(machine: &mut Machine, id: MapId, index: u32, value: &[u8]) {
    let Machine { memory, maps, .. } = machine;
    let key = index.to_ne_bytes();
    // An array's element is there once it has been looked up.
    maps.lookup(memory, id, &key);
    maps.update(memory, id, &key, value, 0).unwrap();
}

fn bridge_ports() -> Vec<u8> {
    let mut memory = vec![0; ports::BYTES as usize];
    let at = |field: i16| ports::LISTS + field as u32;
    memory.set_u32(at(ports::COUNT), PORTS_OF_BRIDGE.into());
    memory.set_u32(at(ports::FLOODED), u32::from(PORTS_OF_BRIDGE) - 1);
    for port in 1..=PORTS_OF_BRIDGE {
        let slot = u32::from(port);
        memory.set_u32(ports::slot_of(port), slot + 1);
        memory.set_u32(at(ports::FIRST) + 4 * (slot - 1), slot);
    }
    memory
}

fn record(port: u16) -> [u8; abi::port::BYTES] {
    abi::port::Record {
        ifindex: FIRST_DEVICE + u32::from(port),
        max_len: MTU_BYTES + aorta_flow::LINK_HEADER_BYTES,
        tagged: abi::port::TAGGED_ALL,
        ..abi::port::Record::FREE
    }
    .encode()
}

fn entry(port: u16) -> Program {
    let facts = FlowEntryFacts {
        port_slot: port.into(),
        ofport: OfPort(port),
        bridge_slot: 0,
        origin: Origin::Device,
        refuses: Refuses::new(restrictions(port)),
        guard: None,
    };
    compile_flow_entry(&facts).unwrap()
}

/// The last port isn't flooded to; the first doesn't receive some frames.
fn restrictions(port: u16) -> Restrictions {
    Restrictions {
        no_flood: port == PORTS_OF_BRIDGE,
        no_receive_stp: port == 1,
        ..Restrictions::default()
    }
}

fn port_name(port: u16) -> PortName {
    format!("p{port}").into()
}

fn snapshot() -> Snapshot {
    let port = |n: u16| Port {
        restrictions: restrictions(n),
        ..Port::new(
            port_name(n),
            OfPort(n),
            Attachment::Netdev {
                ifindex: IfIndex::new(FIRST_DEVICE + u32::from(n)).unwrap(),
                up: true,
                mtu_bytes: MTU_BYTES,
            },
        )
    };
    Snapshot {
        bridges: vec![Bridge::new(
            "br0".into(),
            (1..=PORTS_OF_BRIDGE).map(port).collect(),
        )],
    }
}

fn show(outputs: &[(PortName, Vec<u8>)]) -> String {
    let one = |same: &[(PortName, Vec<u8>)]| {
        let (port, frame) = &same[0];
        let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{} x by {port}: {hex}", same.len())
    };
    let all: Vec<String> = outputs.chunk_by(|a, b| a == b).map(one).collect();
    all.join(", ")
}

/// What differs between both, if anything; an error if the compiler refuses the tables.
fn compare(case: &Case, misses: &Misses) -> Result<Option<String>, String> {
    for fixed in [false, true] {
        if let Some(difference) = compare_one(case, misses, fixed)? {
            return Ok(Some(format!("{difference} (for one version: {fixed})")));
        }
    }
    Ok(None)
}

fn compare_one(case: &Case, misses: &Misses, fixed: bool) -> Result<Option<String>, String> {
    let mut tables = case.tables().map_err(|e| e.to_string())?;
    tables.set_misses(misses.clone());
    let mut bridged = Bridged::new(&tables, fixed)?;
    let bridge = "br0".into();
    let mut interpreter = Interpreter::new(&snapshot());
    interpreter.set_tables(&bridge, tables.clone());
    let mut drops: BTreeMap<(PortName, DropReason), u64> = BTreeMap::new();
    for (n, frame) in case.frames.iter().enumerate() {
        let (port, now) = (frame.in_port.0, Duration::from_millis(n as u64));
        let expected = interpreter.receive_at(&port_name(port), &frame.bytes, now);
        for drop in expected.drops {
            *drops.entry(drop).or_default() += 1;
        }
        let wanted: Vec<_> = expected
            .outputs
            .into_iter()
            .map(|output| (output.port, output.frame))
            .collect();
        let left = match bridged.send(port, &frame.bytes) {
            Ok(left) => left,
            Err(fault) => return Ok(Some(format!("frame {n}: {fault}"))),
        };
        let left: Vec<_> = left
            .into_iter()
            .map(|(port, frame)| (port_name(port), frame))
            .collect();
        if left != wanted {
            return Ok(Some(format!(
                "frame {n}: left {}; should have left {}",
                show(&left),
                show(&wanted)
            )));
        }
    }
    for entry in tables.flows() {
        let expected = interpreter.flow_count(&bridge, entry.id);
        let rule = bridged.rules.get(&entry.id).copied();
        let counted = rule.map_or((0, 0), |rule| {
            let words = bridged.rule_words(rule);
            (words[0], words[1])
        });
        if counted != (expected.packets, expected.bytes) {
            let flow = &entry.flow;
            let expected = (expected.packets, expected.bytes);
            return Ok(Some(format!(
                "{flow}: counted {counted:?}, not {expected:?}"
            )));
        }
    }
    for port in 1..=PORTS_OF_BRIDGE {
        let words = bridged.words(COUNTERS.id, port.into(), counter::WORDS);
        for reason in DropReason::ALL {
            let counted = words[counter::DROPS + reason.index()];
            let expected = drops.get(&(port_name(port), *reason)).copied().unwrap_or(0);
            if counted != expected {
                return Ok(Some(format!(
                    "port {port}: counted {counted} dropped for {reason}, not {expected}"
                )));
            }
        }
    }
    Ok(None)
}

fn number(variable: &str, otherwise: u64) -> u64 {
    let asked = std::env::var(variable).ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn interpreted_programs_do_what_the_interpreter_says() {
    let first = number("AORTA_DIFF_SEED", 0);
    let tables = number("AORTA_DIFF_CASES", TABLES);
    let mut refused: BTreeMap<String, u64> = BTreeMap::new();
    for seed in first..first.saturating_add(tables) {
        let mut without = Kind::all_but(6, &mut Rng::new(!seed));
        without.retain(|kind| *kind != Kind::Output);
        without.extend(LEFT_OUT);
        let profile = Profile {
            flows: 25,
            ports: PORTS_OF_BRIDGE,
            without,
            ..Profile::default()
        };
        let case = random_case(&profile, &mut Rng::new(seed));
        // Packets that a table has no flow for go on, or end, but in none of these at controllers.
        let misses = Misses {
            tables: [3, MAX_TABLE].map(|table| (table, Miss::Drop)).into(),
            others: [Miss::Drop, Miss::Continue][seed as usize % 2],
        };
        match compare(&case, &misses) {
            Ok(None) => {}
            Ok(Some(_)) => {
                let mut differs = |case: &Case| matches!(compare(case, &misses), Ok(Some(_)));
                let small = shrink(case, &mut differs);
                panic!("seed {seed}: {:?}\n{small}", compare(&small, &misses));
            }
            Err(why) => *refused.entry(why).or_default() += 1,
        }
    }
    let refusals: u64 = refused.values().sum();
    assert!(
        refusals * 10 <= tables,
        "{refusals} of {tables} tables were refused: {refused:#?}"
    );
}
