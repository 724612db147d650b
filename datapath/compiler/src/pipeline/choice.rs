//! Code that computes the hashes by which select groups, `multipath` and `bundle` choose, and asks
//! whether ports are up.

use std::collections::BTreeSet;

use aorta_ebpf::{AluOp, Assembler, Cond, Label, Reg, Size, Width};
use aorta_flow::OfPort;
use aorta_flow::field::FieldId;
use aorta_flow::hash::{MULTIPLIER, SHIFT, START, Word};

use super::layout::{self, state};
use super::maps::{BRIDGE_PORTS, ports};
use crate::abi::{PORTS, port};
use crate::emit::lookup_index;

use Reg::{R0, R1, R2, R3, R7};

/// Fields that a hash is made of.
pub fn fields(words: &[Word]) -> BTreeSet<FieldId> {
    let mut fields = BTreeSet::new();
    for word in words {
        match word {
            Word::Of { field, .. } => fields.extend([*field]),
            Word::Both { one, other, .. } => fields.extend([*one, *other]),
            Word::Ports(_) => {
                fields.extend([FieldId::NW_PROTO, FieldId::TCP_SRC, FieldId::TCP_DST]);
            }
        }
    }
    fields
}

/// R0 = the hash of words of the packet. Uses R1 to R3.
pub fn emit_hash(a: &mut Assembler, words: &[Word], basis: u64) {
    a.load_imm64(R0, START.wrapping_add(basis));
    a.load_imm64(R3, MULTIPLIER);
    for word in words {
        load_word(a, *word);
        a.xor(R0, R1);
        a.alu(AluOp::Mul, Width::W64, R0, R3);
        a.mov(R1, R0);
        a.rsh(R1, SHIFT as i32);
        a.xor(R0, R1);
    }
    a.rsh(R0, 32);
}

/// R1 = a word of the packet, zero-extended. Uses R2.
fn load_word(a: &mut Assembler, word: Word) {
    match word {
        Word::Of { field, word, mask } => {
            load(a, R1, field, word);
            if mask != u32::MAX {
                a.alu(AluOp::And, Width::W32, R1, mask as i32);
            }
        }
        Word::Both { one, other, word } => {
            load(a, R1, one, word);
            load(a, R2, other, word);
            a.xor(R1, R2);
        }
        Word::Ports(protocols) => {
            let (has, done) = (a.label("has_ports"), a.label("ports_known"));
            load(a, R2, FieldId::NW_PROTO, 0);
            a.mov(R1, 0);
            for protocol in protocols {
                a.jump_if(Cond::Eq, R2, i32::from(*protocol), has);
            }
            a.jump(done);
            a.bind(has);
            load(a, R1, FieldId::TCP_SRC, 0);
            load(a, R2, FieldId::TCP_DST, 0);
            a.xor(R1, R2);
            a.bind(done);
        }
    }
}

fn load(a: &mut Assembler, dst: Reg, field: FieldId, word: u8) {
    match layout::word(field, word) {
        Some(at) => a.load(Size::W, dst, R7, state::KEY + at),
        None => a.mov(dst, 0),
    }
}

/// Goes to `down` unless a port of the bridge is up: it has a device that is, or leads to another
/// bridge. Keeps a u32 of the stack at `index`. Uses R0 to R5.
pub fn emit_unless_live(a: &mut Assembler, number: OfPort, index: i16, down: Label) {
    let up = a.label("up");
    a.load_map_value(R1, BRIDGE_PORTS, ports::slot_of(number.0));
    a.load(Size::W, R1, R1, 0);
    a.jump_if(Cond::Eq, R1, 0, down);
    a.sub(R1, 1);
    lookup_index(a, PORTS.id, index, R1);
    a.jump_if(Cond::Eq, R0, 0, down);
    a.load(Size::W, R1, R0, port::IFINDEX);
    a.jump_if(Cond::Ne, R1, 0, up);
    a.load(Size::W, R1, R0, port::JUMP);
    a.jump_if(Cond::Eq, R1, 0, down);
    a.bind(up);
}

/// Constants of [`emit_mixed`].
const MIX: [(i32, u64); 2] = [(30, 0xbf58_476d_1ce4_e5b9), (27, 0x94d0_49bb_1331_11eb)];

/// R1 = a number that depends on the hash in R0 and the candidate without order, as the
/// interpreter's `mixed`. R0 is kept. Uses R2.
pub fn emit_mixed(a: &mut Assembler, candidate: u32) {
    a.mov(R1, R0);
    a.lsh(R1, 32);
    a.mov32(R2, candidate as i32);
    a.or(R1, R2);
    for (shift, multiplier) in MIX {
        a.mov(R2, R1);
        a.rsh(R2, shift);
        a.xor(R1, R2);
        a.load_imm64(R2, multiplier);
        a.alu(AluOp::Mul, Width::W64, R1, R2);
    }
    a.rsh(R1, 32);
}
