//! Tables' features.

use super::EncodeError;
use super::kind::{Class, Kind, kind};
use super::read::unsupported;
use super::write::Writer;
use crate::message::{TableFeatures, TableFeaturesRequest};

pub(super) const KINDS: &[Kind] = &[
    kind(Class::Request, 12, 3, 5, unsupported),
    kind(Class::Reply, 12, 3, 5, unsupported),
];

pub(super) fn encode_reply(out: &mut Writer<'_>, _: &[TableFeatures]) -> Result<(), EncodeError> {
    Err(out.unsupported("table features yet"))
}

pub(super) fn encode_request(
    out: &mut Writer<'_>,
    _: &TableFeaturesRequest,
) -> Result<(), EncodeError> {
    Err(out.unsupported("table features yet"))
}
