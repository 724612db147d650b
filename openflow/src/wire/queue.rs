//! Queues.

use aorta_flow::OfPort;

use super::EncodeError;
use super::kind::{Class, Kind, kind};
use super::read::unsupported;
use super::write::Writer;
use crate::message::{QueueDesc, QueueFilter, QueueStats};

pub(super) const KINDS: &[Kind] = &[
    kind(Class::Ofpt, 20, 0, 0, unsupported),
    kind(Class::Ofpt, 22, 1, 3, unsupported),
    kind(Class::Ofpt, 21, 0, 0, unsupported),
    kind(Class::Ofpt, 23, 1, 3, unsupported),
    kind(Class::Request, 5, 0, 5, unsupported),
    kind(Class::Reply, 5, 0, 5, unsupported),
    kind(Class::Request, 15, 4, 5, unsupported),
    kind(Class::Reply, 15, 4, 5, unsupported),
];

pub(super) fn encode_config_reply(
    out: &mut Writer<'_>,
    _: OfPort,
    _: &[QueueDesc],
) -> Result<(), EncodeError> {
    Err(out.unsupported("queues yet"))
}

pub(super) fn encode_config_request(out: &mut Writer<'_>, _: OfPort) -> Result<(), EncodeError> {
    Err(out.unsupported("queues yet"))
}

pub(super) fn encode_desc_reply(out: &mut Writer<'_>, _: &[QueueDesc]) -> Result<(), EncodeError> {
    Err(out.unsupported("queues yet"))
}

pub(super) fn encode_desc_request(
    out: &mut Writer<'_>,
    _: &QueueFilter,
) -> Result<(), EncodeError> {
    Err(out.unsupported("queues yet"))
}

pub(super) fn encode_stats_reply(
    out: &mut Writer<'_>,
    _: &[QueueStats],
) -> Result<(), EncodeError> {
    Err(out.unsupported("queues yet"))
}

pub(super) fn encode_stats_request(
    out: &mut Writer<'_>,
    _: &QueueFilter,
) -> Result<(), EncodeError> {
    Err(out.unsupported("queues yet"))
}
