//! Changes of header fields by the older names, which each version writes in its own way.

use aorta_flow::Subfield;
use aorta_flow::field::{FieldId, IpProto};

use super::super::EncodeError;
use super::super::match10::mac_of;
use super::super::write::Writer;
use super::number::{self, nx};
use super::set_field;
use super::write::{Around, is_10, plain, plain_nx, since11};
use crate::version::Version;

fn has_set_field(out: &Writer<'_>) -> bool {
    out.version >= Version::OpenFlow12
}

pub(super) fn push_vlan(out: &mut Writer<'_>, ethertype: u16) -> Result<(), EncodeError> {
    plain(out, number::PUSH_VLAN, |out| out.u16(ethertype))
}

pub(super) fn pop_vlan(out: &mut Writer<'_>) -> Result<(), EncodeError> {
    let kind = if is_10(out) {
        number::STRIP_VLAN_10
    } else {
        number::POP_VLAN
    };
    plain(out, kind, |_| {})
}

pub(super) fn set_vlan_vid(out: &mut Writer<'_>, vid: u16) -> Result<(), EncodeError> {
    match has_set_field(out) {
        true => set_whole(out, FieldId::VLAN_VID, u128::from(vid) | 0x1000),
        false => plain(out, number::SET_VLAN_VID, |out| out.u16(vid)),
    }
}

pub(super) fn set_vlan_pcp(out: &mut Writer<'_>, pcp: u8) -> Result<(), EncodeError> {
    match has_set_field(out) {
        true => set_whole(out, FieldId::VLAN_PCP, pcp.into()),
        false => plain(out, number::SET_VLAN_PCP, |out| out.u8(pcp)),
    }
}

fn set_whole(out: &mut Writer<'_>, field: FieldId, value: u128) -> Result<(), EncodeError> {
    set_field::write_standard(out, field, value, field.field().wire_mask())
}

/// Writes a change of a header field by one of the older names.
pub(super) fn modify(
    out: &mut Writer<'_>,
    field: FieldId,
    value: u128,
    around: Around,
) -> Result<(), EncodeError> {
    let old = is_10(out);
    let by_version = |first: u16, second: u16| if old { first } else { second };
    let late = has_set_field(out);
    match field {
        FieldId::NW_TTL if !old => plain(out, number::SET_NW_TTL, |out| out.u8(value as u8)),
        FieldId::NW_TTL => load_whole(out, field, value),
        FieldId::MPLS_TTL => since11(out, (nx::SET_MPLS_TTL, 0), number::SET_MPLS_TTL, |o| {
            o.u8(value as u8)
        }),
        FieldId::TCP_SRC | FieldId::TCP_DST => set_port(out, field, value, around),
        FieldId::NW_TOS if late => set_whole(out, FieldId::IP_DSCP, value >> 2),
        _ if late => set_whole(out, field, value),
        FieldId::ETH_SRC | FieldId::ETH_DST => {
            let kind = match field {
                FieldId::ETH_SRC => by_version(number::SET_DL_SRC_10, number::SET_DL_SRC),
                _ => by_version(number::SET_DL_DST_10, number::SET_DL_DST),
            };
            plain(out, kind, |out| out.mac(mac_of(value)))
        }
        FieldId::IP_SRC | FieldId::IP_DST => {
            let kind = match field {
                FieldId::IP_SRC => by_version(number::SET_NW_SRC_10, number::SET_NW_SRC),
                _ => by_version(number::SET_NW_DST_10, number::SET_NW_DST),
            };
            plain(out, kind, |out| out.u32(value as u32))
        }
        FieldId::NW_TOS => {
            let kind = by_version(number::SET_NW_TOS_10, number::SET_NW_TOS);
            plain(out, kind, |out| out.u8(value as u8))
        }
        FieldId::NW_ECN if old => load_whole(out, field, value),
        FieldId::NW_ECN => plain(out, number::SET_NW_ECN, |out| out.u8(value as u8)),
        FieldId::MPLS_LABEL => since11(out, (nx::SET_MPLS_LABEL, 2), number::SET_MPLS_LABEL, |o| {
            o.u32(value as u32);
        }),
        FieldId::MPLS_TC => since11(out, (nx::SET_MPLS_TC, 0), number::SET_MPLS_TC, |o| {
            o.u8(value as u8)
        }),
        _ => load_whole(out, field, value),
    }
}

fn load_whole(out: &mut Writer<'_>, field: FieldId, value: u128) -> Result<(), EncodeError> {
    set_field::write_load(out, Subfield::whole(field), value as u64)
}

/// A port, of whichever protocol the packets have.
fn set_port(
    out: &mut Writer<'_>,
    field: FieldId,
    value: u128,
    around: Around,
) -> Result<(), EncodeError> {
    let source = field == FieldId::TCP_SRC;
    let pick = |src: FieldId, dst: FieldId| Some(if source { src } else { dst });
    let named = match around.proto {
        Some(IpProto::TCP) => pick(FieldId::TCP_SRC, FieldId::TCP_DST),
        Some(IpProto::UDP) => pick(FieldId::UDP_SRC, FieldId::UDP_DST),
        Some(IpProto::SCTP) => pick(FieldId::SCTP_SRC, FieldId::SCTP_DST),
        _ => None,
    };
    match named {
        Some(named) if has_set_field(out) => set_whole(out, named, value),
        _ => {
            let kind = if source {
                number::SET_TP_SRC
            } else {
                number::SET_TP_DST
            };
            plain(out, kind, |out| out.u16(value as u16))
        }
    }
}

pub(super) fn set_tunnel(out: &mut Writer<'_>, id: u64, wide: bool) -> Result<(), EncodeError> {
    match u32::try_from(id) {
        _ if has_set_field(out) => set_whole(out, FieldId::TUN_ID, id.into()),
        Ok(id) if !wide => plain_nx(out, nx::SET_TUNNEL, |out| {
            out.zeros(2);
            out.u32(id);
        }),
        _ => plain_nx(out, nx::SET_TUNNEL64, |out| {
            out.zeros(6);
            out.u64(id);
        }),
    }
}
