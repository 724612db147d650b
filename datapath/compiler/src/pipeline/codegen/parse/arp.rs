//! ARP and RARP for Ethernet and IPv4 (RFC 826).

use aorta_ebpf::{Cond, Reg, Size};
use aorta_flow::field::FieldId;

use super::{NETWORK, Parser};
use crate::pipeline::layout::state;

use Reg::{R1, R9};

const ARP_LEN: i32 = 28;
/// Hardware type 1 and protocol type 0x800, as a load gives them.
const TYPES: i32 = 0x0008_0100;
/// Lengths 6 and 4.
const LENGTHS: i32 = 0x0406;
const FIELDS: [FieldId; 5] = [
    FieldId::IP_SRC,
    FieldId::IP_DST,
    FieldId::NW_PROTO,
    FieldId::ARP_SHA,
    FieldId::ARP_THA,
];

impl Parser<'_, '_> {
    pub(super) fn arp(&mut self) {
        let (no_network, parsed) = (self.no_network, self.parsed);
        self.need(ARP_LEN, no_network);
        let a = &mut self.code.a;
        a.load(Size::W, R1, R9, 0);
        a.jump_if32(Cond::Ne, R1, TYPES, no_network);
        a.load(Size::H, R1, R9, 4);
        a.jump_if(Cond::Ne, R1, LENGTHS, no_network);
        self.note_offset(state::L3);
        let others: Vec<FieldId> = NETWORK
            .into_iter()
            .filter(|field| !FIELDS.contains(field))
            .collect();
        self.zero(&others);
        if self.wants(FieldId::NW_PROTO) {
            let narrow = self.code.a.label("narrow");
            let a = &mut self.code.a;
            a.load(Size::H, R1, R9, 6);
            a.be16(R1);
            a.jump_if(Cond::Le, R1, 0xff, narrow);
            a.mov(R1, 0);
            a.bind(narrow);
            self.store(FieldId::NW_PROTO);
        }
        self.store_mac(R9, 8, FieldId::ARP_SHA);
        self.store_mac(R9, 18, FieldId::ARP_THA);
        self.store_addresses(14, 24);
        self.code.a.jump(parsed);
    }
}
