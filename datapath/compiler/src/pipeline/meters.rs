//! Meters: where each has its record, and the code that asks them.

use std::collections::BTreeMap;

use aorta_ebpf::{AluOp, Assembler, Cond, Helper, Label, Reg, Size, Width};
use aorta_flow::meter::Rate;
use aorta_flow::{BandKind, Meter, MeterId};

use super::layout::state;
use super::maps::{METERS, meters};
use crate::emit::take_tokens;

use Reg::{R0, R1, R2, R3, R4, R5, R7, R8, R9};

/// Which record each meter of a bridge has. The same meters have the same places, and a meter
/// whose number is no other one's modulo [`meters::MAX`] always has the same.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Places(BTreeMap<MeterId, u32>);

impl Places {
    /// Of these meters; `None` if there are more than [`meters::MAX`].
    pub fn new(ids: impl IntoIterator<Item = MeterId>) -> Option<Places> {
        let ids: std::collections::BTreeSet<MeterId> = ids.into_iter().collect();
        if ids.len() > meters::MAX as usize {
            return None;
        }
        let mut taken = vec![false; meters::MAX as usize];
        let mut places = BTreeMap::new();
        for id in ids {
            let mut place = number(id) % meters::MAX;
            while std::mem::replace(&mut taken[place as usize], true) {
                place = (place + 1) % meters::MAX;
            }
            places.insert(id, place);
        }
        Some(Places(places))
    }

    /// Offset of a meter's record in the memory; `None` if there is no such meter.
    pub fn offset(&self, id: MeterId) -> Option<u32> {
        self.0.get(&id).map(|place| place * meters::RECORD_BYTES)
    }

    /// All meters, with the offsets of their records.
    pub fn iter(&self) -> impl Iterator<Item = (MeterId, u32)> {
        let offset = |(id, place): (&MeterId, &u32)| (*id, place * meters::RECORD_BYTES);
        self.0.iter().map(offset)
    }
}

/// A number of its own for each meter, as OpenFlow has it.
fn number(id: MeterId) -> u32 {
    match id {
        MeterId::Number(number) => number,
        MeterId::Slowpath => 0xffff_fffd,
        MeterId::Controller => 0xffff_fffe,
    }
}

/// Where code goes on, as the meter decides.
#[derive(Clone, Copy, Debug)]
pub struct MeterExits {
    /// The packet may pass.
    pub pass: Label,
    /// It is dropped.
    pub drop: Label,
    /// It passes, and its drop precedence is raised by the number of levels in R1.
    pub remark: Label,
}

/// Asks a meter whose record is at `offset` about the packet, and goes to one of the exits. In: R7.
/// Uses R0 to R5, R8 and R9.
pub fn emit_meter(a: &mut Assembler, meter: &Meter, offset: u32, exits: &MeterExits) {
    a.comment(format!("meter {:?}", meter.id));
    a.load_map_value(R9, METERS, offset);
    a.load(Size::W, R2, R7, state::LEN);
    add_to(a, meters::PACKETS, meters::BYTES_SEEN);
    let bands = &meter.bands[..meter.bands.len().min(meters::MAX_BANDS)];
    // Of the bands that it is over, the one of the highest rate decides, and of equal ones the
    // first; R8 = its number plus 1, asked from the last in this order.
    let mut order: Vec<usize> = (0..bands.len()).collect();
    order.sort_by_key(|band| (bands[*band].rate, std::cmp::Reverse(*band)));
    a.mov(R8, 0);
    for band in order {
        take(a, &Rate::new(meter, &bands[band]), band);
    }
    a.jump_if(Cond::Eq, R8, 0, exits.pass);
    for (number, band) in bands.iter().enumerate() {
        let next = a.label("other_band");
        a.jump_if(Cond::Ne, R8, number as i32 + 1, next);
        let at = band_at(number);
        a.load(Size::W, R2, R7, state::LEN);
        add_to(a, at + meters::OVER_PACKETS, at + meters::OVER_BYTES);
        match band.kind {
            BandKind::Drop => a.jump(exits.drop),
            BandKind::DscpRemark(levels) => {
                a.mov(R1, i32::from(levels));
                a.jump(exits.remark);
            }
        }
        a.bind(next);
    }
    a.jump(exits.pass);
}

fn band_at(number: usize) -> i16 {
    meters::BANDS + number as i16 * meters::BAND_BYTES
}

/// Adds a packet, and the bytes in R2, to counters of the record at R9. Uses R1.
fn add_to(a: &mut Assembler, packets: i16, bytes: i16) {
    a.mov(R1, 1);
    a.atomic_add(Size::Dw, R9, packets, R1);
    a.atomic_add(Size::Dw, R9, bytes, R2);
}

/// Takes the packet out of a band's bucket; if it is over the rate, R8 = the band's number plus 1
/// instead.
fn take(a: &mut Assembler, rate: &Rate, number: usize) {
    const FINE_BURST_NS: u64 = 100_000_000;
    let at = band_at(number) + meters::TAT;
    let (done, over) = (a.label("taken"), a.label("over"));
    // A tick of the coarse clock is nothing to a burst that lasts long.
    a.call(match rate.burst_ns < FINE_BURST_NS {
        true => Helper::KtimeGetNs,
        false => Helper::KtimeGetCoarseNs,
    });
    a.mov(R3, R0);
    // R4 = what it costs, in ns.
    a.load(Size::W, R4, R7, state::LEN);
    match i32::try_from(rate.ns_per_byte) {
        Ok(0) => a.mov(R4, 0),
        Ok(per_byte) => {
            a.alu(AluOp::Mul, Width::W64, R4, per_byte);
            a.load_imm64(R5, rate.divisor);
            a.alu(AluOp::Div, Width::W64, R4, R5);
        }
        Err(_) => a.jump(over),
    }
    a.load_imm64(R5, rate.ns_per_packet);
    a.add(R4, R5);
    a.load_imm64(R5, rate.burst_ns);
    take_tokens(a, (R9, at), done, over);
    a.bind(over);
    a.mov(R8, number as i32 + 1);
    a.bind(done);
}

/// R2 = the DSCP in R2 with its drop precedence raised by the levels in R1, as
/// [`remarked`](aorta_flow::meter::remarked) has it. Uses R3.
pub fn emit_remark(a: &mut Assembler) {
    let (same, fits) = (a.label("same_dscp"), a.label("fits"));
    // Classes 1 to 4 of assured forwarding, with a precedence.
    a.mov(R3, R2);
    a.rsh(R3, 3);
    a.sub(R3, 1);
    a.jump_if(Cond::Gt, R3, 3, same);
    a.jump_if(Cond::Set, R2, 1, same);
    a.mov(R3, R2);
    a.rsh(R3, 1);
    a.and(R3, 3);
    a.jump_if(Cond::Eq, R3, 0, same);
    a.add(R3, R1);
    a.jump_if(Cond::Le, R3, 3, fits);
    a.mov(R3, 3);
    a.bind(fits);
    a.lsh(R3, 1);
    a.and(R2, 0x38);
    a.or(R2, R3);
    a.bind(same);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meters_keep_their_places() {
        let ids = |numbers: &[u32]| {
            numbers
                .iter()
                .map(|n| MeterId::Number(*n))
                .collect::<Vec<_>>()
        };
        let place = |all: &[u32], one| {
            let places = Places::new(ids(all)).unwrap();
            places.offset(MeterId::Number(one)).unwrap() / meters::RECORD_BYTES
        };
        assert_eq!(place(&[7], 7), place(&[1, 2, 7, 300], 7));
        assert_ne!(place(&[1, 257], 1), place(&[1, 257], 257));
        let many: Vec<u32> = (1..=257).collect();
        assert_eq!(Places::new(ids(&many)), None);
    }
}
