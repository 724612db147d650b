//! The XDP form of tables on a network card: one program that calls no other one, with hash maps and
//! arrays only. What it knows of a packet stands on the stack, at the places that [`Stack`] gives to
//! words of the state; larger tables are hash maps, one for each mask. Whatever it can't do, it leaves
//! to software as it came, which is no loss: nothing is changed or counted before the packet's end is
//! known.

use std::collections::{BTreeMap, BTreeSet};

use aorta_ebpf::{AluOp, Cond, Helper, MapId, Op, Operand, Program, Reg, Size, Width};
use aorta_flow::OfPort;
use aorta_packet::ETH_HEADER_LEN;

use super::site::Site;
use super::{Block, Gen, INDEX, commit, hook};
use crate::emit::{lookup, lookup_index};
use crate::pipeline::commit::xdp::XdpExits;
use crate::pipeline::layout::{state, vlan};
use crate::pipeline::plan::Plan;
use crate::pipeline::shape::Param;
use crate::pipeline::{Hook, PipelineError, record};
use crate::{xdp, xdp_entry};

use Reg::{R0, R1, R2, R3, R6, R7, R8, R9, R10};

/// What is [pending](state::PENDING) for a packet that leaves by the port that it came from. Other
/// ports are the indices of their devices plus 1.
pub const BACK: i32 = 1;

/// In the place of [`record::BORN`], u32: which of the entries of a table wins that match a packet,
/// the highest; never 0.
pub const ORDER: i16 = record::BORN;

/// Tables that a program can have: each notes the rule that was found in it.
pub const MAX_TABLES: usize = 16;

/// Bytes of stack that programs have.
pub const STACK_BYTES: i16 = 512;

/// The first word of the state, which means nothing here.
const SCRATCH: i16 = state::VERSION;

/// Stack frame: end of the key of a lookup.
const KEY_END: i16 = -16;

/// A table in hash maps.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hashed {
    /// One for each mask.
    pub tuples: Vec<HashTuple>,
}

/// Rules of one mask.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HashTuple {
    /// Words of the key that they ask for, as byte offset and mask.
    pub words: Vec<(i16, u32)>,
    /// The map.
    pub map: MapId,
}

impl HashTuple {
    /// Bytes of a key: its words in order, as the host has them; one that is 0 if there are none.
    pub fn key_bytes(&self) -> usize {
        4 * self.words.len().max(1)
    }
}

/// What a program for a card depends on besides its rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CardForm {
    /// Name of the program.
    pub name: String,
    /// The port whose packets it sees.
    pub port: OfPort,
    /// Other ports that it can send to, with the indices of their devices.
    pub sends: BTreeMap<OfPort, u32>,
    /// Tables in hash maps.
    pub hashed: BTreeMap<u8, Hashed>,
    /// Counters of rules, by their numbers, which aren't 0.
    pub counters: MapId,
}

/// u64 of a rule's counters: packets.
pub const PACKETS: i16 = 0;
/// u64 of a rule's counters: bytes, as they came.
pub const BYTES_SEEN: i16 = 8;

/// Where words of the state are on the stack: offsets of 8 bytes each.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stack {
    places: BTreeMap<i16, i16>,
    /// Lowest byte of the stack that is used.
    bottom: i16,
}

/// Emits the program of a plan for a card.
///
/// # Errors
/// When it can't be assembled: a defect. `Ok(Err(bytes))` if so many bytes of stack would be needed.
pub fn generate(plan: &Plan, form: &CardForm) -> Result<Result<Program, i16>, PipelineError> {
    let changes = plan.changes.in_xdp();
    let defect = |source| PipelineError::Assemble {
        bridge: plan.config.bridge.clone(),
        source: Box::new(source),
    };
    let emit = |stack: &Stack| {
        let mut code = Gen::new(&form.name, plan, (Hook::Xdp, None, None), &changes);
        code.card = Some(form);
        code.stack = stack.clone();
        code.enter();
        code.tables();
        code.shared_blocks();
        code.a
    };
    // What stands where is known only when it is known what there is.
    let draft = emit(&Stack::default());
    let stack = Stack::of(&draft.finish_reachable().map_err(defect)?);
    if -stack.bottom > STACK_BYTES {
        return Ok(Err(-stack.bottom));
    }
    let mut asm = emit(&stack);
    asm.replace(|op| stack.moved(op));
    asm.finish_reachable().map(Ok).map_err(defect)
}

/// Places of tags are chosen by a number, which stands in a register that isn't R7: where they begin.
const TAGS: [i16; 2] = [state::KEY + vlan::INNER, state::BASE + vlan::INNER];

/// Base, offset and bytes of a load or store.
fn access(op: Op) -> Option<(Reg, i16, i16)> {
    let (size, base, off) = match op {
        Op::Load {
            size, base, off, ..
        }
        | Op::Store {
            size, base, off, ..
        } => (size, base, off),
        _ => return None,
    };
    Some((base, off, size.bytes() as i16))
}

/// Whether an access with another base than R7 is one of the state, with a number added.
fn is_tag(base: Reg, off: i16) -> bool {
    base != R7 && base != R10 && TAGS.contains(&off)
}

impl Stack {
    /// For all that a program uses, before anything is moved.
    fn of(program: &Program) -> Stack {
        let mut words: BTreeSet<i16> = [SCRATCH].into();
        let mut bottom = 0;
        let ops = program.insns().iter().filter_map(|insn| insn.operation());
        for (base, off, bytes) in ops.filter_map(access) {
            match base {
                R7 => words.extend([off & !7, (off + bytes - 1) & !7]),
                R10 => bottom = bottom.min(off & !7),
                _ if is_tag(base, off) => words.extend([off, off + 8]),
                _ => {}
            }
        }
        // Neighbours stay neighbours.
        let bytes = 8 * words.len() as i16;
        let places = words.into_iter().zip((0..).map(|n| bottom - bytes + 8 * n));
        Stack {
            places: places.collect(),
            bottom: bottom - bytes,
        }
    }

    /// The words that must be 0 at first: fields of headers are written before they are read.
    fn to_clear(&self) -> Vec<i16> {
        let fields = state::KEY..state::KEY + vlan::OUTER;
        let words = self.places.iter();
        let cleared = words.filter(|(word, _)| !fields.contains(word));
        cleared.map(|(_, place)| *place).collect()
    }

    fn place(&self, off: i16) -> Option<i16> {
        Some(self.places.get(&(off & !7))? + (off & 7))
    }

    /// The same instruction, with the stack in the place of the state.
    fn moved(&self, op: Op) -> Op {
        let in_state = |(base, off, _): &(Reg, i16, i16)| *base == R7 || is_tag(*base, *off);
        let place = access(op)
            .filter(in_state)
            .and_then(|(_, off, _)| self.place(off));
        let Some(off) = place else { return op };
        match op {
            Op::Load {
                size, dst, base, ..
            } => Op::Load {
                size,
                dst,
                base,
                off,
            },
            Op::Store {
                size, base, src, ..
            } => Op::Store {
                size,
                base,
                off,
                src,
            },
            op => op,
        }
    }
}

impl Gen<'_> {
    /// What a program begins with. Frames without an Ethernet header are left to software.
    pub(super) fn enter_card(&mut self) {
        let pass = self.block(Block::Pass);
        let a = &mut self.a;
        a.mov(R6, R1);
        a.mov(R7, R10);
        for word in self.stack.to_clear() {
            a.store(Size::Dw, R10, word, 0);
        }
        hook::load_frame(a, Hook::Xdp, R2, R3);
        a.mov(R1, R2);
        a.add(R1, ETH_HEADER_LEN as i32);
        a.jump_if(Cond::Gt, R1, R3, pass);
        a.mov(R8, R3);
        a.sub(R8, R2);
        xdp_entry::lengths(a);
    }

    /// Has the verifier forget what it knows of the state, so that it goes through the code behind
    /// this once: a byte of [`SCRATCH`] is written, which could be any byte as far as it can tell.
    /// Uses R1, R2.
    pub(super) fn forget_state(&mut self) {
        let pass = self.block(Block::Pass);
        let bottom = self.stack.place(SCRATCH).unwrap_or_default();
        let last = 8 * self.stack.places.len() as i32 - 1;
        let a = &mut self.a;
        hook::load_frame(a, Hook::Xdp, R1, R2);
        a.sub(R2, R1);
        a.mov(R1, R2);
        // It is 0, which isn't known of a difference.
        a.sub(R1, R2);
        a.jump_if(Cond::Gt, R1, last.max(0), pass);
        a.add(R1, R7);
        a.store(Size::B, R1, bottom, 1);
    }

    /// Notes the rule that a packet found in a table.
    pub(super) fn note_in_table(&mut self, table: u8, rule: Operand) {
        let at = self.noted_at(table);
        self.a.store(Size::W, R7, at, rule);
    }

    /// Where the rule of a table is noted.
    fn noted_at(&self, table: u8) -> i16 {
        let place = self.plan.tables.range(..table).count();
        state::NOTED_AT + 4 * place as i16
    }

    /// Sends to an ordinary port: other than that of the card they are few.
    pub(super) fn card_output(
        &mut self,
        card: &CardForm,
        port: Param,
        site: &Site,
        tail: bool,
    ) -> bool {
        let skip = self.a.label("skip");
        match self.param(site, port, R1) {
            Operand::Imm(number) => {
                let to = card.sends.get(&OfPort(number as u16));
                match to {
                    _ if number as u16 == card.port.0 => self.a.jump(skip),
                    Some(ifindex) => self.a.mov(R1, *ifindex as i32 + 1),
                    // It is left to software.
                    None => self.a.mov(R1, 0),
                }
            }
            Operand::Reg(_) => {
                let send = self.a.label("send");
                self.a.mov(R2, R1);
                self.a.jump_if(Cond::Eq, R2, i32::from(card.port.0), skip);
                for (number, ifindex) in &card.sends {
                    self.a.mov(R1, *ifindex as i32 + 1);
                    self.a.jump_if(Cond::Eq, R2, i32::from(number.0), send);
                }
                self.a.mov(R1, 0);
                self.a.bind(send);
            }
        }
        self.xdp_send(site, skip, tail)
    }

    /// A table in hash maps: of the entries that match, the one that wins.
    pub(super) fn table_hashed(&mut self, number: u8, hashed: &Hashed, shapes: &BTreeSet<u32>) {
        let miss = self.a.label(&format!("miss_{number}"));
        self.a.mov(R8, 0);
        self.a.mov(R9, 0);
        for tuple in &hashed.tuples {
            let next = self.a.label("next");
            let key = self.lookup_key(tuple);
            let a = &mut self.a;
            lookup(a, tuple.map, key);
            a.jump_if(Cond::Eq, R0, 0, next);
            a.load(Size::W, R1, R0, ORDER);
            a.jump_if(Cond::Le, R1, R9, next);
            a.mov(R8, R0);
            a.mov(R9, R1);
            a.bind(next);
        }
        self.a.jump_if(Cond::Eq, R8, 0, miss);
        self.a.load(Size::W, R1, R8, record::RULE);
        self.note_in_table(number, R1.into());
        self.by_shape(number, shapes);
        self.a.bind(miss);
        self.missed(number);
    }

    /// Where on the stack the key of a lookup is. Uses R1.
    fn lookup_key(&mut self, tuple: &HashTuple) -> i16 {
        let a = &mut self.a;
        let key = KEY_END - tuple.key_bytes() as i16;
        if tuple.words.is_empty() {
            a.store(Size::W, R10, key, 0);
        }
        for (number, (at, mask)) in (0..).zip(&tuple.words) {
            a.load(Size::W, R1, R7, state::KEY + at);
            if *mask != u32::MAX {
                a.alu(AluOp::And, Width::W32, R1, *mask as i32);
            }
            a.store(Size::W, R10, key + 4 * number, R1);
        }
        key
    }

    /// The packet leaves by the port that is pending, or is dropped; what can't be done leaves it to
    /// software, before anything is changed or counted.
    pub(super) fn card_finish(&mut self, card: &CardForm) {
        let names = ["unchanged", "broken", "drops", "back"];
        let [unchanged, broken, drops, back] = names.map(|name| self.a.label(name));
        let pass = self.block(Block::Pass);
        self.forget_state();
        let changes = self.changes;
        if !changes.is_empty() {
            let a = &mut self.a;
            a.load(Size::W, R1, R7, state::PENDING);
            a.jump_if(Cond::Eq, R1, 0, unchanged);
            commit::xdp::emit_length(a, changes);
            a.load(Size::Dw, R1, R7, state::DIRTY);
            a.jump_if(Cond::Eq, R1, 0, unchanged);
            commit::xdp::emit(a, changes, XdpExits { pass, broken });
            a.bind(unchanged);
        }
        for table in self.plan.tables.keys() {
            let at = self.noted_at(*table);
            self.count_in_table(card.counters, at);
        }
        let a = &mut self.a;
        a.load(Size::W, R1, R7, state::PENDING);
        a.jump_if(Cond::Eq, R1, 0, drops);
        a.jump_if(Cond::Eq, R1, BACK, back);
        a.sub(R1, 1);
        a.mov(R2, 0);
        a.call(Helper::Redirect);
        a.exit();
        a.bind(back);
        a.mov(R0, xdp::TX);
        a.exit();
        if !changes.is_empty() {
            a.bind(broken);
        }
        a.bind(drops);
        a.mov(R0, xdp::DROP);
        a.exit();
    }

    /// Counts the packet for the rule that is noted at `at`, if there is one.
    fn count_in_table(&mut self, counters: MapId, at: i16) {
        let counted = self.a.label("counted");
        let a = &mut self.a;
        a.load(Size::W, R1, R7, at);
        a.jump_if(Cond::Eq, R1, 0, counted);
        lookup_index(a, counters, INDEX, R1);
        a.jump_if(Cond::Eq, R0, 0, counted);
        a.mov(R1, 1);
        a.atomic_add(Size::Dw, R0, PACKETS, R1);
        a.load(Size::W, R1, R7, state::LEN);
        a.atomic_add(Size::Dw, R0, BYTES_SEEN, R1);
        a.bind(counted);
    }
}
