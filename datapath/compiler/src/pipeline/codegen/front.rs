//! The first table for the most frequent frames, where flows send once, as the last thing that they do:
//! compared with the frame's bytes, without a key, where it is code and nothing follows it. Whatever
//! isn't decided here goes on as if nothing had been asked: no flow is counted before it is known that
//! its packet leaves. What roots do with what is decided is in [`super::root_front`], what XDP forms do
//! in [`super::xdp_front`].

use aorta_ebpf::{AluOp, Cond, Label, Reg, Size, Width};
use aorta_flow::DropReason;
use aorta_flow::field::FieldId;
use aorta_packet::{ETH_HEADER_LEN, TPID_8021AD, TPID_8021Q, proto};

use super::count::place_in_row;
use super::in_frame::{Depth, Test, depth_of, ones, tests, without_tag};
use super::{Gen, INDEX, hook, key};
use crate::abi::{PORTS, port};
use crate::emit::{CTX, lookup_index};
use crate::flow_entry::handed;
use crate::pipeline::Hook;
use crate::pipeline::maps::{BRIDGE_PORTS, ports};
use crate::pipeline::record::{MatchWord, Rule};
use crate::pipeline::shape::Step;
use crate::skb;

use Reg::{R0, R1, R2, R3, R5, R7, R8, R9};

/// Of IPv4 without options, and of TCP without; UDP's is within.
const IPV4_LEN: i32 = 20;
const TRANSPORT_LEN: i32 = 20;
/// Type, version and header length of IPv4 without options.
const PLAIN_IPV4: i32 = in_frame([0x08, 0x00, 0x45, 0]);
/// Bit of `vlan_tci` that says that there is a tag.
const TAGGED: i32 = 0x1000;

/// Four bytes of a frame as one load has them.
const fn in_frame(bytes: [u8; 4]) -> i32 {
    i32::from_ne_bytes(bytes)
}

/// What becomes of the packets of a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    Drop,
    Send(u16),
    /// That isn't decided here.
    More,
}

/// A rule of the table that frames from the port can match.
pub(super) struct Candidate {
    tests: Vec<Test>,
    rule: u32,
    fate: Fate,
}

impl Gen<'_> {
    /// Decides about frames as far as it can, and falls through with those that it can't. R6 is the
    /// context and kept. In XDP programs of all ports so is R7, the state; in others, where there is
    /// none yet, R8 is the length that flows count, which it becomes here in XDP.
    pub(super) fn front(&mut self) {
        let Some((depth, candidates, complete)) = self.candidates() else {
            return;
        };
        let [general, send] = ["any_frame", "send"].map(|name| self.a.label(name));
        self.check_depth(depth, general);
        let mut hits: Vec<(Label, u32, Fate)> = Vec::new();
        let mut open = true;
        for candidate in &candidates {
            let next = self.a.label("next");
            for test in &candidate.tests {
                self.test(test, next);
            }
            match candidate.fate {
                Fate::More => self.a.jump(general),
                fate => {
                    let hit = self.a.label("sure_hit");
                    hits.push((hit, candidate.rule, fate));
                    self.a.jump(hit);
                }
            }
            self.a.bind(next);
            if candidate.tests.is_empty() {
                open = false;
                break;
            }
        }
        if open {
            match complete {
                true => self.sure_miss(general),
                false => self.a.jump(general),
            }
        }
        let sends = hits.iter().any(|hit| matches!(hit.2, Fate::Send(_)));
        for (hit, rule, fate) in hits {
            self.a.bind(hit);
            match (self.hook, self.port) {
                (Hook::Tc, _) => self.sure_hit(rule, fate, (send, general)),
                (Hook::Xdp, Some(own)) => self.own_sure_hit(&own, rule, fate, (send, general)),
                (Hook::Xdp, None) => self.xdp_sure_hit(rule, fate, (send, general)),
            }
        }
        if sends {
            self.a.bind(send);
            match (self.hook, self.port) {
                (Hook::Tc, _) => self.send_surely(general),
                (Hook::Xdp, Some(own)) => self.own_send_surely(&own, general),
                (Hook::Xdp, None) => self.xdp_send_surely(general),
            }
        }
        self.a.bind(general);
    }

    /// What the first table asks of frames, rule by rule, and whether that is all that it asks; `None`
    /// if nothing can be decided by that.
    pub(super) fn candidates(&self) -> Option<(Depth, Vec<Candidate>, bool)> {
        if self.plan.has_misses() {
            return None;
        }
        let rules = self.rules_as_code(self.plan.tables.get(&0)?)?;
        let mut depth = Depth::Ethernet;
        let asked: Vec<(Vec<MatchWord>, &Rule)> = rules
            .into_iter()
            .filter_map(|rule| Some((self.left_to_ask(&rule.words)?, rule)))
            .collect();
        for word in asked.iter().flat_map(|(words, _)| words) {
            depth = depth.max(depth_of(word.at));
        }
        let mut candidates = Vec::new();
        let mut complete = true;
        for (words, rule) in asked {
            let Some(tests) = tests(&words) else {
                complete = false;
                break;
            };
            let tests = match self.hook {
                Hook::Tc => tests,
                Hook::Xdp => tests.and_then(without_tag),
            };
            let Some(tests) = tests else { continue };
            let fate = self.fate(rule);
            candidates.push(Candidate {
                tests,
                rule: rule.id.0,
                fate,
            });
        }
        let decides = candidates.iter().any(|c| c.fate != Fate::More);
        decides.then_some((depth, candidates, complete))
    }

    fn fate(&self, rule: &Rule) -> Fate {
        let own = self.port.map(|port| port.ofport().0);
        let Some(shape) = self.plan.shapes.get(rule.shape) else {
            return Fate::More;
        };
        if rule.id.0 >= self.plan.config.counted_rules {
            return Fate::More;
        }
        if shape.goto.is_some() || !shape.metadata.is_empty() {
            return Fate::More;
        }
        match &shape.steps[..] {
            [] => Fate::Drop,
            [Step::Output(number)] => match rule.params.get(usize::from(*number)) {
                Some(number) if own == Some(*number as u16) => Fate::Drop,
                Some(number) => Fate::Send(*number as u16),
                None => Fate::More,
            },
            _ => Fate::More,
        }
    }

    /// R2 = first byte of a frame of this depth; others go to `general`. Uses R0, R1, R3, R5.
    fn check_depth(&mut self, depth: Depth, general: Label) {
        let headers = match depth {
            Depth::Ethernet => 0,
            Depth::Ipv4 => IPV4_LEN,
            Depth::Transport => IPV4_LEN + TRANSPORT_LEN,
        };
        let a = &mut self.a;
        hook::load_frame(a, self.hook, R2, R3);
        a.mov(R1, R2);
        a.add(R1, ETH_HEADER_LEN as i32 + headers);
        a.jump_if(Cond::Gt, R1, R3, general);
        let own_xdp = self.hook == Hook::Xdp && self.port.is_some();
        if own_xdp {
            a.mov(R8, R3);
            a.sub(R8, R2);
        }
        if depth == Depth::Ethernet {
            if own_xdp {
                // Ports count frames without the outer tag.
                a.load(Size::H, R1, R2, 12);
                for tpid in [TPID_8021Q, TPID_8021AD] {
                    a.jump_if(Cond::Eq, R1, i32::from(tpid.to_be()), general);
                }
            }
            return;
        }
        // What stands side by side is asked together.
        a.load(Size::W, R1, R2, 12);
        a.alu(AluOp::And, Width::W32, R1, in_frame([0xff, 0xff, 0xff, 0]));
        a.jump_if32(Cond::Ne, R1, PLAIN_IPV4, general);
        a.load(Size::H, R5, R2, 16);
        a.be16(R5);
        a.jump_if(Cond::Lt, R5, headers, general);
        a.add(R5, ETH_HEADER_LEN as i32);
        match own_xdp {
            true => a.jump_if(Cond::Gt, R5, R8, general),
            false => {
                hook::load_len(a, self.hook, R0);
                a.jump_if(Cond::Gt, R5, R0, general);
            }
        }
        a.load(Size::W, R1, R2, 20);
        if depth == Depth::Ipv4 {
            let fragment = in_frame([0x3f, 0xff, 0, 0]);
            a.alu(AluOp::And, Width::W32, R1, fragment);
            a.jump_if32(Cond::Ne, R1, 0, general);
            return;
        }
        let known = a.label("tcp_or_udp");
        let fragment_and_protocol = in_frame([0x3f, 0xff, 0, 0xff]);
        a.alu(AluOp::And, Width::W32, R1, fragment_and_protocol);
        let whole = |protocol| in_frame([0, 0, 0, protocol]);
        a.jump_if32(Cond::Eq, R1, whole(proto::TCP), known);
        a.jump_if32(Cond::Ne, R1, whole(proto::UDP), general);
        a.bind(known);
    }

    /// Goes to `next` unless the frame at R2 is so. Uses R1, R3.
    fn test(&mut self, test: &Test, next: Label) {
        let a = &mut self.a;
        match *test {
            Test::Bytes {
                at,
                size: Size::Dw,
                mask: _,
                value,
            } => {
                a.load(Size::Dw, R1, R2, at);
                a.load_imm64(R3, value);
                a.jump_if(Cond::Ne, R1, R3, next);
            }
            Test::Bytes {
                at,
                size,
                mask,
                value,
            } => {
                a.load(size, R1, R2, at);
                if mask != ones(size) {
                    a.alu(AluOp::And, Width::W32, R1, mask as u32 as i32);
                }
                a.jump_if32(Cond::Ne, R1, value as u32 as i32, next);
            }
            Test::InPort { mask, value } => {
                match self.hook {
                    Hook::Tc => a.load(Size::W, R1, CTX, handed::IN_PORT),
                    Hook::Xdp => a.load(Size::W, R1, R7, key(FieldId::IN_PORT)),
                }
                a.alu(AluOp::And, Width::W32, R1, mask as i32);
                a.jump_if32(Cond::Ne, R1, value as i32, next);
            }
            Test::Tag { mask, value } => {
                let untagged = a.label("untagged");
                a.mov(R1, 0);
                a.load(Size::W, R3, CTX, skb::VLAN_PRESENT);
                a.jump_if(Cond::Eq, R3, 0, untagged);
                hook::load_tci(a, R1);
                a.or(R1, TAGGED);
                a.bind(untagged);
                a.alu(AluOp::And, Width::W32, R1, mask as i32);
                a.jump_if32(Cond::Ne, R1, value as i32, next);
            }
        }
    }

    /// No rule is for the frame.
    fn sure_miss(&mut self, general: Label) {
        match self.hook {
            Hook::Tc if self.port.is_some() => self.drop_at_once(DropReason::TableMiss),
            Hook::Tc => self.root_drop_surely(DropReason::TableMiss),
            Hook::Xdp => match self.port {
                Some(own) => self.own_drop_surely(&own, None, general),
                None => self.xdp_drop_surely(None, general),
            },
        }
    }

    fn sure_hit(&mut self, rule: u32, fate: Fate, (send, general): (Label, Label)) {
        self.a.mov32(R7, place_in_row(rule));
        match fate {
            _ if self.port.is_none() => self.root_sure_hit(fate, (send, general)),
            Fate::Send(number) => {
                let at = ports::slot_of(number);
                self.a.load_map_value(R1, BRIDGE_PORTS, at);
                self.a.load(Size::W, R1, R1, 0);
                self.a.jump(send);
            }
            Fate::Drop | Fate::More => {
                self.count_surely();
                self.drop_at_once(DropReason::FlowDrop);
            }
        }
    }

    /// Goes to `send` with the slot plus 1 of a port in R8 and the rule in R9, or to `general` if the
    /// frame came from that port.
    pub(super) fn go_to_send(&mut self, rule: u32, number: u16, (send, general): (Label, Label)) {
        let a = &mut self.a;
        a.load(Size::W, R1, R7, key(FieldId::IN_PORT));
        a.jump_if(Cond::Eq, R1, i32::from(number), general);
        a.mov32(R9, rule as i32);
        a.load_map_value(R8, BRIDGE_PORTS, ports::slot_of(number));
        a.load(Size::W, R8, R8, 0);
        a.jump(send);
    }

    /// Sends the frame to the device of the port whose slot plus 1 is in R1; the place of the rule's
    /// counters is in R7.
    fn send_surely(&mut self, general: Label) {
        let a = &mut self.a;
        a.sub(R1, 1);
        lookup_index(a, PORTS.id, INDEX, R1);
        a.jump_if(Cond::Eq, R0, 0, general);
        a.load(Size::W, R9, R0, port::IFINDEX);
        a.jump_if(Cond::Eq, R9, 0, general);
        a.load(Size::W, R2, R0, port::MAX_LEN);
        hook::jump_if_longer(a, R2, general);
        self.count_sent();
        self.count_surely();
        hook::send_last(&mut self.a, R9);
    }
}
