//! Tables: lookups, and what is done when a rule is found.

use std::collections::BTreeSet;

use aorta_ebpf::{AluOp, Assembler, Cond, Helper, Label, Operand, Reg, Size, Width};
use aorta_flow::DropReason;
use aorta_flow::field::FieldId;
use aorta_flow::table::{AfterMiss, Misses};
use aorta_flow::translate::MAX_LOOKUPS;

use super::site::{ListEnd, Params, Site};
use super::{Block, Gen, INDEX, key};
use crate::emit::lookup_index;
use crate::pipeline::Hook;
use crate::pipeline::layout::state;
use crate::pipeline::maps::{FLOW_STATS, stats, table_memory};
use crate::pipeline::plan::TablePlan;
use crate::pipeline::record::{self, MatchWord, Rule};
use crate::pipeline::template::{LookupContext, TableImage};

use Reg::{R0, R1, R2, R7, R8, R9};

impl Gen<'_> {
    /// Where the lookup of a table is; it will be emitted.
    pub fn head(&mut self, table: u8) -> Label {
        match self.heads.get(&table) {
            Some(label) => *label,
            None => {
                let label = self.a.label(&format!("table_{table}"));
                self.heads.insert(table, label);
                label
            }
        }
    }

    /// The first table, directly behind what came before, and those that it leads to.
    pub fn tables(&mut self) {
        self.head(0);
        while self.next_table() {}
    }

    /// Emits a table that something leads to and that isn't emitted yet. False if there is none.
    pub(super) fn next_table(&mut self) -> bool {
        let pending = self.heads.keys().find(|n| !self.sizes.contains_key(n));
        let Some(number) = pending.copied() else {
            return false;
        };
        let plan = self.plan;
        let empty = TablePlan::default();
        let start = self.a.len();
        self.sizes.insert(number, 0);
        self.table(number, plan.tables.get(&number).unwrap_or(&empty));
        self.sizes.insert(number, self.a.len() - start);
        true
    }

    /// The first lookup is for the packet's own port.
    pub(super) fn begin_own_port(&mut self) {
        self.note_own_port(0);
    }

    /// The lookup of a table that comes next is for the packet's own port, unless it says otherwise.
    pub(super) fn note_own_port(&mut self, table: u8) {
        if self.plan.overridden.contains(&table) {
            self.a.load(Size::W, R1, R7, key(FieldId::IN_PORT));
            self.a.store(Size::W, R7, state::OWN_PORT, R1);
        }
    }

    fn table(&mut self, number: u8, table: &TablePlan) {
        let head = self.head(number);
        self.a.comment(format!("table {number}"));
        self.a.bind(head);
        if self.plan.limits.loops.contains(&number) {
            let give_up = self.block(Block::TooDeep);
            self.a.may_goto(give_up);
        }
        if self.plan.limits.count_lookups {
            let give_up = self.block(Block::TooDeep);
            let a = &mut self.a;
            a.load(Size::W, R1, R7, state::LOOKUPS);
            a.jump_if(Cond::Ge, R1, MAX_LOOKUPS as i32, give_up);
            a.add(R1, 1);
            a.store(Size::W, R7, state::LOOKUPS, R1);
        }
        match &table.image {
            Some(image) => self.table_in_memory(number, image, &table.shapes),
            None => self.table_as_code(number, table),
        }
    }

    /// A compare and a jump for each rule; what they do is behind them.
    fn table_as_code(&mut self, number: u8, table: &TablePlan) {
        let mut hits = Vec::with_capacity(table.rules.len());
        let mut open = true;
        for rule in &table.rules {
            let Some(words) = self.left_to_ask(&rule.words) else {
                continue;
            };
            let hit = self.a.label(&format!("hit_{number}"));
            open = compare(&mut self.a, &words, hit);
            hits.push((hit, rule));
            if !open {
                // What is of lower rank is never found.
                break;
            }
        }
        if open {
            self.missed(number);
        }
        for (hit, rule) in hits {
            self.a.bind(hit);
            self.hit_inline(number, rule);
        }
    }

    fn hit_inline(&mut self, number: u8, rule: &Rule) {
        if self.passes(rule.shape) {
            return;
        }
        self.own_port(number);
        self.found_rule((rule.id.0 as i32).into());
        let site = Site {
            table: number,
            params: Params::Inline(rule.params.clone()),
            rule: Some(rule.id.0),
            list_end: ListEnd::Block(Block::Return),
            bare: self.is_bare(number),
        };
        self.actions(rule.shape, &site);
        self.deferred_code();
    }

    fn table_in_memory(&mut self, number: u8, image: &TableImage, shapes: &BTreeSet<u32>) {
        let hit = self.a.label(&format!("hit_{number}"));
        let miss = self.a.label(&format!("miss_{number}"));
        let context = LookupContext {
            memory: table_memory(number),
            hit,
            miss,
            give_up: self.block(Block::TooDeep),
        };
        image.emit(&mut self.a, &context);
        self.a.bind(miss);
        self.missed(number);
        self.a.bind(hit);
        self.own_port(number);
        self.a.load(Size::W, R1, R8, record::RULE);
        self.found_rule(R1.into());
        self.by_shape(number, shapes);
    }

    /// The actions of the record that R8 points to.
    fn by_shape(&mut self, number: u8, shapes: &BTreeSet<u32>) {
        let site = Site {
            table: number,
            params: Params::Record,
            rule: None,
            list_end: ListEnd::Block(Block::Return),
            bare: self.is_bare(number),
        };
        let mut codes: Vec<(u32, Label)> = Vec::new();
        for shape in shapes {
            let label = self.a.label(&format!("shape_{shape}"));
            codes.push((*shape, label));
        }
        if codes.len() > 1 {
            self.a.load(Size::W, R1, R8, record::SHAPE);
            self.find_shape(&codes);
        }
        for (shape, label) in codes {
            self.a.bind(label);
            if self.passes(shape) {
                continue;
            }
            self.actions(shape, &site);
            self.deferred_code();
        }
    }

    /// Goes to the code of the shape in R1, which is one of these.
    fn find_shape(&mut self, codes: &[(u32, Label)]) {
        match codes {
            [] => {}
            [(_, only)] => self.a.jump(*only),
            [(shape, first), rest @ ..] if rest.len() < 3 => {
                self.a.jump_if(Cond::Eq, R1, *shape as i32, *first);
                self.find_shape(rest);
            }
            _ => {
                let (low, high) = codes.split_at(codes.len() / 2);
                let upper = self.a.label("upper");
                if let Some((shape, _)) = high.first() {
                    self.a.jump_if(Cond::Ge, R1, *shape as i32, upper);
                }
                self.find_shape(low);
                self.a.bind(upper);
                self.find_shape(high);
            }
        }
    }

    /// Whether nothing is left to be done after a table.
    fn is_bare(&self, number: u8) -> bool {
        !self.plan.framed.contains(&number)
    }

    /// The next table is looked up by `resubmit`, or not.
    pub(super) fn note_arrival(&mut self, resubmitted: bool) {
        if self.plan.has_misses() && self.plan.resubmits {
            let a = &mut self.a;
            a.store(Size::W, R7, state::RESUBMITTED, i32::from(resubmitted));
        }
    }

    /// No rule was found.
    fn missed(&mut self, number: u8) {
        self.own_port(number);
        match self.plan.after_miss(number) {
            AfterMiss::Drop => self.missed_for_good(number),
            AfterMiss::Controller(told) => {
                let end = self.missed_in_pipeline(number);
                let site = Site {
                    table: told,
                    params: Params::Inline(Vec::new()),
                    rule: Some(u32::MAX),
                    list_end: ListEnd::Block(Block::Return),
                    bare: self.is_bare(number),
                };
                self.controller(&Misses::told(), &site);
                self.a.jump(end);
                self.deferred_code();
            }
            AfterMiss::Table(next) => {
                self.missed_in_pipeline(number);
                self.note_own_port(next);
                let next = self.head(next);
                self.a.jump(next);
            }
        }
    }

    /// Goes on if the table wasn't looked up by `resubmit`, else to the end, which is returned.
    fn missed_in_pipeline(&mut self, number: u8) -> Label {
        let end = self.flow_end(self.is_bare(number));
        self.a.store(Size::W, R7, state::MISSED, 1);
        if self.plan.resubmits {
            self.a.load(Size::W, R1, R7, state::RESUBMITTED);
            self.a.jump_if(Cond::Ne, R1, 0, end);
        }
        end
    }

    fn missed_for_good(&mut self, number: u8) {
        if self.told_at_once() {
            return self.drop_at_once(DropReason::TableMiss);
        }
        let end = self.flow_end(self.is_bare(number));
        self.a.store(Size::W, R7, state::MISSED, 1);
        self.a.jump(end);
    }

    /// Gives the packet its own in port back, if the lookup was for another.
    fn own_port(&mut self, number: u8) {
        if self.plan.overridden.contains(&number) {
            self.a.load(Size::W, R1, R7, state::OWN_PORT);
            self.a.store(Size::W, R7, key(FieldId::IN_PORT), R1);
        }
    }

    /// Counts the packet for a rule, or notes that it is to be. Uses R0 to R5.
    fn found_rule(&mut self, rule: Operand) {
        match self.hook {
            Hook::Tc => self.count_rule(rule),
            Hook::Xdp => self.note_hit(rule),
        }
    }

    /// Counts the packet for a rule. Uses R0 to R5, in programs of single ports at tcx R9 too.
    pub(super) fn count_rule(&mut self, rule: Operand) {
        let a = &mut self.a;
        let counted = a.label("counted");
        lookup_index(a, FLOW_STATS, INDEX, rule);
        a.jump_if(Cond::Eq, R0, 0, counted);
        a.load(Size::Dw, R1, R0, stats::PACKETS);
        a.add(R1, 1);
        a.store(Size::Dw, R0, stats::PACKETS, R1);
        a.load(Size::Dw, R1, R0, stats::BYTES_SEEN);
        a.load(Size::W, R2, R7, state::LEN);
        a.add(R1, R2);
        a.store(Size::Dw, R0, stats::BYTES_SEEN, R1);
        if self.port.is_some() && self.hook == Hook::Tc {
            // The call is a load, and spares a store.
            a.mov(R9, R0);
            a.call(Helper::Jiffies64);
            a.store(Size::Dw, R9, stats::USED, R0);
        } else {
            a.load(Size::Dw, R1, R7, state::NOW);
            a.store(Size::Dw, R0, stats::USED, R1);
        }
        a.bind(counted);
    }
}

/// Goes to `hit` if the key matches. False if it always does.
fn compare(a: &mut Assembler, words: &[MatchWord], hit: Label) -> bool {
    let Some((last, before)) = words.split_last() else {
        a.jump(hit);
        return false;
    };
    let next = a.label("next");
    for word in before {
        compare_word(a, word, Cond::Ne, next);
    }
    compare_word(a, last, Cond::Eq, hit);
    a.bind(next);
    true
}

fn compare_word(a: &mut Assembler, word: &MatchWord, cond: Cond, to: Label) {
    a.load(Size::W, R1, R7, state::KEY + word.at);
    if word.mask != u32::MAX {
        a.alu(AluOp::And, Width::W32, R1, word.mask as i32);
    }
    a.jump_if32(cond, R1, word.value as i32, to);
}
