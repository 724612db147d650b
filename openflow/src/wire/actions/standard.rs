//! Reading the standard's actions.

use aorta_flow::action::{Action, Controller};
use aorta_flow::field::FieldId;
use aorta_flow::{OfPort, Subfield};

use super::super::Decoding;
use super::super::field::{self, read_operand, subfield, writable};
use super::super::match10::mac_value;
use super::super::read::{Reader, Refusal};
use super::number::*;
use super::{bad_argument, refused, set_field};
use crate::error::ErrorCode;
use crate::version::Version;

/// Reads an action of OpenFlow's own, behind type and length.
pub(super) fn read(
    kind: u16,
    body: &mut Reader<'_>,
    d: Decoding<'_>,
) -> Result<Option<Action>, Refusal> {
    match d.version {
        Version::OpenFlow10 => read10(kind, body).map(Some),
        _ => read11(kind, body, d),
    }
}

fn unknown() -> Refusal {
    refused(
        ErrorCode::OFPBAC_BAD_TYPE,
        "an action isn't known in this version",
    )
}

fn output(port: OfPort, max_len_bytes: u16) -> Action {
    match port {
        OfPort::CONTROLLER => Action::Controller(Box::new(Controller {
            max_len_bytes,
            ..Controller::default()
        })),
        port => Action::Output(port),
    }
}

fn set_vlan_vid(body: &mut Reader<'_>, push: bool) -> Result<Action, Refusal> {
    let vid = body.u16()?;
    body.skip(2)?;
    match vid {
        0..0x1000 => Ok(Action::SetVlanVid { vid, push }),
        _ => Err(bad_argument("a VLAN has 12 bits")),
    }
}

fn set_vlan_pcp(body: &mut Reader<'_>, push: bool) -> Result<Action, Refusal> {
    let pcp = body.u8()?;
    body.skip(3)?;
    match pcp {
        0..8 => Ok(Action::SetVlanPcp { pcp, push }),
        _ => Err(bad_argument("a VLAN's priority has 3 bits")),
    }
}

fn modify_u8(body: &mut Reader<'_>, field: FieldId, max: u8) -> Result<Action, Refusal> {
    let value = body.u8()?;
    body.skip(3)?;
    match value <= max {
        true => Ok(modify(field, value)),
        false => Err(bad_argument("a value is too large for its field")),
    }
}

fn modify(field: FieldId, value: impl Into<u128>) -> Action {
    let value = value.into();
    Action::Modify { field, value }
}

fn modify_mac(body: &mut Reader<'_>, field: FieldId) -> Result<Action, Refusal> {
    let address = body.mac()?;
    body.skip(6)?;
    Ok(modify(field, mac_value(address)))
}

fn modify_tos(body: &mut Reader<'_>) -> Result<Action, Refusal> {
    let tos = body.u8()?;
    body.skip(3)?;
    match tos & 3 {
        0 => Ok(modify(FieldId::NW_TOS, tos)),
        _ => Err(bad_argument("a type of service has bits of ECN")),
    }
}

fn modify_port(body: &mut Reader<'_>, field: FieldId) -> Result<Action, Refusal> {
    let port = body.u16()?;
    body.skip(2)?;
    Ok(modify(field, port))
}

fn read10(kind: u16, body: &mut Reader<'_>) -> Result<Action, Refusal> {
    Ok(match kind {
        OUTPUT => output(OfPort(body.u16()?), body.u16()?),
        SET_VLAN_VID => set_vlan_vid(body, true)?,
        SET_VLAN_PCP => set_vlan_pcp(body, true)?,
        STRIP_VLAN_10 => {
            body.skip(4)?;
            Action::StripVlan
        }
        SET_DL_SRC_10 => modify_mac(body, FieldId::ETH_SRC)?,
        SET_DL_DST_10 => modify_mac(body, FieldId::ETH_DST)?,
        SET_NW_SRC_10 => modify(FieldId::IP_SRC, body.u32()?),
        SET_NW_DST_10 => modify(FieldId::IP_DST, body.u32()?),
        SET_NW_TOS_10 => modify_tos(body)?,
        SET_TP_SRC => modify_port(body, FieldId::TCP_SRC)?,
        SET_TP_DST => modify_port(body, FieldId::TCP_DST)?,
        ENQUEUE_10 => {
            let port = OfPort(body.u16()?);
            body.skip(6)?;
            let queue = body.u32()?;
            Action::Enqueue { port, queue }
        }
        _ => return Err(unknown()),
    })
}

fn read11(kind: u16, body: &mut Reader<'_>, d: Decoding<'_>) -> Result<Option<Action>, Refusal> {
    Ok(Some(match kind {
        OUTPUT => {
            let (port, max_len) = (body.port32()?, body.u16()?);
            body.skip(6)?;
            output(port, max_len)
        }
        SET_VLAN_VID => set_vlan_vid(body, false)?,
        SET_VLAN_PCP => set_vlan_pcp(body, false)?,
        SET_DL_SRC => modify_mac(body, FieldId::ETH_SRC)?,
        SET_DL_DST => modify_mac(body, FieldId::ETH_DST)?,
        SET_NW_SRC => modify(FieldId::IP_SRC, body.u32()?),
        SET_NW_DST => modify(FieldId::IP_DST, body.u32()?),
        SET_NW_TOS => modify_tos(body)?,
        SET_NW_ECN => modify_u8(body, FieldId::NW_ECN, 3)?,
        SET_TP_SRC => modify_port(body, FieldId::TCP_SRC)?,
        SET_TP_DST => modify_port(body, FieldId::TCP_DST)?,
        SET_MPLS_LABEL => mpls_label(body.u32()?)?,
        SET_MPLS_TC => modify_u8(body, FieldId::MPLS_TC, 7)?,
        SET_MPLS_TTL => modify_u8(body, FieldId::MPLS_TTL, u8::MAX)?,
        DEC_MPLS_TTL => padded(body, 4, Action::DecMplsTtl)?,
        PUSH_VLAN => push_vlan(body)?,
        POP_VLAN => padded(body, 4, Action::PopVlan)?,
        PUSH_MPLS => {
            let action = push_mpls(body)?;
            padded(body, 2, action)?
        }
        POP_MPLS => {
            let ethertype = body.u16()?;
            padded(body, 2, Action::PopMpls(ethertype))?
        }
        SET_QUEUE => Action::SetQueue(body.u32()?),
        GROUP => Action::Group(body.u32()?),
        SET_NW_TTL => modify_u8(body, FieldId::NW_TTL, u8::MAX)?,
        DEC_NW_TTL => padded(body, 4, Action::DecTtl(None))?,
        SET_FIELD if d.version >= Version::OpenFlow12 => return set_field::read(body, d),
        COPY_FIELD if d.version >= Version::OpenFlow15 => copy_field(body)?,
        METER if d.version >= Version::OpenFlow15 => Action::Meter(body.u32()?),
        _ => return Err(unknown()),
    }))
}

fn padded(body: &mut Reader<'_>, len: usize, action: Action) -> Result<Action, Refusal> {
    body.skip(len)?;
    Ok(action)
}

pub(super) fn mpls_label(label: u32) -> Result<Action, Refusal> {
    match label {
        0..0x10_0000 => Ok(modify(FieldId::MPLS_LABEL, label)),
        _ => Err(bad_argument("an MPLS label has 20 bits")),
    }
}

fn push_vlan(body: &mut Reader<'_>) -> Result<Action, Refusal> {
    let ethertype = body.u16()?;
    body.skip(2)?;
    match ethertype {
        0x8100 | 0x88a8 => Ok(Action::PushVlan(ethertype)),
        _ => Err(bad_argument("a VLAN tag has EtherType 0x8100 or 0x88a8")),
    }
}

pub(super) fn push_mpls(body: &mut Reader<'_>) -> Result<Action, Refusal> {
    match body.u16()? {
        ethertype @ (0x8847 | 0x8848) => Ok(Action::PushMpls(ethertype)),
        _ => Err(bad_argument("MPLS has EtherType 0x8847 or 0x8848")),
    }
}

/// Bits, first bit of both, padding, codes of both (OpenFlow 1.5.1 §7.2.6.7).
fn copy_field(body: &mut Reader<'_>) -> Result<Action, Refusal> {
    let (bits, from, to) = (body.u16()?, body.u16()?, body.u16()?);
    body.skip(2)?;
    copy(body, bits, from, to)
}

/// A copy of bits, whose fields' codes come next, and then nothing but padding.
pub(super) fn copy(
    body: &mut Reader<'_>,
    bits: u16,
    from_start: u16,
    to_start: u16,
) -> Result<Action, Refusal> {
    let (from, to): (FieldId, FieldId) = (read_operand(body)?, read_operand(body)?);
    let from: Subfield = subfield(from, from_start, bits)?;
    let to = writable(field::subfield(to, to_start, bits)?)?;
    padding(body)?;
    Ok(Action::Move { from, to })
}

/// What is left is padding up to a multiple of 8.
pub(super) fn padding(body: &mut Reader<'_>) -> Result<(), Refusal> {
    let len = body.len();
    match len {
        0..8 => body.zeros(len, ErrorCode::NXBAC_MUST_BE_ZERO),
        _ => Err(refused(
            ErrorCode::OFPBAC_BAD_LEN,
            "an action is longer than it should be",
        )),
    }
}

/// The Open Networking Foundation's action for OpenFlow 1.3: a copy of bits.
pub(super) fn read_onf(body: &mut Reader<'_>, d: Decoding<'_>) -> Result<Option<Action>, Refusal> {
    match body.u16()? {
        ONF_COPY_FIELD if d.version == Version::OpenFlow13 => {
            body.skip(2)?;
            let (bits, from, to) = (body.u16()?, body.u16()?, body.u16()?);
            body.skip(2)?;
            copy(body, bits, from, to).map(Some)
        }
        _ => Err(refused(
            ErrorCode::OFPBAC_BAD_VENDOR_TYPE,
            "an experimenter's action isn't known",
        )),
    }
}
