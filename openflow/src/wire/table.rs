//! Tables.

use super::EncodeError;
use super::kind::{Class, Kind, kind};
use super::read::unsupported;
use super::write::Writer;
use crate::message::{TableDesc, TableMod, TableStats, TableStatus};

pub(super) const KINDS: &[Kind] = &[
    kind(Class::Ofpt, 17, 1, 5, unsupported),
    kind(Class::Ofpt, 31, 4, 5, unsupported),
    kind(Class::Request, 3, 0, 5, unsupported),
    kind(Class::Reply, 3, 0, 5, unsupported),
    kind(Class::Request, 14, 4, 5, unsupported),
    kind(Class::Reply, 14, 4, 5, unsupported),
];

pub(super) fn encode_desc_reply(out: &mut Writer<'_>, _: &[TableDesc]) -> Result<(), EncodeError> {
    Err(out.unsupported("tables yet"))
}

pub(super) fn encode_desc_request(out: &mut Writer<'_>) -> Result<(), EncodeError> {
    Err(out.unsupported("tables yet"))
}

pub(super) fn encode_mod(out: &mut Writer<'_>, _: &TableMod) -> Result<(), EncodeError> {
    Err(out.unsupported("tables yet"))
}

pub(super) fn encode_stats_reply(
    out: &mut Writer<'_>,
    _: &[TableStats],
) -> Result<(), EncodeError> {
    Err(out.unsupported("tables yet"))
}

pub(super) fn encode_stats_request(out: &mut Writer<'_>) -> Result<(), EncodeError> {
    Err(out.unsupported("tables yet"))
}

pub(super) fn encode_status(out: &mut Writer<'_>, _: &TableStatus) -> Result<(), EncodeError> {
    Err(out.unsupported("tables yet"))
}
