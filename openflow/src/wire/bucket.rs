//! Buckets of groups, and how one is selected (OpenFlow 1.3.5 §7.3.4.2, OpenFlow 1.5.1 §7.3.4.3).

use aorta_flow::field::FieldId;
use aorta_flow::{Bucket, Group, GroupKind, OfPort, Selection};

use super::field::{read_listed, write_listed};
use super::group::has_properties;
use super::property::{EXPERIMENTER_PROPERTY, property};
use super::read::{Reader, Refusal};
use super::write::Writer;
use super::{Decoding, EncodeError, actions};
use crate::error::ErrorCode;

/// No group (OFPG_ANY).
const NO_GROUP: u32 = 0xffff_ffff;
const WEIGHT: u16 = 0;
const WATCH_PORT: u16 = 1;
const WATCH_GROUP: u16 = 2;
/// Who defined the property that says how a bucket is selected, and its type.
const NTR: u32 = 0x0000_154d;
const SELECTION_METHOD: u32 = 1;
/// Bytes of a selection method's name, with the 0 at its end.
const METHOD_LEN: usize = 16;

fn bad_bucket(what: &'static str) -> Refusal {
    Refusal::new(ErrorCode::OFPGMFC_BAD_BUCKET, what)
}

/// All buckets, to the end of `reader`.
pub(super) fn read_buckets(
    reader: &mut Reader<'_>,
    kind: GroupKind,
    decoding: Decoding<'_>,
) -> Result<Vec<Bucket>, Refusal> {
    let mut all = reader.with_error(ErrorCode::OFPGMFC_BAD_BUCKET);
    reader.rest();
    let mut buckets: Vec<Bucket> = Vec::new();
    while !all.is_empty() {
        let length = usize::from({ all }.u16()?);
        if length < 16 && !has_properties(decoding.version) || length < 8 {
            return Err(bad_bucket("a bucket's length can't be"));
        }
        let mut body = all.part(length)?;
        body.skip(2)?;
        let bucket = match has_properties(decoding.version) {
            true => read_with_properties(&mut body, decoding)?,
            false => read_fixed(&mut body, buckets.len() as u32, kind, decoding)?,
        };
        if buckets.iter().any(|other| other.id == bucket.id) {
            return Err(Refusal::new(
                ErrorCode::OFPGMFC_BUCKET_EXISTS,
                "two buckets have the same number",
            ));
        }
        buckets.push(bucket);
    }
    Ok(buckets)
}

/// A bucket of OpenFlow 1.1 to 1.4, which has no number: its place serves.
fn read_fixed(
    body: &mut Reader<'_>,
    id: u32,
    kind: GroupKind,
    decoding: Decoding<'_>,
) -> Result<Bucket, Refusal> {
    let weight = body.u16()?;
    let watch_port = body.port32().map_err(|_| bad_watch())?;
    let watch_group = body.u32()?;
    body.skip(4)?;
    Ok(Bucket {
        id,
        weight: Some(weight).filter(|weight| kind == GroupKind::Select || *weight != 0),
        watch_port: Some(watch_port).filter(|port| *port != OfPort::ANY),
        watch_group: Some(watch_group).filter(|group| *group <= Group::MAX_ID),
        actions: actions::read(body, decoding)?,
    })
}

fn bad_watch() -> Refusal {
    Refusal::new(ErrorCode::OFPGMFC_BAD_WATCH, "ports have 16 bits here")
}

fn read_with_properties(body: &mut Reader<'_>, decoding: Decoding<'_>) -> Result<Bucket, Refusal> {
    let actions_len = usize::from(body.u16()?);
    let id = body.u32()?;
    if id > Group::MAX_ID {
        return Err(bad_bucket("no bucket can have this number"));
    }
    let mut bucket = Bucket {
        id,
        weight: None,
        watch_port: None,
        watch_group: None,
        actions: actions::read(&mut body.part(actions_len)?, decoding)?,
    };
    while !body.is_empty() {
        let mut element = property(body)?;
        let body = &mut element.body;
        match element.kind {
            WEIGHT => bucket.weight = Some(body.u16()?),
            WATCH_PORT => {
                let port = body.port32().map_err(|_| bad_watch())?;
                bucket.watch_port = Some(port).filter(|port| *port != OfPort::ANY);
            }
            WATCH_GROUP => {
                let group = body.u32()?;
                bucket.watch_group = Some(group).filter(|group| *group <= Group::MAX_ID);
            }
            EXPERIMENTER_PROPERTY => {
                return Err(Refusal::new(
                    ErrorCode::OFPBPC_BAD_EXPERIMENTER,
                    "the experimenter of a bucket's property isn't known",
                ));
            }
            _ => {
                return Err(Refusal::new(
                    ErrorCode::OFPBPC_BAD_TYPE,
                    "a bucket has no such property",
                ));
            }
        }
    }
    Ok(bucket)
}

pub(super) fn write_buckets(
    out: &mut Writer<'_>,
    buckets: &[Bucket],
    kind: GroupKind,
) -> Result<(), EncodeError> {
    for bucket in buckets {
        let start = out.place();
        out.u16(0);
        match has_properties(out.version) {
            true => write_with_properties(out, bucket, kind)?,
            false => write_fixed(out, bucket, kind)?,
        }
        out.length_at(start, start)?;
    }
    Ok(())
}

fn write_fixed(out: &mut Writer<'_>, bucket: &Bucket, kind: GroupKind) -> Result<(), EncodeError> {
    out.u16(match kind {
        GroupKind::Select => bucket.weight(),
        _ => bucket.weight.unwrap_or(0),
    });
    out.port32(bucket.watch_port.unwrap_or(OfPort::ANY));
    out.u32(bucket.watch_group.unwrap_or(NO_GROUP));
    out.zeros(4);
    actions::write(out, &bucket.actions)
}

fn write_with_properties(
    out: &mut Writer<'_>,
    bucket: &Bucket,
    kind: GroupKind,
) -> Result<(), EncodeError> {
    let length_at = out.place();
    out.u16(0);
    out.u32(bucket.id);
    let start = out.place();
    actions::write(out, &bucket.actions)?;
    out.length_at(length_at, start)?;
    let weight = match kind {
        GroupKind::Select => Some(bucket.weight()),
        _ => bucket.weight,
    };
    if let Some(weight) = weight {
        out.u16(WEIGHT);
        out.u16(8);
        out.u16(weight);
        out.zeros(2);
    }
    let watch_port = bucket.watch_port.map(OfPort::to_u32);
    for (kind, watched) in [(WATCH_PORT, watch_port), (WATCH_GROUP, bucket.watch_group)] {
        if let Some(watched) = watched {
            out.u16(kind);
            out.u16(8);
            out.u32(watched);
        }
    }
    Ok(())
}

/// How a bucket is selected, from a group's properties.
pub(super) fn read_selection(reader: &mut Reader<'_>) -> Result<Option<Selection>, Refusal> {
    let mut selection = None;
    while !reader.is_empty() {
        let element = property(reader)?;
        let mut body = element.body.with_error(ErrorCode::OFPBPC_BAD_LEN);
        if element.kind != EXPERIMENTER_PROPERTY {
            return Err(Refusal::new(
                ErrorCode::OFPBPC_BAD_TYPE,
                "a group has no such property",
            ));
        }
        match (body.u32()?, body.u32()?) {
            (NTR, SELECTION_METHOD) => selection = Some(read_method(&mut body)?),
            (NTR, _) => {
                return Err(Refusal::new(
                    ErrorCode::OFPBPC_BAD_EXP_TYPE,
                    "a group has no such property",
                ));
            }
            _ => {
                return Err(Refusal::new(
                    ErrorCode::OFPBPC_BAD_EXPERIMENTER,
                    "the experimenter of a group's property isn't known",
                ));
            }
        }
    }
    Ok(selection)
}

fn read_method(body: &mut Reader<'_>) -> Result<Selection, Refusal> {
    let bad = |what| Refusal::new(ErrorCode::OFPBPC_BAD_VALUE, what);
    body.skip(4)?;
    let method = body.text(METHOD_LEN)?;
    if method != "hash" && method != "dp_hash" {
        return Err(bad("a selection method is hash or dp_hash"));
    }
    let parameter = body.u64()?;
    let mut fields = Vec::new();
    while !body.is_empty() {
        let code = read_listed(body)?;
        let value = body.take(code.len)?;
        let field = code.field.ok_or(Refusal::new(
            ErrorCode::OFPBMC_BAD_FIELD,
            "a field of a selection method isn't known",
        ))?;
        let bits = value
            .iter()
            .fold(0u128, |bits, byte| bits << 8 | u128::from(*byte));
        fields.push((field, bits & field.field().full_mask()));
    }
    if method != "hash" && !fields.is_empty() {
        return Err(bad("only the selection method hash has fields"));
    }
    fields.sort_by_key(|(field, _): &(FieldId, u128)| *field);
    Ok(Selection {
        method,
        parameter,
        fields,
    })
}

/// Writes how a bucket is selected, if it is said.
pub(super) fn write_selection(
    out: &mut Writer<'_>,
    selection: Option<&Selection>,
) -> Result<(), EncodeError> {
    let Some(selection) = selection else {
        return Ok(());
    };
    let start = out.place();
    out.u16(EXPERIMENTER_PROPERTY);
    out.u16(0);
    out.u32(NTR);
    out.u32(SELECTION_METHOD);
    out.zeros(4);
    out.text(&selection.method, METHOD_LEN);
    out.u64(selection.parameter);
    let mut fields = selection.fields.clone();
    fields.sort_by_key(|(field, _)| *field);
    for (field, bits) in fields {
        write_listed(out, field, false);
        let len = usize::from(field.field().wire_bytes);
        let bytes = bits.to_be_bytes();
        out.all(&bytes[bytes.len() - len.min(bytes.len())..]);
    }
    out.length_at(start + 2, start)?;
    out.pad_to_8(start);
    Ok(())
}
