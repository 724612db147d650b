//! The packet's fields, as far as anything asks for them. `aorta_packet::Headers` says which headers
//! a frame has; this is the same in code.
//!
//! While it parses, R2 is the first byte of the frame, R3 one past the last that can be read, R9 the
//! header that is read, R8 a number that goes with it. Where bytes can't be read, either more of the
//! frame is made readable and all begins anew, or they aren't there.

mod arp;
mod ip;
mod link;
mod plain;
mod transport;

use std::collections::BTreeSet;

use aorta_ebpf::{AluOp, Cond, Label, Reg, Size, Width};
use aorta_flow::field::FieldId;

use super::{Block, Gen, hook, key};
use crate::pipeline::Hook;
use crate::pipeline::layout::{self, state};

use Reg::{R1, R2, R3, R7, R8, R9};

/// Offsets of headers are below.
const MAX_OFFSET: i32 = 0x3fff;

/// Fields of ports, of type and code, and of neighbours.
const TRANSPORT: [FieldId; 3] = [FieldId::TCP_SRC, FieldId::TCP_DST, FieldId::TCP_FLAGS];
const NEIGHBOUR: [FieldId; 3] = [FieldId::ND_TARGET, FieldId::ARP_SHA, FieldId::ARP_THA];
const MPLS: [FieldId; 4] = [
    FieldId::MPLS_LABEL,
    FieldId::MPLS_TC,
    FieldId::MPLS_BOS,
    FieldId::MPLS_TTL,
];
/// Fields behind the type.
pub(super) const NETWORK: [FieldId; 19] = [
    FieldId::IP_SRC,
    FieldId::IP_DST,
    FieldId::NW_PROTO,
    FieldId::NW_TOS,
    FieldId::NW_TTL,
    FieldId::IP_FRAG,
    FieldId::IPV6_SRC,
    FieldId::IPV6_DST,
    FieldId::IPV6_LABEL,
    FieldId::ARP_SHA,
    FieldId::ARP_THA,
    FieldId::ND_TARGET,
    FieldId::MPLS_LABEL,
    FieldId::MPLS_TC,
    FieldId::MPLS_BOS,
    FieldId::MPLS_TTL,
    FieldId::TCP_SRC,
    FieldId::TCP_DST,
    FieldId::TCP_FLAGS,
];
/// Fields of the Ethernet header and its tags.
const LINK: [FieldId; 4] = [
    FieldId::ETH_SRC,
    FieldId::ETH_DST,
    FieldId::ETH_TYPE,
    FieldId::VLAN_TCI,
];

/// Where the parser goes.
struct Parser<'g, 'p> {
    code: &'g mut Gen<'p>,
    /// The fields that are asked for.
    wanted: BTreeSet<FieldId>,
    /// Offsets of headers are asked for.
    offsets: bool,
    /// Begins anew.
    again: Label,
    /// All fields are there.
    parsed: Label,
    /// There is no network header that counts.
    no_network: Label,
    /// There is no transport header that counts.
    no_transport: Label,
    /// Where transport headers begin, of IPv4 and of IPv6.
    transport_entries: (Label, Label),
    /// Places where bytes couldn't be read, and where to go if they aren't there.
    short: Vec<(Label, Label)>,
}

impl Gen<'_> {
    /// The names of the fields that are parsed.
    pub fn parsed_fields(&self) -> BTreeSet<FieldId> {
        let mut wanted = self.plan.usage.all();
        wanted.extend(self.changes.needs());
        wanted
    }

    /// Reads the fields that are asked for from the frame into the key; the others are 0.
    pub(super) fn parse(&mut self) {
        let wanted = self.parsed_fields();
        let [again, parsed, no_network, no_transport] =
            ["parse", "parsed", "no_network", "no_transport"].map(|name| self.a.label(name));
        let transport_entries = (self.a.label("transport4"), self.a.label("transport6"));
        let mut parser = Parser {
            offsets: !self.changes.is_empty(),
            wanted,
            again,
            parsed,
            no_network,
            no_transport,
            transport_entries,
            short: Vec::new(),
            code: self,
        };
        parser.metadata();
        parser.link();
        parser.network();
        parser.out_of_line();
        self.a.bind(parsed);
        if self.changes.labels() {
            self.parse_again = Some(again);
            self.end_reading();
        }
    }
}

impl Parser<'_, '_> {
    fn wants(&self, field: FieldId) -> bool {
        self.wanted.contains(&field)
    }

    fn wants_any(&self, fields: &[FieldId]) -> bool {
        fields.iter().any(|field| self.wants(*field))
    }

    /// Whether anything behind the type is asked for.
    fn behind_type(&self) -> bool {
        self.wants_any(&NETWORK) || self.offsets
    }

    fn wants_transport(&self) -> bool {
        self.wants_any(&TRANSPORT) || self.wants_any(&NEIGHBOUR) || self.offsets
    }

    /// Fields that aren't in frames begin as 0.
    fn metadata(&mut self) {
        let fields = self.wanted.iter().copied();
        let metadata = fields.filter(|field| {
            *field != FieldId::IN_PORT && !NETWORK.contains(field) && !LINK.contains(field)
        });
        let metadata: Vec<FieldId> = metadata.collect();
        self.zero(&metadata);
        if self.code.changes.length() {
            let a = &mut self.code.a;
            a.load(Size::W, R1, R7, state::LEN);
            a.store(Size::W, R7, state::KEY + layout::LENGTH, R1);
        }
    }

    /// Makes fields 0, those of them that are asked for; words side by side together.
    fn zero(&mut self, fields: &[FieldId]) {
        let mut words: Vec<i16> = Vec::new();
        for field in fields.iter().filter(|field| self.wants(**field)) {
            let at = key(*field);
            words.extend(
                (0..layout::storage_bytes(*field))
                    .step_by(4)
                    .map(|n| at + n),
            );
        }
        words.sort_unstable();
        let mut words = words.into_iter().peekable();
        while let Some(at) = words.next() {
            let pair = at % 8 == 0 && words.next_if_eq(&(at + 4)).is_some();
            let size = if pair { Size::Dw } else { Size::W };
            self.code.a.store(size, R7, at, 0);
        }
    }

    /// Makes sure that `bytes` at R9 can be read; goes to `absent` if they aren't there. Uses R1.
    fn need(&mut self, bytes: i32, absent: Label) {
        let short = self.short_of(absent);
        let a = &mut self.code.a;
        a.mov(R1, R9);
        a.add(R1, bytes);
        a.jump_if(Cond::Gt, R1, R3, short);
    }

    /// Where to go if bytes can't be read: to `absent` if they aren't there.
    fn short_of(&mut self, absent: Label) -> Label {
        if let Some((label, _)) = self.short.iter().find(|(_, to)| *to == absent) {
            return *label;
        }
        let label = self.code.a.label("short");
        self.short.push((label, absent));
        label
    }

    /// Stores R1 as a field, if it is asked for.
    fn store(&mut self, field: FieldId) {
        if self.wants(field) {
            let size = match layout::storage_bytes(field) {
                4 => Size::W,
                _ => Size::Dw,
            };
            self.code.a.store(size, R7, key(field), R1);
        }
    }

    /// Stores a byte at R9 as a field, if it is asked for.
    fn store_byte(&mut self, at: i16, field: FieldId) {
        if self.wants(field) {
            self.code.a.load(Size::B, R1, R9, at);
            self.store(field);
        }
    }

    /// Stores 6 bytes at `base`, with two more behind, as a field, if it is asked for.
    fn store_mac(&mut self, base: Reg, at: i16, field: FieldId) {
        if self.wants(field) {
            let a = &mut self.code.a;
            a.load(Size::Dw, R1, base, at);
            a.be64(R1);
            a.rsh(R1, 16);
            self.store(field);
        }
    }

    /// Stores two numbers of 32 bits at R9, which need not be neighbours there, as two fields, which
    /// are neighbours in the key.
    fn store_addresses(&mut self, src: i16, dst: i16) {
        let (a, b) = (FieldId::IP_SRC, FieldId::IP_DST);
        if !(self.wants(a) && self.wants(b)) {
            for (at, field) in [(src, a), (dst, b)] {
                if self.wants(field) {
                    self.code.a.load(Size::W, R1, R9, at);
                    self.code.a.be32(R1);
                    self.store(field);
                }
            }
            return;
        }
        // One store, because lookups read both at once.
        let at = key(a);
        let a = &mut self.code.a;
        a.load(Size::W, R1, R9, dst);
        a.be32(R1);
        a.lsh(R1, 32);
        a.load(Size::W, Reg::R0, R9, src);
        a.be32(Reg::R0);
        a.or(R1, Reg::R0);
        a.store(Size::Dw, R7, at, R1);
    }

    /// The verifier forgets how R9, R8 and R5 came about: whatever the way, it goes on from one state.
    /// R9 moves on by `plus` bytes. Uses R1.
    fn by_way_of_memory(&mut self, plus: i32) {
        let a = &mut self.code.a;
        a.sub(R9, R2);
        if plus != 0 {
            a.add(R9, plus);
        }
        a.store(Size::W, R7, state::PARSE_OFFSET, R9);
        a.store(Size::W, R7, state::PARSE_TYPE, R8);
        self.load_place();
    }

    /// R9 and R8 from memory. Uses R1.
    fn load_place(&mut self) {
        let a = &mut self.code.a;
        a.load(Size::W, R1, R7, state::PARSE_OFFSET);
        a.and(R1, MAX_OFFSET);
        a.mov(R9, R2);
        a.add(R9, R1);
        a.load(Size::W, R8, R7, state::PARSE_TYPE);
    }

    /// Notes where the header at R9 is, if anybody asks. Uses R1.
    fn note_offset(&mut self, word: i16) {
        if self.offsets {
            let a = &mut self.code.a;
            a.mov(R1, R9);
            a.sub(R1, R2);
            a.store(Size::W, R7, word, R1);
        }
    }

    /// `dst` = bytes of the frame from R9 on. Uses R1.
    fn bytes_there(&mut self, dst: Reg) {
        let kind = self.code.hook;
        let a = &mut self.code.a;
        a.mov(R1, R9);
        a.sub(R1, R2);
        hook::load_len(a, kind, dst);
        a.alu(AluOp::Sub, Width::W64, dst, R1);
    }

    fn out_of_line(&mut self) {
        for (label, absent) in std::mem::take(&mut self.short) {
            let again = self.again;
            if self.code.hook == Hook::Xdp {
                // All of the frame can be read.
                self.code.a.bind(label);
                self.code.a.jump(absent);
                continue;
            }
            let failed = self.code.block(Block::Failed);
            self.code.a.bind(label);
            hook::pull(&mut self.code.a, again, absent, failed);
        }
    }
}
