//! Groups (OpenFlow 1.3.5 §7.3.4.2, §7.3.5.9 to §7.3.5.11; OpenFlow 1.5.1 §7.3.4.3). OpenFlow 1.0
//! has them in Nicira's form, which is that of 1.5.

use aorta_flow::table::GroupMod;
use aorta_flow::{Bucket, Group, GroupKind};

use super::bucket::{read_buckets, read_selection, write_buckets, write_selection};
use super::kind::{Class, Kind, kind};
use super::read::{Reader, Refusal};
use super::write::Writer;
use super::{Decoding, EncodeError, group_stats};
use crate::error::ErrorCode;
use crate::message::{Message, MultipartReply, MultipartRequest};
use crate::version::Version;

pub(super) const KINDS: &[Kind] = &[
    kind(Class::Nxt, 31, 0, 0, decode_mod),
    kind(Class::Ofpt, 15, 1, 5, decode_mod),
    kind(Class::NxRequest, 7, 0, 0, group_stats::decode_request),
    kind(Class::NxReply, 7, 0, 0, group_stats::decode_reply),
    kind(Class::Request, 6, 1, 5, group_stats::decode_request),
    kind(Class::Reply, 6, 1, 5, group_stats::decode_reply),
    kind(Class::NxRequest, 8, 0, 0, decode_desc_request),
    kind(Class::NxReply, 8, 0, 0, decode_desc_reply),
    kind(Class::Request, 7, 1, 5, decode_desc_request),
    kind(Class::Reply, 7, 1, 5, decode_desc_reply),
    kind(
        Class::NxRequest,
        9,
        0,
        1,
        group_stats::decode_features_request,
    ),
    kind(Class::NxReply, 9, 0, 1, group_stats::decode_features_reply),
    kind(
        Class::Request,
        8,
        2,
        5,
        group_stats::decode_features_request,
    ),
    kind(Class::Reply, 8, 2, 5, group_stats::decode_features_reply),
];

pub(super) use group_stats::{
    encode_features_reply, encode_features_request, encode_stats_reply, encode_stats_request,
};

/// All groups (OFPG_ALL).
pub(super) const ALL: u32 = 0xffff_fffc;
/// All buckets of a group (OFPG_BUCKET_ALL).
const ALL_BUCKETS: u32 = 0xffff_ffff;

const ADD: u16 = 0;
const MODIFY: u16 = 1;
const DELETE: u16 = 2;
const INSERT_BUCKET: u16 = 3;
const REMOVE_BUCKET: u16 = 5;
/// Nicira's: add, or modify what is there.
const ADD_OR_MODIFY: u16 = 0x8000;

const KIND_NUMBERS: [GroupKind; 4] = [
    GroupKind::All,
    GroupKind::Select,
    GroupKind::Indirect,
    GroupKind::FastFailover,
];

/// Whether groups have the form of OpenFlow 1.5, with numbers of buckets and properties.
pub(super) fn has_properties(version: Version) -> bool {
    matches!(version, Version::OpenFlow10 | Version::OpenFlow15)
}

/// The class of requests and replies about groups: OpenFlow 1.0's are Nicira's.
pub(super) fn class_of(version: Version, reply: bool) -> Class {
    match (version, reply) {
        (Version::OpenFlow10, false) => Class::NxRequest,
        (Version::OpenFlow10, true) => Class::NxReply,
        (_, false) => Class::Request,
        (_, true) => Class::Reply,
    }
}

fn read_kind(number: u8) -> Result<GroupKind, Refusal> {
    let found = KIND_NUMBERS.get(usize::from(number)).copied();
    found.ok_or(Refusal::new(
        ErrorCode::OFPGMFC_BAD_TYPE,
        "there is no such type of groups",
    ))
}

fn decode_mod(reader: &mut Reader<'_>, decoding: Decoding<'_>) -> Result<Message, Refusal> {
    let command = reader.u16()?;
    let kind = reader.u8()?;
    reader.skip(1)?;
    let id = reader.u32()?;
    let (mut buckets, mut place) = (*reader, ALL_BUCKETS);
    if has_properties(decoding.version) {
        let len = usize::from(reader.u16()?);
        reader.skip(2)?;
        place = reader.u32()?;
        buckets = reader.part(len)?;
    } else {
        reader.rest();
    }
    let change = match command {
        DELETE => {
            reader.rest();
            let id = Some(id).filter(|id| *id != ALL);
            return Ok(Message::GroupMod(GroupMod::Delete(id)));
        }
        INSERT_BUCKET | REMOVE_BUCKET if has_properties(decoding.version) => {
            let buckets = read_buckets(&mut buckets, GroupKind::Select, decoding)?;
            bucket_change(command, id, place, buckets)
        }
        ADD | MODIFY | ADD_OR_MODIFY => {
            let kind = read_kind(kind)?;
            let group = Group {
                id: valid_id(id)?,
                kind,
                buckets: read_buckets(&mut buckets, kind, decoding)?,
                selection: read_selection(reader)?,
            };
            return group_change(command, group);
        }
        _ => {
            return Err(Refusal::new(
                ErrorCode::OFPGMFC_BAD_COMMAND,
                "there is no such change of groups",
            ));
        }
    };
    reader.rest();
    Ok(Message::GroupMod(change))
}

fn valid_id(id: u32) -> Result<u32, Refusal> {
    match id <= Group::MAX_ID {
        true => Ok(id),
        false => Err(Refusal::new(
            ErrorCode::OFPGMFC_INVALID_GROUP,
            "no group can have this number",
        )),
    }
}

fn bucket_change(command: u16, group: u32, place: u32, buckets: Vec<Bucket>) -> GroupMod {
    match command {
        INSERT_BUCKET => GroupMod::InsertBuckets {
            group,
            after: Some(place).filter(|place| *place != Bucket::FIRST),
            buckets,
        },
        _ => GroupMod::RemoveBuckets {
            group,
            bucket: Some(place).filter(|place| *place != ALL_BUCKETS),
        },
    }
}

fn group_change(command: u16, group: Group) -> Result<Message, Refusal> {
    if group.kind == GroupKind::Indirect && group.buckets.len() != 1 {
        return Err(Refusal::new(
            ErrorCode::OFPGMFC_INVALID_GROUP,
            "an indirect group has one bucket",
        ));
    }
    if group.selection.is_some() && group.kind != GroupKind::Select {
        return Err(Refusal::new(
            ErrorCode::OFPBPC_BAD_VALUE,
            "only select groups have a selection method",
        ));
    }
    Ok(Message::GroupMod(match command {
        ADD => GroupMod::Add(group),
        MODIFY => GroupMod::Modify(group),
        _ => GroupMod::AddOrModify(group),
    }))
}

pub(super) fn encode_mod(out: &mut Writer<'_>, change: &GroupMod) -> Result<(), EncodeError> {
    match out.version {
        Version::OpenFlow10 => out.begin(Class::Nxt, 31),
        _ => out.begin(Class::Ofpt, 15),
    }
    let (command, group) = match change {
        GroupMod::Add(group) => (ADD, group),
        GroupMod::Modify(group) => (MODIFY, group),
        GroupMod::AddOrModify(group) => (ADD_OR_MODIFY, group),
        GroupMod::Delete(id) => {
            return write_change(out, (DELETE, id.unwrap_or(ALL), ALL_BUCKETS), &[]);
        }
        GroupMod::InsertBuckets { .. } | GroupMod::RemoveBuckets { .. } => {
            return write_bucket_change(out, change);
        }
    };
    out.u16(command);
    out.u8(group.kind as u8);
    out.u8(0);
    out.u32(group.id);
    if has_properties(out.version) {
        let length_at = out.place();
        out.zeros(4);
        out.u32(ALL_BUCKETS);
        let start = out.place();
        write_buckets(out, &group.buckets, group.kind)?;
        out.length_at(length_at, start)?;
        write_selection(out, group.selection.as_ref())
    } else {
        write_buckets(out, &group.buckets, group.kind)
    }
}

/// A change that names no type: command, group and bucket.
fn write_change(
    out: &mut Writer<'_>,
    (command, id, place): (u16, u32, u32),
    buckets: &[Bucket],
) -> Result<(), EncodeError> {
    out.u16(command);
    out.zeros(2);
    out.u32(id);
    if !has_properties(out.version) {
        return Ok(());
    }
    let length_at = out.place();
    out.zeros(4);
    out.u32(place);
    let start = out.place();
    write_buckets(out, buckets, GroupKind::All)?;
    out.length_at(length_at, start)
}

fn write_bucket_change(out: &mut Writer<'_>, change: &GroupMod) -> Result<(), EncodeError> {
    if !has_properties(out.version) {
        return Err(out.unsupported("changes of single buckets"));
    }
    match change {
        GroupMod::InsertBuckets {
            group,
            after,
            buckets,
        } => {
            let place = after.unwrap_or(Bucket::FIRST);
            write_change(out, (INSERT_BUCKET, *group, place), buckets)
        }
        GroupMod::RemoveBuckets { group, bucket } => {
            let place = bucket.unwrap_or(ALL_BUCKETS);
            write_change(out, (REMOVE_BUCKET, *group, place), &[])
        }
        _ => Ok(()),
    }
}

fn decode_desc_request(
    reader: &mut Reader<'_>,
    decoding: Decoding<'_>,
) -> Result<Message, Refusal> {
    let mut group = None;
    if has_properties(decoding.version) {
        group = Some(reader.u32()?).filter(|id| *id != ALL);
        reader.skip(4)?;
    }
    Ok(Message::Request(MultipartRequest::GroupDesc(group)))
}

pub(super) fn encode_desc_request(
    out: &mut Writer<'_>,
    group: Option<u32>,
) -> Result<(), EncodeError> {
    let version = out.version;
    let number = if version == Version::OpenFlow10 { 8 } else { 7 };
    out.begin(class_of(version, false), number);
    if has_properties(version) {
        out.u32(group.unwrap_or(ALL));
        out.zeros(4);
    }
    Ok(())
}

fn decode_desc_reply(reader: &mut Reader<'_>, decoding: Decoding<'_>) -> Result<Message, Refusal> {
    let mut groups = Vec::new();
    while !reader.is_empty() {
        let length = usize::from({ *reader }.u16()?);
        let mut body = reader.part(length)?;
        body.skip(2)?;
        let kind = read_kind(body.u8()?)?;
        body.skip(1)?;
        let id = body.u32()?;
        let (buckets, selection) = match has_properties(decoding.version) {
            true => {
                let len = usize::from(body.u16()?);
                body.skip(6)?;
                let buckets = read_buckets(&mut body.part(len)?, kind, decoding)?;
                (buckets, read_selection(&mut body)?)
            }
            false => (read_buckets(&mut body, kind, decoding)?, None),
        };
        groups.push(Group {
            id,
            kind,
            buckets,
            selection,
        });
    }
    Ok(Message::Reply {
        reply: MultipartReply::GroupDesc(groups),
        more: decoding.more,
    })
}

pub(super) fn encode_desc_reply(out: &mut Writer<'_>, groups: &[Group]) -> Result<(), EncodeError> {
    let version = out.version;
    let number = if version == Version::OpenFlow10 { 8 } else { 7 };
    out.begin(class_of(version, true), number);
    for group in groups {
        let start = out.place();
        out.u16(0);
        out.u8(group.kind as u8);
        out.u8(0);
        out.u32(group.id);
        if has_properties(version) {
            let length_at = out.place();
            out.zeros(8);
            let buckets_start = out.place();
            write_buckets(out, &group.buckets, group.kind)?;
            out.length_at(length_at, buckets_start)?;
            write_selection(out, group.selection.as_ref())?;
        } else {
            write_buckets(out, &group.buckets, group.kind)?;
        }
        out.length_at(start, start)?;
        out.end_entry()?;
    }
    Ok(())
}
