//! Ports.

use aorta_flow::OfPort;

use super::EncodeError;
use super::kind::{Class, Kind, kind};
use super::read::unsupported;
use super::write::Writer;
use crate::message::{PortDesc, PortMod, PortStats, PortStatus};

pub(super) const KINDS: &[Kind] = &[
    kind(Class::Ofpt, 12, 0, 5, unsupported),
    kind(Class::Ofpt, 15, 0, 0, unsupported),
    kind(Class::Ofpt, 16, 1, 5, unsupported),
    kind(Class::Request, 4, 0, 5, unsupported),
    kind(Class::Reply, 4, 0, 5, unsupported),
    kind(Class::Request, 13, 0, 5, unsupported),
    kind(Class::Reply, 13, 0, 5, unsupported),
];

pub(super) fn encode_desc_reply(out: &mut Writer<'_>, _: &[PortDesc]) -> Result<(), EncodeError> {
    Err(out.unsupported("ports yet"))
}

pub(super) fn encode_desc_request(out: &mut Writer<'_>, _: OfPort) -> Result<(), EncodeError> {
    Err(out.unsupported("ports yet"))
}

pub(super) fn encode_mod(out: &mut Writer<'_>, _: &PortMod) -> Result<(), EncodeError> {
    Err(out.unsupported("ports yet"))
}

pub(super) fn encode_stats_reply(out: &mut Writer<'_>, _: &[PortStats]) -> Result<(), EncodeError> {
    Err(out.unsupported("ports yet"))
}

pub(super) fn encode_stats_request(out: &mut Writer<'_>, _: OfPort) -> Result<(), EncodeError> {
    Err(out.unsupported("ports yet"))
}

pub(super) fn encode_status(out: &mut Writer<'_>, _: &PortStatus) -> Result<(), EncodeError> {
    Err(out.unsupported("ports yet"))
}

/// Reads a port's description (OpenFlow 1.3.5 §7.2.1), of all versions.
pub(super) fn read_desc(
    _reader: &mut super::read::Reader<'_>,
    _version: crate::version::Version,
) -> Result<PortDesc, super::read::Refusal> {
    Err(super::read::Refusal::new(
        crate::error::ErrorCode::OFPBRC_BAD_TYPE,
        "ports can't be read yet",
    ))
}

/// Writes a port's description.
pub(super) fn write_desc(out: &mut Writer<'_>, _: &PortDesc) -> Result<(), EncodeError> {
    Err(out.unsupported("ports yet"))
}
