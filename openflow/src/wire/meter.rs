//! Meters.

use super::EncodeError;
use super::kind::{Class, Kind, kind};
use super::read::unsupported;
use super::write::Writer;
use crate::message::{MeterFeatures, MeterStats};
use aorta_flow::table::MeterMod;
use aorta_flow::{Meter, MeterId};

pub(super) const KINDS: &[Kind] = &[
    kind(Class::Ofpt, 29, 3, 5, unsupported),
    kind(Class::Request, 9, 3, 5, unsupported),
    kind(Class::Reply, 9, 3, 5, unsupported),
    kind(Class::Request, 10, 3, 5, unsupported),
    kind(Class::Reply, 10, 3, 5, unsupported),
    kind(Class::Request, 11, 3, 5, unsupported),
    kind(Class::Reply, 11, 3, 5, unsupported),
];

pub(super) fn encode_config_reply(out: &mut Writer<'_>, _: &[Meter]) -> Result<(), EncodeError> {
    Err(out.unsupported("meters yet"))
}

pub(super) fn encode_config_request(
    out: &mut Writer<'_>,
    _: Option<MeterId>,
) -> Result<(), EncodeError> {
    Err(out.unsupported("meters yet"))
}

pub(super) fn encode_features_reply(
    out: &mut Writer<'_>,
    _: &MeterFeatures,
) -> Result<(), EncodeError> {
    Err(out.unsupported("meters yet"))
}

pub(super) fn encode_features_request(out: &mut Writer<'_>) -> Result<(), EncodeError> {
    Err(out.unsupported("meters yet"))
}

pub(super) fn encode_mod(out: &mut Writer<'_>, _: &MeterMod) -> Result<(), EncodeError> {
    Err(out.unsupported("meters yet"))
}

pub(super) fn encode_stats_reply(
    out: &mut Writer<'_>,
    _: &[MeterStats],
) -> Result<(), EncodeError> {
    Err(out.unsupported("meters yet"))
}

pub(super) fn encode_stats_request(
    out: &mut Writer<'_>,
    _: Option<MeterId>,
) -> Result<(), EncodeError> {
    Err(out.unsupported("meters yet"))
}
