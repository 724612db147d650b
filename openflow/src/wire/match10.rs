//! The fixed match of OpenFlow 1.0 (OpenFlow 1.0.1 §5.2.3).

use aorta_flow::field::FieldId;
use aorta_flow::{Match, MatchError};
use aorta_packet::MacAddr;

use super::read::{Reader, Refusal};
use super::write::Writer;
use crate::error::ErrorCode;

/// Bytes that it has.
pub(super) const LEN: usize = 40;

/// Bits that say that a field may be anything.
mod wild {
    pub const IN_PORT: u32 = 1;
    pub const DL_VLAN: u32 = 1 << 1;
    pub const DL_SRC: u32 = 1 << 2;
    pub const DL_DST: u32 = 1 << 3;
    pub const DL_TYPE: u32 = 1 << 4;
    pub const NW_PROTO: u32 = 1 << 5;
    pub const TP_SRC: u32 = 1 << 6;
    pub const TP_DST: u32 = 1 << 7;
    /// Where the number of the addresses' low bits that may be anything stands, in 6 bits.
    pub const NW_SRC_SHIFT: u32 = 8;
    pub const NW_DST_SHIFT: u32 = 14;
    pub const DL_VLAN_PCP: u32 = 1 << 20;
    pub const NW_TOS: u32 = 1 << 21;
    pub const ALL: u32 = (1 << 22) - 1;
}

/// No tag.
const NO_VLAN: u16 = 0xffff;

pub(super) fn mac_value(address: MacAddr) -> u128 {
    let bytes = address.0.iter();
    bytes.fold(0, |all, byte| all << 8 | u128::from(*byte))
}

pub(super) fn mac_of(value: u128) -> MacAddr {
    let mut bytes = [0; 6];
    bytes.copy_from_slice(&value.to_be_bytes()[10..]);
    MacAddr(bytes)
}

pub(super) fn bad_value(_: MatchError) -> Refusal {
    Refusal::new(ErrorCode::OFPBMC_BAD_VALUE, "a value doesn't fit its field")
}

/// Reads it. What has no meaning in the packets that it describes isn't looked at.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<Match, Refusal> {
    let wildcards = reader.u32()?;
    let mut matching = Match::any();
    let m = &mut matching;
    let mut set = |bit: u32, id: FieldId, value: u128| match wildcards & bit {
        0 => m.set(id, value).map_err(bad_value),
        _ => Ok(()),
    };
    let (in_port, src, dst) = (reader.u16()?, reader.mac()?, reader.mac()?);
    let (vlan, pcp) = (reader.u16()?, reader.u8()?);
    reader.skip(1)?;
    let (ethertype, tos, proto) = (reader.u16()?, reader.u8()?, reader.u8()?);
    reader.skip(2)?;
    let (ip_src, ip_dst) = (reader.u32()?, reader.u32()?);
    let (tp_src, tp_dst) = (reader.u16()?, reader.u16()?);
    set(wild::IN_PORT, FieldId::IN_PORT, in_port.into())?;
    set(wild::DL_SRC, FieldId::ETH_SRC, mac_value(src))?;
    set(wild::DL_DST, FieldId::ETH_DST, mac_value(dst))?;
    set(wild::DL_TYPE, FieldId::ETH_TYPE, ethertype.into())?;
    set(wild::NW_TOS, FieldId::NW_TOS, (tos & 0xfc).into())?;
    set(wild::NW_PROTO, FieldId::NW_PROTO, proto.into())?;
    set(wild::TP_SRC, FieldId::TCP_SRC, tp_src.into())?;
    set(wild::TP_DST, FieldId::TCP_DST, tp_dst.into())?;
    let no_tag = vlan == NO_VLAN && wildcards & wild::DL_VLAN == 0;
    let vlan = if no_tag { vlan } else { vlan & 0xfff };
    if !no_tag {
        set(wild::DL_VLAN_PCP, FieldId::DL_VLAN_PCP, (pcp & 7).into())?;
    }
    set(wild::DL_VLAN, FieldId::DL_VLAN, vlan.into())?;
    set_prefix(m, FieldId::IP_SRC, ip_src, wildcards >> wild::NW_SRC_SHIFT)?;
    set_prefix(m, FieldId::IP_DST, ip_dst, wildcards >> wild::NW_DST_SHIFT)?;
    matching.normalise();
    Ok(matching)
}

fn set_prefix(m: &mut Match, id: FieldId, address: u32, wild_bits: u32) -> Result<(), Refusal> {
    match u32::MAX.checked_shl(wild_bits & 0x3f) {
        Some(mask) => m
            .set_masked(id, (address & mask).into(), mask.into())
            .map_err(bad_value),
        None => Ok(()),
    }
}

/// Whether it says all that a match says.
pub(super) fn can_say(matching: &Match) -> bool {
    let bytes = bytes(matching);
    let mut reader = Reader::new(&bytes, ErrorCode::OFPBMC_BAD_LEN);
    read(&mut reader).is_ok_and(|read| read == *matching)
}

/// Writes what it can say of a match.
pub(super) fn write(out: &mut Writer<'_>, matching: &Match) {
    out.all(&bytes(matching));
}

/// Puts bytes at places.
struct Fixed {
    bytes: [u8; LEN],
    wildcards: u32,
}

impl Fixed {
    fn put<const N: usize>(&mut self, at: usize, bytes: [u8; N]) {
        self.bytes[at..at + N].copy_from_slice(&bytes);
    }

    fn known(&mut self, bits: u32) {
        self.wildcards &= !bits;
    }
}

fn bytes(matching: &Match) -> [u8; LEN] {
    let mut fixed = Fixed {
        bytes: [0; LEN],
        wildcards: wild::ALL,
    };
    let exact = |id: FieldId| matching.exact(id);
    if let Some(port) = exact(FieldId::IN_PORT) {
        fixed.known(wild::IN_PORT);
        fixed.put(4, (port as u16).to_be_bytes());
    }
    if let Some(address) = exact(FieldId::ETH_SRC) {
        fixed.known(wild::DL_SRC);
        fixed.put(6, mac_of(address).0);
    }
    if let Some(address) = exact(FieldId::ETH_DST) {
        fixed.known(wild::DL_DST);
        fixed.put(12, mac_of(address).0);
    }
    put_vlan(&mut fixed, matching);
    if let Some(ethertype) = exact(FieldId::ETH_TYPE) {
        fixed.known(wild::DL_TYPE);
        fixed.put(22, (ethertype as u16).to_be_bytes());
    }
    let (tos, mask) = matching.get(FieldId::NW_TOS);
    if mask & 0xfc == 0xfc {
        fixed.known(wild::NW_TOS);
        fixed.put(24, [tos as u8 & 0xfc]);
    }
    if let Some(proto) = exact(FieldId::NW_PROTO) {
        fixed.known(wild::NW_PROTO);
        fixed.put(25, [proto as u8]);
    }
    put_prefix(
        &mut fixed,
        28,
        wild::NW_SRC_SHIFT,
        matching.get(FieldId::IP_SRC),
    );
    put_prefix(
        &mut fixed,
        32,
        wild::NW_DST_SHIFT,
        matching.get(FieldId::IP_DST),
    );
    for (at, bit, port, icmp) in [
        (36, wild::TP_SRC, FieldId::TCP_SRC, FieldId::ICMP_TYPE),
        (38, wild::TP_DST, FieldId::TCP_DST, FieldId::ICMP_CODE),
    ] {
        let (value, mask) = matching.get(port);
        let narrow = icmp.field().full_mask();
        if mask == port.field().full_mask() || mask == narrow && value <= narrow {
            fixed.known(bit);
            fixed.put(at, (value as u16).to_be_bytes());
        }
    }
    let wildcards = fixed.wildcards;
    fixed.put(0, wildcards.to_be_bytes());
    fixed.bytes
}

fn put_vlan(fixed: &mut Fixed, matching: &Match) {
    const PRESENT: u128 = 0x1000;
    let (tci, mask) = matching.get(FieldId::VLAN_TCI);
    if tci & PRESENT == 0 {
        if mask & PRESENT != 0 {
            fixed.known(wild::DL_VLAN | wild::DL_VLAN_PCP);
            fixed.put(18, NO_VLAN.to_be_bytes());
        }
        return;
    }
    if mask & 0xfff == 0xfff {
        fixed.known(wild::DL_VLAN);
        fixed.put(18, (tci as u16 & 0xfff).to_be_bytes());
    }
    if mask & 0xe000 == 0xe000 {
        fixed.known(wild::DL_VLAN_PCP);
        fixed.put(20, [(tci >> 13) as u8]);
    }
}

/// An address with a mask that is a prefix; others can't be said.
fn put_prefix(fixed: &mut Fixed, at: usize, shift: u32, (value, mask): (u128, u128)) {
    let mask = mask as u32;
    let wild_bits = mask.trailing_zeros();
    let is_prefix = mask == u32::MAX.checked_shl(wild_bits).unwrap_or(0);
    fixed.wildcards &= !(0x3f << shift);
    if mask == 0 || !is_prefix {
        fixed.wildcards |= 32 << shift;
    } else {
        fixed.wildcards |= wild_bits << shift;
        fixed.put(at, (value as u32).to_be_bytes());
    }
}
