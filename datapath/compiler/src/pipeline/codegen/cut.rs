//! Copies that are cut. The kernel cuts frames, not copies: the end of the frame is set aside, and put
//! back once the copy has left.

use aorta_ebpf::{Cond, Helper, Reg, Size};
use aorta_flow::field::FieldId;
use aorta_flow::{DropReason, OfPort};

use super::site::Site;
use super::{Block, Gen, INDEX, hook, key};
use crate::abi::{MAX_PORTS, PORTS, port};
use crate::emit::lookup_index;
use crate::pipeline::layout::state;
use crate::pipeline::maps::{UPCALL_SPACE, upcall};
use crate::skb;

use Reg::{R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10};

/// The least that is left: an Ethernet header, besides the tag that is beside the frame.
const LEAST_BYTES: i32 = 14;
const TAG_BYTES: i32 = 4;
/// The kernel doesn't cut within what it takes for headers: then so much is left, the first that
/// works.
const ELSE_BYTES: [i32; 5] = [54, 74, 96, 128, MOST_HEADER_BYTES];
/// Shorter frames than that are sent as they are if nothing works.
const MOST_HEADER_BYTES: i32 = 256;
/// `BPF_F_RECOMPUTE_CSUM`: a device's checksum over the whole frame follows.
const RECOMPUTE_CSUM: i32 = 1;

/// u32: bytes that are left.
const LEFT: i16 = state::COMMIT_AT;
/// u32: bytes that there were.
const LEN: i16 = state::COMMIT_AT + 4;
/// u32: bytes that are set aside.
const TAIL: i16 = state::COMMIT_AT + 8;

/// Whether copies for a port can be cut; those for others aren't sent.
pub fn can_cut(port: OfPort) -> bool {
    matches!(port, OfPort::LOCAL | OfPort::IN_PORT) || port.0 < OfPort::UNSET.0
}

impl Gen<'_> {
    /// Sends a copy of so many bytes at most.
    pub(super) fn output_cut(&mut self, port: OfPort, max_len_bytes: u32, site: &Site) {
        if !can_cut(port) {
            return;
        }
        let skip = self.a.label("skip");
        if port != OfPort::IN_PORT {
            self.a.load(Size::W, R1, R7, key(FieldId::IN_PORT));
            let number = i32::from(port.0);
            self.a.jump_if(Cond::Eq, R1, number, skip);
        }
        self.a.store(Size::W, R7, state::NEXT, 0);
        self.call_block(Block::Sync, site);
        match port {
            OfPort::IN_PORT => self.a.load(Size::W, R1, R7, key(FieldId::IN_PORT)),
            port => self.a.mov(R1, i32::from(port.0)),
        }
        self.slot_of_port();
        let most = i32::try_from(max_len_bytes).unwrap_or(i32::MAX);
        self.a.store(Size::W, R7, state::CUT_PORT, R1);
        self.a.store(Size::W, R7, state::CUT_LEN, most);
        self.call_block(Block::SendCut, site);
        self.a.bind(skip);
    }

    pub(super) fn emit_send_cut(&mut self) {
        let back = self.block(Block::Return);
        let names = ["lost", "whole", "put_back", "refused", "long", "down"];
        let [lost, whole, put_back, refused, long, down] = names.map(|name| self.a.label(name));
        self.count_output();
        self.note_queue();
        self.take_queue();
        let a = &mut self.a;
        a.load(Size::W, R1, R7, state::CUT_PORT);
        a.jump_if(Cond::Eq, R1, 0, down);
        a.sub(R1, 1);
        a.jump_if(Cond::Ge, R1, MAX_PORTS as i32, down);
        lookup_index(a, PORTS.id, INDEX, R1);
        a.jump_if(Cond::Eq, R0, 0, down);
        a.mov(R9, R0);
        a.load(Size::W, R1, R9, port::IFINDEX);
        a.jump_if(Cond::Eq, R1, 0, down);
        self.bytes_left();
        let a = &mut self.a;
        a.load(Size::W, R3, R9, port::MAX_LEN);
        a.load(Size::W, R1, R7, LEFT);
        a.load(Size::W, R2, R7, LEN);
        a.jump_if(Cond::Ge, R1, R2, whole);
        a.jump_if(Cond::Gt, R1, R3, long);
        a.load(Size::W, R1, R6, skb::GSO_SIZE);
        // It could not be what it was again.
        a.jump_if(Cond::Ne, R1, 0, refused);
        self.set_tail_aside(refused, put_back);
        self.send_to(R9);
        self.a.bind(put_back);
        self.put_tail_back();
        self.a.jump(back);
        self.a.bind(whole);
        hook::jump_if_longer(&mut self.a, R3, long);
        self.send_to(R9);
        self.a.jump(back);
        for (label, reason) in [
            (down, DropReason::PortDown),
            (long, DropReason::ExceedsMtu),
            (refused, DropReason::Failed),
        ] {
            self.a.bind(label);
            self.a.mov(R8, reason.index() as i32);
            self.a.jump(lost);
        }
        self.a.bind(lost);
        self.count_drop(back);
        self.a.jump(back);
    }

    /// LEN and LEFT, both without the tag beside the frame. Uses R1, R2.
    fn bytes_left(&mut self) {
        let [untagged, least] = ["untagged", "least"].map(|name| self.a.label(name));
        let a = &mut self.a;
        a.load(Size::W, R1, R6, skb::LEN);
        a.store(Size::W, R7, LEN, R1);
        a.load(Size::W, R2, R7, state::CUT_LEN);
        hook::jump_if_no_tag(a, untagged);
        a.sub(R2, TAG_BYTES);
        a.bind(untagged);
        a.jump_if(Cond::Sge, R2, LEAST_BYTES, least);
        a.mov(R2, LEAST_BYTES);
        a.bind(least);
        a.store(Size::W, R7, LEFT, R2);
    }

    /// Sends a copy to the port whose record is at `record`, and counts it.
    fn send_to(&mut self, record: Reg) {
        let a = &mut self.a;
        a.load(Size::W, R1, R7, state::CUT_PORT);
        a.sub(R1, 1);
        a.store(Size::W, R10, INDEX, R1);
        self.count_sent();
        self.a.load(Size::W, R2, record, port::IFINDEX);
        hook::send_copy(&mut self.a, R2);
    }

    /// Cuts the frame; goes to `refused` if its end can't be set aside, and to `uncut` if the kernel
    /// doesn't cut it.
    fn set_tail_aside(&mut self, refused: super::Label, uncut: super::Label) {
        let cut = self.a.label("cut");
        let a = &mut self.a;
        a.load(Size::W, R4, R7, LEN);
        a.load(Size::W, R1, R7, LEFT);
        a.sub(R4, R1);
        a.store(Size::W, R7, TAIL, R4);
        self.tail(refused);
        self.a.call(Helper::SkbLoadBytes);
        self.a.jump_if(Cond::Ne, R0, 0, refused);
        self.a.load(Size::W, R2, R7, LEFT);
        self.change_tail();
        self.a.jump_if(Cond::Eq, R0, 0, cut);
        for bytes in ELSE_BYTES {
            let shorter = self.a.label("not_so_much");
            self.a.load(Size::W, R1, R7, LEN);
            self.a.jump_if(Cond::Le, R1, bytes, shorter);
            self.a.load(Size::W, R1, R7, LEFT);
            self.a.jump_if(Cond::Ge, R1, bytes, shorter);
            self.a.mov(R2, bytes);
            self.change_tail();
            self.a.jump_if(Cond::Eq, R0, 0, cut);
            self.a.bind(shorter);
        }
        self.a.load(Size::W, R1, R7, LEN);
        self.a.jump_if(Cond::Le, R1, MOST_HEADER_BYTES, cut);
        self.a.mov(R8, DropReason::Failed.index() as i32);
        self.count_drop(uncut);
        self.a.jump(uncut);
        self.a.bind(cut);
    }

    /// R0 = 0 if the frame has R2 bytes then.
    fn change_tail(&mut self) {
        let a = &mut self.a;
        a.mov(R1, R6);
        a.mov(R3, 0);
        a.call(Helper::SkbChangeTail);
    }

    /// Arguments for reading or writing the end of the frame. Goes to `none` if there is nowhere to
    /// keep it.
    fn tail(&mut self, none: super::Label) {
        lookup_index(&mut self.a, UPCALL_SPACE.id, INDEX, 0);
        let a = &mut self.a;
        a.jump_if(Cond::Eq, R0, 0, none);
        a.mov(R3, R0);
        a.load(Size::W, R4, R7, TAIL);
        a.jump_if(Cond::Eq, R4, 0, none);
        a.jump_if(Cond::Gt, R4, upcall::MAX_FRAME_BYTES, none);
        a.mov(R1, R6);
        a.load(Size::W, R2, R7, LEFT);
        a.mov(R5, RECOMPUTE_CSUM);
    }

    /// The frame is as it was.
    fn put_tail_back(&mut self) {
        let failed = self.block(Block::Failed);
        self.a.load(Size::W, R2, R7, LEN);
        self.change_tail();
        self.a.jump_if(Cond::Ne, R0, 0, failed);
        self.tail(failed);
        self.a.call(Helper::SkbStoreBytes);
        self.a.jump_if(Cond::Ne, R0, 0, failed);
    }
}
