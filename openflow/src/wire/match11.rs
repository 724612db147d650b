//! The fixed match of OpenFlow 1.1 (OpenFlow 1.1 §A.2.3). Masks are of bits that may be anything.

use aorta_flow::Match;
use aorta_flow::field::{EtherType, FieldId};

use super::match10::{bad_value, mac_of, mac_value};
use super::read::{Reader, Refusal};
use super::write::Writer;
use crate::error::ErrorCode;

/// Bytes that it has, type and length included.
pub(super) const LEN: usize = 88;

/// Bits that say that a field may be anything.
mod wild {
    pub const IN_PORT: u32 = 1;
    pub const DL_VLAN: u32 = 1 << 1;
    pub const DL_VLAN_PCP: u32 = 1 << 2;
    pub const DL_TYPE: u32 = 1 << 3;
    pub const NW_TOS: u32 = 1 << 4;
    pub const NW_PROTO: u32 = 1 << 5;
    pub const TP_SRC: u32 = 1 << 6;
    pub const TP_DST: u32 = 1 << 7;
    pub const MPLS_LABEL: u32 = 1 << 8;
    pub const MPLS_TC: u32 = 1 << 9;
    pub const ALL: u32 = (1 << 10) - 1;
}

/// Any tag, and no tag.
const ANY_VLAN: u16 = 0xfffe;
const NO_VLAN: u16 = 0xffff;

const MAC_MASK: u128 = 0xffff_ffff_ffff;

fn refused(what: &'static str) -> Refusal {
    Refusal::new(ErrorCode::OFPBMC_BAD_VALUE, what)
}

/// Reads it, behind its type and length.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<Match, Refusal> {
    let mut matching = Match::any();
    let in_port = reader.u32()?;
    let wildcards = reader.u32()?;
    if wildcards & wild::IN_PORT == 0 {
        let port = aorta_flow::OfPort::from_u32(in_port).ok_or(refused("ports have 16 bits"))?;
        matching
            .set(FieldId::IN_PORT, port.0.into())
            .map_err(bad_value)?;
    }
    for id in [FieldId::ETH_SRC, FieldId::ETH_DST] {
        let (value, mask) = (mac_value(reader.mac()?), mac_value(reader.mac()?));
        let mask = !mask & MAC_MASK;
        matching
            .set_masked(id, value & mask, mask)
            .map_err(bad_value)?;
    }
    read_vlan(&mut matching, wildcards, reader.u16()?, reader.u8()?)?;
    reader.skip(1)?;
    read_network(&mut matching, wildcards, reader)?;
    let (tp_src, tp_dst) = (reader.u16()?, reader.u16()?);
    let (label, tc) = (reader.u32()?, reader.u8()?);
    reader.skip(3)?;
    let mpls = matches!(
        matching.exact(FieldId::ETH_TYPE).map(|t| t as u16),
        Some(EtherType::MPLS | EtherType::MPLS_MULTICAST)
    );
    let mut set = |bit: u32, id: FieldId, value: u128| match wildcards & bit {
        0 => matching.set(id, value).map_err(bad_value),
        _ => Ok(()),
    };
    set(wild::TP_SRC, FieldId::TCP_SRC, tp_src.into())?;
    set(wild::TP_DST, FieldId::TCP_DST, tp_dst.into())?;
    if mpls {
        set(wild::MPLS_LABEL, FieldId::MPLS_LABEL, label.into())?;
        set(wild::MPLS_TC, FieldId::MPLS_TC, tc.into())?;
    }
    let (metadata, mask) = (reader.u64()?, !reader.u64()?);
    matching
        .set_masked(FieldId::METADATA, (metadata & mask).into(), mask.into())
        .map_err(bad_value)?;
    matching.normalise();
    Ok(matching)
}

fn read_vlan(matching: &mut Match, wildcards: u32, vlan: u16, pcp: u8) -> Result<(), Refusal> {
    if wildcards & wild::DL_VLAN != 0 {
        return Ok(());
    }
    const PRESENT: u128 = 0x1000;
    let done = match vlan {
        NO_VLAN => {
            return matching
                .set(FieldId::DL_VLAN, NO_VLAN.into())
                .map_err(bad_value);
        }
        ANY_VLAN => matching.set_masked(FieldId::VLAN_TCI, PRESENT, PRESENT),
        0..0x1000 => matching.set(FieldId::DL_VLAN, vlan.into()),
        _ => return Err(refused("a VLAN has 12 bits")),
    };
    done.map_err(bad_value)?;
    match wildcards & wild::DL_VLAN_PCP {
        0 => matching
            .set(FieldId::DL_VLAN_PCP, pcp.into())
            .map_err(bad_value),
        _ => Ok(()),
    }
}

fn read_network(
    matching: &mut Match,
    wildcards: u32,
    reader: &mut Reader<'_>,
) -> Result<(), Refusal> {
    let (ethertype, tos, proto) = (reader.u16()?, reader.u8()?, reader.u8()?);
    let mut set = |bit: u32, id: FieldId, value: u128| match wildcards & bit {
        0 => matching.set(id, value).map_err(bad_value),
        _ => Ok(()),
    };
    set(wild::DL_TYPE, FieldId::ETH_TYPE, ethertype.into())?;
    if wildcards & wild::NW_TOS == 0 && tos & 3 != 0 {
        return Err(refused("a type of service has bits of ECN"));
    }
    set(wild::NW_TOS, FieldId::NW_TOS, tos.into())?;
    set(wild::NW_PROTO, FieldId::NW_PROTO, proto.into())?;
    for id in [FieldId::IP_SRC, FieldId::IP_DST] {
        let (value, mask) = (reader.u32()?, !reader.u32()?);
        matching
            .set_masked(id, (value & mask).into(), mask.into())
            .map_err(bad_value)?;
    }
    Ok(())
}

/// Whether it says all that a match says.
pub(super) fn can_say(matching: &Match) -> bool {
    let bytes = bytes(matching);
    let mut reader = Reader::new(&bytes[4..], ErrorCode::OFPBMC_BAD_LEN);
    read(&mut reader).is_ok_and(|read| read == *matching)
}

/// Writes what it can say of a match.
pub(super) fn write(out: &mut Writer<'_>, matching: &Match) {
    out.all(&bytes(matching));
}

fn bytes(matching: &Match) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    let mut wildcards = wild::ALL;
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    let mut exact = |id: FieldId, bit: u32| {
        let value = matching.exact(id)?;
        wildcards &= !bit;
        Some(value)
    };
    put(2, &(LEN as u16).to_be_bytes());
    if let Some(port) = exact(FieldId::IN_PORT, wild::IN_PORT) {
        put(4, &aorta_flow::OfPort(port as u16).to_u32().to_be_bytes());
    }
    if let Some(ethertype) = exact(FieldId::ETH_TYPE, wild::DL_TYPE) {
        put(40, &(ethertype as u16).to_be_bytes());
    }
    if let Some(dscp) = exact(FieldId::IP_DSCP, wild::NW_TOS) {
        put(42, &[(dscp << 2) as u8]);
    }
    if let Some(proto) = exact(FieldId::NW_PROTO, wild::NW_PROTO) {
        put(43, &[proto as u8]);
    }
    let icmp = |id: FieldId| matching.get(id).1 == FieldId::ICMP_TYPE.field().full_mask();
    for (at, id, narrow, bit) in [
        (60, FieldId::TCP_SRC, FieldId::ICMP_TYPE, wild::TP_SRC),
        (62, FieldId::TCP_DST, FieldId::ICMP_CODE, wild::TP_DST),
    ] {
        let name = if icmp(id) { narrow } else { id };
        if let Some(port) = exact(name, bit) {
            put(at, &(port as u16).to_be_bytes());
        }
    }
    if let Some(label) = exact(FieldId::MPLS_LABEL, wild::MPLS_LABEL) {
        put(64, &(label as u32).to_be_bytes());
    }
    if let Some(tc) = exact(FieldId::MPLS_TC, wild::MPLS_TC) {
        put(68, &[tc as u8]);
    }
    for (at, id) in [(12, FieldId::ETH_SRC), (24, FieldId::ETH_DST)] {
        let (value, mask) = matching.get(id);
        put(at, &mac_of(value).0);
        put(at + 6, &mac_of(!mask & MAC_MASK).0);
    }
    for (at, id) in [(44, FieldId::IP_SRC), (52, FieldId::IP_DST)] {
        let (value, mask) = matching.get(id);
        put(at, &(value as u32).to_be_bytes());
        put(at + 4, &(!mask as u32).to_be_bytes());
    }
    let (metadata, mask) = matching.get(FieldId::METADATA);
    put(72, &(metadata as u64).to_be_bytes());
    put(80, &(!mask as u64).to_be_bytes());
    let (vlan, pcp) = vlan(matching);
    if let Some(vlan) = vlan {
        put(36, &vlan.to_be_bytes());
        wildcards &= !wild::DL_VLAN;
    }
    if let Some(pcp) = pcp {
        put(38, &[pcp]);
        wildcards &= !wild::DL_VLAN_PCP;
    }
    bytes[8..12].copy_from_slice(&wildcards.to_be_bytes());
    bytes
}

/// VLAN and priority, as far as a match says something of them.
fn vlan(matching: &Match) -> (Option<u16>, Option<u8>) {
    const PRESENT: u128 = 0x1000;
    let (tci, mask) = matching.get(FieldId::VLAN_TCI);
    if mask & PRESENT == 0 {
        return (None, None);
    }
    if tci & PRESENT == 0 {
        return (Some(NO_VLAN), None);
    }
    let vlan = match mask & 0xfff {
        0xfff => (tci & 0xfff) as u16,
        _ => ANY_VLAN,
    };
    let pcp = (mask & 0xe000 == 0xe000).then_some((tci >> 13) as u8);
    (Some(vlan), pcp)
}
