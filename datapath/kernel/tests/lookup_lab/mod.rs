//! Tables in kernel memory with a program that does nothing but look packets up in them.
#![allow(dead_code, reason = "the test and the bench use different parts")]

use std::collections::BTreeSet;

use aorta_compiler::pipeline::layout::{self, state};
use aorta_compiler::pipeline::memory::Memory;
use aorta_compiler::pipeline::record::{MatchWord, RULE, Rule, RuleId, rank};
use aorta_compiler::pipeline::template::{Caps, Fit, LookupContext, TableImage};
use aorta_ebpf::{Assembler, MapId, Program, Reg, Size};
use aorta_flow::field::FieldId;
use aorta_flow::{Flow, Match};
use aorta_kernel::{Loaded, Loader, MappedMemory};

const MEMORY: MapId = MapId(1);
const STATE: MapId = MapId(2);
const KEYS: MapId = MapId(3);
/// Where the state has a count of lookups, far behind all else.
const COUNT: u32 = state::BYTES as u32 - 8;
/// What a lookup returns that finds nothing, and one that gives up.
pub const MISS: u32 = u32::MAX;
const GAVE_UP: u32 = u32::MAX - 1;

/// Words of the key with their values.
pub type Key = Vec<(i16, u32)>;

/// A flow as the compiler's tables know it, with its number as a constant.
pub fn rule(flow: &Flow, number: usize) -> Rule {
    Rule {
        id: RuleId(number as u32),
        rank: rank(flow.priority, number as u64),
        words: words(&flow.matching),
        shape: 1,
        params: vec![number as u32],
        clauses: Vec::new(),
    }
}

pub fn words(matching: &Match) -> Vec<MatchWord> {
    let mut words: Vec<MatchWord> = Vec::new();
    for part in matching.parts() {
        for number in 0..4u8 {
            let cut = |bits: u128| (bits >> (32 * u32::from(number))) as u32;
            if cut(part.mask) != 0 {
                let at = layout::word(part.field, number).unwrap();
                words.push(MatchWord {
                    at,
                    value: cut(part.value),
                    mask: cut(part.mask),
                });
            }
        }
    }
    words.sort_by_key(|word| word.at);
    words
}

/// Values of fields of at most 32 bits as words of the key.
pub fn key(fields: &[(FieldId, u128)]) -> Key {
    let word = |&(field, value): &(FieldId, u128)| {
        let field = field.field();
        (
            layout::word(field.home, 0).unwrap(),
            (value << field.shift) as u32,
        )
    };
    fields.iter().map(word).collect()
}

/// Number of the rule that a plain search finds.
pub fn plain(rules: &[Rule], key: &Key) -> u32 {
    let value = |at: i16| {
        key.iter()
            .find(|word| word.0 == at)
            .map_or(0, |word| word.1)
    };
    let matching = rules.iter().filter(|rule| {
        rule.words
            .iter()
            .all(|word| value(word.at) & word.mask == word.value)
    });
    matching
        .max_by_key(|rule| rule.rank)
        .map_or(MISS, |rule| rule.id.0)
}

/// A table in the kernel.
pub struct Lab {
    pub image: TableImage,
    pub memory: MappedMemory,
    keys: MappedMemory,
    state: MappedMemory,
    words: Vec<i16>,
    lookup: Loaded,
    /// The same program without the lookup.
    nothing: Loaded,
    /// Slots of the program.
    pub insns: usize,
}

impl Lab {
    /// Fills a table, and loads its lookup for packets with `keys`, in turns.
    pub fn new(loader: &mut Loader, rules: &[Rule], keys: &[Key]) -> Lab {
        let mut image = TableImage::plan(
            rules,
            &Caps {
                seed: 77,
                // As if they were larger than the processor's caches.
                near_bytes: 0,
                ..Caps::default()
            },
        );
        let mut memory = MappedMemory::create("table", image.memory_bytes()).unwrap();
        assert_eq!(image.fill(rules, 0, &mut memory), Fit::InPlace);
        Lab::of(loader, image, memory, keys)
    }

    pub fn of(loader: &mut Loader, image: TableImage, memory: MappedMemory, keys: &[Key]) -> Lab {
        let words: BTreeSet<i16> = keys.iter().flatten().map(|word| word.0).collect();
        let words: Vec<i16> = words.into_iter().collect();
        assert!(keys.len().is_power_of_two());
        let (row, all) = rows(&words, keys);
        let mut key_memory = MappedMemory::create("keys", all.len() as u32).unwrap();
        key_memory.fill(0, &all);
        let state = MappedMemory::create("state", state::BYTES as u32).unwrap();
        let programs = [Some(&image), None].map(|image| program(image, &words, row, keys.len()));
        let fds = [
            memory.map().raw_fd(),
            state.map().raw_fd(),
            key_memory.map().raw_fd(),
        ];
        let mut load = |program: &Program| {
            let fd = |id: MapId| fds.get(id.0 as usize - 1).copied();
            loader
                .load(program, fd)
                .unwrap_or_else(|e| panic!("{}", aorta_kernel::chain(&e)))
        };
        let [lookup, nothing] = [load(&programs[0]), load(&programs[1])];
        let insns = programs[0].len();
        Lab {
            image,
            memory,
            keys: key_memory,
            state,
            words,
            lookup,
            nothing,
            insns,
        }
    }

    /// What packets with each of the keys find, for packets of `version`.
    pub fn found(&mut self, count: usize, version: u32) -> Vec<u32> {
        self.state.set_u32(COUNT, 0);
        self.state.set_u32(state::VERSION as u32, version);
        let one = |_| self.lookup.test_run(&[0; 14], 1).unwrap().verdict;
        let found: Vec<u32> = (0..count).map(one).collect();
        assert!(!found.contains(&GAVE_UP), "a program gave up");
        found
    }

    /// Nanoseconds of a lookup, the best of some rounds of `repeat` each.
    pub fn nanoseconds(&self, rounds: usize, repeat: u32) -> (u32, u32) {
        let best = |program: &Loaded| {
            let run = |_| program.test_run(&[0; 14], repeat).unwrap().duration_ns;
            (0..rounds).map(run).min().unwrap()
        };
        (best(&self.lookup), best(&self.nothing))
    }
}

/// Bytes of a row, and all rows.
fn rows(words: &[i16], keys: &[Key]) -> (u32, Vec<u8>) {
    let row = (4 * words.len()).next_power_of_two().max(8);
    let mut all = vec![0; row * keys.len()];
    for (key, row) in keys.iter().zip(all.chunks_mut(row)) {
        for (at, value) in key {
            let place = 4 * words.iter().position(|word| word == at).unwrap();
            row[place..place + 4].copy_from_slice(&value.to_ne_bytes());
        }
    }
    (row as u32, all)
}

/// Takes the next key, looks it up, and returns the rule's number.
fn program(image: Option<&TableImage>, words: &[i16], row: u32, keys: usize) -> Program {
    let mut a = Assembler::new("lookup");
    a.mov(Reg::R6, Reg::R1);
    a.load_map_value(Reg::R7, STATE, 0);
    a.load_map_value(Reg::R1, STATE, COUNT);
    a.load(Size::Dw, Reg::R2, Reg::R1, 0);
    a.mov(Reg::R3, Reg::R2);
    a.add(Reg::R3, 1);
    a.store(Size::Dw, Reg::R1, 0, Reg::R3);
    a.and(Reg::R2, keys as i32 - 1);
    a.lsh(Reg::R2, row.trailing_zeros() as i32);
    a.load_map_value(Reg::R1, KEYS, 0);
    a.add(Reg::R1, Reg::R2);
    for (index, at) in words.iter().enumerate() {
        a.load(Size::W, Reg::R2, Reg::R1, 4 * index as i16);
        a.store(Size::W, Reg::R7, state::KEY + at, Reg::R2);
    }
    if let Some(image) = image {
        let (hit, miss, give_up) = (a.label("hit"), a.label("miss"), a.label("give_up"));
        image.emit(
            &mut a,
            &LookupContext {
                memory: MEMORY,
                hit,
                miss,
                give_up,
                counters: None,
            },
        );
        a.bind(hit);
        a.load(Size::W, Reg::R1, Reg::R8, image.record_bytes() as i16 - 4);
        a.load(Size::W, Reg::R0, Reg::R8, RULE);
        a.exit();
        a.bind(give_up);
        a.mov(Reg::R0, GAVE_UP as i32);
        a.exit();
        a.bind(miss);
    }
    a.mov(Reg::R0, MISS as i32);
    a.exit();
    a.finish().unwrap()
}
