//! The program at the egress of a device whose port has queues with a DSCP (`Queue.dscp`): an IP packet
//! that leaves by such a queue gets it. It means what [`with_dscp`](aorta_packet::with_dscp) means.
//!
//! At egress each copy is a frame of its own, whoever sent it there, and its priority is the queue that
//! was chosen for it.

use std::collections::BTreeMap;

use aorta_ebpf::{AluOp, Assembler, Cond, Helper, Label, Program, Reg, Size, Width};
use aorta_packet::{
    ETH_HEADER_LEN, ETHERTYPE_IPV4, ETHERTYPE_IPV6, TPID_8021AD, TPID_8021Q, VLAN_TAG_LEN,
};

use crate::emit::CTX;
use crate::{CompileError, skb};

use Reg::{R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10};

/// Stack frame: the header, as far as it is read.
const HEADER: i16 = -40;
const IPV4_LEN: i32 = 20;
const IPV4_CHECKSUM: i16 = 10;
const IPV6_LEN: i32 = 40;
/// What is written of an IPv4 header: up to the checksum and with it.
const IPV4_WRITTEN: i32 = 12;
/// What is written of an IPv6 header.
const IPV6_WRITTEN: i32 = 2;
/// Has the kernel keep its own sum of the frame right (`BPF_F_RECOMPUTE_CSUM`).
const RECOMPUTE_CSUM: i32 = 1;
const DSCP: i32 = 0xfc;

/// Compiles the program of the port in a slot, with the DSCP of each queue.
///
/// # Errors
/// When it can't be assembled: a defect.
pub fn compile_marking(slot: u32, queues: &BTreeMap<u32, u8>) -> Result<Program, CompileError> {
    let name = format!("marking_{slot}");
    let mut a = Assembler::new(&name);
    let [mark, done] = ["mark", "done"].map(|name| a.label(name));
    a.mov(CTX, R1);
    a.comment("queue");
    a.load(Size::W, R1, CTX, skb::PRIORITY);
    for (queue, dscp) in queues {
        // Queues that have no class have no priority, either.
        let Ok(class) = i32::try_from(queue + 1) else {
            continue;
        };
        a.mov(R8, i32::from(*dscp) << 2);
        a.jump_if(Cond::Eq, R1, skb::FIRST_CLASS + class, mark);
    }
    a.jump(done);
    a.bind(mark);
    emit_marking(&mut a, done);
    a.bind(done);
    a.mov(R0, skb::ACT_NEXT);
    a.exit();
    a.finish_reachable()
        .map_err(|e| CompileError::assemble(&name, e))
}

/// Puts the bits in R8 into the IP header, if there is one; falls through or goes to `done`.
fn emit_marking(a: &mut Assembler, done: Label) {
    let [typed, v6] = ["typed", "v6"].map(|name| a.label(name));
    // R9 = offset of the type, R7 = the type.
    a.mov(R9, ETH_HEADER_LEN as i32 - 2);
    let beside = a.label("outer_tag_beside");
    load(a, R9, 2, done);
    a.load(Size::H, R7, R10, HEADER);
    a.load(Size::W, R1, CTX, skb::VLAN_PRESENT);
    a.jump_if(Cond::Ne, R1, 0, beside);
    // Two tags may be in the data, or one if another is beside it.
    go_unless_tag(a, typed);
    a.add(R9, VLAN_TAG_LEN as i32);
    load(a, R9, 2, done);
    a.load(Size::H, R7, R10, HEADER);
    a.bind(beside);
    go_unless_tag(a, typed);
    a.add(R9, VLAN_TAG_LEN as i32);
    load(a, R9, 2, done);
    a.load(Size::H, R7, R10, HEADER);
    a.bind(typed);
    a.add(R9, 2);
    a.jump_if(Cond::Eq, R7, i32::from(ETHERTYPE_IPV6.to_be()), v6);
    a.jump_if(Cond::Ne, R7, i32::from(ETHERTYPE_IPV4.to_be()), done);
    emit_ipv4(a, done);
    a.jump(done);
    a.bind(v6);
    emit_ipv6(a, done);
}

/// Goes to `to` unless the type in R7 is a tag's.
fn go_unless_tag(a: &mut Assembler, to: Label) {
    let tag = a.label("is_tag");
    a.jump_if(Cond::Eq, R7, i32::from(TPID_8021Q.to_be()), tag);
    a.jump_if(Cond::Ne, R7, i32::from(TPID_8021AD.to_be()), to);
    a.bind(tag);
}

/// The header at R9, whose checksum takes up the change.
fn emit_ipv4(a: &mut Assembler, done: Label) {
    load(a, R9, IPV4_LEN, done);
    a.load(Size::B, R1, R10, HEADER);
    a.mov(R2, R1);
    a.rsh(R2, 4);
    a.jump_if(Cond::Ne, R2, 4, done);
    a.and(R1, 0x0f);
    a.jump_if(Cond::Lt, R1, 5, done);
    // R3 = the first word as it is, R4 = as it is to be.
    a.load(Size::H, R3, R10, HEADER);
    a.load(Size::B, R1, R10, HEADER + 1);
    a.and(R1, !DSCP & 0xff);
    a.or(R1, R8);
    a.store(Size::B, R10, HEADER + 1, R1);
    a.load(Size::H, R4, R10, HEADER);
    a.jump_if(Cond::Eq, R3, R4, done);
    // Sums of words don't depend on the order of bytes.
    a.load(Size::H, R1, R10, HEADER + IPV4_CHECKSUM);
    for word in [R1, R3] {
        a.alu(AluOp::Xor, Width::W64, word, 0xffff);
    }
    a.add(R1, R3);
    a.add(R1, R4);
    for _ in 0..2 {
        a.mov(R2, R1);
        a.rsh(R2, 16);
        a.and(R1, 0xffff);
        a.add(R1, R2);
    }
    a.alu(AluOp::Xor, Width::W64, R1, 0xffff);
    a.store(Size::H, R10, HEADER + IPV4_CHECKSUM, R1);
    store(a, IPV4_WRITTEN, 0);
}

/// The header at R9.
fn emit_ipv6(a: &mut Assembler, done: Label) {
    load(a, R9, IPV6_LEN, done);
    a.load(Size::B, R1, R10, HEADER);
    a.mov(R2, R1);
    a.rsh(R2, 4);
    a.jump_if(Cond::Ne, R2, 6, done);
    a.and(R1, 0xf0);
    a.mov(R2, R8);
    a.rsh(R2, 4);
    a.or(R1, R2);
    a.store(Size::B, R10, HEADER, R1);
    a.load(Size::B, R1, R10, HEADER + 1);
    a.and(R1, 0x3f);
    a.mov(R2, R8);
    a.lsh(R2, 4);
    a.and(R2, 0xff);
    a.or(R1, R2);
    a.store(Size::B, R10, HEADER + 1, R1);
    store(a, IPV6_WRITTEN, RECOMPUTE_CSUM);
}

/// Reads `len` bytes at the offset in `at` to the stack; goes to `done` if there are fewer. R0 to R5
/// are gone.
fn load(a: &mut Assembler, at: Reg, len: i32, done: Label) {
    a.mov(R1, R6);
    a.mov(R2, at);
    a.mov(R3, R10);
    a.add(R3, i32::from(HEADER));
    a.mov(R4, len);
    a.call(Helper::SkbLoadBytes);
    a.jump_if(Cond::Ne, R0, 0, done);
}

/// Writes `len` bytes of the header back.
fn store(a: &mut Assembler, len: i32, flags: i32) {
    a.mov(R1, R6);
    a.mov(R2, R9);
    a.mov(R3, R10);
    a.add(R3, i32::from(HEADER));
    a.mov(R4, len);
    a.mov(R5, flags);
    a.call(Helper::SkbStoreBytes);
}
