//! Bundles.

use super::EncodeError;
use super::kind::Kind;
use super::write::Writer;
use crate::message::{BundleAdd, BundleControl, RequestForward};

pub(super) const KINDS: &[Kind] = &[];

pub(super) fn encode_add(out: &mut Writer<'_>, _: &BundleAdd) -> Result<(), EncodeError> {
    Err(out.unsupported("bundles yet"))
}

pub(super) fn encode_control(out: &mut Writer<'_>, _: &BundleControl) -> Result<(), EncodeError> {
    Err(out.unsupported("bundles yet"))
}

pub(super) fn encode_forward(out: &mut Writer<'_>, _: &RequestForward) -> Result<(), EncodeError> {
    Err(out.unsupported("bundles yet"))
}
