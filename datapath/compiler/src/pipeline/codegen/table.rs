//! Tables: lookups, and what is done when a rule is found.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aorta_ebpf::{AluOp, Assembler, Cond, Label, Operand, Reg, Size, Width};
use aorta_flow::DropReason;
use aorta_flow::field::FieldId;
use aorta_flow::table::{AfterMiss, Misses};
use aorta_flow::translate::MAX_LOOKUPS;

use super::site::{ListEnd, Params, Site};
use super::tree::{Left, Tree};
use super::{Block, Gen, count, key, xdp};
use crate::pipeline::Hook;
use crate::pipeline::layout::state;
use crate::pipeline::maps::table_memory;
use crate::pipeline::plan::TablePlan;
use crate::pipeline::record::{self, MatchWord, Rule};
use crate::pipeline::template::{Counters, LookupContext, TableImage};

use Reg::{R1, R7, R8};

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
        if self.card.is_some() {
            self.forget_state();
        }
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
        if let Some(hashed) = self.card.and_then(|card| card.hashed.get(&number)) {
            return self.table_hashed(number, hashed, &table.shapes);
        }
        match (&table.image, self.rules_as_code(table)) {
            (_, Some(rules)) => self.table_as_code(number, &rules),
            (Some(image), None) => self.table_in_memory(number, image, &table.shapes),
            (None, None) => {}
        }
    }

    /// The rules of a table that is code, from the highest rank.
    pub(super) fn rules_as_code<'t>(&self, table: &'t TablePlan) -> Option<Vec<&'t Rule>> {
        if table.image.is_none() {
            return Some(table.rules.iter().collect());
        }
        let few = table.few.as_ref().filter(|_| self.fixed.is_some())?;
        Some(few.values().rev().map(|rule| &**rule).collect())
    }

    /// Questions that find a rule; what rules do is behind them.
    fn table_as_code(&mut self, number: u8, rules: &[&Rule]) {
        let asked = rules.iter().enumerate().filter_map(|(at, rule)| {
            let words = self.left_to_ask(&rule.words)?;
            Some(Left { rule: at, words })
        });
        let tree = Tree::of(asked.collect());
        let mut find = Find {
            number,
            miss: self.a.label(&format!("miss_{number}")),
            missed: false,
            hits: BTreeMap::new(),
        };
        self.ask(&tree, &mut find);
        if find.missed {
            self.a.bind(find.miss);
            self.missed(number);
        }
        // Rules that do the same share what they do.
        let mut same: HashMap<Does<'_>, Vec<(Label, u32)>> = HashMap::new();
        let mut order = Vec::new();
        for (at, hit) in find.hits {
            let Some(rule) = rules.get(at) else { continue };
            let does = (rule.shape, &rule.params[..]);
            let rules = same.entry(does).or_default();
            if rules.is_empty() {
                order.push((does, *rule));
            }
            rules.push((hit, rule.id.0));
        }
        for (does, rule) in order {
            let hits = same.remove(&does).unwrap_or_default();
            self.hits_inline(number, rule, &hits);
        }
    }

    /// Goes to the hit of the packet's rule.
    fn ask(&mut self, tree: &Tree, find: &mut Find) {
        let (at, mask, cases, other) = match tree {
            Tree::Word {
                at,
                mask,
                cases,
                other,
            } => (*at, *mask, cases, other),
            Tree::Rules(rules) => {
                for left in rules {
                    let hit = find.hit(&mut self.a, left.rule);
                    if !compare(&mut self.a, &left.words, hit) {
                        return;
                    }
                }
                find.missed = true;
                return self.a.jump(find.miss);
            }
        };
        let values: Vec<(u32, Label)> = cases
            .iter()
            .map(|(value, _)| (*value, self.a.label("value")))
            .collect();
        load_word(&mut self.a, at, mask);
        let any = self.a.label("any_other");
        switch(&mut self.a, &values, any);
        self.a.bind(any);
        self.ask(other, find);
        for ((_, case), (_, label)) in cases.iter().zip(&values) {
            self.a.bind(*label);
            self.ask(case, find);
        }
    }

    /// What rules do that do the same as `rule`.
    fn hits_inline(&mut self, number: u8, rule: &Rule, hits: &[(Label, u32)]) {
        if self.passes_all(rule.shape, hits) {
            return;
        }
        let id = match hits {
            [(hit, id)] => {
                self.a.bind(*hit);
                Some(*id)
            }
            several => {
                self.any_of(several);
                None
            }
        };
        self.own_port(number);
        match id {
            Some(id) => self.found_rule(number, (id as i32).into()),
            None => {
                if !self.plan.extras.upcalls.is_empty() {
                    self.a.store(Size::W, R7, state::RULE, R8);
                }
                self.found_rule(number, R8.into());
            }
        }
        let site = Site {
            table: number,
            params: Params::Inline(rule.params.clone()),
            rule: id,
            list_end: ListEnd::Block(Block::Return),
            bare: self.is_bare(number),
        };
        self.actions(rule.shape, &site);
        self.deferred_code();
    }

    /// Leaves packets that find rules of a shape to the other hook, if they have to be.
    fn passes_all(&mut self, shape: u32, hits: &[(Label, u32)]) -> bool {
        let passes = self.hook == Hook::Xdp
            && self
                .plan
                .shapes
                .get(shape)
                .is_some_and(|shape| !xdp::takes(shape));
        if passes {
            for (hit, _) in hits {
                self.a.bind(*hit);
            }
            self.passes(shape);
        }
        passes
    }

    /// R8 = number of the rule that was found of several.
    fn any_of(&mut self, hits: &[(Label, u32)]) {
        let one = self.a.label("one_of_them");
        for (at, (hit, id)) in hits.iter().enumerate() {
            self.a.bind(*hit);
            self.a.mov32(R8, *id as i32);
            if at + 1 < hits.len() {
                self.a.jump(one);
            }
        }
        self.a.bind(one);
    }

    fn table_in_memory(&mut self, number: u8, image: &TableImage, shapes: &BTreeSet<u32>) {
        let hit = self.a.label(&format!("hit_{number}"));
        let miss = self.a.label(&format!("miss_{number}"));
        let context = LookupContext {
            memory: table_memory(number),
            hit,
            miss,
            give_up: self.block(Block::TooDeep),
            counters: Some(Counters {
                row: count::ROW,
                rules: self.plan.config.counted_rules,
            }),
        };
        image.emit(&mut self.a, &context);
        self.a.bind(miss);
        self.missed(number);
        self.a.bind(hit);
        self.own_port(number);
        self.a.load(Size::W, R1, R8, record::RULE);
        self.found_rule(number, R1.into());
        self.by_shape(number, shapes);
    }

    /// The actions of the record that R8 points to.
    pub(super) fn by_shape(&mut self, number: u8, shapes: &BTreeSet<u32>) {
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
    pub(super) fn missed(&mut self, number: u8) {
        if self.card.is_some() {
            // Software knows what to do with it.
            let pass = self.block(Block::Pass);
            return self.a.jump(pass);
        }
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

    /// Counts the packet for a rule of a table, or notes that it is to be. Uses R0 to R5.
    pub(super) fn found_rule(&mut self, table: u8, rule: Operand) {
        match (self.hook, self.card) {
            (Hook::Tc, _) => self.count_rule(rule),
            (Hook::Xdp, None) => self.note_hit(rule),
            (Hook::Xdp, Some(_)) => self.note_in_table(table, rule),
        }
    }
}

/// What a rule does: its shape and its constants.
type Does<'r> = (u32, &'r [u32]);

/// Where a table's questions lead.
struct Find {
    number: u8,
    miss: Label,
    missed: bool,
    /// By the rule's position.
    hits: BTreeMap<usize, Label>,
}

impl Find {
    fn hit(&mut self, a: &mut Assembler, rule: usize) -> Label {
        let number = self.number;
        let label = || a.label(&format!("hit_{number}"));
        *self.hits.entry(rule).or_insert_with(label)
    }
}

/// Goes to the label of the value in R1, or to `other`.
fn switch(a: &mut Assembler, values: &[(u32, Label)], other: Label) {
    if values.len() <= 4 {
        for (value, label) in values {
            a.jump_if32(Cond::Eq, R1, *value as i32, *label);
        }
        return a.jump(other);
    }
    let (low, high) = values.split_at(values.len() / 2);
    let upper = a.label("upper");
    if let Some((value, _)) = high.first() {
        a.jump_if32(Cond::Ge, R1, *value as i32, upper);
    }
    switch(a, low, other);
    a.bind(upper);
    switch(a, high, other);
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
    load_word(a, word.at, word.mask);
    a.jump_if32(cond, R1, word.value as i32, to);
}

/// R1 = bits of a word of the key.
fn load_word(a: &mut Assembler, at: i16, mask: u32) {
    a.load(Size::W, R1, R7, state::KEY + at);
    if mask != u32::MAX {
        a.alu(AluOp::And, Width::W32, R1, mask as i32);
    }
}
