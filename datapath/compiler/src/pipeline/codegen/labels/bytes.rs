//! Labels in a frame's bytes. The frame has no VLAN tag.

use aorta_ebpf::{Cond, Helper, Reg, Size};
use aorta_flow::field::FieldId;
use aorta_packet::TPID_8021Q;

use super::super::{Block, Gen, key};
use super::{K, LABEL_BYTES};
use crate::pipeline::layout::{labels, state};
use crate::skb;

use Reg::{R0, R1, R2, R3, R4, R5, R6, R7};

/// Offset of what is behind the type: of Ethernet, and behind 802.2 SNAP (RFC 1042).
const ETHERNET: i32 = 14;
const SNAP: i32 = 22;
/// Lower numbers in the place of the type are lengths.
const MIN_ETHERTYPE: i32 = 0x600;
/// The type of frames that have none.
const NO_TYPE: i32 = aorta_packet::ETHERTYPE_NONE as i32;
/// `BPF_F_RECOMPUTE_CSUM`: a device's checksum over the whole frame follows.
const RECOMPUTE_CSUM: i32 = 1;
/// Where bytes are put together that go into the frame: the last 4 or 12 of what is removed.
const BYTES: i16 = state::COMMIT_AT + 6;

impl Gen<'_> {
    /// R1 = the frame's first byte, of which `bytes` can be read. Uses R2, R3.
    pub(super) fn first_byte(&mut self, bytes: i32) {
        let failed = self.block(Block::Failed);
        let a = &mut self.a;
        a.load(Size::W, R1, R6, skb::DATA);
        a.load(Size::W, R3, R6, skb::DATA_END);
        a.mov(R2, R1);
        a.add(R2, bytes);
        a.jump_if(Cond::Gt, R2, R3, failed);
    }

    /// AT = where the type ends in a frame without tags, by the type that the key has.
    pub(super) fn place_of_type(&mut self) {
        let [plain, known] = ["plain", "place_known"].map(|name| self.a.label(name));
        self.first_byte(ETHERNET);
        let a = &mut self.a;
        a.load(Size::H, R2, R1, ETHERNET as i16 - 2);
        a.be16(R2);
        a.jump_if(Cond::Ge, R2, MIN_ETHERTYPE, plain);
        a.load(Size::W, R2, R7, key(FieldId::ETH_TYPE));
        a.jump_if(Cond::Eq, R2, NO_TYPE, plain);
        a.store(Size::W, R7, K + labels::AT, SNAP);
        a.jump(known);
        a.bind(plain);
        a.store(Size::W, R7, K + labels::AT, ETHERNET);
        a.bind(known);
    }

    /// The same of a frame with a label.
    pub(super) fn place_of_label(&mut self) {
        let known = self.a.label("place_known");
        self.first_byte(ETHERNET);
        let a = &mut self.a;
        a.store(Size::W, R7, K + labels::AT, ETHERNET);
        a.load(Size::H, R2, R1, ETHERNET as i16 - 2);
        a.be16(R2);
        a.jump_if(Cond::Ge, R2, MIN_ETHERTYPE, known);
        a.store(Size::W, R7, K + labels::AT, SNAP);
        a.bind(known);
    }

    /// Goes to the code for the place of the type.
    pub(super) fn by_place(&mut self, code: impl Fn(&mut Self, i32)) {
        let [snap, done] = ["snap", "changed"].map(|name| self.a.label(name));
        self.a.load(Size::W, R1, R7, K + labels::AT);
        self.a.jump_if(Cond::Eq, R1, SNAP, snap);
        code(self, ETHERNET);
        self.a.jump(done);
        self.a.bind(snap);
        code(self, SNAP);
        self.a.bind(done);
    }

    /// Adds the label of ENTRY with the type of TYPE, at AT.
    pub(super) fn insert_label(&mut self) {
        let failed = self.block(Block::Failed);
        let a = &mut self.a;
        a.mov(R1, R6);
        a.mov(R2, LABEL_BYTES);
        a.mov(R3, 0);
        a.call(Helper::SkbChangeHead);
        a.jump_if(Cond::Ne, R0, 0, failed);
        self.by_place(Self::move_to_front);
    }

    /// The room at the front goes behind the type that ends at `at`.
    pub(super) fn move_to_front(&mut self, at: i32) {
        self.first_byte(at + LABEL_BYTES);
        let a = &mut self.a;
        let room = LABEL_BYTES as i16;
        // Each load is ahead of the store that overwrites it.
        a.load(Size::Dw, R2, R1, room);
        if at == SNAP {
            a.load(Size::Dw, R4, R1, room + 8);
            a.load(Size::W, R5, R1, room + 16);
            a.store(Size::Dw, R1, 8, R4);
            a.store(Size::W, R1, 16, R5);
        } else {
            a.load(Size::W, R4, R1, room + 8);
            a.store(Size::W, R1, 8, R4);
        }
        a.store(Size::Dw, R1, 0, R2);
        a.load(Size::W, R2, R7, K + labels::TYPE);
        a.be16(R2);
        a.store(Size::H, R1, at as i16 - 2, R2);
        a.load(Size::W, R2, R7, K + labels::ENTRY);
        a.be32(R2);
        a.store(Size::W, R1, at as i16, R2);
    }

    /// Removes the label at AT; the type becomes that of TYPE.
    pub(super) fn remove_label(&mut self) {
        for _ in 0..2 {
            // The second push brings the first tag into the frame.
            self.push_empty_tag();
        }
        self.by_place(Self::label_to_tag);
        for _ in 0..3 {
            let failed = self.block(Block::Failed);
            self.a.mov(R1, R6);
            self.a.call(Helper::SkbVlanPop);
            self.a.jump_if(Cond::Ne, R0, 0, failed);
        }
    }

    pub(super) fn push_empty_tag(&mut self) {
        let failed = self.block(Block::Failed);
        let a = &mut self.a;
        a.mov(R1, R6);
        a.mov(R2, i32::from(TPID_8021Q.to_be()));
        a.mov(R3, 0);
        a.call(Helper::SkbVlanPush);
        a.jump_if(Cond::Ne, R0, 0, failed);
    }

    /// Behind the tag that is within the frame a second one takes the room of the label that was
    /// at `at` before.
    pub(super) fn label_to_tag(&mut self, at: i32) {
        /// Behind the addresses and the first tag.
        const SECOND: i32 = 16;
        let failed = self.block(Block::Failed);
        self.first_byte(at + 2 * LABEL_BYTES);
        let a = &mut self.a;
        // Its control information, what was behind the addresses, and the type.
        a.store(Size::H, R7, BYTES, 0);
        let mut end = BYTES + 2;
        if at == SNAP {
            a.load(Size::Dw, R2, R1, SECOND as i16);
            a.store(Size::Dw, R7, end, R2);
            end += 8;
        }
        a.load(Size::W, R2, R7, K + labels::TYPE);
        a.be16(R2);
        a.store(Size::H, R7, end, R2);
        end += 2;
        a.mov(R2, i32::from(TPID_8021Q.to_be()));
        a.store(Size::H, R1, SECOND as i16, R2);
        a.mov(R1, R6);
        a.mov(R2, SECOND + 2);
        a.mov(R3, R7);
        a.add(R3, i32::from(BYTES));
        a.mov(R4, i32::from(end - BYTES));
        a.mov(R5, RECOMPUTE_CSUM);
        a.call(Helper::SkbStoreBytes);
        a.jump_if(Cond::Ne, R0, 0, failed);
    }
}
