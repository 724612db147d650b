//! Copies for the daemon.

use aorta_ebpf::{Cond, Helper, Reg, Size};
use aorta_flow::action::{Action, Controller, Learn, LearnSpec, Sample};
use aorta_flow::field::{FieldId, Prereq};
use aorta_flow::hash::Word;
use aorta_flow::{MeterId, Subfield};

use super::site::Site;
use super::{Block, Gen, INDEX, bits, key, prereq};
use crate::emit::lookup_index;
use crate::pipeline::choice::emit_hash;
use crate::pipeline::layout::state;
use crate::pipeline::maps::{UPCALL_SPACE, upcall};
use crate::pipeline::upcall::{UpcallFacts, emit_upcall};

use Reg::{R0, R1, R2, R3, R7, R9, R10};

/// Stack frame: a bit.
const RESULT: i16 = -24;

/// Flags of TCP that end a connection: FIN and RST.
const TCP_END: i32 = 0x5;
/// A sample's probability that stands for every packet.
const EVERY_PACKET: u16 = u16::MAX;
/// What a packet would teach again within this time is not asked for again.
const LEARN_AGAIN_NS: i32 = 1_000_000_000;

impl Gen<'_> {
    /// Sends a copy to controllers, unless their meters say no. True if control never comes to what
    /// is behind it.
    pub fn controller(&mut self, how: &Controller, site: &Site) -> bool {
        let skip = self.a.label("not_sent");
        let mut metered = false;
        for id in [how.meter.map(MeterId::Number), Some(MeterId::Controller)] {
            let Some(id) = id else { continue };
            if self.ask_meter(id, site) {
                metered = true;
                let pass = self.a.label("pass");
                self.a.load(Size::W, R1, R7, state::OVER);
                self.a.jump_if(Cond::Eq, R1, 0, pass);
                self.over_meter();
                self.a.jump(skip);
                self.a.bind(pass);
            }
        }
        let a = &mut self.a;
        a.load(Size::W, R1, R7, state::OUTPUTS);
        a.add(R1, 1);
        a.store(Size::W, R7, state::OUTPUTS, R1);
        if how.pause {
            self.gather_notes();
        }
        // All of it, however much is asked for: nobody keeps the rest for the controller.
        self.upcall(&Action::Controller(Box::new(how.clone())), i32::MAX, site);
        if how.pause {
            let drop = self.block(Block::DropPacket);
            self.a.jump(drop);
        }
        self.a.bind(skip);
        how.pause && !metered
    }

    /// Sends a copy for an action, after bringing the bytes to the key.
    fn upcall(&mut self, action: &Action, max_len: i32, site: &Site) {
        let Some(number) = self.plan.extras.number(action) else {
            return;
        };
        if !self.changes.is_empty() && max_len > 0 {
            let same = self.a.label("same_bytes");
            self.a.load(Size::Dw, R1, R7, state::DIRTY);
            self.a.jump_if(Cond::Eq, R1, 0, same);
            self.a.store(Size::W, R7, state::NEXT, 0);
            self.call_block(Block::Sync, site);
            self.a.bind(same);
        }
        self.note_rule(site);
        let a = &mut self.a;
        a.store(Size::W, R7, state::TABLE, i32::from(site.table));
        a.store(Size::W, R7, state::UPCALL_WHAT, number as i32);
        a.store(Size::W, R7, state::UPCALL_MAX_LEN, max_len);
        self.call_block(Block::Upcall, site);
    }

    /// The block that sends them.
    pub(super) fn emit_upcall(&mut self) {
        let lost = self.a.label("lost");
        let done = self.block(Block::Return);
        let plan = self.plan;
        emit_upcall(
            &mut self.a,
            &UpcallFacts {
                bridge_slot: plan.config.bridge_slot,
                words: &plan.upcall_words(),
                done,
                lost,
            },
        );
        self.a.bind(lost);
        let none = self.a.label("uncounted");
        lookup_index(&mut self.a, UPCALL_SPACE.id, INDEX, 0);
        let a = &mut self.a;
        a.jump_if(Cond::Eq, R0, 0, none);
        a.load(Size::Dw, R1, R0, upcall::LOST as i16);
        a.add(R1, 1);
        a.store(Size::Dw, R0, upcall::LOST as i16, R1);
        a.bind(none);
        a.jump(done);
    }

    /// Has a flow made of the packet. Not again if another packet asked for the same a moment ago
    /// on this processor: the daemon has heard of it.
    pub fn learn(&mut self, learn: &Learn, site: &Site) {
        let action = Action::Learn(Box::new(learn.clone()));
        let Some(number) = self.plan.extras.number(&action) else {
            return;
        };
        let (known, other) = (self.a.label("known"), self.a.label("other_flow"));
        self.note_rule(site);
        emit_hash(&mut self.a, &words(learn), number.into());
        let a = &mut self.a;
        a.lsh(R0, 32);
        a.load(Size::W, R1, R7, state::RULE);
        a.or(R0, R1);
        a.store(Size::Dw, R7, state::LEARNING, R0);
        lookup_index(a, UPCALL_SPACE.id, INDEX, 0);
        a.jump_if(Cond::Eq, R0, 0, known);
        a.mov(R9, R0);
        a.call(Helper::KtimeGetCoarseNs);
        a.load(Size::Dw, R1, R7, state::LEARNING);
        a.mov(R2, R1);
        a.rsh(R2, 32);
        a.and(R2, upcall::LEARNED_ENTRIES - 1);
        a.lsh(R2, upcall::LEARNED_BYTES.trailing_zeros() as i32);
        a.add(R9, R2);
        a.load(Size::Dw, R2, R9, upcall::LEARNED as i16);
        a.jump_if(Cond::Ne, R1, R2, other);
        a.mov(R2, R0);
        a.load(Size::Dw, R3, R9, upcall::LEARNED as i16 + 8);
        a.sub(R2, R3);
        a.jump_if(Cond::Lt, R2, LEARN_AGAIN_NS, known);
        a.bind(other);
        a.store(Size::Dw, R9, upcall::LEARNED as i16, R1);
        a.store(Size::Dw, R9, upcall::LEARNED as i16 + 8, R0);
        self.upcall(&action, upcall::MAX_FRAME_BYTES, site);
        self.a.bind(known);
        if let Some(result) = learn.result {
            self.learned(result);
        }
    }

    /// Nothing limits the flows that are learned: each is there once the daemon has heard of it.
    fn learned(&mut self, result: Subfield) {
        let skip = self.a.label("no_such_field");
        prereq::emit(&mut self.a, result.field.field().prereq, skip);
        let bit = bits::Bits {
            base: R10,
            at: RESULT,
            start: 0,
            count: 1,
        };
        self.a.store(Size::W, R10, RESULT, 1);
        bits::copy_to_field(&mut self.a, bit, result);
        self.written(result.field);
        self.a.bind(skip);
    }

    /// Sends a sample.
    pub fn sample(&mut self, how: &Sample, site: &Site) {
        let skip = self.a.label("not_sampled");
        if how.probability != EVERY_PACKET {
            self.a.call(Helper::GetPrandomU32);
            self.a.and(R0, i32::from(u16::MAX));
            let most = i32::from(how.probability);
            self.a.jump_if(Cond::Ge, R0, most, skip);
        }
        let action = Action::Sample(Box::new(how.clone()));
        self.upcall(&action, i32::MAX, site);
        self.a.bind(skip);
    }

    /// Has timeouts shortened if the connection ends.
    pub fn fin_timeout(&mut self, action: &Action, site: &Site) {
        let skip = self.a.label("goes_on");
        let ends = self.a.label("ends");
        prereq::emit(&mut self.a, Prereq::Tcp, skip);
        self.a.load(Size::W, R1, R7, key(FieldId::TCP_FLAGS));
        self.a.jump_if(Cond::Set, R1, TCP_END, ends);
        self.a.jump(skip);
        self.a.bind(ends);
        self.upcall(action, 0, site);
        self.a.bind(skip);
    }
}

/// Fields of the packet that a learned flow depends on.
pub fn learn_reads(learn: &Learn) -> Vec<FieldId> {
    let reads = learn.specs.iter().filter_map(|spec| match spec {
        LearnSpec::MatchField { from, .. }
        | LearnSpec::LoadField { from, .. }
        | LearnSpec::Output(from) => Some(from.field.field().home),
        LearnSpec::MatchValue { .. } | LearnSpec::LoadValue { .. } => None,
    });
    reads.collect()
}

/// Their words.
fn words(learn: &Learn) -> Vec<Word> {
    let mut words = Vec::new();
    for field in learn_reads(learn) {
        let count = crate::pipeline::layout::storage_bytes(field) / 4;
        words.extend((0..count as u8).map(|word| Word::Of {
            field,
            word,
            mask: u32::MAX,
        }));
    }
    words
}
