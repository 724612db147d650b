//! Groups.

use super::EncodeError;
use super::kind::{Class, Kind, kind};
use super::read::unsupported;
use super::write::Writer;
use crate::message::{GroupFeatures, GroupStats};
use aorta_flow::Group;
use aorta_flow::table::GroupMod;

pub(super) const KINDS: &[Kind] = &[
    kind(Class::Nxt, 31, 0, 0, unsupported),
    kind(Class::Ofpt, 15, 1, 5, unsupported),
    kind(Class::NxRequest, 7, 0, 0, unsupported),
    kind(Class::NxReply, 7, 0, 0, unsupported),
    kind(Class::Request, 6, 1, 5, unsupported),
    kind(Class::Reply, 6, 1, 5, unsupported),
    kind(Class::NxRequest, 8, 0, 0, unsupported),
    kind(Class::NxReply, 8, 0, 0, unsupported),
    kind(Class::Request, 7, 1, 5, unsupported),
    kind(Class::Reply, 7, 1, 5, unsupported),
    kind(Class::NxRequest, 9, 0, 1, unsupported),
    kind(Class::NxReply, 9, 0, 1, unsupported),
    kind(Class::Request, 8, 2, 5, unsupported),
    kind(Class::Reply, 8, 2, 5, unsupported),
];

pub(super) fn encode_desc_reply(out: &mut Writer<'_>, _: &[Group]) -> Result<(), EncodeError> {
    Err(out.unsupported("groups yet"))
}

pub(super) fn encode_desc_request(out: &mut Writer<'_>, _: Option<u32>) -> Result<(), EncodeError> {
    Err(out.unsupported("groups yet"))
}

pub(super) fn encode_features_reply(
    out: &mut Writer<'_>,
    _: &GroupFeatures,
) -> Result<(), EncodeError> {
    Err(out.unsupported("groups yet"))
}

pub(super) fn encode_features_request(out: &mut Writer<'_>) -> Result<(), EncodeError> {
    Err(out.unsupported("groups yet"))
}

pub(super) fn encode_mod(out: &mut Writer<'_>, _: &GroupMod) -> Result<(), EncodeError> {
    Err(out.unsupported("groups yet"))
}

pub(super) fn encode_stats_reply(
    out: &mut Writer<'_>,
    _: &[GroupStats],
) -> Result<(), EncodeError> {
    Err(out.unsupported("groups yet"))
}

pub(super) fn encode_stats_request(
    out: &mut Writer<'_>,
    _: Option<u32>,
) -> Result<(), EncodeError> {
    Err(out.unsupported("groups yet"))
}
