//! What groups have counted, and what the switch can do with groups (OpenFlow 1.3.5 §7.3.5.9,
//! §7.3.5.11).

use super::group::{ALL, class_of};
use super::kind::Class;
use super::port::{read_duration, write_duration};
use super::read::{Reader, Refusal};
use super::write::Writer;
use super::{Decoding, EncodeError};
use crate::message::{
    GroupBucketStats, GroupFeatures, GroupStats, Message, MultipartReply, MultipartRequest,
};
use crate::version::Version;

/// Whether it is told how long groups have been there.
fn has_duration(version: Version) -> bool {
    version == Version::OpenFlow10 || version >= Version::OpenFlow13
}

pub(super) fn decode_request(reader: &mut Reader<'_>, _: Decoding<'_>) -> Result<Message, Refusal> {
    let group = Some(reader.u32()?).filter(|id| *id != ALL);
    reader.skip(4)?;
    Ok(Message::Request(MultipartRequest::Group(group)))
}

fn number(version: Version) -> u32 {
    if version == Version::OpenFlow10 { 7 } else { 6 }
}

pub(super) fn encode_stats_request(
    out: &mut Writer<'_>,
    group: Option<u32>,
) -> Result<(), EncodeError> {
    out.begin(class_of(out.version, false), number(out.version));
    out.u32(group.unwrap_or(ALL));
    out.zeros(4);
    Ok(())
}

pub(super) fn decode_reply(
    reader: &mut Reader<'_>,
    decoding: Decoding<'_>,
) -> Result<Message, Refusal> {
    let mut groups = Vec::new();
    while !reader.is_empty() {
        let length = usize::from({ *reader }.u16()?);
        let mut body = reader.part(length)?;
        body.skip(4)?;
        let (id, ref_count) = (body.u32()?, body.u32()?);
        body.skip(4)?;
        let mut group = GroupStats {
            id,
            ref_count,
            n_packets: body.counter()?,
            n_bytes: body.counter()?,
            duration: None,
            buckets: Vec::new(),
        };
        if has_duration(decoding.version) {
            group.duration = read_duration(&mut body)?;
        }
        while !body.is_empty() {
            group.buckets.push(GroupBucketStats {
                n_packets: body.counter()?,
                n_bytes: body.counter()?,
            });
        }
        groups.push(group);
    }
    Ok(Message::Reply {
        reply: MultipartReply::Group(groups),
        more: decoding.more,
    })
}

pub(super) fn encode_stats_reply(
    out: &mut Writer<'_>,
    groups: &[GroupStats],
) -> Result<(), EncodeError> {
    out.begin(class_of(out.version, true), number(out.version));
    for group in groups {
        let start = out.place();
        out.zeros(4);
        out.u32(group.id);
        out.u32(group.ref_count);
        out.zeros(4);
        out.counter(group.n_packets);
        out.counter(group.n_bytes);
        if has_duration(out.version) {
            write_duration(out, group.duration);
        }
        for bucket in &group.buckets {
            out.counter(bucket.n_packets);
            out.counter(bucket.n_bytes);
        }
        out.length_at(start, start)?;
        out.end_entry()?;
    }
    Ok(())
}

/// Class and number of requests and replies about features, which OpenFlow 1.1 hasn't either.
fn features_kind(version: Version, reply: bool) -> (Class, u32) {
    match version {
        Version::OpenFlow10 | Version::OpenFlow11 => (class_of(Version::OpenFlow10, reply), 9),
        _ => (class_of(version, reply), 8),
    }
}

pub(super) fn decode_features_request(
    _: &mut Reader<'_>,
    _: Decoding<'_>,
) -> Result<Message, Refusal> {
    Ok(Message::Request(MultipartRequest::GroupFeatures))
}

pub(super) fn encode_features_request(out: &mut Writer<'_>) -> Result<(), EncodeError> {
    let (class, number) = features_kind(out.version, false);
    out.begin(class, number);
    Ok(())
}

pub(super) fn decode_features_reply(
    reader: &mut Reader<'_>,
    decoding: Decoding<'_>,
) -> Result<Message, Refusal> {
    let mut features = GroupFeatures {
        types: reader.u32()?,
        capabilities: reader.u32()?,
        ..GroupFeatures::default()
    };
    for max in &mut features.max_groups {
        *max = reader.u32()?;
    }
    for actions in &mut features.actions {
        *actions = reader.u32()?;
    }
    Ok(Message::Reply {
        reply: MultipartReply::GroupFeatures(features),
        more: decoding.more,
    })
}

pub(super) fn encode_features_reply(
    out: &mut Writer<'_>,
    features: &GroupFeatures,
) -> Result<(), EncodeError> {
    let (class, number) = features_kind(out.version, true);
    out.begin(class, number);
    out.u32(features.types);
    out.u32(features.capabilities);
    for number in features.max_groups.iter().chain(&features.actions) {
        out.u32(*number);
    }
    Ok(())
}
