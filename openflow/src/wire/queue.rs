//! Queues: what they count and how they are configured (OpenFlow 1.3.5 §7.2.2, §7.3.3.8,
//! §7.3.5.8; OpenFlow 1.4.1 §7.3.5.17).

use aorta_flow::OfPort;

use super::kind::{Class, Kind, kind};
use super::port::{read_duration, read_number, write_duration};
use super::property::property;
use super::read::{Reader, Refusal};
use super::write::Writer;
use super::{Decoding, EncodeError};
use crate::message::{
    Message, MultipartReply, MultipartRequest, QueueDesc, QueueFilter, QueueStats,
};
use crate::version::Version;

pub(super) const KINDS: &[Kind] = &[
    kind(Class::Ofpt, 20, 0, 0, decode_config_request),
    kind(Class::Ofpt, 21, 0, 0, decode_config_reply),
    kind(Class::Ofpt, 22, 1, 3, decode_config_request),
    kind(Class::Ofpt, 23, 1, 3, decode_config_reply),
    kind(Class::Request, 5, 0, 5, decode_stats_request),
    kind(Class::Reply, 5, 0, 5, decode_stats_reply),
    kind(Class::Request, 15, 4, 5, decode_desc_request),
    kind(Class::Reply, 15, 4, 5, decode_desc_reply),
];

/// All queues (OFPQ_ALL).
const ALL: u32 = 0xffff_ffff;
const MIN_RATE: u16 = 1;
const MAX_RATE: u16 = 2;
/// Highest rate, in tenths of a percent; more means that there is none.
const MAX_PERMILLE: u16 = 1000;

fn old(version: Version) -> bool {
    version == Version::OpenFlow10
}

/// The port that queues are asked of. OpenFlow 1.0 says `ALL` for any.
fn read_port(reader: &mut Reader<'_>, version: Version) -> Result<OfPort, Refusal> {
    match read_number(reader, version)? {
        OfPort::ALL if old(version) => Ok(OfPort::ANY),
        port => Ok(port),
    }
}

fn write_port(out: &mut Writer<'_>, port: OfPort) {
    match (out.version, port) {
        (Version::OpenFlow10, OfPort::ANY) => out.u16(OfPort::ALL.0),
        (Version::OpenFlow10, port) => out.u16(port.0),
        (_, port) => out.port32(port),
    }
}

fn read_filter(reader: &mut Reader<'_>, version: Version) -> Result<QueueFilter, Refusal> {
    let port = read_port(reader, version)?;
    if old(version) {
        reader.skip(2)?;
    }
    let queue = Some(reader.u32()?).filter(|queue| *queue != ALL);
    Ok(QueueFilter { port, queue })
}

fn write_filter(out: &mut Writer<'_>, filter: &QueueFilter) {
    write_port(out, filter.port);
    if old(out.version) {
        out.zeros(2);
    }
    out.u32(filter.queue.unwrap_or(ALL));
}

fn decode_stats_request(
    reader: &mut Reader<'_>,
    decoding: Decoding<'_>,
) -> Result<Message, Refusal> {
    let filter = read_filter(reader, decoding.version)?;
    Ok(Message::Request(MultipartRequest::Queue(filter)))
}

pub(super) fn encode_stats_request(
    out: &mut Writer<'_>,
    filter: &QueueFilter,
) -> Result<(), EncodeError> {
    out.begin(Class::Request, 5);
    write_filter(out, filter);
    Ok(())
}

fn decode_stats_reply(reader: &mut Reader<'_>, decoding: Decoding<'_>) -> Result<Message, Refusal> {
    let version = decoding.version;
    let mut queues = Vec::new();
    while !reader.is_empty() {
        if version >= Version::OpenFlow14 {
            let length = usize::from({ *reader }.u16()?);
            let mut body = reader.part(length)?;
            body.skip(8)?;
            queues.push(read_stats(&mut body, version)?);
        } else {
            queues.push(read_stats(reader, version)?);
        }
    }
    Ok(Message::Reply {
        reply: MultipartReply::Queue(queues),
        more: decoding.more,
    })
}

fn read_stats(reader: &mut Reader<'_>, version: Version) -> Result<QueueStats, Refusal> {
    let port = read_number(reader, version)?;
    if old(version) {
        reader.skip(2)?;
    }
    Ok(QueueStats {
        port,
        queue: reader.u32()?,
        tx_bytes: reader.counter()?,
        tx_packets: reader.counter()?,
        tx_errors: reader.counter()?,
        duration: match version >= Version::OpenFlow13 {
            true => read_duration(reader)?,
            false => None,
        },
    })
}

pub(super) fn encode_stats_reply(
    out: &mut Writer<'_>,
    queues: &[QueueStats],
) -> Result<(), EncodeError> {
    out.begin(Class::Reply, 5);
    for queue in queues {
        let start = out.place();
        if out.version >= Version::OpenFlow14 {
            out.zeros(8);
        }
        match old(out.version) {
            true => {
                out.u16(queue.port.0);
                out.zeros(2);
            }
            false => out.port32(queue.port),
        }
        out.u32(queue.queue);
        out.counter(queue.tx_bytes);
        out.counter(queue.tx_packets);
        out.counter(queue.tx_errors);
        if out.version >= Version::OpenFlow13 {
            write_duration(out, queue.duration);
        }
        if out.version >= Version::OpenFlow14 {
            out.length_at(start, start)?;
        }
        out.end_entry()?;
    }
    Ok(())
}

fn decode_config_request(
    reader: &mut Reader<'_>,
    decoding: Decoding<'_>,
) -> Result<Message, Refusal> {
    let port = read_port(reader, decoding.version)?;
    reader.skip(if old(decoding.version) { 2 } else { 4 })?;
    Ok(Message::QueueGetConfigRequest(port))
}

/// Number of a message about queues' configuration.
fn config_number(out: &Writer<'_>, first: u32) -> Result<u32, EncodeError> {
    match out.version {
        Version::OpenFlow10 => Ok(first),
        Version::OpenFlow14 | Version::OpenFlow15 => {
            Err(out.unsupported("queue configuration; ask for queue descriptions"))
        }
        _ => Ok(first + 2),
    }
}

pub(super) fn encode_config_request(out: &mut Writer<'_>, port: OfPort) -> Result<(), EncodeError> {
    let number = config_number(out, 20)?;
    out.begin(Class::Ofpt, number);
    write_port(out, port);
    out.zeros(if old(out.version) { 2 } else { 4 });
    Ok(())
}

fn decode_config_reply(
    reader: &mut Reader<'_>,
    decoding: Decoding<'_>,
) -> Result<Message, Refusal> {
    let version = decoding.version;
    let port = read_port(reader, version)?;
    reader.skip(if old(version) { 6 } else { 4 })?;
    let mut queues = Vec::new();
    while !reader.is_empty() {
        queues.push(read_config(reader, version, port)?);
    }
    Ok(Message::QueueGetConfigReply { port, queues })
}

fn read_config(
    reader: &mut Reader<'_>,
    version: Version,
    asked: OfPort,
) -> Result<QueueDesc, Refusal> {
    let mut head = *reader;
    let queue = head.u32()?;
    let port = match version < Version::OpenFlow12 {
        true => asked,
        false => head.port32()?,
    };
    let length = usize::from(head.u16()?);
    let mut body = reader.part(length)?;
    body.skip(head_len(version))?;
    read_rates(
        &mut body,
        QueueDesc {
            port,
            queue,
            min_rate_permille: None,
            max_rate_permille: None,
        },
        version,
    )
}

/// Bytes of a queue's configuration in front of its properties.
fn head_len(version: Version) -> usize {
    if version < Version::OpenFlow12 { 8 } else { 16 }
}

fn read_rates(
    body: &mut Reader<'_>,
    mut queue: QueueDesc,
    version: Version,
) -> Result<QueueDesc, Refusal> {
    while !body.is_empty() {
        let mut element = property(body)?;
        if version < Version::OpenFlow14 {
            element.body.skip(4)?;
        }
        let rate = |body: &mut Reader<'_>| -> Result<Option<u16>, Refusal> {
            Ok(Some(body.u16()?).filter(|rate| *rate <= MAX_PERMILLE))
        };
        match element.kind {
            MIN_RATE => queue.min_rate_permille = rate(&mut element.body)?,
            MAX_RATE => queue.max_rate_permille = rate(&mut element.body)?,
            _ => {}
        }
    }
    Ok(queue)
}

fn write_rates(out: &mut Writer<'_>, queue: &QueueDesc) {
    for (kind, rate) in [
        (MIN_RATE, queue.min_rate_permille),
        (MAX_RATE, queue.max_rate_permille),
    ] {
        let Some(rate) = rate else { continue };
        out.u16(kind);
        match out.version < Version::OpenFlow14 {
            true => {
                out.u16(16);
                out.zeros(4);
                out.u16(rate);
                out.zeros(6);
            }
            false => {
                out.u16(8);
                out.u16(rate);
                out.zeros(2);
            }
        }
    }
}

pub(super) fn encode_config_reply(
    out: &mut Writer<'_>,
    port: OfPort,
    queues: &[QueueDesc],
) -> Result<(), EncodeError> {
    let number = config_number(out, 21)?;
    out.begin(Class::Ofpt, number);
    write_port(out, port);
    out.zeros(if old(out.version) { 6 } else { 4 });
    for queue in queues {
        let start = out.place();
        out.u32(queue.queue);
        let length_at = match out.version < Version::OpenFlow12 {
            true => {
                out.zeros(4);
                start + 4
            }
            false => {
                out.port32(queue.port);
                out.zeros(8);
                start + 8
            }
        };
        write_rates(out, queue);
        out.length_at(length_at, start)?;
    }
    Ok(())
}

fn decode_desc_request(
    reader: &mut Reader<'_>,
    decoding: Decoding<'_>,
) -> Result<Message, Refusal> {
    let filter = read_filter(reader, decoding.version)?;
    Ok(Message::Request(MultipartRequest::QueueDesc(filter)))
}

pub(super) fn encode_desc_request(
    out: &mut Writer<'_>,
    filter: &QueueFilter,
) -> Result<(), EncodeError> {
    if out.version < Version::OpenFlow14 {
        return Err(out.unsupported("queue descriptions; ask for queue configuration"));
    }
    out.begin(Class::Request, 15);
    write_filter(out, filter);
    Ok(())
}

fn decode_desc_reply(reader: &mut Reader<'_>, decoding: Decoding<'_>) -> Result<Message, Refusal> {
    let mut queues = Vec::new();
    while !reader.is_empty() {
        let mut head = *reader;
        let (port, queue) = (head.port32()?, head.u32()?);
        let length = usize::from(head.u16()?);
        let mut body = reader.part(length)?;
        body.skip(16)?;
        let desc = QueueDesc {
            port,
            queue,
            min_rate_permille: None,
            max_rate_permille: None,
        };
        queues.push(read_rates(&mut body, desc, decoding.version)?);
    }
    Ok(Message::Reply {
        reply: MultipartReply::QueueDesc(queues),
        more: decoding.more,
    })
}

pub(super) fn encode_desc_reply(
    out: &mut Writer<'_>,
    queues: &[QueueDesc],
) -> Result<(), EncodeError> {
    if out.version < Version::OpenFlow14 {
        return Err(out.unsupported("queue descriptions; answer with queue configuration"));
    }
    out.begin(Class::Reply, 15);
    for queue in queues {
        let start = out.place();
        out.port32(queue.port);
        out.u32(queue.queue);
        out.zeros(8);
        write_rates(out, queue);
        out.length_at(start + 8, start)?;
        out.end_entry()?;
    }
    Ok(())
}
