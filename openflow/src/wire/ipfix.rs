//! Counters of IPFIX.

use super::EncodeError;
use super::kind::{Class, Kind, kind};
use super::read::unsupported;
use super::write::Writer;
use crate::message::IpfixStats;

pub(super) const KINDS: &[Kind] = &[
    kind(Class::NxRequest, 3, 0, 5, unsupported),
    kind(Class::NxReply, 3, 0, 5, unsupported),
    kind(Class::NxRequest, 4, 0, 5, unsupported),
    kind(Class::NxReply, 4, 0, 5, unsupported),
];

pub(super) fn encode_bridge_reply(out: &mut Writer<'_>, _: &IpfixStats) -> Result<(), EncodeError> {
    Err(out.unsupported("IPFIX yet"))
}

pub(super) fn encode_bridge_request(out: &mut Writer<'_>) -> Result<(), EncodeError> {
    Err(out.unsupported("IPFIX yet"))
}

pub(super) fn encode_flow_reply(out: &mut Writer<'_>, _: &[IpfixStats]) -> Result<(), EncodeError> {
    Err(out.unsupported("IPFIX yet"))
}

pub(super) fn encode_flow_request(out: &mut Writer<'_>) -> Result<(), EncodeError> {
    Err(out.unsupported("IPFIX yet"))
}
