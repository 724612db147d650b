//! Copies that leave, and the end of packets.
//!
//! The newest output stays *pending*: the last one then needs no copy of the frame. It is the frame
//! as its bytes are, so it leaves before they change.

use aorta_ebpf::{Cond, Label, Operand, Reg, Size};
use aorta_flow::field::FieldId;
use aorta_flow::{DropReason, OfPort, Subfield};

use super::leaving::NORMAL;
use super::site::Site;
use super::{Block, Gen, INDEX, bits, card, hook, key};
use crate::abi::{COUNTERS, MAX_PORTS, PORTS, counter, port};
use crate::emit::{count_frame, lookup, lookup_index};
use crate::pipeline::Hook;
use crate::pipeline::commit::{CommitFacts, emit_commit};
use crate::pipeline::layout::state;
use crate::pipeline::maps::{BRIDGE_PORTS, ports};
use crate::pipeline::shape::Param;

use Reg::{R0, R1, R2, R3, R7, R8, R9, R10};

/// Stack frame: bits of a field.
const VALUE: i16 = -24;

impl Gen<'_> {
    /// Sends to an ordinary port. True if control never comes to what is behind it.
    pub fn output(&mut self, port: Param, site: &Site, tail: bool) -> bool {
        if let Some(card) = self.card {
            return self.card_output(card, port, site, tail);
        }
        let skip = self.a.label("skip");
        match self.param(site, port, R1) {
            Operand::Imm(number) => {
                match self.port {
                    Some(own) if i32::from(own.ofport().0) == number => self.a.jump(skip),
                    Some(_) => {}
                    None => {
                        self.a.load(Size::W, R2, R7, key(FieldId::IN_PORT));
                        self.a.jump_if(Cond::Eq, R2, number, skip);
                    }
                }
                let a = &mut self.a;
                let at = ports::slot_of(number as u16);
                a.load_map_value(R1, BRIDGE_PORTS, at);
                a.load(Size::W, R1, R1, 0);
            }
            Operand::Reg(_) => {
                self.a.load(Size::W, R2, R7, key(FieldId::IN_PORT));
                self.a.jump_if(Cond::Eq, R1, R2, skip);
                self.slot_of_port();
            }
        }
        self.send(site, skip, tail)
    }

    /// Sends to the ordinary port whose number is in R1, unless the packet came from there.
    pub(super) fn output_number(&mut self, site: &Site) {
        let skip = self.a.label("skip");
        self.a.load(Size::W, R2, R7, key(FieldId::IN_PORT));
        self.a.jump_if(Cond::Eq, R1, R2, skip);
        self.slot_of_port();
        self.send(site, skip, false);
    }

    /// R1 = slot plus 1 of the port whose number is in R1; 0 if there is none. Uses R2.
    pub(super) fn slot_of_port(&mut self) {
        let a = &mut self.a;
        a.and(R1, 0xffff);
        a.lsh(R1, 2);
        a.load_map_value(R2, BRIDGE_PORTS, ports::SLOTS);
        a.add(R2, R1);
        a.load(Size::W, R1, R2, 0);
    }

    /// Sends to the port whose slot plus 1 is in R1, 0 for none; `skip` is bound behind it.
    pub(super) fn send(&mut self, site: &Site, skip: Label, tail: bool) -> bool {
        if self.hook == Hook::Xdp {
            return self.xdp_send(site, skip, tail);
        }
        if self.port.is_some() {
            let end = tail.then(|| self.flow_end(site.bare));
            return self.send_straight(skip, end);
        }
        let (first, known) = (self.a.label("first"), self.a.label("known_port"));
        let sync = self.block(Block::Sync);
        let a = &mut self.a;
        a.jump_if(Cond::Ne, R1, 0, known);
        // A slot that no port has: it is found to be missing when the copy leaves.
        a.mov(R1, MAX_PORTS as i32 + 1);
        a.bind(known);
        a.load(Size::W, R2, R7, state::PENDING);
        if !self.changes.is_empty() {
            a.load(Size::Dw, R3, R7, state::DIRTY);
            a.or(R2, R3);
        }
        a.jump_if(Cond::Eq, R2, 0, first);
        a.store(Size::W, R7, state::NEXT, R1);
        if tail {
            let end = self.flow_end(site.bare);
            self.a.jump(sync);
            self.a.bind(first);
            self.a.store(Size::W, R7, state::PENDING, R1);
            self.note_queue();
            self.a.bind(skip);
            self.a.jump(end);
            return true;
        }
        self.call_label(sync, site);
        self.a.jump(skip);
        self.a.bind(first);
        self.a.store(Size::W, R7, state::PENDING, R1);
        self.note_queue();
        self.a.bind(skip);
        false
    }

    pub(super) fn output_in_port(&mut self, site: &Site) {
        let skip = self.a.label("skip");
        match self.card {
            Some(_) => self.a.mov(R1, card::BACK),
            None => {
                self.a.load(Size::W, R1, R7, key(FieldId::IN_PORT));
                self.slot_of_port();
            }
        }
        self.send(site, skip, false);
    }

    /// Sends to the port whose number is in the low 32 bits of a field.
    pub(super) fn output_field(&mut self, from: Subfield, site: &Site) {
        let [skip, all, flood, own] =
            ["skip", "all", "flood", "own"].map(|name| self.a.label(name));
        let (ordinary, done) = (self.a.label("ordinary"), self.a.label("done"));
        let value = bits::Bits {
            base: R10,
            at: VALUE,
            start: 0,
            count: u16::from(from.bits.min(32)),
        };
        let a = &mut self.a;
        a.store(Size::W, R10, VALUE, 0);
        let source = bits::read(a, from);
        bits::copy(a, source, value);
        a.load(Size::W, R1, R10, VALUE);
        let narrow = a.label("narrow");
        // Numbers are of 16 bits, or reserved ones of 32 bits.
        a.jump_if(Cond::Lt, R1, 0xffff, narrow);
        a.mov32(R2, 0xffff_ff00_u32 as i32);
        a.jump_if(Cond::Lt, R1, R2, skip);
        a.and(R1, 0xffff);
        a.bind(narrow);
        a.jump_if(Cond::Lt, R1, i32::from(OfPort::UNSET.0), ordinary);
        a.jump_if(Cond::Eq, R1, i32::from(OfPort::LOCAL.0), ordinary);
        a.jump_if(Cond::Eq, R1, i32::from(OfPort::IN_PORT.0), own);
        a.jump_if(Cond::Eq, R1, i32::from(OfPort::FLOOD.0), flood);
        a.jump_if(Cond::Eq, R1, i32::from(OfPort::ALL.0), all);
        a.jump_if(Cond::Ne, R1, i32::from(OfPort::NORMAL.0), skip);
        self.output_normal(site, false);
        let a = &mut self.a;
        a.jump(skip);
        a.bind(ordinary);
        a.load(Size::W, R2, R7, key(FieldId::IN_PORT));
        a.jump_if(Cond::Eq, R1, R2, skip);
        let send = a.here("send");
        self.slot_of_port();
        self.send(site, done, false);
        self.a.jump(skip);
        self.a.bind(own);
        self.a.load(Size::W, R1, R7, key(FieldId::IN_PORT));
        self.a.jump(send);
        self.a.bind(all);
        self.call_block(Block::AllPorts, site);
        self.a.jump(skip);
        self.a.bind(flood);
        self.call_block(Block::FloodPorts, site);
        self.a.bind(skip);
    }

    /// What is pending leaves as a copy; then the bytes follow the key.
    pub(super) fn emit_sync(&mut self) {
        let none = self.a.label("none_pending");
        let done = self.a.label("in_sync");
        let back = self.block(Block::Return);
        if self.port.is_none() {
            let a = &mut self.a;
            a.load(Size::W, R1, R7, state::PENDING);
            a.jump_if(Cond::Eq, R1, 0, none);
            a.store(Size::W, R7, state::PENDING, 0);
            self.send_pending_copy();
        }
        self.a.bind(none);
        if !self.changes.is_empty() {
            let failed = self.block(Block::Failed);
            let a = &mut self.a;
            a.load(Size::Dw, R1, R7, state::DIRTY);
            a.load(Size::Dw, R2, R7, state::COMMITTED);
            a.or(R2, R1);
            a.store(Size::Dw, R7, state::COMMITTED, R2);
            let changes = self.changes;
            emit_commit(
                &mut self.a,
                &CommitFacts {
                    changes,
                    done,
                    failed,
                },
            );
        }
        self.a.bind(done);
        self.a.load(Size::W, R1, R7, state::NEXT);
        self.a.store(Size::W, R7, state::PENDING, R1);
        self.note_queue();
        self.a.jump(back);
    }

    /// R9 = record of the port whose slot plus 1 is in R1, which can take the frame. Goes to `jumps`
    /// if another program takes it, whose index is at [`state::LEAVE_TO`] then, and to `lost` with
    /// the reason in R8 if the port takes none. The slot is at [`INDEX`].
    pub(super) fn egress(&mut self, jumps: Label, lost: Label) {
        let [normal, patch] = ["normal", "patch"].map(|name| self.a.label(name));
        let (no_device, long, ready) = (
            self.a.label("no_device"),
            self.a.label("long"),
            self.a.label("ready"),
        );
        let down = self.a.label("down");
        if self.normal {
            self.a.jump_if(Cond::Eq, R1, NORMAL, normal);
        }
        let a = &mut self.a;
        a.sub(R1, 1);
        lookup_index(a, PORTS.id, INDEX, R1);
        a.jump_if(Cond::Eq, R0, 0, down);
        a.mov(R9, R0);
        a.load(Size::W, R1, R9, port::IFINDEX);
        a.jump_if(Cond::Eq, R1, 0, no_device);
        a.load(Size::W, R2, R9, port::MAX_LEN);
        hook::jump_if_longer(a, R2, long);
        a.jump(ready);
        a.bind(no_device);
        a.load(Size::W, R1, R9, port::JUMP);
        a.jump_if(Cond::Ne, R1, 0, patch);
        a.bind(down);
        a.mov(R8, DropReason::PortDown.index() as i32);
        a.jump(lost);
        a.bind(long);
        a.mov(R8, DropReason::ExceedsMtu.index() as i32);
        a.jump(lost);
        a.bind(patch);
        a.store(Size::W, R7, state::LEAVE_TO, R1);
        self.count_sent();
        self.a.jump(jumps);
        if self.normal {
            self.a.bind(normal);
            self.normal_program(down);
            self.a.store(Size::W, R7, state::LEAVE_TO, R1);
            self.a.jump(jumps);
        }
        self.a.bind(ready);
    }

    /// Counts the frame for the port whose slot is at [`INDEX`]. R9 is kept.
    pub(super) fn count_sent(&mut self) {
        let uncounted = self.a.label("uncounted");
        let a = &mut self.a;
        lookup(a, COUNTERS.id, INDEX);
        a.jump_if(Cond::Eq, R0, 0, uncounted);
        count_frame(a, counter::TX_PACKETS, counter::TX_BYTES);
        a.bind(uncounted);
    }

    /// One copy more leaves. Uses R2.
    pub(super) fn count_output(&mut self) {
        let a = &mut self.a;
        a.load(Size::W, R2, R7, state::OUTPUTS);
        a.add(R2, 1);
        a.store(Size::W, R7, state::OUTPUTS, R2);
    }

    /// A copy goes to the port whose slot plus 1 is in R1, or is counted as dropped.
    fn send_pending_copy(&mut self) {
        let [jumps, lost, done] = ["jumps", "lost", "done"].map(|name| self.a.label(name));
        self.count_output();
        self.take_queue();
        self.egress(jumps, lost);
        self.count_sent();
        self.a.load(Size::W, R2, R9, port::IFINDEX);
        hook::send_copy(&mut self.a, R2);
        self.a.jump(done);
        self.a.bind(jumps);
        self.leave_and_return();
        self.a.jump(done);
        self.a.bind(lost);
        self.count_drop(done);
        self.a.bind(done);
    }

    /// Nothing is left to be done but what is pending.
    pub(super) fn emit_finish(&mut self) {
        let names = [
            "nothing", "jumps", "lost", "known", "several", "inside", "given",
        ];
        let [nothing, jumps, lost, known, several, inside, given] =
            names.map(|name| self.a.label(name));
        let gone = self.block(Block::Lost);
        let names = ["refused", "last_of_several", "counted"];
        let [refused, last_of_several, counted] = names.map(|name| self.a.label(name));
        let a = &mut self.a;
        a.load(Size::W, R1, R7, state::PENDING);
        a.jump_if(Cond::Eq, R1, 0, nothing);
        a.load(Size::W, R2, R7, state::INSIDE);
        a.jump_if(Cond::Ne, R2, 0, inside);
        a.load(Size::W, R2, R7, state::OUTPUTS);
        a.jump_if(Cond::Ne, R2, 0, last_of_several);
        a.bind(counted);
        self.take_queue();
        self.egress(jumps, lost);
        self.count_sent();
        let a = &mut self.a;
        a.load(Size::W, R1, R9, port::IFINDEX);
        hook::send_last(a, R1);
        a.bind(last_of_several);
        a.add(R2, 1);
        a.store(Size::W, R7, state::OUTPUTS, R2);
        self.count_copies();
        self.a.load(Size::W, R1, R7, state::PENDING);
        self.a.jump(counted);
        self.a.bind(jumps);
        self.leave_for_good(refused);
        let a = &mut self.a;
        a.bind(nothing);
        a.load(Size::W, R1, R7, state::OUTPUTS);
        a.jump_if(Cond::Ne, R1, 0, several);
        self.why_dropped(known);
        let a = &mut self.a;
        a.jump(known);
        a.bind(refused);
        a.mov(R8, DropReason::Failed.index() as i32);
        a.bind(known);
        a.bind(lost);
        let ended = self.a.label("ended");
        self.count_drop(ended);
        self.a.bind(ended);
        self.a.load(Size::W, R1, R7, state::INSIDE);
        self.a.jump_if(Cond::Eq, R1, 0, gone);
        self.a.jump(given);
        self.a.bind(several);
        self.a.load(Size::W, R1, R7, state::INSIDE);
        self.a.jump_if(Cond::Ne, R1, 0, given);
        self.count_copies();
        self.a.jump(gone);
        self.give_back(inside, given);
    }

    /// Gives the packet up for a reason; what was sent before leaves all the same, unless the
    /// frame is `broken`.
    pub(super) fn emit_give_up(&mut self, reason: DropReason, broken: bool) {
        if self.told_at_once() {
            return self.drop_at_once(reason);
        }
        let finish = self.block(Block::Finish);
        let number = reason.index() as i32 + 1;
        self.a.store(Size::W, R7, state::GIVEN_UP, number);
        if broken {
            self.a.store(Size::W, R7, state::PENDING, 0);
        }
        self.a.jump(finish);
    }

    /// The frames are empty: the action set, then the end.
    pub(super) fn emit_end(&mut self) {
        if self.plan.action_set {
            self.end_with_action_set();
            return;
        }
        let finish = self.block(Block::Finish);
        self.a.jump(finish);
    }

    /// One after the other, each port of the list that takes the frame, but the one that it came
    /// from. `count` is where the list says how many they are.
    pub(super) fn emit_all_ports(&mut self, count: i16) {
        let back = self.block(Block::Return);
        let too_deep = self.block(Block::TooDeep);
        let sync = self.block(Block::Sync);
        let (place, next) = self.place("next_port");
        let [first_list, takes] = ["first_list", "takes"].map(|name| self.a.label(name));
        self.a.store(Size::W, R7, state::LISTED, 0);
        if !self.changes.is_empty() {
            // What ports take depends on the length of the bytes.
            self.a.store(Size::W, R7, state::NEXT, 0);
            self.push_bare_frame(place);
            self.a.jump(sync);
        }
        self.a.bind(next);
        let a = &mut self.a;
        a.may_goto(too_deep);
        a.load_map_value(R2, BRIDGE_PORTS, ports::WHICH);
        a.load(Size::W, R1, R2, 0);
        a.load_map_value(R2, BRIDGE_PORTS, ports::LISTS);
        a.jump_if(Cond::Eq, R1, 0, first_list);
        a.add(R2, ports::LIST_BYTES as i32);
        a.bind(first_list);
        a.load(Size::W, R3, R2, count);
        a.load(Size::W, R1, R7, state::LISTED);
        a.jump_if(Cond::Ge, R1, R3, back);
        a.jump_if(Cond::Ge, R1, ports::MAX_LISTED as i32, back);
        a.mov(R3, R1);
        a.add(R1, 1);
        a.store(Size::W, R7, state::LISTED, R1);
        a.lsh(R3, 2);
        a.add(R2, R3);
        a.load(Size::W, R8, R2, ports::FIRST);
        a.load(Size::W, R1, R7, key(FieldId::IN_PORT));
        self.slot_of_port();
        let a = &mut self.a;
        a.mov(R2, R8);
        a.add(R2, 1);
        a.jump_if(Cond::Eq, R1, R2, next);
        lookup_index(a, PORTS.id, INDEX, R8);
        a.jump_if(Cond::Eq, R0, 0, next);
        a.load(Size::W, R2, R0, port::MAX_LEN);
        hook::jump_if_longer(a, R2, next);
        a.load(Size::W, R1, R0, port::IFINDEX);
        a.jump_if(Cond::Ne, R1, 0, takes);
        a.load(Size::W, R1, R0, port::JUMP);
        a.jump_if(Cond::Eq, R1, 0, next);
        a.bind(takes);
        a.add(R8, 1);
        a.store(Size::W, R7, state::NEXT, R8);
        self.push_bare_frame(place);
        self.a.jump(sync);
    }
}
