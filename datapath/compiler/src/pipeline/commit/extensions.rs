//! Extension headers of IPv6 (RFC 8200 §4).

use aorta_ebpf::{Cond, Helper, Reg, Size};

use super::Emitter;
use super::emit::{MAX_OFFSET, SPACE};
use crate::pipeline::layout::state;

use Reg::{R0, R1, R2, R3, R4, R6, R7, R8, R9};

const HEADER_BYTES: i32 = 40;
const NEXT_HEADER: i16 = 6;
/// Headers that are passed at most.
const MAX_HEADERS: usize = 6;

const HOP_BY_HOP: i32 = 0;
const ROUTING: i32 = 43;
const FRAGMENT: i32 = 44;
const AUTHENTICATION: i32 = 51;
const DESTINATION: i32 = 60;

/// In the commit's space: the first bytes of an extension header.
const START: i16 = SPACE - 40;
/// In the commit's space, u64: the header that comes next.
const NEXT: i16 = SPACE - 48;

impl Emitter<'_> {
    /// The destination changed, by R9: that counts for no checksum if a routing header says that
    /// this destination is not the last one (RFC 8200 §8.1), and R9 = 0 then. Uses all but R8,
    /// packet pointers are lost.
    pub(super) fn source_route(&mut self) {
        let a = &mut *self.a;
        let (done, routed) = (a.label("not_routed"), a.label("routed"));
        a.jump_if(Cond::Eq, R9, 0, done);
        a.load(Size::W, R2, R7, state::L3);
        a.add(R2, HEADER_BYTES);
        a.load(Size::W, R3, R7, state::L4);
        a.jump_if(Cond::Ge, R2, R3, done);
        self.packet(Some(state::L3), HEADER_BYTES);
        let a = &mut *self.a;
        a.store(Size::Dw, R7, NEXT - 8, R8);
        a.load(Size::B, R1, R1, NEXT_HEADER);
        a.store(Size::Dw, R7, NEXT, R1);
        a.load(Size::W, R8, R7, state::L3);
        a.add(R8, HEADER_BYTES);
        let restore = a.label("extensions_end");
        for _ in 0..MAX_HEADERS {
            self.extension(routed, restore);
        }
        let a = &mut *self.a;
        a.jump(restore);
        a.bind(routed);
        a.mov(R9, 0);
        a.bind(restore);
        a.load(Size::Dw, R8, R7, NEXT - 8);
        a.bind(done);
    }

    /// Passes the extension header at R8, if it is one.
    fn extension(&mut self, routed: aorta_ebpf::Label, end: aorta_ebpf::Label) {
        let a = &mut *self.a;
        let (fixed, words, next) = (a.label("fixed"), a.label("words"), a.label("next"));
        let units = a.label("units");
        a.and(R8, MAX_OFFSET);
        a.mov(R1, R6);
        a.mov(R2, R8);
        a.mov(R3, R7);
        a.add(R3, i32::from(START));
        a.mov(R4, 4);
        a.call(Helper::SkbLoadBytes);
        a.jump_if(Cond::Ne, R0, 0, end);
        a.load(Size::Dw, R2, R7, NEXT);
        a.load(Size::B, R1, R7, START);
        a.store(Size::Dw, R7, NEXT, R1);
        a.load(Size::B, R1, R7, START + 1);
        a.add(R1, 1);
        a.lsh(R1, 3);
        a.jump_if(Cond::Eq, R2, HOP_BY_HOP, next);
        a.jump_if(Cond::Eq, R2, DESTINATION, next);
        a.jump_if(Cond::Eq, R2, FRAGMENT, fixed);
        a.jump_if(Cond::Eq, R2, AUTHENTICATION, words);
        a.jump_if(Cond::Ne, R2, ROUTING, end);
        a.load(Size::B, R3, R7, START + 3);
        a.jump_if(Cond::Ne, R3, 0, routed);
        a.jump(next);
        a.bind(words);
        a.rsh(R1, 1);
        a.add(R1, 4);
        a.jump(units);
        a.bind(fixed);
        a.mov(R1, 8);
        a.bind(units);
        a.bind(next);
        a.add(R8, R1);
    }
}
