//! Code that searches prefixes.

use aorta_ebpf::{Assembler, Cond, Label, Reg, Size};

use super::super::layout::state;
use super::super::record::NEXT;
use super::emit::{Emit, Found, load, visible};
use super::lpm::{CHUNK, DEEPER, Lpm, NODE_BYTES};

use Reg::{R1, R2, R3, R4, R7, R8};

impl Emit<'_> {
    pub(super) fn lpm(&self, a: &mut Assembler, lpm: &Lpm, found: &Found) {
        let (leaf, follow) = (a.label("leaf"), a.label("follow"));
        for (lane, value) in &lpm.fixed {
            load(a, R1, lane, R2);
            a.load_imm64(R2, *value);
            a.jump_if(Cond::Ne, R1, R2, found.next);
        }
        self.entry(a, lpm, leaf);
        a.bind(leaf);
        a.jump_if(Cond::Eq, R4, 0, found.next);
        let look = a.here("look");
        self.record(a);
        visible(a, follow);
        self.take(a, found);
        a.bind(follow);
        self.follow(a, lpm, found.next);
        a.may_goto(self.context.give_up);
        a.jump(look);
    }

    /// R4 = the entry of the longest prefix around the word; goes to `leaf` early if the first or
    /// second step finds it.
    fn entry(&self, a: &mut Assembler, lpm: &Lpm, leaf: Label) {
        a.load(Size::W, R1, R7, state::KEY + lpm.word);
        a.mov(R2, R1);
        a.rsh(R2, 16);
        a.lsh(R2, 2);
        a.load_map_value(R3, self.context.memory, lpm.entries_at);
        a.add(R3, R2);
        a.load(Size::W, R4, R3, 0);
        let chunks = 4 * (lpm.capacity - CHUNK);
        for shift in [8, 0] {
            // Compared as 32-bit numbers with a sign, entries that lead deeper are negative.
            a.jump_if32(Cond::Sge, R4, 0, leaf);
            a.and(R4, (DEEPER - 1) as i32);
            a.jump_if(Cond::Gt, R4, chunks as i32, self.context.give_up);
            a.mov(R2, R1);
            if shift > 0 {
                a.rsh(R2, shift);
            }
            a.and(R2, 0xff);
            a.lsh(R2, 2);
            a.load_map_value(R3, self.context.memory, lpm.entries_at);
            a.add(R3, R4);
            a.add(R3, R2);
            a.load(Size::W, R4, R3, 0);
        }
    }

    /// R4 = offset of the record to try after the one at R8: another one of its prefix, or the first
    /// of the next shorter one. Goes to `next` if there is none.
    fn follow(&self, a: &mut Assembler, lpm: &Lpm, next: Label) {
        let (memory, give_up) = (self.context.memory, self.context.give_up);
        let more = a.label("more");
        let nodes = (NODE_BYTES * (lpm.node_capacity - 1)) as i32;
        a.load(Size::W, R4, R8, NEXT);
        a.jump_if(Cond::Ne, R4, 0, more);
        a.load(Size::W, R2, R8, NEXT + 4);
        a.jump_if(Cond::Gt, R2, nodes, give_up);
        a.load_map_value(R3, memory, lpm.nodes_at);
        a.add(R3, R2);
        a.load(Size::W, R2, R3, 4);
        a.jump_if(Cond::Eq, R2, 0, next);
        a.jump_if(Cond::Gt, R2, nodes, give_up);
        a.load_map_value(R3, memory, lpm.nodes_at);
        a.add(R3, R2);
        a.load(Size::W, R4, R3, 0);
        a.jump_if(Cond::Eq, R4, 0, next);
        a.bind(more);
    }
}
