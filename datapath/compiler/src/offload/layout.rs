//! Which tables are code, and which maps the others have.

use std::collections::{BTreeMap, BTreeSet};

use aorta_ebpf::MapId;

use super::entries::{Entry, key_bytes, mask_of, value_len};
use super::{COUNTERS, CardError, CardLimits, CardMap, FIRST_HASH, counters};
use crate::abi::MapKind;
use crate::pipeline::card::{HashTuple, Hashed, MAX_TABLES};
use crate::pipeline::plan::{Plan, TablePlan};
use crate::pipeline::record::MatchWord;

/// How a table in hash maps is laid out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Layout {
    /// Its maps.
    pub hashed: Hashed,
    /// Entries of each.
    room: Vec<u32>,
    /// Bytes of their values.
    pub value_bytes: usize,
    shapes: BTreeSet<u32>,
}

/// Fewest entries of a map: as many again can be added before there must be another program.
const MIN_ROOM: usize = 64;
/// Bytes of a value at most: records end before the places of tags, by which accesses are told apart.
const MAX_VALUE_BYTES: u32 = 256;
/// Tables of more masks than maps are code, up to so many rules.
const MAX_CODE_RULES: usize = 256;

impl Layout {
    /// Where a rule that asks for these words stands.
    pub fn place_of(&self, words: &[MatchWord]) -> Option<Entry> {
        let mask = mask_of(words);
        let tuple = self.hashed.tuples.iter().find(|t| t.words == mask)?;
        Some(Entry {
            map: tuple.map,
            key: key_bytes(tuple, words),
        })
    }

    /// Whether the program has code for a shape behind its lookup.
    pub fn has_shape(&self, shape: u32) -> bool {
        self.shapes.contains(&shape)
    }

    /// Entries that a map has room for.
    pub fn room_of(&self, map: MapId) -> usize {
        let at = self.hashed.tuples.iter().position(|tuple| tuple.map == map);
        at.and_then(|at| self.room.get(at))
            .map_or(0, |room| *room as usize)
    }

    /// Gives the rules of a table maps.
    fn add_tuples(
        &mut self,
        table: &TablePlan,
        (number, limit): (u8, u32),
    ) -> Result<(), CardError> {
        for rule in &table.rules {
            self.value_bytes = self.value_bytes.max(value_len(rule.params.len()));
        }
        self.value_bytes = self.value_bytes.max(value_len(0));
        for (words, needed) in masks(table) {
            if needed > limit as usize {
                let table = number;
                return Err(CardError::TableFull {
                    table,
                    needed,
                    limit,
                });
            }
            let map = MapId(FIRST_HASH);
            self.hashed.tuples.push(HashTuple { words, map });
            let wanted = (2 * needed).max(MIN_ROOM).next_power_of_two();
            self.room.push(wanted.min(limit as usize) as u32);
        }
        Ok(())
    }
}

/// The bits that rules of a table ask for, and how many ask for the same.
fn masks(table: &TablePlan) -> BTreeMap<Vec<(i16, u32)>, usize> {
    let mut counts = BTreeMap::new();
    for rule in &table.rules {
        *counts.entry(mask_of(&rule.words)).or_default() += 1;
    }
    counts
}

/// The tables that are in hash maps.
///
/// # Errors
/// When the card doesn't have such maps.
pub fn layouts(plan: &Plan, limits: &CardLimits) -> Result<BTreeMap<u8, Layout>, CardError> {
    let needed = plan.tables.len();
    if needed > MAX_TABLES {
        let limit = MAX_TABLES;
        return Err(CardError::TooManyTables { needed, limit });
    }
    let mut layouts = BTreeMap::new();
    let mut next = FIRST_HASH;
    for (number, table) in &plan.tables {
        if is_code(*number, table, limits)? {
            continue;
        }
        let mut layout = Layout {
            shapes: table.shapes.clone(),
            ..Layout::default()
        };
        layout.add_tuples(table, (*number, limits.max_entries))?;
        for tuple in &mut layout.hashed.tuples {
            tuple.map = MapId(next);
            next += 1;
        }
        check_sizes(*number, &layout, limits)?;
        layouts.insert(*number, layout);
    }
    let needed = 1 + (next - FIRST_HASH) as usize;
    if needed > limits.maps {
        let limit = limits.maps;
        return Err(CardError::TooManyMaps { needed, limit });
    }
    Ok(layouts)
}

/// Whether a table is code: if it is small, or if few of its rules ask for the same bits.
fn is_code(number: u8, table: &TablePlan, limits: &CardLimits) -> Result<bool, CardError> {
    let rules = table.rules.len();
    if rules <= limits.code_rules {
        return Ok(true);
    }
    let masks = masks(table).len();
    if masks <= limits.masks {
        return Ok(false);
    }
    match rules <= MAX_CODE_RULES {
        true => Ok(true),
        false => Err(CardError::TooManyMasks {
            table: number,
            masks,
            rules,
            limit: limits.masks,
            as_code: MAX_CODE_RULES,
        }),
    }
}

fn check_sizes(table: u8, layout: &Layout, limits: &CardLimits) -> Result<(), CardError> {
    let tuples = layout.hashed.tuples.iter();
    let needed = tuples.map(HashTuple::key_bytes).max().unwrap_or(0);
    let limit = limits.key_bytes;
    if needed > limit as usize {
        return Err(CardError::KeyTooLong {
            table,
            needed,
            limit,
        });
    }
    let needed = layout.value_bytes;
    let limit = limits.value_bytes.min(MAX_VALUE_BYTES);
    if needed > limit as usize {
        return Err(CardError::ValueTooLong {
            table,
            needed,
            limit,
        });
    }
    Ok(())
}

/// All maps of a program, that of its counters first.
pub fn maps(tables: &BTreeMap<u8, Layout>, counted: u32) -> Vec<CardMap> {
    let mut maps = vec![CardMap {
        id: COUNTERS,
        kind: MapKind::Array,
        key_bytes: 4,
        value_bytes: counters::BYTES,
        max_entries: counted,
    }];
    for layout in tables.values() {
        let tuples = layout.hashed.tuples.iter().zip(&layout.room);
        maps.extend(tuples.map(|(tuple, room)| CardMap {
            id: tuple.map,
            kind: MapKind::Hash,
            key_bytes: tuple.key_bytes() as u32,
            value_bytes: layout.value_bytes as u32,
            max_entries: *room,
        }));
    }
    maps
}
