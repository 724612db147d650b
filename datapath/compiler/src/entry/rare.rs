//! The rare ways of the entry program, out of line.

use aorta_ebpf::{Assembler, Cond, Helper, Label, Reg, Size};
use aorta_flow::DropReason;
use aorta_packet::Vid;

use super::{Entry, INDEX, JUMP_TAG, KEY, TAG_NOW, TARGET, VALUE};
use crate::abi::{
    BUCKETS, COUNTERS, EPOCH, FLOOD_FROM_PROTECTED, JUMPS, VLANS, bucket, counter, fdb, fdb_id,
    jump, port, scratch,
};
use crate::emit::{
    self, CTX, count, jump_finish, load_scratch, load_tag, lookup, lookup_index, push_jump, retag,
    tag_leaving,
};
use crate::guard::{Cost, take};
use crate::{Ingress, Origin, VidCheck, skb};

use Reg::{R0, R1, R2, R3, R4, R7, R8, R9, R10};

/// The scratch record of R0: no program before has anything left to do for the frame.
fn nothing_left(a: &mut Assembler) {
    for zero in [scratch::DEPTH, scratch::ITEMS, scratch::ASIDE] {
        a.store(Size::W, R0, zero, 0);
    }
}

impl Entry<'_> {
    /// All of them; the program's end.
    pub(super) fn out_of_line(&mut self) {
        self.tagged_ingress();
        self.in_band_tag();
        self.group_address();
        self.remember_station(self.learn_new, false);
        self.remember_station(self.moved, true);
        self.rare_egress();
        self.hand_to_flood();
        self.hand_to_patch();
        self.drop_all();
        self.a.bind(self.lost);
        self.a.mov(R0, skb::ACT_SHOT);
        self.a.exit();
    }

    /// The kernel keeps a tag beside the frame.
    fn tagged_ingress(&mut self) {
        let classified = self.classified;
        self.a.bind(self.tagged);
        load_tag(&mut self.a, R8);
        self.a.store(Size::Dw, R10, TAG_NOW, R8);
        self.a.mov(R9, R8);
        self.a.and(R9, 0xfff);
        let ingress = self.facts.ingress.clone();
        match &ingress {
            Ingress::Access(vid) => {
                let refused = self.drop(DropReason::IngressVlan);
                self.a.jump_if(Cond::Ne, R9, 0, refused);
                self.set_vid(*vid);
                self.a.jump(classified);
            }
            Ingress::Trunk(check) => self.check_vid(check, None),
            Ingress::Native(native, check) => {
                let given = self.a.label("given_vlan");
                self.a.jump_if(Cond::Ne, R9, 0, given);
                self.set_vid(*native);
                self.a.jump(classified);
                self.a.bind(given);
                self.check_vid(check, Some(*native));
            }
        }
    }

    /// Puts `vid` into the tag state of R8, whose VLAN is 0.
    fn set_vid(&mut self, vid: Vid) {
        self.a.or(R8, i32::from(vid.get()));
    }

    /// Goes on if `check` takes the VLAN in R9 or it is `native`, else drops.
    fn check_vid(&mut self, check: &VidCheck, native: Option<Vid>) {
        let classified = self.classified;
        let few: &[Vid] = if let VidCheck::Few(vids) = check {
            vids
        } else {
            &[]
        };
        for vid in few.iter().chain(&native) {
            self.a
                .jump_if(Cond::Eq, R9, i32::from(vid.get()), classified);
        }
        match check {
            VidCheck::All => self.a.jump(classified),
            VidCheck::Few(_) => {
                let refused = self.drop(DropReason::IngressVlan);
                self.a.jump(refused);
            }
            VidCheck::Bitmap { .. } => {
                let refused = self.drop(DropReason::IngressVlan);
                self.a
                    .store(Size::W, R10, INDEX, self.facts.port_slot as i32);
                self.vlan_bit(refused);
                self.a.jump(classified);
            }
        }
    }

    /// Goes to `clear` unless the bit of the VLAN in R9 is set for the port slot at INDEX.
    fn vlan_bit(&mut self, clear: Label) {
        let a = &mut self.a;
        lookup(a, VLANS.id, INDEX);
        a.jump_if(Cond::Eq, R0, 0, clear);
        a.mov(R1, R9);
        a.rsh(R1, 6);
        a.lsh(R1, 3);
        a.add(R0, R1);
        a.load(Size::Dw, R1, R0, 0);
        a.and(R9, 63);
        a.rsh(R1, R9);
        a.and(R1, 1);
        a.jump_if(Cond::Eq, R1, 0, clear);
    }

    /// A tag within the data: the kernel takes it off before tcx, a test run doesn't. Popping
    /// and pushing it puts it where the kernel would.
    fn in_band_tag(&mut self) {
        let malformed = self.drop(DropReason::Malformed);
        let failed = self.drop(DropReason::Failed);
        let tagged = self.tagged;
        let a = &mut self.a;
        a.bind(self.in_band);
        a.store(Size::Dw, R10, TAG_NOW, 0);
        a.load(Size::W, R2, CTX, skb::DATA);
        a.load(Size::W, R3, CTX, skb::DATA_END);
        a.mov(R1, R2);
        a.add(R1, 18);
        a.jump_if(Cond::Gt, R1, R3, malformed);
        a.load(Size::H, R8, R2, 12);
        a.load(Size::H, R9, R2, 14);
        a.be16(R9);
        emit::take_tag_out(a, failed);
        a.jump(tagged);
    }

    /// Stops frames to 01:80:c2:00:00:0x. R9 is the destination, first byte lowest.
    fn group_address(&mut self) {
        self.a.bind(self.multicast);
        if !self.facts.forward_bpdu {
            let reserved = self.drop(DropReason::Reserved);
            let (a, addressed) = (&mut self.a, self.addressed);
            a.mov(R4, R9);
            a.lsh(R4, 24);
            a.rsh(R4, 24);
            a.jump_if(Cond::Ne, R4, 0x00c2_8001, addressed);
            a.mov(R4, R9);
            a.rsh(R4, 44);
            a.jump_if(Cond::Eq, R4, 0, reserved);
        }
        self.a.jump(self.addressed);
    }

    /// Writes the source into the MAC table. If it was behind another port, what is remembered of
    /// lookups is void.
    fn remember_station(&mut self, label: Label, moved: bool) {
        let (find, slot) = (self.find, self.slot());
        let fdb_map = fdb_id(self.facts.bridge_slot);
        let a = &mut self.a;
        a.bind(label);
        for at in (0..fdb::BYTES as i16).step_by(8) {
            a.store(Size::Dw, R10, VALUE + at, 0);
        }
        a.store(Size::W, R10, VALUE + fdb::PORT, slot);
        a.store(Size::Dw, R10, VALUE + fdb::SEEN, R7);
        a.mov(R2, R10);
        a.add(R2, i32::from(KEY));
        a.mov(R3, R10);
        a.add(R3, i32::from(VALUE));
        a.mov(R4, 0);
        a.load_map(R1, fdb_map);
        a.call(Helper::MapUpdateElem);
        if moved {
            a.load_map_value(R1, EPOCH.id, 0);
            a.mov(R2, 1);
            a.atomic_add(Size::Dw, R1, 0, R2);
        }
        a.jump(find);
    }

    fn rare_egress(&mut self) {
        let down = self.drop(DropReason::PortDown);
        let refused = self.drop(DropReason::EgressVlan);
        let too_long = self.drop(DropReason::ExceedsMtu);
        let failed = self.drop(DropReason::Failed);

        self.a.bind(self.no_device);
        self.a.load(Size::W, R1, R9, port::JUMP);
        self.a.jump_if(Cond::Eq, R1, 0, down);
        self.a.jump(self.have_device);

        // R2 is the VLAN that leaves untagged; another one, or a priority.
        self.a.bind(self.tagged_egress);
        let all = self.a.label("tagged_all");
        self.a.and(R1, 0xfff);
        self.a.jump_if(Cond::Eq, R1, R2, all);
        self.a.load(Size::B, R2, R9, port::TAGGED);
        self.a
            .jump_if(Cond::Eq, R2, i32::from(port::TAGGED_ALL), all);
        self.a
            .jump_if(Cond::Eq, R2, i32::from(port::TAGGED_NONE), refused);
        self.egress_vlan_bit(refused);
        self.a.bind(all);
        tag_leaving(&mut self.a, (R8, R9), R7, self.have_tag);

        self.a.bind(self.long);
        self.a.load(Size::W, R1, CTX, skb::GSO_SIZE);
        self.a.jump_if(Cond::Eq, R1, 0, too_long);
        self.a.jump(self.fits);

        if self.facts.origin == Origin::Device {
            self.a.bind(self.retag);
            retag(&mut self.a, R7, failed);
            self.a.jump(self.retagged);
        }
    }

    /// As [`Entry::vlan_bit`] for the VLAN in R1, with the record of R9 kept.
    fn egress_vlan_bit(&mut self, clear: Label) {
        let a = &mut self.a;
        a.mov(R7, R9);
        a.mov(R9, R1);
        self.vlan_bit(clear);
        self.a.mov(R9, R7);
        self.a.mov(R7, 0);
    }

    /// Drops a frame that is one too many to be flooded. R9 is the key of its destination; R8 is kept.
    fn limit_flooding(&mut self) {
        let storm = self.facts.storm;
        if storm.is_none() {
            return;
        }
        let [others, within] = ["others", "within"].map(|name| self.a.label(name));
        let slot = self.slot();
        lookup_index(&mut self.a, BUCKETS.id, INDEX, slot);
        self.a.jump_if(Cond::Eq, R0, 0, self.lost);
        self.a.mov(R7, R0);
        self.a.lsh(R9, 16);
        // All ones in front of the zeros that came in.
        self.a.load_imm64(R1, 0xffff_ffff_ffff_0000);
        self.a.jump_if(Cond::Ne, R9, R1, others);
        if let Some(rate) = storm.broadcast() {
            let over = self.drop(DropReason::StormBroadcast);
            let bucket = (R7, bucket::BROADCAST_FULL);
            take(&mut self.a, &rate, bucket, Cost::One, over);
        }
        self.a.jump(within);
        self.a.bind(others);
        if let Some(rate) = storm.unknown() {
            let over = self.drop(DropReason::StormUnknown);
            let bucket = (R7, bucket::UNKNOWN_FULL);
            take(&mut self.a, &rate, bucket, Cost::One, over);
        }
        self.a.bind(within);
    }

    fn hand_to_flood(&mut self) {
        let (lost, slot) = (self.lost, self.slot());
        let failed = self.drop(DropReason::Failed);
        self.a.bind(self.flood);
        self.limit_flooding();
        let mut list = self.facts.bridge_slot;
        if self.facts.protected {
            list |= FLOOD_FROM_PROTECTED;
        }
        let a = &mut self.a;
        load_scratch(a, INDEX, lost);
        a.store(Size::W, R0, scratch::INGRESS, slot);
        a.store(Size::W, R0, scratch::BRIDGE, list as i32);
        a.load(Size::Dw, R1, R10, TAG_NOW);
        a.store(Size::Dw, R0, scratch::TAG_NOW, R1);
        a.store(Size::Dw, R0, scratch::TAG_FORM, R8);
        a.load(Size::W, R1, CTX, skb::LEN);
        a.store(Size::W, R0, scratch::LEN, R1);
        for zero in [scratch::PENDING, scratch::FLOOD_DONE, scratch::FLOOD_COPIES] {
            a.store(Size::W, R0, zero, 0);
        }
        if self.facts.origin == Origin::Device {
            nothing_left(a);
        }
        a.mov(R1, CTX);
        a.tail_call(JUMPS.id, jump::FLOOD);
        a.jump(failed);
    }

    fn hand_to_patch(&mut self) {
        let lost = self.lost;
        let looped = self.drop(DropReason::PatchLoop);
        let a = &mut self.a;
        a.bind(self.patch);
        a.load(Size::W, R1, R9, port::JUMP);
        a.store(Size::W, R10, TARGET, R1);
        a.store(Size::Dw, R10, JUMP_TAG, R7);
        load_scratch(a, INDEX, lost);
        match self.facts.origin {
            Origin::Device => {
                // The frame has its new tag already.
                a.store(Size::Dw, R0, scratch::TAG_NOW, R7);
                nothing_left(a);
            }
            Origin::Patch | Origin::Pipeline => {
                a.load(Size::Dw, R1, R10, TAG_NOW);
                a.store(Size::Dw, R0, scratch::TAG_NOW, R1);
            }
        }
        a.store(Size::W, R0, scratch::PENDING, 0);
        push_jump(a, R0, TARGET, JUMP_TAG, looped);
        jump_finish(a);
    }

    fn drop_all(&mut self) {
        let lost = self.lost;
        let dropped = self.a.label("dropped");
        let drops = std::mem::take(&mut self.drops);
        let last = drops.len().saturating_sub(1);
        for (n, (reason, label)) in drops.iter().enumerate() {
            self.a.bind(*label);
            self.a.mov(
                R7,
                i32::from(counter::offset(counter::DROPS + reason.index())),
            );
            if n != last {
                self.a.jump(dropped);
            }
        }
        let a = &mut self.a;
        a.bind(dropped);
        lookup_index(a, COUNTERS.id, INDEX, self.facts.port_slot as i32);
        a.jump_if(Cond::Eq, R0, 0, lost);
        a.add(R0, R7);
        count(a, 0, 1);
        if self.facts.origin != Origin::Device {
            load_scratch(a, INDEX, lost);
            a.store(Size::W, R0, scratch::PENDING, 0);
            a.load(Size::Dw, R1, R10, TAG_NOW);
            a.store(Size::Dw, R0, scratch::TAG_NOW, R1);
            jump_finish(a);
        } else {
            a.mov(R0, skb::ACT_SHOT);
            a.exit();
        }
    }
}
