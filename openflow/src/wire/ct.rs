//! Connections to forget (NXT_CT_FLUSH_ZONE, NXT_CT_FLUSH).

use std::net::{IpAddr, Ipv6Addr};

use super::EncodeError;
use super::actions::property;
use super::kind::{Class, Kind, kind};
use super::read::{Reader, Refusal, element};
use super::write::Writer;
use crate::error::ErrorCode;
use crate::message::{CtEndpoint, CtFlush, Message};

const FLUSH_ZONE: u32 = 29;
const FLUSH: u32 = 32;

pub(super) const KINDS: &[Kind] = &[
    kind(Class::Nxt, FLUSH_ZONE, 0, 5, |r, _| {
        r.zeros(6, ErrorCode::NXBRC_MUST_BE_ZERO)?;
        Ok(Message::CtFlushZone(r.u16()?))
    }),
    kind(Class::Nxt, FLUSH, 0, 5, |r, _| read_flush(r)),
];

/// Types of the properties.
mod property_type {
    pub const ORIGINAL: u16 = 0;
    pub const REPLY: u16 = 1;
    pub const ZONE: u16 = 2;
    pub const MARK: u16 = 3;
    pub const MARK_MASK: u16 = 4;
    pub const LABEL: u16 = 5;
    pub const LABEL_MASK: u16 = 6;
}

/// Types of the properties of a direction.
mod endpoint_type {
    pub const SRC: u16 = 0;
    pub const DST: u16 = 1;
    pub const SRC_PORT: u16 = 2;
    pub const DST_PORT: u16 = 3;
    pub const ICMP_ID: u16 = 4;
    pub const ICMP_TYPE: u16 = 5;
    pub const ICMP_CODE: u16 = 6;
}

fn unknown() -> Refusal {
    Refusal::new(
        ErrorCode::OFPBPC_BAD_TYPE,
        "a property of connections isn't known",
    )
}

/// Numbers of 16 bits have as many of padding behind them.
fn padded_u16(body: &mut Reader<'_>) -> Result<u16, Refusal> {
    let value = body.u16()?;
    body.skip(2)?;
    Ok(value)
}

/// Protocol, padding, properties.
fn read_flush(reader: &mut Reader<'_>) -> Result<Message, Refusal> {
    let mut flush = CtFlush {
        ip_proto: reader.u8()?,
        ..CtFlush::default()
    };
    reader.zeros(7, ErrorCode::NXBRC_MUST_BE_ZERO)?;
    let (mut mark, mut mark_mask) = (None, u32::MAX);
    let (mut label, mut label_mask) = (None, u128::MAX);
    while !reader.is_empty() {
        let mut property = element(reader, ErrorCode::OFPBPC_BAD_LEN)?;
        let body = &mut property.body;
        match property.kind {
            property_type::ORIGINAL => flush.original = read_endpoint(body)?,
            property_type::REPLY => flush.reply = read_endpoint(body)?,
            property_type::ZONE => flush.zone = Some(padded_u16(body)?),
            property_type::MARK => mark = Some(body.u32()?),
            property_type::MARK_MASK => mark_mask = body.u32()?,
            property_type::LABEL => label = Some(body.u128()?),
            property_type::LABEL_MASK => label_mask = body.u128()?,
            _ => return Err(unknown()),
        }
        body.end()?;
    }
    flush.mark = mark.map(|mark| (mark, mark_mask));
    flush.label = label.map(|label| (label, label_mask));
    Ok(Message::CtFlush(flush))
}

/// Addresses of IPv4 are mapped into those of IPv6.
fn address(body: &mut Reader<'_>) -> Result<IpAddr, Refusal> {
    Ok(IpAddr::V6(Ipv6Addr::from_bits(body.u128()?)).to_canonical())
}

/// Padding, properties.
fn read_endpoint(body: &mut Reader<'_>) -> Result<CtEndpoint, Refusal> {
    let mut endpoint = CtEndpoint::default();
    body.skip(4)?;
    while !body.is_empty() {
        let mut property = element(body, ErrorCode::OFPBPC_BAD_LEN)?;
        let value = &mut property.body;
        match property.kind {
            endpoint_type::SRC => endpoint.src = Some(address(value)?),
            endpoint_type::DST => endpoint.dst = Some(address(value)?),
            endpoint_type::SRC_PORT => endpoint.src_port = Some(padded_u16(value)?),
            endpoint_type::DST_PORT => endpoint.dst_port = Some(padded_u16(value)?),
            endpoint_type::ICMP_ID => endpoint.icmp_id = Some(padded_u16(value)?),
            endpoint_type::ICMP_TYPE => endpoint.icmp_type = Some(value.u8()?),
            endpoint_type::ICMP_CODE => endpoint.icmp_code = Some(value.u8()?),
            _ => return Err(unknown()),
        }
        value.end()?;
    }
    Ok(endpoint)
}

pub(super) fn encode_zone(out: &mut Writer<'_>, zone: u16) -> Result<(), EncodeError> {
    out.begin(Class::Nxt, FLUSH_ZONE);
    out.zeros(6);
    out.u16(zone);
    Ok(())
}

fn property_u16(out: &mut Writer<'_>, kind: u16, value: u16) -> Result<(), EncodeError> {
    let [high, low] = value.to_be_bytes();
    property(out, kind, &[high, low, 0, 0])
}

pub(super) fn encode_flush(out: &mut Writer<'_>, flush: &CtFlush) -> Result<(), EncodeError> {
    out.begin(Class::Nxt, FLUSH);
    out.u8(flush.ip_proto);
    out.zeros(7);
    write_endpoint(out, property_type::ORIGINAL, &flush.original)?;
    write_endpoint(out, property_type::REPLY, &flush.reply)?;
    if let Some(zone) = flush.zone {
        property_u16(out, property_type::ZONE, zone)?;
    }
    if let Some((mark, mask)) = flush.mark {
        property(out, property_type::MARK, &mark.to_be_bytes())?;
        if mask != u32::MAX {
            property(out, property_type::MARK_MASK, &mask.to_be_bytes())?;
        }
    }
    if let Some((label, mask)) = flush.label {
        property(out, property_type::LABEL, &label.to_be_bytes())?;
        if mask != u128::MAX {
            property(out, property_type::LABEL_MASK, &mask.to_be_bytes())?;
        }
    }
    Ok(())
}

/// A direction that says nothing isn't written.
fn write_endpoint(
    out: &mut Writer<'_>,
    kind: u16,
    endpoint: &CtEndpoint,
) -> Result<(), EncodeError> {
    if *endpoint == CtEndpoint::default() {
        return Ok(());
    }
    let start = out.place();
    out.u16(kind);
    out.u16(0);
    out.zeros(4);
    for (kind, address) in [
        (endpoint_type::SRC, endpoint.src),
        (endpoint_type::DST, endpoint.dst),
    ] {
        let mapped = match address {
            Some(IpAddr::V4(address)) => address.to_ipv6_mapped(),
            Some(IpAddr::V6(address)) => address,
            None => continue,
        };
        property(out, kind, &mapped.octets())?;
    }
    for (kind, number) in [
        (endpoint_type::SRC_PORT, endpoint.src_port),
        (endpoint_type::DST_PORT, endpoint.dst_port),
        (endpoint_type::ICMP_ID, endpoint.icmp_id),
    ] {
        if let Some(number) = number {
            property_u16(out, kind, number)?;
        }
    }
    for (kind, number) in [
        (endpoint_type::ICMP_TYPE, endpoint.icmp_type),
        (endpoint_type::ICMP_CODE, endpoint.icmp_code),
    ] {
        if let Some(number) = number {
            property(out, kind, &[number])?;
        }
    }
    out.length_at(start + 2, start)?;
    out.pad_to_8(start);
    Ok(())
}
