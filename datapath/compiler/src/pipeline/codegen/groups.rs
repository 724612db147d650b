//! Groups: each is a block for each table that calls it, which returns to whoever called.

use aorta_ebpf::{AluOp, Cond, Label, Reg, Size, Width};
use aorta_flow::GroupKind;

use super::site::{ListEnd, Params, Site};
use super::{Block, Gen, INDEX};
use crate::pipeline::choice::{emit_hash, emit_unless_live};
use crate::pipeline::extras::{BucketPlan, GroupKey, GroupPlan, Live};
use crate::pipeline::layout::state;

use Reg::{R0, R1, R2, R3, R7};

impl Gen<'_> {
    /// Does a group. True if control never comes to what is behind it.
    pub fn group(&mut self, id: u32, site: &Site, tail: bool) -> bool {
        let key = (id, site.table);
        if !self.plan.extras.groups.contains_key(&key) {
            return false;
        }
        self.note_rule(site);
        let label = self.group_label(key);
        if tail {
            self.a.jump(label);
        } else {
            self.call_label(label, site);
        }
        tail
    }

    fn group_label(&mut self, key: GroupKey) -> Label {
        match self.groups.get(&key) {
            Some((label, _)) => *label,
            None => {
                let label = self.a.label(&format!("group_{}_{}", key.0, key.1));
                self.groups.insert(key, (label, false));
                label
            }
        }
    }

    /// Emits a group that is called somewhere and isn't emitted yet. False if there is none.
    pub(super) fn next_group(&mut self) -> bool {
        let pending = self.groups.iter().find(|(_, (_, emitted))| !emitted);
        let Some((key, label)) = pending.map(|(key, (label, _))| (*key, *label)) else {
            return false;
        };
        self.groups.insert(key, (label, true));
        let plan = self.plan;
        let Some(group) = plan.extras.groups.get(&key) else {
            return false;
        };
        self.a
            .comment(format!("group {}, called by table {}", key.0, key.1));
        self.a.bind(label);
        let too_deep = self.block(Block::TooDeep);
        self.a.may_goto(too_deep);
        self.emit_group(group, key.1);
        true
    }

    fn emit_group(&mut self, group: &GroupPlan, table: u8) {
        let back = self.block(Block::Return);
        self.count_rule((group.count.0 as i32).into());
        match group.kind {
            GroupKind::All | GroupKind::Indirect => {
                for bucket in &group.buckets {
                    self.bucket(bucket, table);
                }
                self.a.jump(back);
            }
            GroupKind::FastFailover => self.failover(group, table, back),
            GroupKind::Select => self.select(group, table, back),
        }
    }

    fn failover(&mut self, group: &GroupPlan, table: u8, back: Label) {
        let mut open = true;
        for bucket in &group.buckets {
            let next = self.a.label("next_bucket");
            open = bucket.live != Live::Always;
            self.unless_live(&bucket.live, next);
            self.bucket(bucket, table);
            self.a.jump(back);
            if open {
                self.a.bind(next);
            }
        }
        if open {
            self.a.jump(back);
        }
    }

    /// Goes to `down` unless what a bucket watches is up, which isn't never. Uses R0 to R5.
    fn unless_live(&mut self, live: &Live, down: Label) {
        match live {
            Live::Always | Live::Never => {}
            Live::Port(port) => emit_unless_live(&mut self.a, *port, INDEX, down),
            Live::All(parts) => parts.iter().for_each(|part| self.unless_live(part, down)),
            Live::Any(parts) => {
                let up = self.a.label("up");
                let Some((last, before)) = parts.split_last() else {
                    return;
                };
                for part in before {
                    let next = self.a.label("or");
                    self.unless_live(part, next);
                    self.a.jump(up);
                    self.a.bind(next);
                }
                self.unless_live(last, down);
                self.a.bind(up);
            }
        }
    }

    /// Each bucket gets as much of the hashes as its weight says, of those that are live.
    fn select(&mut self, group: &GroupPlan, table: u8, back: Label) {
        if group.buckets.is_empty() {
            self.a.jump(back);
            return;
        }
        self.weigh(&group.buckets);
        let (words, basis) = &group.hash;
        emit_hash(&mut self.a, words, *basis);
        self.a.load(Size::W, R1, R7, state::WEIGHT);
        self.a.alu(AluOp::Mul, Width::W64, R0, R1);
        self.a.rsh(R0, 32);
        let labels: Vec<Label> = (0..group.buckets.len())
            .map(|number| self.a.label(&format!("bucket_{number}")))
            .collect();
        let mut watched = 0;
        for (bucket, label) in group.buckets.iter().zip(&labels) {
            let next = self.a.label("not_this");
            if bucket.live != Live::Always {
                self.a
                    .load(Size::W, R1, R7, state::LIVE + 4 * (watched / 32));
                self.a.alu(AluOp::And, Width::W32, R1, 1 << (watched % 32));
                self.a.jump_if(Cond::Eq, R1, 0, next);
                watched += 1;
            }
            let weight = i32::from(bucket.weight);
            self.a.jump_if(Cond::Lt, R0, weight, *label);
            self.a.sub(R0, weight);
            self.a.bind(next);
        }
        self.a.jump(back);
        for (bucket, label) in group.buckets.iter().zip(labels) {
            self.a.bind(label);
            self.bucket(bucket, table);
            self.a.jump(back);
        }
    }

    /// WEIGHT = weights of all buckets that are live; their bits are set in LIVE, for those that
    /// can be down. In memory, so that the verifier doesn't follow each combination.
    fn weigh(&mut self, buckets: &[BucketPlan]) {
        let steady = buckets.iter().filter(|b| b.live == Live::Always);
        let weight: u32 = steady.map(|b| u32::from(b.weight)).sum();
        self.a.store(Size::W, R7, state::WEIGHT, weight as i32);
        let unsteady = buckets.iter().filter(|b| b.live != Live::Always);
        self.a.store(Size::Dw, R7, state::LIVE, 0);
        for (number, bucket) in unsteady.enumerate() {
            let down = self.a.label("down");
            self.unless_live(&bucket.live, down);
            let a = &mut self.a;
            a.load(Size::W, R1, R7, state::WEIGHT);
            a.add(R1, i32::from(bucket.weight));
            a.store(Size::W, R7, state::WEIGHT, R1);
            let word = state::LIVE + 4 * (number / 32) as i16;
            a.load(Size::W, R2, R7, word);
            a.alu(AluOp::Or, Width::W32, R2, 1 << (number % 32));
            a.store(Size::W, R7, word, R2);
            a.bind(down);
        }
    }

    /// A bucket's steps, with a packet of their own.
    fn bucket(&mut self, bucket: &BucketPlan, table: u8) {
        self.count_rule((bucket.count.0 as i32).into());
        let end = self.a.label("bucket_end");
        let site = Site {
            table,
            params: Params::Inline(bucket.params.clone()),
            rule: None,
            list_end: ListEnd::Here(end),
            bare: false,
        };
        if bucket.steps.iter().all(super::copies::changes_nothing) {
            self.steps(&bucket.steps, &site, false);
            return;
        }
        self.call_block(Block::SaveBucket, &site);
        let (place, restore) = self.place("bucket_done");
        self.push_frame(place, &site);
        let a = &mut self.a;
        a.load(Size::W, R1, R7, state::FRAMES);
        a.store(Size::W, R7, state::SCOPE, R1);
        a.store(Size::W, R7, state::BUCKET, R1);
        a.load(Size::W, R1, R7, state::SAVES);
        a.store(Size::W, R7, state::BUCKET_SAVES, R1);
        let ended = self.steps(&bucket.steps, &site, false);
        if !ended || self.ends.contains(&end) {
            self.a.bind(end);
            let back = self.block(Block::Return);
            self.a.jump(back);
        }
        self.arrive(restore, &site);
        self.call_block(Block::RestoreBucket, &site);
    }

    /// Remembers the rule whose actions are being done, if anybody asks for it. Uses R3.
    pub fn note_rule(&mut self, site: &Site) {
        if self.plan.extras.upcalls.is_empty() {
            return;
        }
        match (&site.params, site.rule) {
            (Params::Record, _) => {
                self.a
                    .load(Size::W, R3, Reg::R8, crate::pipeline::record::RULE);
                self.a.store(Size::W, R7, state::RULE, R3);
            }
            (Params::Inline(_), Some(rule)) => {
                self.a.store(Size::W, R7, state::RULE, rule as i32);
            }
            // In a bucket, the rule is that of whoever called the group.
            (Params::Inline(_), None) => {}
        }
    }
}
