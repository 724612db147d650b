//! Random tables, and what they mean.

use std::collections::BTreeMap;

use aorta_compiler::pipeline::layout;
use aorta_compiler::pipeline::record::{Clause, MatchWord, NEVER, Rule, RuleId, rank};
use aorta_flow::field::FieldId;
use proptest::prelude::*;

/// Places of words in the key that rules look at; two of them share 64 bits.
pub const WORDS: [i16; 5] = [4, 48, 52, 56, 60];

/// What kind of rules a table has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// One mask.
    Exact,
    /// Prefixes of one word.
    Prefixes,
    /// Prefixes of two words, some ports.
    Acl,
    /// Any masks.
    Wild,
    /// Conjunctions among other rules.
    Conjunctions,
}

/// A cheap sequence of random numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as u32 % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u32) as usize]
    }

    /// An address out of few, so that rules meet.
    fn address(&mut self) -> u32 {
        self.pick(&[0x0a00_0000, 0x0a01_0000, 0xc0a8_0000]) | self.below(4) << 8 | self.below(4)
    }
}

fn prefix_mask(len: u32) -> u32 {
    u32::MAX.checked_shl(32 - len).unwrap_or(0)
}

fn word(at: i16, value: u32, mask: u32) -> MatchWord {
    MatchWord {
        at,
        value: value & mask,
        mask,
    }
}

/// A rule of a kind of table, made from random numbers.
pub fn rule(shape: Shape, id: u32, random: u64) -> Rule {
    let mut random = Random(random | 1 << 40);
    let mut words = Vec::new();
    let mut priority = random.below(8) as u16;
    match shape {
        Shape::Exact => {
            words.push(word(WORDS[0], 0x800, u32::MAX));
            words.push(word(WORDS[1], random.address(), u32::MAX));
            words.push(word(WORDS[2], random.address(), u32::MAX));
        }
        Shape::Prefixes => {
            let len = random.pick(&[0, 8, 14, 16, 20, 22, 24, 24, 30, 32]);
            words.push(word(WORDS[0], 0x800, u32::MAX));
            words.push(word(WORDS[1], random.address(), prefix_mask(len)));
            // Mostly in the order of lengths.
            priority = len as u16 + u16::from(random.below(40) == 0) * 30;
        }
        Shape::Acl => {
            words.push(word(WORDS[0], 0x800, u32::MAX));
            let (from, to) = (
                random.pick(&[0, 8, 16, 24, 32]),
                random.pick(&[16, 24, 28, 32]),
            );
            words.push(word(WORDS[1], random.address(), prefix_mask(from)));
            words.push(word(WORDS[2], random.address(), prefix_mask(to)));
            words.push(word(WORDS[4], random.below(3), random.pick(&[0, u32::MAX])));
        }
        Shape::Conjunctions => {}
        Shape::Wild => {
            for at in WORDS {
                let mask = random.pick(&[0, 0, u32::MAX, 0xffff_ff00, 0x0000_00ff, 3]);
                words.push(word(at, random.address(), mask));
            }
        }
    }
    let mut clauses = Vec::new();
    if shape == Shape::Conjunctions {
        clauses = conjunction_rule(&mut random, &mut words, &mut priority);
    }
    words.retain(|word| word.mask != 0);
    words.sort_by_key(|word| word.at);
    Rule {
        id: RuleId(id),
        rank: rank(priority, id.into()),
        words,
        shape: random.below(100),
        params: vec![id, 7],
        clauses,
    }
}

/// What packets have as `conj_id`: a conjunction that no rule asks for.
pub const CONJ_ID: u32 = 1 << 31;

/// Place of `conj_id`.
pub fn conj_id() -> i16 {
    layout::word(FieldId::CONJ_ID, 0).unwrap()
}

/// How many conjunctions there can be, more than fit into one window.
const CONJUNCTIONS: u32 = 300;

/// Makes the rule a clause, one for a conjunction's number, or a plain one.
fn conjunction_rule(
    random: &mut Random,
    words: &mut Vec<MatchWord>,
    priority: &mut u16,
) -> Vec<Clause> {
    *priority = random.pick(&[10, 20, 20, 30]);
    let few = random.below(3) > 0;
    let conjunction = |random: &mut Random| match few {
        true => random.below(4),
        false => random.below(CONJUNCTIONS),
    };
    match random.below(8) {
        0 | 1 => {
            words.push(word(conj_id(), conjunction(random), u32::MAX));
            let port = random.pick(&[0, 0, u32::MAX]);
            words.push(word(WORDS[4], random.below(3), port));
        }
        2 => {
            words.push(word(
                WORDS[1],
                random.address(),
                random.pick(&[0, u32::MAX]),
            ));
            *priority = random.pick(&[5, 20, 30]);
        }
        _ => {
            let number = 1 + random.below(3) as u8;
            let at = [WORDS[1], WORDS[2], WORDS[4]][usize::from(number) - 1];
            let value = if number == 3 {
                random.below(3)
            } else {
                random.address()
            };
            words.push(word(
                at,
                value,
                random.pick(&[u32::MAX, 0xffff_ff00, 0xff, 3]),
            ));
            let mut clauses: Vec<Clause> = (0..1 + random.below(20))
                .map(|_| {
                    let conjunction = conjunction(random);
                    // Some have two clauses, some three, some many of which two come together.
                    let of = [2, 3, 64, 2][conjunction as usize % 4];
                    let number = if of == 64 {
                        64 - number % 2
                    } else {
                        number.min(of)
                    };
                    Clause {
                        conjunction,
                        number,
                        of,
                    }
                })
                .collect();
            clauses.truncate(random.pick(&[1, 2, 20]));
            return clauses;
        }
    }
    Vec::new()
}

/// Packets for each table.
const PACKETS: usize = 16;

/// A kind of table, rules, and numbers to make packets from.
pub fn tables(
    most: usize,
) -> impl Strategy<Value = (Shape, Vec<Rule>, Vec<(prop::sample::Index, u64)>)> {
    let shapes = prop::sample::select(vec![
        Shape::Exact,
        Shape::Prefixes,
        Shape::Acl,
        Shape::Wild,
        Shape::Conjunctions,
    ]);
    let rules = prop::collection::vec(any::<u64>(), 0..most);
    let picks = prop::collection::vec((any::<prop::sample::Index>(), any::<u64>()), PACKETS);
    (shapes, rules, picks).prop_map(|(shape, numbers, picks)| {
        let rules = numbers.iter().enumerate();
        let mut rules: Vec<Rule> = rules
            .map(|(id, number)| rule(shape, id as u32, *number))
            .collect();
        // A table has no two rules of the same match and priority.
        rules.sort_by(|a, b| (a.rank >> 48, &a.words).cmp(&(b.rank >> 48, &b.words)));
        rules.dedup_by(|a, b| a.rank >> 48 == b.rank >> 48 && a.words == b.words);
        (shape, rules, picks)
    })
}

/// A packet near one of the rules.
pub fn key_for(
    shape: Shape,
    rules: &[Rule],
    (index, random): &(prop::sample::Index, u64),
) -> Vec<(i16, u32)> {
    let mut random = Random(random | 1);
    let near = if rules.is_empty() {
        rule(shape, 0, random.0)
    } else {
        rules[index.index(rules.len())].clone()
    };
    WORDS
        .iter()
        .map(|at| {
            let asked = near.words.iter().find(|word| word.at == *at);
            let noise = match random.below(4) {
                0 => random.below(u32::MAX),
                _ if *at == WORDS[4] => random.below(3),
                _ => random.address(),
            };
            let mut value = asked.map_or(noise, |word| word.value | noise & !word.mask);
            if random.below(16) == 0 {
                value ^= 1 << random.below(32);
            }
            (*at, value)
        })
        .collect()
}

/// Rules with the versions that have them.
#[derive(Clone, Default)]
pub struct Model {
    rules: Vec<(Rule, u32, u32)>,
}

impl Model {
    pub fn of(rules: &[Rule]) -> Model {
        Model {
            rules: rules.iter().map(|rule| (rule.clone(), 0, NEVER)).collect(),
        }
    }

    pub fn insert(&mut self, rule: &Rule, born: u32) {
        self.rules.push((rule.clone(), born, NEVER));
    }

    pub fn kill(&mut self, id: RuleId, died: u32) {
        for (rule, _, end) in &mut self.rules {
            if rule.id == id && *end == NEVER {
                *end = died;
            }
        }
    }

    /// Forgets what was done for a version; the rules that are there now.
    pub fn rollback(&mut self, version: u32) -> Vec<Rule> {
        self.rules.retain(|(_, born, _)| *born != version);
        for (_, _, died) in &mut self.rules {
            if *died == version {
                *died = NEVER;
            }
        }
        let alive = self.rules.iter().filter(|(_, _, died)| *died == NEVER);
        alive.map(|(rule, _, _)| rule.clone()).collect()
    }

    /// Number and shape of the rule that a packet of a version gets.
    pub fn lookup(&self, key: &[(i16, u32)], version: u32) -> Option<(u32, u32)> {
        let mut matching = self.matching(key, version);
        matching.sort_by_key(|rule| std::cmp::Reverse(rule.rank));
        for level in matching.chunk_by(|a, b| a.rank >> 48 == b.rank >> 48) {
            if let Some(rule) = level.iter().find(|rule| rule.clauses.is_empty()) {
                return Some((rule.id.0, rule.shape));
            }
            if let Some(found) = self.conjunction(level, key, version) {
                return Some(found);
            }
        }
        None
    }

    fn matching(&self, key: &[(i16, u32)], version: u32) -> Vec<&Rule> {
        let value = |at: i16| match key.iter().rev().find(|word| word.0 == at) {
            Some(word) => word.1,
            None if at == conj_id() => CONJ_ID,
            None => 0,
        };
        let visible = self
            .rules
            .iter()
            .filter(|(_, born, died)| (*born..*died).contains(&version));
        let matches = |rule: &&Rule| {
            let mut words = rule.words.iter();
            words.all(|word| value(word.at) & word.mask == word.value)
        };
        visible.map(|(rule, _, _)| rule).filter(matches).collect()
    }

    /// The plain rule for the conjunction of the lowest number of which all clauses are there.
    fn conjunction(&self, level: &[&Rule], key: &[(i16, u32)], version: u32) -> Option<(u32, u32)> {
        let mut missing: BTreeMap<u32, u64> = BTreeMap::new();
        for clause in level.iter().flat_map(|rule| &rule.clauses) {
            let all = u64::MAX >> (64 - clause.of);
            *missing.entry(clause.conjunction).or_insert(all) &= !(1 << (clause.number - 1));
        }
        let complete = missing.iter().find(|(_, missing)| **missing == 0)?;
        let mut key = key.to_vec();
        key.push((conj_id(), *complete.0));
        let plain = self
            .matching(&key, version)
            .into_iter()
            .filter(|rule| rule.clauses.is_empty());
        plain
            .max_by_key(|rule| rule.rank)
            .map(|rule| (rule.id.0, rule.shape))
    }
}
