//! Code that searches a table.
//!
//! Registers: R9 is the rank of the best record so far and R5 its offset (0 if there is none), R8
//! the record that is looked at, R4 its offset. R0 to R3 are used up at once.

use aorta_ebpf::{AluOp, Assembler, Cond, Label, MapId, Reg, Size, Width};

use super::super::layout::state;
use super::super::maps::stats;
use super::super::record::{BORN, DIED, NEXT, RANK};
use super::TableImage;
use super::ahead::Ahead;
use super::buckets::{Buckets, Form, Told};
use super::image::{STOPS_AT, Search};
use super::lane::{Lane, Seed};
use super::tuple::{Item, Tuple};

use Reg::{R0, R1, R2, R3, R4, R5, R7, R8, R9, R10};

/// What the code around a lookup gives it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LookupContext {
    /// The table's memory.
    pub memory: MapId,
    /// Where to go on with a rule: R8 is the address of its record, of which
    /// [`TableImage::record_bytes`] can be read. R6 and R7 are as before, the others have no
    /// meaning.
    pub hit: Label,
    /// Where to go on if no rule matches.
    pub miss: Label,
    /// Where to go on if the memory is not what the daemon writes: no packet gets there.
    pub give_up: Label,
    /// Where rules are counted, if a lookup may have a rule's counters come near before they are
    /// written.
    pub counters: Option<Counters>,
}

/// Counters of rules, as [`stats`](crate::pipeline::maps::stats) has them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counters {
    /// Offset in the stack frame of the address of the processor's row, below the lowest 128 bytes that
    /// lookups use.
    pub row: i16,
    /// Rules that the row has.
    pub rules: u32,
}

/// What is the same in all searches of a table.
pub(super) struct Emit<'a> {
    pub image: &'a TableImage,
    pub context: LookupContext,
    /// Where the best record so far is the answer.
    pub done: Label,
}

impl TableImage {
    /// Emits the lookup: R7 is the state, the key in it is the packet's. Jumps to one of the
    /// context's labels; uses R0 to R5, R8, R9 and the lowest 128 bytes of the stack.
    pub fn emit(&self, a: &mut Assembler, context: &LookupContext) {
        let done = a.label("found");
        let emit = Emit {
            image: self,
            context: *context,
            done,
        };
        let (clauses, plain): (Vec<usize>, Vec<usize>) =
            (0..self.searches.len()).partition(|index| self.searches[*index].is_clauses());
        if !clauses.is_empty() {
            let hit = a.label("plain_hit");
            let context = LookupContext { hit, ..*context };
            let inner = Emit { context, ..emit };
            return emit.with_clauses(a, |a| {
                inner.plain(a, &plain);
                a.jump(done);
                a.bind(hit);
                a.mov(R5, R4);
                a.load(Size::Dw, R9, R8, RANK);
            });
        }
        emit.plain(a, &plain);
        if plain.len() == 1 {
            return a.jump(context.miss);
        }
        a.bind(done);
        a.jump_if(Cond::Eq, R5, 0, context.miss);
        a.mov(R4, R5);
        emit.record(a);
        a.jump(context.hit);
    }

    /// Emits the way back from a record's offset in the memory, in `offset` (not R8), to its address
    /// in R8.
    pub fn emit_record(&self, a: &mut Assembler, offset: Reg, memory: MapId, give_up: Label) {
        a.jump_if(Cond::Gt, offset, self.slab.last_offset() as i32, give_up);
        a.load_map_value(R8, memory, 0);
        a.add(R8, offset);
    }
}

impl Emit<'_> {
    /// The searches for plain rules. Behind it, R5 and R9 tell what was found.
    fn plain(&self, a: &mut Assembler, searches: &[usize]) {
        a.mov(R9, 0);
        a.mov(R5, 0);
        let ahead = Ahead::of(self.image, searches);
        for (position, &index) in searches.iter().enumerate() {
            let next = a.label("next_search");
            if position > 0 {
                self.stop_at(a, R1, index);
                a.jump_if(Cond::Ge, R9, R1, self.done);
            }
            self.look_ahead(a, ahead.tuples(position));
            let last = position + 1 == searches.len();
            let found = Found {
                next,
                first: position == 0,
                after: (!last).then_some(index + 1),
                ahead: ahead.slot(position),
            };
            self.search(a, index, &found);
            a.bind(next);
        }
    }

    fn search(&self, a: &mut Assembler, index: usize, found: &Found) {
        match &self.image.searches[index] {
            Search::Tuple(tuple) => self.tuple(a, tuple, found),
            Search::Lpm(lpm) => self.lpm(a, lpm, found),
        }
    }

    /// `dst` = rank at which a lookup stops before search `index`.
    fn stop_at(&self, a: &mut Assembler, dst: Reg, index: usize) {
        a.load_map_value(dst, self.context.memory, STOPS_AT + 8 * index as u32);
        a.load(Size::Dw, dst, dst, 0);
    }

    /// R8 = address of the record whose offset is R4.
    pub fn record(&self, a: &mut Assembler) {
        self.image
            .emit_record(a, R4, self.context.memory, self.context.give_up);
    }

    fn tuple(&self, a: &mut Assembler, tuple: &Tuple, found: &Found) {
        let follow = a.label("follow");
        match found.ahead {
            Some(slot) => self.found_ahead(a, slot, found.next),
            None => self.bucket(a, tuple, found.next),
        }
        let look = a.here("look");
        self.record(a);
        compare(a, tuple, follow);
        visible(a, follow);
        self.take(a, found);
        a.bind(follow);
        a.load(Size::W, R4, R8, NEXT);
        a.jump_if(Cond::Eq, R4, 0, found.next);
        a.may_goto(self.context.give_up);
        a.jump(look);
    }

    /// R4 = offset of the first record of the packet's bucket; goes to `next` if none there can be
    /// the one.
    pub fn bucket(&self, a: &mut Assembler, tuple: &Tuple, next: Label) {
        let (memory, buckets) = (self.context.memory, &self.image.buckets);
        if tuple.parts.is_empty() {
            let bucket = buckets.at + 8 * buckets.of(tuple.start);
            a.load_map_value(R2, memory, bucket);
            a.load(Size::Dw, R4, R2, 0);
            a.jump_if(Cond::Eq, R4, 0, next);
            return self.first_record(a);
        }
        hash(a, self.image.seed, tuple);
        self.word(a);
        self.bit(a);
        a.jump_if(Cond::Eq, R1, 0, next);
        self.first_record(a);
    }

    /// R4 = the bucket of the hash in R0. Uses R1, R2.
    pub fn word(&self, a: &mut Assembler) {
        let buckets = &self.image.buckets;
        a.load_map_value(R2, self.context.memory, buckets.at);
        a.mov(R1, R0);
        a.and(R1, Buckets::offset_mask(buckets.count()) as i32);
        a.add(R2, R1);
        a.load(Size::Dw, R4, R2, 0);
    }

    /// R1 = whether the bucket in R4 has the bit of the hash in R0, which is gone afterwards.
    pub fn bit(&self, a: &mut Assembler) {
        let (shift, from) = match self.image.buckets.form {
            Form::Records => (58, 32),
            Form::Rules => (59, Told::HASHES_AT as i32),
        };
        a.rsh(R0, shift);
        match self.image.buckets.form {
            // The upper half: its bits are all but the highest of the number's.
            Form::Records => a.or(R0, from),
            Form::Rules => {
                a.and(R0, 15);
                a.add(R0, from);
            }
        }
        a.mov(R1, R4);
        a.rsh(R1, R0);
        a.and(R1, 1);
    }

    /// R4 = offset of the first record of the bucket in R4. Uses R1, R2.
    pub fn first_record(&self, a: &mut Assembler) {
        self.fetch_counters(a);
        match self.image.buckets.form {
            Form::Records => a.mov32(R4, R4),
            Form::Rules => {
                a.and(R4, (1 << Told::OFFSET_BITS) - 1);
                a.lsh(R4, Told::UNIT_BITS as i32);
            }
        }
    }

    /// Has the counters of the first record's rule come near while the record does. The bucket is in R4;
    /// uses R1, R2.
    fn fetch_counters(&self, a: &mut Assembler) {
        let (Form::Rules, Some(counters)) = (self.image.buckets.form, self.context.counters) else {
            return;
        };
        let unknown = a.label("uncounted_rule");
        a.mov(R1, R4);
        a.rsh(R1, Told::OFFSET_BITS as i32);
        a.and(R1, (1 << Told::RULE_BITS) - 1);
        a.jump_if(Cond::Ge, R1, counters.rules as i32, unknown);
        a.alu(AluOp::Mul, Width::W64, R1, stats::BYTES as i32);
        a.load(Size::Dw, R2, R10, counters.row);
        a.add(R2, R1);
        a.load(Size::Dw, R2, R2, stats::PACKETS);
        a.bind(unknown);
    }

    /// The record at R8 matches: goes on with it, or keeps it in mind where a later search may have
    /// a better one.
    pub fn take(&self, a: &mut Assembler, found: &Found) {
        let Some(after) = found.after else {
            if !found.first {
                a.load(Size::Dw, R1, R8, RANK);
                a.jump_if(Cond::Ge, R9, R1, self.done);
            }
            a.jump(self.context.hit);
            return;
        };
        a.load(Size::Dw, R1, R8, RANK);
        if !found.first {
            // Chains fall by rank: nothing better follows.
            a.jump_if(Cond::Ge, R9, R1, found.next);
        }
        self.stop_at(a, R2, after);
        a.jump_if(Cond::Ge, R1, R2, self.context.hit);
        a.mov(R9, R1);
        a.mov(R5, R4);
        a.jump(found.next);
    }
}

/// What follows when a search has found a record.
pub(super) struct Found {
    /// The next search, or the end.
    pub next: Label,
    /// Whether nothing can have been found before.
    pub first: bool,
    /// Number of the next search, if there is one.
    pub after: Option<usize>,
    /// Where its bucket stands, if it was read before.
    pub ahead: Option<i16>,
}

/// R0 = hash of the tuple's part of the key.
pub(super) fn hash(a: &mut Assembler, seed: Seed, tuple: &Tuple) {
    a.load_imm64(R0, tuple.start);
    for (index, part) in tuple.parts.iter().enumerate() {
        for (half, lane) in part.iter().enumerate() {
            let dst = if half == 0 { R1 } else { R3 };
            load(a, dst, lane, R2);
            if half > 0 {
                a.lsh(R3, 32);
                a.or(R1, R3);
            }
        }
        a.xor(R0, R1);
        a.load_imm64(R2, seed.factor(index));
        a.alu(AluOp::Mul, Width::W64, R0, R2);
        a.mov(R1, R0);
        a.rsh(R1, 32);
        a.xor(R0, R1);
    }
}

/// `dst` = the lane's bits of the key. Uses `free`.
pub(super) fn load(a: &mut Assembler, dst: Reg, lane: &Lane, free: Reg) {
    a.load(lane.size, dst, R7, state::KEY + lane.at);
    if lane.mask == lane.full() {
        return;
    }
    if lane.size == Size::W {
        a.alu(AluOp::And, Width::W32, dst, lane.mask as u32 as i32);
    } else if let Ok(mask) = i32::try_from(lane.mask as i64) {
        a.and(dst, mask);
    } else {
        a.load_imm64(free, lane.mask);
        a.and(dst, free);
    }
}

/// Goes to `other` unless the record at R8 is of the tuple and the packet has what it asks for.
pub(super) fn compare(a: &mut Assembler, tuple: &Tuple, other: Label) {
    a.load(Size::W, R0, R8, NEXT + 4);
    a.xor(R0, tuple.tag as i32);
    for item in &tuple.items {
        difference(a, item);
        a.or(R0, R1);
    }
    a.jump_if(Cond::Ne, R0, 0, other);
}

/// R1 = bits of the item in which the packet differs from what the record at R8 asks for.
fn difference(a: &mut Assembler, item: &Item) {
    let lane = item.lane;
    match item.mask_at {
        Some(at) => {
            a.load(lane.size, R1, R7, state::KEY + lane.at);
            a.load(lane.size, R2, R8, at);
            a.and(R1, R2);
        }
        None => load(a, R1, &lane, R2),
    }
    a.load(lane.size, R2, R8, item.value_at);
    a.xor(R1, R2);
}

/// Goes to `other` unless the packet's version of the tables has the record at R8.
pub(super) fn visible(a: &mut Assembler, other: Label) {
    a.load(Size::W, R1, R7, state::VERSION);
    a.load(Size::W, R2, R8, BORN);
    a.load(Size::W, R3, R8, DIED);
    a.jump_if(Cond::Lt, R1, R2, other);
    a.jump_if(Cond::Ge, R1, R3, other);
}
