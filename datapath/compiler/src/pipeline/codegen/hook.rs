//! All that depends on where a program hangs: how it gets at the frame, and how frames leave.
//! At tcx the context is `struct __sk_buff`, in XDP `struct xdp_md`. How frames leave in XDP is in
//! [`super::xdp`].

use aorta_ebpf::{Assembler, Cond, Helper, Label, Operand, Reg, Size};

use crate::emit::CTX;
use crate::pipeline::Hook;
use crate::pipeline::layout::state;
use crate::{skb, xdp};

use Reg::{R0, R1, R2, R3, R7};

/// Most bytes of headers that are looked at; no chain of headers is longer in practice.
const HEADERS_BYTES: i32 = 2048;

/// `data` and `end` = first byte of the frame, and one past the last that can be read.
pub fn load_frame(a: &mut Assembler, hook: Hook, data: Reg, end: Reg) {
    let (first, past) = match hook {
        Hook::Tc => (skb::DATA, skb::DATA_END),
        Hook::Xdp => (xdp::DATA, xdp::DATA_END),
    };
    a.load(Size::W, data, CTX, first);
    a.load(Size::W, end, CTX, past);
}

/// `dst` = bytes of the frame, without the tag beside it.
pub fn load_len(a: &mut Assembler, hook: Hook, dst: Reg) {
    match hook {
        Hook::Tc => a.load(Size::W, dst, CTX, skb::LEN),
        Hook::Xdp => a.load(Size::W, dst, R7, state::LEN),
    }
}

/// Goes to `none` if no tag is kept beside the frame. Uses R1.
pub fn jump_if_no_tag(a: &mut Assembler, none: Label) {
    a.load(Size::W, R1, CTX, skb::VLAN_PRESENT);
    a.jump_if(Cond::Eq, R1, 0, none);
}

/// `dst` = tag control information of the tag beside the frame.
pub fn load_tci(a: &mut Assembler, dst: Reg) {
    a.load(Size::W, dst, CTX, skb::VLAN_TCI);
}

/// `dst` = protocol identifier of the tag beside the frame.
pub fn load_tpid(a: &mut Assembler, dst: Reg) {
    a.load(Size::W, dst, CTX, skb::VLAN_PROTO);
    a.be16(dst);
}

/// At tcx: makes more of the frame readable, then goes to `again`; to `all_there` if all of it is, and to
/// `failed` if the kernel has no memory. R2 and R3 are as [`load_frame`] left them. Uses R0, R1 on
/// the way to `all_there`.
pub fn pull(a: &mut Assembler, again: Label, all_there: Label, failed: Label) {
    let whole = a.label("whole");
    a.mov(R1, R3);
    a.sub(R1, R2);
    load_len(a, Hook::Tc, R0);
    a.jump_if(Cond::Ge, R1, R0, all_there);
    a.jump_if(Cond::Ge, R1, HEADERS_BYTES, all_there);
    a.mov(R2, HEADERS_BYTES);
    a.jump_if(Cond::Ge, R0, R2, whole);
    a.mov(R2, R0);
    a.bind(whole);
    a.mov(R1, CTX);
    a.call(Helper::SkbPullData);
    a.jump_if(Cond::Ne, R0, 0, failed);
    a.may_goto(failed);
    a.jump(again);
}

/// Goes to `long` if the frame is longer than `max` (not R1) and isn't one that is cut into
/// segments. Uses R1.
pub fn jump_if_longer(a: &mut Assembler, max: Reg, long: Label) {
    let fits = a.label("fits");
    a.load(Size::W, R1, CTX, skb::LEN);
    a.jump_if(Cond::Le, R1, max, fits);
    a.load(Size::W, R1, CTX, skb::GSO_SIZE);
    a.jump_if(Cond::Eq, R1, 0, long);
    a.bind(fits);
}

/// Sends the frame itself to the device `ifindex`, and ends.
pub fn send_last(a: &mut Assembler, ifindex: impl Into<Operand>) {
    a.mov(R1, ifindex);
    a.mov(R2, 0);
    a.call(Helper::Redirect);
    a.exit();
}

/// Sends a copy to the device `ifindex`; R0 is 0 if that went well. Uses R0 to R5; what was known
/// of the frame's bytes is lost.
pub fn send_copy(a: &mut Assembler, ifindex: impl Into<Operand>) {
    a.mov(R2, ifindex);
    a.mov(R1, CTX);
    a.mov(R3, 0);
    a.call(Helper::CloneRedirect);
}

/// Ends; nothing more happens to the frame.
pub fn end(a: &mut Assembler) {
    a.mov(R0, skb::ACT_SHOT);
    a.exit();
}
