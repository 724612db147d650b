//! What the XDP form of a bridge does with frames that the first table decides about at once. What it
//! leaves undone has changed nothing, so that the frame goes on as any other. The programs of single
//! ports do the same before anything else, with the port's facts as constants.

use aorta_ebpf::{Assembler, Cond, Helper, Label, Reg, Size};
use aorta_flow::DropReason;

use super::count::place_in_row;
use super::front::Fate;
use super::straight::{PortEntry, PortForm};
use super::{Gen, INDEX, hook};
use crate::abi::{COUNTERS, PORTS, counter, port};
use crate::emit::{count, lookup, lookup_index};
use crate::pipeline::layout::state;
use crate::pipeline::maps::{BRIDGE_PORTS, ports};
use crate::xdp;

use Reg::{R0, R1, R2, R7, R8, R9};

impl Gen<'_> {
    /// The frame found a rule: goes to `send`, or drops it, or goes to `general`.
    pub(super) fn xdp_sure_hit(&mut self, rule: u32, fate: Fate, (send, general): (Label, Label)) {
        let Fate::Send(number) = fate else {
            return self.xdp_drop_surely(Some(rule), general);
        };
        self.go_to_send(rule, number, (send, general));
    }

    /// Sends the frame to the device of the port whose slot plus 1 is in R8; the rule is in R9.
    pub(super) fn xdp_send_surely(&mut self, general: Label) {
        let uncounted = self.a.label("uncounted");
        let a = &mut self.a;
        a.sub(R8, 1);
        lookup_index(a, PORTS.id, INDEX, R8);
        a.jump_if(Cond::Eq, R0, 0, general);
        a.load(Size::B, R1, R0, port::XDP);
        a.load(Size::W, R2, R7, state::XDP_NEEDS);
        a.jump_if(Cond::Lt, R1, R2, general);
        a.load(Size::W, R1, R0, port::MAX_LEN);
        a.load(Size::W, R2, R7, state::BARE_LEN);
        a.jump_if(Cond::Gt, R2, R1, general);
        a.load(Size::W, R1, R0, port::IFINDEX);
        a.jump_if(Cond::Eq, R1, 0, general);
        a.store(Size::W, R7, state::NEXT, R1);
        lookup_index(a, COUNTERS.id, INDEX, R8);
        a.jump_if(Cond::Eq, R0, 0, uncounted);
        self.count_frame(state::BARE_LEN, counter::TX_PACKETS, counter::TX_BYTES);
        self.a.bind(uncounted);
        self.count_received();
        self.count_rule(R9.into());
        let a = &mut self.a;
        a.load(Size::W, R1, R7, state::NEXT);
        a.mov(R2, 0);
        a.call(Helper::Redirect);
        a.exit();
    }

    /// Drops the frame, for a rule or because there is none for it.
    pub(super) fn xdp_drop_surely(&mut self, rule: Option<u32>, general: Label) {
        let reason = match rule {
            Some(_) => DropReason::FlowDrop,
            None => DropReason::TableMiss,
        };
        let a = &mut self.a;
        a.load(Size::W, R1, R7, state::INGRESS);
        lookup_index(a, COUNTERS.id, INDEX, R1);
        a.jump_if(Cond::Eq, R0, 0, general);
        count(a, counter::DROPS + reason.index(), 1);
        self.count_frame(state::BARE_LEN, counter::RX_PACKETS, counter::RX_BYTES);
        if let Some(rule) = rule {
            self.count_rule((rule as i32).into());
        }
        self.a.mov(R0, xdp::DROP);
        self.a.exit();
    }

    /// In the program of a port: the frame, of R8 bytes, found a rule: goes to `send`, or drops it, or
    /// goes to `general`.
    pub(super) fn own_sure_hit(
        &mut self,
        own: &PortForm<'_>,
        rule: u32,
        fate: Fate,
        (send, general): (Label, Label),
    ) {
        let Fate::Send(number) = fate else {
            return self.own_drop_surely(own, Some(rule), general);
        };
        let a = &mut self.a;
        a.mov32(R7, place_in_row(rule));
        a.load_map_value(R1, BRIDGE_PORTS, ports::slot_of(number));
        a.load(Size::W, R1, R1, 0);
        a.jump(send);
    }

    /// Sends the frame to the device of the port whose slot plus 1 is in R1; the place of the rule's
    /// counters is in R7.
    pub(super) fn own_send_surely(&mut self, own: &PortForm<'_>, general: Label) {
        let needs = match own.entry {
            PortEntry::Xdp(facts) => facts.mode.record(),
            PortEntry::Tc(_) => port::XDP_NATIVE,
        };
        let a = &mut self.a;
        a.sub(R1, 1);
        lookup_index(a, PORTS.id, INDEX, R1);
        a.jump_if(Cond::Eq, R0, 0, general);
        a.load(Size::B, R1, R0, port::XDP);
        a.jump_if(Cond::Lt, R1, i32::from(needs), general);
        a.load(Size::W, R1, R0, port::MAX_LEN);
        a.jump_if(Cond::Gt, R8, R1, general);
        a.load(Size::W, R9, R0, port::IFINDEX);
        a.jump_if(Cond::Eq, R9, 0, general);
        lookup(a, COUNTERS.id, INDEX);
        a.jump_if(Cond::Eq, R0, 0, general);
        count_length(a, counter::TX_PACKETS, counter::TX_BYTES);
        lookup_index(a, COUNTERS.id, INDEX, own.port_slot() as i32);
        let uncounted = a.label("uncounted");
        a.jump_if(Cond::Eq, R0, 0, uncounted);
        count_length(a, counter::RX_PACKETS, counter::RX_BYTES);
        a.bind(uncounted);
        self.count_surely();
        hook::send_last(&mut self.a, R9);
    }

    /// Drops the frame, for a rule or because there is none for it.
    pub(super) fn own_drop_surely(
        &mut self,
        own: &PortForm<'_>,
        rule: Option<u32>,
        general: Label,
    ) {
        let reason = match rule {
            Some(_) => DropReason::FlowDrop,
            None => DropReason::TableMiss,
        };
        let a = &mut self.a;
        lookup_index(a, COUNTERS.id, INDEX, own.port_slot() as i32);
        a.jump_if(Cond::Eq, R0, 0, general);
        count(a, counter::DROPS + reason.index(), 1);
        count_length(a, counter::RX_PACKETS, counter::RX_BYTES);
        if let Some(rule) = rule {
            a.mov32(R7, place_in_row(rule));
            self.count_surely();
        }
        self.a.mov(R0, xdp::DROP);
        self.a.exit();
    }
}

/// Counts a frame of R8 bytes in the counters that R0 points to.
fn count_length(a: &mut Assembler, packets: usize, bytes: usize) {
    count(a, packets, 1);
    count(a, bytes, R8);
}
