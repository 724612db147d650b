//! The entry program of a port: classify, learn, look up, and send or hand on.
//!
//! The way of a known unicast frame falls through from top to bottom; everything rarer is out of
//! line below it.

use aorta_ebpf::{Assembler, Cond, Helper, Label, Program, Reg, Size};
use aorta_flow::{DropReason, MAX_PATCH_DEPTH};
use aorta_packet::{ETH_HEADER_LEN, TPID_8021AD, TPID_8021Q};

use crate::abi::{COUNTERS, EPOCH, PORTS, RECENT, counter, fdb, fdb_id, port, recent, scratch};
use crate::emit::{
    CTX, TAG_GIVEN_8021Q, VLAN_AND_PRIORITY, count_frame, jump_finish, load_scratch, lookup,
    lookup_index,
};
use crate::{CompileError, EntryFacts, Ingress, Origin, Refuses, guard, skb};

use Reg::{R0, R1, R2, R3, R4, R6, R7, R8, R9, R10};

mod rare;

/// Stack frame: key of the MAC table.
const KEY: i16 = -8;
/// Stack frame: u32 key of an array.
const INDEX: i16 = -12;
/// Stack frame: u32 for a jump's target.
const TARGET: i16 = -16;
/// Stack frame: tag state of the frame as it arrived.
const TAG_NOW: i16 = -24;
/// Stack frame: value of the MAC table; also the tag state for a jump.
const VALUE: i16 = -24 - fdb::BYTES as i16;
const JUMP_TAG: i16 = VALUE;
/// Stack frame: key of the source.
const SRC: i16 = VALUE - 8;
/// Stack frame: epoch before any lookup.
const EPOCH_NOW: i16 = VALUE - 16;
/// Stack frame: address of the recent pair's record.
const RECENT_AT: i16 = VALUE - 24;

/// What the names of all entry programs begin with, in the kernel too.
pub const ENTRY_PREFIX: &str = "entry_";

/// Compiles the entry program of one port.
pub fn compile_entry(facts: &EntryFacts) -> Result<Program, CompileError> {
    let prefix = match facts.origin {
        Origin::Device | Origin::Patch => ENTRY_PREFIX,
        Origin::Pipeline => "normal_",
    };
    let name = format!("{prefix}{}", facts.port_slot);
    let mut entry = Entry::new(facts, &name);
    entry.arrive();
    entry.classify();
    entry.parse();
    entry.recall();
    entry.learn();
    entry.find();
    entry.send();
    entry.out_of_line();
    match facts.guard.is_some() {
        // What a guard doesn't ask for leaves some of its code without a way to it.
        true => entry.a.finish_reachable(),
        false => entry.a.finish(),
    }
    .map_err(|e| CompileError::assemble(&name, e))
}

struct Entry<'f> {
    facts: &'f EntryFacts,
    a: Assembler,
    drops: Vec<(DropReason, Label)>,
    classified: Label,
    tagged: Label,
    in_band: Label,
    multicast: Label,
    addressed: Label,
    flood: Label,
    find: Label,
    learn: Label,
    learn_new: Label,
    moved: Label,
    egress: Label,
    no_device: Label,
    have_device: Label,
    tagged_egress: Label,
    have_tag: Label,
    long: Label,
    fits: Label,
    retag: Label,
    retagged: Label,
    patch: Label,
    lost: Label,
}

impl<'f> Entry<'f> {
    fn new(facts: &'f EntryFacts, name: &str) -> Entry<'f> {
        let mut a = Assembler::new(name);
        Entry {
            facts,
            drops: Vec::new(),
            classified: a.label("classified"),
            tagged: a.label("tagged"),
            in_band: a.label("in_band"),
            multicast: a.label("multicast"),
            addressed: a.label("addressed"),
            flood: a.label("flood"),
            find: a.label("find"),
            learn: a.label("learn"),
            learn_new: a.label("learn_new"),
            moved: a.label("moved"),
            egress: a.label("egress"),
            no_device: a.label("no_device"),
            have_device: a.label("have_device"),
            tagged_egress: a.label("tagged_egress"),
            have_tag: a.label("have_tag"),
            long: a.label("long"),
            fits: a.label("fits"),
            retag: a.label("retag"),
            retagged: a.label("retagged"),
            patch: a.label("patch"),
            lost: a.label("lost"),
            a,
        }
    }

    fn slot(&self) -> i32 {
        self.facts.port_slot as i32
    }

    /// Label of the code that drops for `reason`.
    fn drop(&mut self, reason: DropReason) -> Label {
        if let Some((_, label)) = self.drops.iter().find(|(r, _)| *r == reason) {
            return *label;
        }
        let label = self
            .a
            .label(&format!("drop_{}", reason.name().replace('-', "_")));
        self.drops.push((reason, label));
        label
    }

    /// Counts the frame; R7 = now.
    fn arrive(&mut self) {
        let lost = self.lost;
        self.a.mov(R6, R1);
        if self.facts.origin != Origin::Pipeline {
            lookup_index(&mut self.a, COUNTERS.id, INDEX, self.facts.port_slot as i32);
            self.a.jump_if(Cond::Eq, R0, 0, lost);
            count_frame(&mut self.a, counter::RX_PACKETS, counter::RX_BYTES);
        }
        if let Some(guard) = &self.facts.guard {
            guard::emit(&mut self.a, guard, self.facts.port_slot);
        }
        if self.facts.origin != Origin::Device {
            // The tag now: whatever the frame carries, should it be dropped at once.
            self.a.store(Size::Dw, R10, TAG_NOW, 0);
            load_scratch(&mut self.a, INDEX, lost);
            self.a.load(Size::Dw, R1, R0, scratch::TAG_NOW);
            self.a.store(Size::Dw, R10, TAG_NOW, R1);
        }
        if self.facts.origin == Origin::Patch {
            let looped = self.drop(DropReason::PatchLoop);
            self.a.load(Size::W, R1, R0, scratch::DEPTH);
            self.a.jump_if(Cond::Gt, R1, MAX_PATCH_DEPTH as i32, looped);
        }
        if self.facts.refuses != Refuses::None && self.facts.origin != Origin::Pipeline {
            let refused = self.drop(DropReason::NotReceived);
            self.facts.refuses.emit(&mut self.a, refused);
        }
        self.a.call(Helper::Jiffies64);
        self.a.mov(R7, R0);
    }

    /// R8 = tag state that the frame has where it leaves tagged; its VLAN is in the low 12 bits.
    fn classify(&mut self) {
        let (tagged, in_band) = (self.tagged, self.in_band);
        self.a.load(Size::W, R1, CTX, skb::VLAN_PRESENT);
        self.a.jump_if(Cond::Ne, R1, 0, tagged);
        self.a.load(Size::W, R1, CTX, skb::PROTOCOL);
        self.a
            .jump_if(Cond::Eq, R1, i32::from(TPID_8021Q.to_be()), in_band);
        self.a
            .jump_if(Cond::Eq, R1, i32::from(TPID_8021AD.to_be()), in_band);
        self.a.store(Size::Dw, R10, TAG_NOW, 0);
        match &self.facts.ingress {
            Ingress::Access(vid) | Ingress::Native(vid, _) => {
                self.a
                    .load_imm64(R8, TAG_GIVEN_8021Q | u64::from(vid.get()));
            }
            Ingress::Trunk(check) if check.takes_untagged() => {
                self.a.load_imm64(R8, TAG_GIVEN_8021Q);
            }
            Ingress::Trunk(_) => {
                let refused = self.drop(DropReason::IngressVlan);
                self.a.jump(refused);
            }
        }
        self.a.bind(self.classified);
    }

    /// R9 = key of the destination, R1 = key of the source.
    fn parse(&mut self) {
        let malformed = self.drop(DropReason::Malformed);
        let a = &mut self.a;
        a.load(Size::W, R2, CTX, skb::DATA);
        a.load(Size::W, R3, CTX, skb::DATA_END);
        a.mov(R1, R2);
        a.add(R1, ETH_HEADER_LEN as i32);
        a.jump_if(Cond::Gt, R1, R3, malformed);
        // One 8-byte load each, and one store: the hash reads what was just stored.
        a.load(Size::Dw, R9, R2, 0);
        a.lsh(R9, 16);
        a.rsh(R9, 16);
        a.load(Size::Dw, R1, R2, 4);
        a.rsh(R1, 16);
        a.jump_if(Cond::Set, R9, 1, self.multicast);
        a.bind(self.addressed);
        a.mov(R4, R8);
        a.lsh(R4, 52);
        a.rsh(R4, 4);
        a.or(R9, R4);
        a.or(R1, R4);
    }

    /// Spares the lookups if the newest frame on this CPU was of the same pair, in this tick. The
    /// source was learned then, and nothing has moved since.
    fn recall(&mut self) {
        let (lost, learn) = (self.lost, self.learn);
        let slot = self.slot();
        let a = &mut self.a;
        a.store(Size::Dw, R10, SRC, R1);
        a.load_map_value(R2, EPOCH.id, 0);
        a.load(Size::Dw, R1, R2, 0);
        a.store(Size::Dw, R10, EPOCH_NOW, R1);
        lookup_index(a, RECENT.id, INDEX, slot);
        a.jump_if(Cond::Eq, R0, 0, lost);
        a.store(Size::Dw, R10, RECENT_AT, R0);
        a.load(Size::Dw, R1, R0, recent::TICK);
        a.jump_if(Cond::Ne, R1, R7, learn);
        a.load(Size::Dw, R1, R0, recent::DST);
        a.jump_if(Cond::Ne, R1, R9, learn);
        for (at, field) in [(SRC, recent::SRC), (EPOCH_NOW, recent::EPOCH)] {
            a.load(Size::Dw, R1, R0, field);
            a.load(Size::Dw, R2, R10, at);
            a.jump_if(Cond::Ne, R1, R2, learn);
        }
        a.load(Size::W, R1, R0, recent::EGRESS);
        a.jump(self.egress);
    }

    /// Remembers that the source is behind this port, now.
    fn learn(&mut self) {
        let (find, learn_new, slot) = (self.find, self.learn_new, self.slot());
        let fdb_map = fdb_id(self.facts.bridge_slot);
        let (learn, moved) = (self.learn, self.moved);
        let a = &mut self.a;
        a.bind(learn);
        a.load(Size::Dw, R1, R10, SRC);
        a.jump_if(Cond::Set, R1, 1, find);
        a.store(Size::Dw, R10, KEY, R1);
        lookup(a, fdb_map, KEY);
        a.jump_if(Cond::Eq, R0, 0, learn_new);
        a.load(Size::W, R1, R0, fdb::PORT);
        a.jump_if(Cond::Ne, R1, slot, moved);
        a.load(Size::Dw, R1, R0, fdb::SEEN);
        a.jump_if(Cond::Eq, R1, R7, find);
        a.store(Size::Dw, R0, fdb::SEEN, R7);
        a.bind(find);
    }

    /// R9 = record of the egress port, whose slot is at INDEX.
    fn find(&mut self) {
        let (flood, slot) = (self.flood, self.slot());
        let same = self.drop(DropReason::SamePort);
        let down = self.drop(DropReason::PortDown);
        let protected = self.facts.protected;
        let protected = protected.then(|| self.drop(DropReason::Protected));
        let aging_ticks = self
            .facts
            .mac_aging_s
            .saturating_mul(self.facts.hz)
            .min(i32::MAX as u32);
        let fdb_map = fdb_id(self.facts.bridge_slot);
        let a = &mut self.a;
        a.jump_if(Cond::Set, R9, 1, flood);
        a.store(Size::Dw, R10, KEY, R9);
        lookup(a, fdb_map, KEY);
        a.jump_if(Cond::Eq, R0, 0, flood);
        // Signed: another CPU may have seen the station after this one read the time.
        a.load(Size::Dw, R1, R0, fdb::SEEN);
        a.mov(R2, R7);
        a.sub(R2, R1);
        a.jump_if(Cond::Sgt, R2, aging_ticks as i32, flood);
        a.load(Size::W, R1, R0, fdb::PORT);
        a.jump_if(Cond::Eq, R1, slot, same);
        a.load(Size::Dw, R3, R10, RECENT_AT);
        a.store(Size::Dw, R3, recent::TICK, R7);
        a.store(Size::Dw, R3, recent::DST, R9);
        a.store(Size::W, R3, recent::EGRESS, R1);
        for (at, field) in [(SRC, recent::SRC), (EPOCH_NOW, recent::EPOCH)] {
            a.load(Size::Dw, R2, R10, at);
            a.store(Size::Dw, R3, field, R2);
        }
        a.bind(self.egress);
        lookup_index(a, PORTS.id, INDEX, R1);
        a.jump_if(Cond::Eq, R0, 0, down);
        a.mov(R9, R0);
        if let Some(protected) = protected {
            a.load(Size::W, R1, R9, port::PROTECTED);
            a.jump_if(Cond::Ne, R1, 0, protected);
        }
        a.load(Size::W, R1, R9, port::IFINDEX);
        a.jump_if(Cond::Eq, R1, 0, self.no_device);
        a.bind(self.have_device);
        a.mov(R1, R8);
        a.and(R1, VLAN_AND_PRIORITY);
        a.load(Size::H, R2, R9, port::UNTAGGED_VLAN);
        a.mov(R7, 0);
        a.jump_if(Cond::Ne, R1, R2, self.tagged_egress);
        a.bind(self.have_tag);
        a.load(Size::W, R1, CTX, skb::LEN);
        a.load(Size::W, R2, R9, port::MAX_LEN);
        a.jump_if(Cond::Gt, R1, R2, self.long);
        a.bind(self.fits);
    }

    /// Sends to the port of R9 with the tag state of R7.
    fn send(&mut self) {
        let (lost, patch) = (self.lost, self.patch);
        let a = &mut self.a;
        if self.facts.origin == Origin::Device {
            a.load(Size::Dw, R1, R10, TAG_NOW);
            a.jump_if(Cond::Ne, R1, R7, self.retag);
            a.bind(self.retagged);
        }
        lookup(a, COUNTERS.id, INDEX);
        a.jump_if(Cond::Eq, R0, 0, lost);
        count_frame(a, counter::TX_PACKETS, counter::TX_BYTES);
        a.load(Size::W, R1, R9, port::IFINDEX);
        a.jump_if(Cond::Eq, R1, 0, patch);
        match self.facts.origin {
            Origin::Device => {
                a.mov(R2, 0);
                a.call(Helper::Redirect);
                a.exit();
            }
            Origin::Patch | Origin::Pipeline => {
                load_scratch(a, INDEX, lost);
                a.load(Size::W, R1, R9, port::IFINDEX);
                a.store(Size::W, R0, scratch::PENDING, R1);
                a.store(Size::Dw, R0, scratch::PENDING_TAG, R7);
                a.load(Size::Dw, R1, R10, TAG_NOW);
                a.store(Size::Dw, R0, scratch::TAG_NOW, R1);
                jump_finish(a);
            }
        }
    }
}
