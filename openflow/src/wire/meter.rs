//! Meters (OpenFlow 1.3.5 §7.3.4.5, §7.3.5.12 to §7.3.5.14).

use aorta_flow::table::MeterMod;
use aorta_flow::{Band, BandKind, Meter, MeterId, MeterUnit};

use super::kind::{Class, Kind, kind};
use super::port::{read_duration, write_duration};
use super::read::{Reader, Refusal};
use super::write::Writer;
use super::{Decoding, EncodeError};
use crate::error::ErrorCode;
use crate::message::{
    Message, MeterBandStats, MeterFeatures, MeterStats, MultipartReply, MultipartRequest,
};
use crate::version::Version;

pub(super) const KINDS: &[Kind] = &[
    kind(Class::Ofpt, 29, 3, 5, decode_mod),
    kind(Class::Request, 9, 3, 5, decode_stats_request),
    kind(Class::Reply, 9, 3, 5, decode_stats_reply),
    kind(Class::Request, 10, 3, 5, decode_config_request),
    kind(Class::Reply, 10, 3, 5, decode_config_reply),
    kind(Class::Request, 11, 3, 5, decode_features_request),
    kind(Class::Reply, 11, 3, 5, decode_features_reply),
];

const SLOWPATH: u32 = 0xffff_fffd;
const CONTROLLER: u32 = 0xffff_fffe;
const ALL: u32 = 0xffff_ffff;
/// Highest number of a meter (OFPM_MAX).
const MAX: u32 = 0xffff_0000;

const KBPS: u16 = 1;
const PKTPS: u16 = 2;
const BURST: u16 = 4;
const STATS: u16 = 8;

const DROP: u16 = 1;
const DSCP_REMARK: u16 = 2;
const BAND_LEN: u16 = 16;

/// A meter's number; none for all of them.
fn read_id(reader: &mut Reader<'_>) -> Result<Option<MeterId>, Refusal> {
    match reader.u32()? {
        ALL => Ok(None),
        SLOWPATH => Ok(Some(MeterId::Slowpath)),
        CONTROLLER => Ok(Some(MeterId::Controller)),
        0 | MAX.. => Err(Refusal::new(
            ErrorCode::OFPMMFC_INVALID_METER,
            "no meter can have this number",
        )),
        id => Ok(Some(MeterId::Number(id))),
    }
}

fn need_id(id: Option<MeterId>) -> Result<MeterId, Refusal> {
    id.ok_or(Refusal::new(
        ErrorCode::OFPMMFC_INVALID_METER,
        "this is of one meter, not of all",
    ))
}

fn write_id(out: &mut Writer<'_>, id: Option<MeterId>) {
    out.u32(match id {
        None => ALL,
        Some(MeterId::Slowpath) => SLOWPATH,
        Some(MeterId::Controller) => CONTROLLER,
        Some(MeterId::Number(id)) => id,
    });
}

/// What all requests begin with.
fn begin(out: &mut Writer<'_>, class: Class, number: u32) -> Result<(), EncodeError> {
    if out.version < Version::OpenFlow13 {
        return Err(out.unsupported("meters"));
    }
    out.begin(class, number);
    Ok(())
}

fn decode_mod(reader: &mut Reader<'_>, _: Decoding<'_>) -> Result<Message, Refusal> {
    let command = reader.u16()?;
    let flags = reader.u16()?;
    let id = read_id(reader)?;
    let change = match command {
        0 => MeterMod::Add(read_meter(reader, need_id(id)?, flags)?),
        1 => MeterMod::Modify(read_meter(reader, need_id(id)?, flags)?),
        2 => {
            reader.rest();
            MeterMod::Delete(id)
        }
        _ => {
            return Err(Refusal::new(
                ErrorCode::OFPMMFC_BAD_COMMAND,
                "there is no such change of meters",
            ));
        }
    };
    Ok(Message::MeterMod(change))
}

fn read_meter(reader: &mut Reader<'_>, id: MeterId, flags: u16) -> Result<Meter, Refusal> {
    let bad = Refusal::new(
        ErrorCode::OFPMMFC_BAD_FLAGS,
        "a meter measures either kilobits or packets",
    );
    let unit = match flags & (KBPS | PKTPS) {
        PKTPS => MeterUnit::Pktps,
        // Without either, kilobits.
        0 | KBPS => MeterUnit::Kbps,
        _ => return Err(bad),
    };
    if flags & !(KBPS | PKTPS | BURST | STATS) != 0 {
        return Err(bad);
    }
    let mut bands = Vec::new();
    while !reader.is_empty() {
        bands.push(read_band(reader)?);
    }
    Ok(Meter {
        id,
        unit,
        burst: flags & BURST != 0,
        stats: flags & STATS != 0,
        bands,
    })
}

fn read_band(reader: &mut Reader<'_>) -> Result<Band, Refusal> {
    let kind = reader.u16()?;
    let length = reader.u16()?;
    if length != BAND_LEN {
        return Err(Refusal::bad_len("a band has 16 bytes"));
    }
    let (rate, burst_size) = (reader.u32()?, reader.u32()?);
    let level = reader.u8()?;
    reader.skip(3)?;
    let kind = match kind {
        DROP => BandKind::Drop,
        DSCP_REMARK => BandKind::DscpRemark(level),
        _ => {
            return Err(Refusal::new(
                ErrorCode::OFPMMFC_BAD_BAND,
                "there is no such kind of band",
            ));
        }
    };
    Ok(Band {
        kind,
        rate,
        burst_size,
    })
}

fn flags(meter: &Meter) -> u16 {
    let unit = match meter.unit {
        MeterUnit::Kbps => KBPS,
        MeterUnit::Pktps => PKTPS,
    };
    let burst = if meter.burst { BURST } else { 0 };
    let stats = if meter.stats { STATS } else { 0 };
    unit | burst | stats
}

fn write_bands(out: &mut Writer<'_>, meter: &Meter) {
    for band in &meter.bands {
        let (kind, level) = match band.kind {
            BandKind::Drop => (DROP, 0),
            BandKind::DscpRemark(level) => (DSCP_REMARK, level),
        };
        out.u16(kind);
        out.u16(BAND_LEN);
        out.u32(band.rate);
        out.u32(band.burst_size);
        out.u8(level);
        out.zeros(3);
    }
}

pub(super) fn encode_mod(out: &mut Writer<'_>, change: &MeterMod) -> Result<(), EncodeError> {
    begin(out, Class::Ofpt, 29)?;
    let (command, meter, id) = match change {
        MeterMod::Add(meter) => (0, Some(meter), Some(meter.id)),
        MeterMod::Modify(meter) => (1, Some(meter), Some(meter.id)),
        MeterMod::Delete(id) => (2, None, *id),
    };
    out.u16(command);
    out.u16(meter.map_or(0, flags));
    write_id(out, id);
    if let Some(meter) = meter {
        write_bands(out, meter);
    }
    Ok(())
}

fn read_request(reader: &mut Reader<'_>) -> Result<Option<MeterId>, Refusal> {
    let id = read_id(reader)?;
    reader.skip(4)?;
    Ok(id)
}

fn decode_stats_request(reader: &mut Reader<'_>, _: Decoding<'_>) -> Result<Message, Refusal> {
    let id = read_request(reader)?;
    Ok(Message::Request(MultipartRequest::Meter(id)))
}

fn decode_config_request(reader: &mut Reader<'_>, _: Decoding<'_>) -> Result<Message, Refusal> {
    let id = read_request(reader)?;
    Ok(Message::Request(MultipartRequest::MeterConfig(id)))
}

fn decode_features_request(_: &mut Reader<'_>, _: Decoding<'_>) -> Result<Message, Refusal> {
    Ok(Message::Request(MultipartRequest::MeterFeatures))
}

pub(super) fn encode_stats_request(
    out: &mut Writer<'_>,
    meter: Option<MeterId>,
) -> Result<(), EncodeError> {
    begin(out, Class::Request, 9)?;
    write_id(out, meter);
    out.zeros(4);
    Ok(())
}

pub(super) fn encode_config_request(
    out: &mut Writer<'_>,
    meter: Option<MeterId>,
) -> Result<(), EncodeError> {
    begin(out, Class::Request, 10)?;
    write_id(out, meter);
    out.zeros(4);
    Ok(())
}

pub(super) fn encode_features_request(out: &mut Writer<'_>) -> Result<(), EncodeError> {
    begin(out, Class::Request, 11)
}

fn decode_stats_reply(reader: &mut Reader<'_>, decoding: Decoding<'_>) -> Result<Message, Refusal> {
    let mut meters = Vec::new();
    while !reader.is_empty() {
        let mut head = *reader;
        head.skip(4)?;
        let length = usize::from(head.u16()?);
        let mut body = reader.part(length)?;
        let id = need_id(read_id(&mut body)?)?;
        // Length and unused bytes.
        body.skip(8)?;
        meters.push(MeterStats {
            id,
            flow_count: body.u32()?,
            packet_in_count: body.u64()?,
            byte_in_count: body.u64()?,
            duration: read_duration(&mut body)?.unwrap_or_default(),
            bands: read_band_stats(&mut body)?,
        });
    }
    Ok(reply(MultipartReply::Meter(meters), decoding))
}

fn read_band_stats(body: &mut Reader<'_>) -> Result<Vec<MeterBandStats>, Refusal> {
    let mut bands = Vec::new();
    while !body.is_empty() {
        bands.push(MeterBandStats {
            packet_count: body.u64()?,
            byte_count: body.u64()?,
        });
    }
    Ok(bands)
}

fn reply(reply: MultipartReply, decoding: Decoding<'_>) -> Message {
    Message::Reply {
        reply,
        more: decoding.more,
    }
}

pub(super) fn encode_stats_reply(
    out: &mut Writer<'_>,
    meters: &[MeterStats],
) -> Result<(), EncodeError> {
    begin(out, Class::Reply, 9)?;
    for meter in meters {
        let start = out.place();
        write_id(out, Some(meter.id));
        out.zeros(8);
        out.u32(meter.flow_count);
        out.u64(meter.packet_in_count);
        out.u64(meter.byte_in_count);
        write_duration(out, Some(meter.duration));
        for band in &meter.bands {
            out.u64(band.packet_count);
            out.u64(band.byte_count);
        }
        out.length_at(start + 4, start)?;
        out.end_entry()?;
    }
    Ok(())
}

fn decode_config_reply(
    reader: &mut Reader<'_>,
    decoding: Decoding<'_>,
) -> Result<Message, Refusal> {
    let mut meters = Vec::new();
    while !reader.is_empty() {
        let length = usize::from({ *reader }.u16()?);
        let mut body = reader.part(length)?;
        body.skip(2)?;
        let flags = body.u16()?;
        let id = need_id(read_id(&mut body)?)?;
        meters.push(read_meter(&mut body, id, flags)?);
    }
    Ok(reply(MultipartReply::MeterConfig(meters), decoding))
}

pub(super) fn encode_config_reply(
    out: &mut Writer<'_>,
    meters: &[Meter],
) -> Result<(), EncodeError> {
    begin(out, Class::Reply, 10)?;
    for meter in meters {
        let start = out.place();
        out.u16(0);
        out.u16(flags(meter));
        write_id(out, Some(meter.id));
        write_bands(out, meter);
        out.length_at(start, start)?;
        out.end_entry()?;
    }
    Ok(())
}

fn decode_features_reply(
    reader: &mut Reader<'_>,
    decoding: Decoding<'_>,
) -> Result<Message, Refusal> {
    let features = MeterFeatures {
        max_meters: reader.u32()?,
        band_types: reader.u32()?,
        capabilities: reader.u32()?,
        max_bands: reader.u8()?,
        max_color: reader.u8()?,
    };
    // OpenFlow 1.5 has 8 more bytes, which not all switches send.
    reader.rest();
    Ok(reply(MultipartReply::MeterFeatures(features), decoding))
}

pub(super) fn encode_features_reply(
    out: &mut Writer<'_>,
    features: &MeterFeatures,
) -> Result<(), EncodeError> {
    begin(out, Class::Reply, 11)?;
    out.u32(features.max_meters);
    out.u32(features.band_types);
    out.u32(features.capabilities);
    out.u8(features.max_bands);
    out.u8(features.max_color);
    out.zeros(2);
    Ok(())
}
