//! Meters: each is a block that returns to whoever asked, with what it says in the state.

use aorta_ebpf::{Cond, Label, Reg, Size};
use aorta_flow::field::{FieldId, Prereq};
use aorta_flow::{BandKind, DropReason, MeterId};

use super::site::Site;
use super::{Block, Gen, key, prereq};
use crate::pipeline::layout::state;
use crate::pipeline::meters::{MeterExits, emit_meter, emit_remark};

use Reg::{R1, R2, R7};

/// Bits of the type of service that are the DSCP.
const DSCP: i32 = 0xfc;
const DSCP_SHIFT: i32 = 2;

impl Gen<'_> {
    /// Asks a meter about the packet, and drops it if there is too much.
    pub fn meter(&mut self, id: u32, site: &Site) {
        let drop = self.block(Block::DropPacket);
        let pass = self.a.label("metered");
        if !self.ask_meter(MeterId::Number(id), site) {
            return;
        }
        self.a.load(Size::W, R1, R7, state::OVER);
        self.a.jump_if(Cond::Eq, R1, 0, pass);
        self.over_meter();
        self.a.jump(drop);
        self.a.bind(pass);
    }

    /// The copy that is lost here is lost to a meter, should all be lost. Uses no register.
    pub(super) fn over_meter(&mut self) {
        self.lost_copy(DropReason::Meter);
    }

    /// Why a copy is lost here, should all be lost. Uses no register.
    pub(super) fn lost_copy(&mut self, reason: DropReason) {
        let reason = reason.index() as i32 + 1;
        self.a.store(Size::W, R7, state::GIVEN_UP, reason);
    }

    /// [`state::OVER`] = 1 if the packet is to be dropped, else 0. False if there is no such meter.
    pub(super) fn ask_meter(&mut self, id: MeterId, site: &Site) -> bool {
        if !self.plan.extras.meters.contains_key(&id) {
            return false;
        }
        let label = self.meter_label(id);
        self.call_label(label, site);
        true
    }

    fn meter_label(&mut self, id: MeterId) -> Label {
        match self.meters.get(&id) {
            Some((label, _)) => *label,
            None => {
                let label = self.a.label("meter");
                self.meters.insert(id, (label, false));
                label
            }
        }
    }

    /// Emits a meter that is asked somewhere and isn't emitted yet. False if there is none.
    pub(super) fn next_meter(&mut self) -> bool {
        let pending = self.meters.iter().find(|(_, (_, emitted))| !emitted);
        let Some((id, label)) = pending.map(|(id, (label, _))| (*id, *label)) else {
            return false;
        };
        self.meters.insert(id, (label, true));
        let plan = self.plan;
        let meter = plan.extras.meters.get(&id);
        let (Some(meter), Some(offset)) = (meter, plan.extras.places.offset(id)) else {
            return false;
        };
        let back = self.block(Block::Return);
        let [pass, drop, remark] = ["pass", "over", "remark"].map(|name| self.a.label(name));
        let kinds = |kind: fn(&BandKind) -> bool| meter.bands.iter().any(|b| kind(&b.kind));
        self.a.bind(label);
        let exits = MeterExits { pass, drop, remark };
        emit_meter(&mut self.a, meter, offset, &exits);
        if kinds(|kind| matches!(kind, BandKind::Drop)) {
            self.a.bind(drop);
            self.a.store(Size::W, R7, state::OVER, 1);
            self.a.jump(back);
        }
        if kinds(|kind| matches!(kind, BandKind::DscpRemark(_))) {
            self.a.bind(remark);
            self.remark(pass);
        }
        self.a.bind(pass);
        self.a.store(Size::W, R7, state::OVER, 0);
        self.a.jump(back);
        true
    }

    /// Raises the drop precedence by R1, and falls through.
    fn remark(&mut self, pass: Label) {
        let at = key(FieldId::NW_TOS);
        // R1 is taken by the question.
        self.a.mov(Reg::R9, R1);
        prereq::emit(&mut self.a, Prereq::Ip, pass);
        let a = &mut self.a;
        a.mov(R1, Reg::R9);
        a.load(Size::W, R2, R7, at);
        a.rsh(R2, DSCP_SHIFT);
        emit_remark(a);
        a.lsh(R2, DSCP_SHIFT);
        a.load(Size::W, R1, R7, at);
        a.and(R1, !DSCP);
        a.or(R1, R2);
        a.store(Size::W, R7, at, R1);
        self.written(FieldId::NW_TOS);
    }
}
