//! What is asked of frames from a port's device before anything else: whether they use addresses that
//! the port allows, and whether they are too many. It means what
//! [`Allowed::check`](aorta_flow::guard::Allowed::check) and
//! [`Buckets`](aorta_flow::guard::Buckets) mean.
//!
//! Constants of the port stand in the code. The way of a known host's TCP or UDP falls through; what
//! is rare reads the frame by helper calls.

mod addresses;
mod allowed;
mod arp;
mod bucket;
mod nd;
mod police;
mod search;

use std::sync::Arc;

use aorta_ebpf::{Assembler, Cond, Helper, Label, Operand, Reg, Size};
use aorta_flow::guard::{Allowed, Policing};
use aorta_flow::{DropReason, Port};

use crate::abi::{COUNTERS, counter};
use crate::emit::{CTX, count, lookup_index};
use crate::skb;
use addresses::Sets;

pub(crate) use bucket::{Cost, take};

use Reg::{R0, R1, R2, R3, R4, R5, R7, R10};

/// What guards the ingress of a port.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct IngressGuard {
    /// How much may come.
    pub policing: Policing,
    /// Which addresses it may use.
    pub allowed: Option<Allowed>,
}

impl IngressGuard {
    /// Of a port; `None` if everything may come.
    pub fn of(port: &Port) -> Option<Arc<IngressGuard>> {
        port.guard.guards_ingress().then(|| {
            Arc::new(IngressGuard {
                policing: port.guard.policing,
                allowed: port.guard.allowed.clone(),
            })
        })
    }
}

/// Stack frame: u32 key of an array.
const INDEX: i16 = -4;

/// Asks a frame of the port in `slot` that has been counted, and falls through if it may come in;
/// counts why not, and drops it, otherwise. R6 is the context, and kept; no other register is.
pub(crate) fn emit(a: &mut Assembler, guard: &IngressGuard, slot: u32) {
    let mut gate = Gate {
        slot,
        drops: Vec::new(),
        a,
    };
    gate.a.comment("guard");
    if let Some(allowed) = &guard.allowed {
        gate.allowed(allowed, &Sets::new(allowed));
    }
    gate.police(&guard.policing);
    let pass = gate.a.label("let_in");
    gate.a.jump(pass);
    gate.drop_all();
    gate.a.bind(pass);
}

/// The code that asks.
struct Gate<'a> {
    a: &'a mut Assembler,
    slot: u32,
    drops: Vec<(DropReason, Label)>,
}

impl Gate<'_> {
    /// Label of the code that drops for `reason`.
    fn drop(&mut self, reason: DropReason) -> Label {
        if let Some((_, label)) = self.drops.iter().find(|(r, _)| *r == reason) {
            return *label;
        }
        let label = self.a.label(&format!("guard_{}", reason.name()));
        self.drops.push((reason, label));
        label
    }

    fn drop_all(&mut self) {
        let [dropped, lost] = ["guard_dropped", "guard_lost"].map(|name| self.a.label(name));
        let a = &mut *self.a;
        for (reason, label) in std::mem::take(&mut self.drops) {
            a.bind(label);
            let word = counter::DROPS + reason.index();
            a.mov(R7, i32::from(counter::offset(word)));
            a.jump(dropped);
        }
        a.bind(dropped);
        lookup_index(a, COUNTERS.id, INDEX, self.slot as i32);
        a.jump_if(Cond::Eq, R0, 0, lost);
        a.add(R0, R7);
        count(a, 0, 1);
        a.bind(lost);
        a.mov(R0, skb::ACT_SHOT);
        a.exit();
    }

    /// Reads `len` bytes of the frame at `at` to the stack at `to`; goes to `short` if it has fewer. R0
    /// to R5 are gone.
    fn read(&mut self, at: impl Into<Operand>, to: i16, len: i32, short: Label) {
        let a = &mut *self.a;
        a.mov(R2, at);
        a.mov(R1, CTX);
        a.mov(R3, R10);
        a.add(R3, i32::from(to));
        a.mov(R4, len);
        a.call(Helper::SkbLoadBytes);
        a.jump_if(Cond::Ne, R0, 0, short);
    }

    /// Goes to `short` unless `len` bytes are accessible: R4 is the first byte of the frame, R5 the end.
    /// Uses R1.
    fn within(&mut self, len: i32, short: Label) {
        let a = &mut *self.a;
        a.mov(R1, R4);
        a.add(R1, len);
        a.jump_if(Cond::Gt, R1, R5, short);
    }

    /// R4, R5 = first byte of the frame, and the end of what is accessible.
    fn load_frame(&mut self) {
        self.a.load(Size::W, R4, CTX, skb::DATA);
        self.a.load(Size::W, R5, CTX, skb::DATA_END);
    }
}
