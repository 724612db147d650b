//! Prefixes of one word, found by three steps in arrays of 2¹⁶, 2⁸ and 2⁸ entries.
//!
//! An entry is 0, the offset of a record, or, with its highest bit set, the offset of 256 entries
//! for the next eight bits. An entry's record is the first of the longest prefix that covers it.
//! Each prefix has a *node*, where a packet goes on that may not see any of the prefix's records
//! (they are too new or too old): u32 the prefix's first record, u32 the node of the next shorter
//! prefix. A longer prefix always has the higher ranks.

use std::collections::BTreeMap;

use super::super::memory::Memory;
use super::super::record::MatchWord;
use super::buckets::NONE;
use super::lane::{Lane, Pair};
use super::slab::Slab;

/// Entries of the first step.
pub(super) const ROOT: u32 = 1 << 16;
/// Entries of the other steps.
pub(super) const CHUNK: u32 = 1 << 8;
/// Marks an entry that leads to more entries.
pub(super) const DEEPER: u32 = 1 << 31;
/// Bytes of a node.
pub(super) const NODE_BYTES: u32 = 8;

/// The rules of one word's prefixes.
#[derive(Clone, Debug)]
pub(super) struct Lpm {
    /// Byte offset of the word in the key.
    pub word: i16,
    /// What else each of the rules asks for: all the same.
    pub fixed: Vec<(Lane, u64)>,
    /// Offset of the entries.
    pub entries_at: u32,
    /// Most entries.
    pub capacity: u32,
    /// Offset of the nodes. The first one is none.
    pub nodes_at: u32,
    /// Most nodes.
    pub node_capacity: u32,
    entries: Vec<u32>,
    nodes: Vec<Node>,
    /// Nodes without a prefix.
    free: Vec<u32>,
    /// Nodes by start and length of their prefixes.
    prefixes: BTreeMap<(u32, u8), u32>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    start: u32,
    len: u8,
    /// First record.
    head: u32,
    /// Next shorter prefix; 0 if there is none.
    parent: u32,
    /// Bounds of the ranks that it had.
    ranks: (u64, u64),
}

/// A prefix: the first number, and how many bits are fixed.
pub(super) type Prefix = (u32, u8);

/// The prefix that a rule has in a word; no word is all numbers.
pub(super) fn prefix(word: Option<&MatchWord>) -> Option<Prefix> {
    let Some(word) = word else {
        return Some((0, 0));
    };
    let len = word.mask.leading_ones();
    (word.mask.checked_shl(len).unwrap_or(0) == 0).then_some((word.value & word.mask, len as u8))
}

/// The last number of a prefix.
pub(super) fn last((start, len): Prefix) -> u32 {
    start | u32::MAX.checked_shr(len.into()).unwrap_or(0)
}

impl Lpm {
    /// Empty arrays.
    pub fn new(word: i16, fixed: Vec<(Lane, u64)>, capacity: u32, node_capacity: u32) -> Lpm {
        let none = Node {
            start: 0,
            len: 0,
            head: NONE,
            parent: 0,
            ranks: (u64::MAX, 0),
        };
        Lpm {
            word,
            fixed,
            entries_at: 0,
            capacity,
            nodes_at: 0,
            node_capacity,
            entries: vec![0; ROOT as usize],
            nodes: vec![none],
            free: Vec::new(),
            prefixes: BTreeMap::new(),
        }
    }

    /// Entries that prefixes need, the root's included.
    pub fn entries_for(prefixes: &[Prefix]) -> u32 {
        let chunks = |bits: u32| {
            let longer = prefixes.iter().filter(|prefix| u32::from(prefix.1) > bits);
            let mut starts: Vec<u32> = longer.map(|prefix| prefix.0 >> (32 - bits)).collect();
            starts.sort_unstable();
            starts.dedup();
            starts.len() as u32
        };
        ROOT + CHUNK * (chunks(16) + chunks(24))
    }

    /// The prefix of a rule that can be among its rules.
    pub fn takes(&self, pairs: &[Pair]) -> Option<Prefix> {
        let word = Lane {
            at: self.word,
            size: aorta_ebpf::Size::W,
            mask: u32::MAX.into(),
        };
        let (value, mask) = word.of_pairs(pairs);
        let mut left: u32 = pairs.iter().map(|pair| pair.mask.count_ones()).sum();
        left -= mask.count_ones();
        for (lane, value) in &self.fixed {
            if lane.of_pairs(pairs) != (*value, lane.mask) {
                return None;
            }
            left -= lane.mask.count_ones();
        }
        let word = MatchWord {
            at: self.word,
            value: value as u32,
            mask: mask as u32,
        };
        if left == 0 { prefix(Some(&word)) } else { None }
    }

    /// Whether a rule of this prefix and rank keeps longer prefixes above shorter ones, and there
    /// is room for it.
    pub fn has_room(&self, prefix: Prefix, rank: u64, slab: &Slab) -> bool {
        let above = |node: &Node| node.ranks.0 > rank;
        if !self
            .children(prefix)
            .iter()
            .all(|node| above(&self.nodes[*node as usize]))
        {
            return false;
        }
        let node = self.prefixes.get(&prefix).copied();
        let parent = node.map_or_else(
            || self.parent_of(prefix, slab),
            |node| self.nodes[node as usize].parent,
        );
        if parent != 0 && self.nodes[parent as usize].ranks.1 >= rank {
            return false;
        }
        let node_fits = node.is_some()
            || !self.free.is_empty()
            || (self.nodes.len() as u32) < self.node_capacity;
        node_fits
            && self.entries.len() as u32 + self.chunks_missing(prefix) * CHUNK <= self.capacity
    }

    fn chunks_missing(&self, (start, len): Prefix) -> u32 {
        if len <= 16 {
            return 0;
        }
        let entry = self.entries[(start >> 16) as usize];
        if entry & DEEPER == 0 {
            return 1 + u32::from(len > 24);
        }
        let entry = self.entries[((entry & !DEEPER) / 4 + (start >> 8 & 0xff)) as usize];
        u32::from(len > 24 && entry & DEEPER == 0)
    }

    /// The node of the longest prefix around a prefix that is not there.
    fn parent_of(&self, (start, len): Prefix, slab: &Slab) -> u32 {
        let mut entry = self.entries[(start >> 16) as usize];
        for shift in [8, 0] {
            if entry & DEEPER != 0 {
                entry = self.entries[((entry & !DEEPER) / 4 + (start >> shift & 0xff)) as usize];
            }
        }
        if entry == 0 {
            return 0;
        }
        let mut node = slab.info(slab.at_offset(entry)).place;
        while node != 0 && self.nodes[node as usize].len >= len {
            node = self.nodes[node as usize].parent;
        }
        node
    }

    /// The nodes of the prefixes within a prefix that no other one within it is around.
    fn children(&self, prefix: Prefix) -> Vec<u32> {
        let mut children = Vec::new();
        let (end, mut from) = (last(prefix), (prefix.0, prefix.1 + 1));
        while from <= (end, 32) {
            let Some((&child, &node)) = self.prefixes.range(from..=(end, 32)).next() else {
                break;
            };
            children.push(node);
            match last(child).checked_add(1) {
                Some(next) => from = (next, 0),
                None => break,
            }
        }
        children
    }

    /// The node for a new record of this prefix; see [`Lpm::has_room`].
    pub fn node(&mut self, prefix: Prefix, slab: &Slab) -> u32 {
        if let Some(node) = self.prefixes.get(&prefix) {
            return *node;
        }
        let parent = self.parent_of(prefix, slab);
        let (start, len) = prefix;
        let new = Node {
            start,
            len,
            head: NONE,
            parent,
            ranks: (u64::MAX, 0),
        };
        let node = self.free.pop().unwrap_or(self.nodes.len() as u32);
        if node as usize == self.nodes.len() {
            self.nodes.push(new);
        } else {
            self.nodes[node as usize] = new;
        }
        self.prefixes.insert(prefix, node);
        node
    }

    /// The records of a prefix, by falling rank.
    pub fn chain<'a>(&self, prefix: Prefix, slab: &'a Slab) -> impl Iterator<Item = u32> + 'a {
        let node = self.prefixes.get(&prefix);
        let first = node.map_or(NONE, |node| self.nodes[*node as usize].head);
        let next = |&record: &u32| Some(slab.info(record).next).filter(|next| *next != NONE);
        std::iter::successors(Some(first).filter(|first| *first != NONE), next)
    }

    /// Puts a record, which is written already, into its chain and the arrays.
    pub fn link(&mut self, record: u32, slab: &mut Slab, memory: &mut dyn Memory) {
        let (index, rank) = (slab.info(record).place, slab.info(record).rank);
        let node = self.nodes[index as usize];
        let fresh = node.head == NONE;
        let mut before = NONE;
        let mut after = node.head;
        while after != NONE && slab.info(after).rank >= rank {
            before = after;
            after = slab.info(after).next;
        }
        slab.set_next(record, after, memory);
        let ranks = &mut self.nodes[index as usize].ranks;
        *ranks = (ranks.0.min(rank), ranks.1.max(rank));
        if before != NONE {
            slab.set_next(before, record, memory);
            return;
        }
        self.set_head(index, record, slab, memory);
        if fresh {
            // Its own way on first, then those that lead to it.
            self.set_parent(index, node.parent, memory);
            for child in self.children((node.start, node.len)) {
                self.set_parent(child, index, memory);
            }
        }
        let old = if fresh {
            self.entry_of(node.parent, slab)
        } else {
            slab.offset(after)
        };
        self.replace((node.start, node.len), old, slab.offset(record), memory);
    }

    /// Takes a record out of its chain and the arrays.
    pub fn unlink(&mut self, record: u32, slab: &mut Slab, memory: &mut dyn Memory) {
        let index = slab.info(record).place;
        let node = self.nodes[index as usize];
        let after = slab.info(record).next;
        if node.head != record {
            let mut before = node.head;
            while slab.info(before).next != record {
                before = slab.info(before).next;
            }
            return slab.set_next(before, after, memory);
        }
        let new = match after {
            NONE => self.entry_of(node.parent, slab),
            after => slab.offset(after),
        };
        if after == NONE {
            for child in self.children((node.start, node.len)) {
                self.set_parent(child, node.parent, memory);
            }
            self.prefixes.remove(&(node.start, node.len));
        } else {
            self.set_head(index, after, slab, memory);
        }
        self.replace((node.start, node.len), slab.offset(record), new, memory);
    }

    /// Whether nothing but a resting record leads to this node: then it may go with the record.
    pub fn is_gone(&self, node: u32) -> bool {
        let Node { start, len, .. } = self.nodes[node as usize];
        self.prefixes.get(&(start, len)) != Some(&node)
    }

    /// A node is free: nobody stands on its records any more.
    pub fn release(&mut self, node: u32) {
        self.free.push(node);
    }

    fn entry_of(&self, node: u32, slab: &Slab) -> u32 {
        match self.nodes[node as usize].head {
            NONE => 0,
            head => slab.offset(head),
        }
    }

    fn set_head(&mut self, node: u32, head: u32, slab: &Slab, memory: &mut dyn Memory) {
        self.nodes[node as usize].head = head;
        memory.set_u32(self.nodes_at + node * NODE_BYTES, slab.offset(head));
    }

    fn set_parent(&mut self, node: u32, parent: u32, memory: &mut dyn Memory) {
        self.nodes[node as usize].parent = parent;
        memory.set_u32(self.nodes_at + node * NODE_BYTES + 4, parent * NODE_BYTES);
    }

    /// Puts `new` for `old` wherever a prefix reaches.
    fn replace(&mut self, (start, len): Prefix, old: u32, new: u32, memory: &mut dyn Memory) {
        let mut base = 0;
        for (bits, step) in [(16u8, 16u32), (24, 8), (32, 8)] {
            let index = base + (start >> (32 - bits) & ((1 << step) - 1));
            if len <= bits {
                let count = 1 << (bits - len);
                return self.replace_range(index, count, old, new, memory);
            }
            base = self.deeper(index, memory);
        }
    }

    /// Index of the entries that an entry leads to, made if it leads to none.
    fn deeper(&mut self, index: u32, memory: &mut dyn Memory) -> u32 {
        let entry = self.entries[index as usize];
        if entry & DEEPER != 0 {
            return (entry & !DEEPER) / 4;
        }
        let base = self.entries.len() as u32;
        self.entries
            .resize(self.entries.len() + CHUNK as usize, entry);
        let bytes: Vec<u8> = [entry; CHUNK as usize]
            .iter()
            .flat_map(|e| e.to_le_bytes())
            .collect();
        memory.fill(self.entries_at + 4 * base, &bytes);
        self.set(index, DEEPER | (4 * base), memory);
        base
    }

    fn set(&mut self, index: u32, entry: u32, memory: &mut dyn Memory) {
        self.entries[index as usize] = entry;
        memory.set_u32(self.entries_at + 4 * index, entry);
    }

    fn replace_range(
        &mut self,
        from: u32,
        count: u32,
        old: u32,
        new: u32,
        memory: &mut dyn Memory,
    ) {
        for index in from..from + count {
            let entry = self.entries[index as usize];
            if entry == old {
                self.set(index, new, memory);
            } else if entry & DEEPER != 0 {
                self.replace_range((entry & !DEEPER) / 4, CHUNK, old, new, memory);
            }
        }
    }

    /// Bytes of entries and nodes.
    pub fn bytes(&self) -> u32 {
        4 * self.capacity + NODE_BYTES * self.node_capacity
    }
}
