//! What ports have counted (OpenFlow 1.3.5 §7.3.5.6, OpenFlow 1.4.1 §7.3.5.6).

use aorta_flow::OfPort;

use super::kind::Class;
use super::port::{read_duration, read_number, write_duration};
use super::property::{EXPERIMENTER_PROPERTY, property};
use super::read::{Reader, Refusal};
use super::write::Writer;
use super::{Decoding, EncodeError};
use crate::message::{
    CustomCounter, EtherCounters, Message, MultipartReply, MultipartRequest, PortStats,
};
use crate::version::Version;

/// The property with what only Ethernet counts (OFPPSPT_ETHERNET).
const ETHERNET: u16 = 0;
/// Who defined the properties with further counters, and their types.
const INTEL: u32 = 0x0000_aa01;
const RFC2819: u32 = 1;
const CUSTOM: u32 = 2;

pub(super) fn decode_request(
    reader: &mut Reader<'_>,
    decoding: Decoding<'_>,
) -> Result<Message, Refusal> {
    let port = read_number(reader, decoding.version)?;
    let unused = if decoding.version == Version::OpenFlow10 {
        6
    } else {
        4
    };
    reader.skip(unused)?;
    Ok(Message::Request(MultipartRequest::Port(port)))
}

pub(super) fn encode_stats_request(out: &mut Writer<'_>, port: OfPort) -> Result<(), EncodeError> {
    out.begin(Class::Request, 4);
    match out.version {
        Version::OpenFlow10 => {
            out.u16(port.0);
            out.zeros(6);
        }
        _ => {
            out.port32(port);
            out.zeros(4);
        }
    }
    Ok(())
}

pub(super) fn decode_reply(
    reader: &mut Reader<'_>,
    decoding: Decoding<'_>,
) -> Result<Message, Refusal> {
    let mut ports = Vec::new();
    while !reader.is_empty() {
        ports.push(match decoding.version {
            Version::OpenFlow14 | Version::OpenFlow15 => read_with_properties(reader)?,
            version => read_fixed(reader, version)?,
        });
    }
    Ok(Message::Reply {
        reply: MultipartReply::Port(ports),
        more: decoding.more,
    })
}

/// The counters that all versions have, in the order of the wire.
fn common(stats: &mut PortStats) -> [&mut Option<u64>; 8] {
    [
        &mut stats.rx_packets,
        &mut stats.tx_packets,
        &mut stats.rx_bytes,
        &mut stats.tx_bytes,
        &mut stats.rx_dropped,
        &mut stats.tx_dropped,
        &mut stats.rx_errors,
        &mut stats.tx_errors,
    ]
}

/// The counters that only Ethernet has, in the order of the wire.
fn ethernet(stats: &mut PortStats) -> [&mut Option<u64>; 4] {
    [
        &mut stats.rx_frame_err,
        &mut stats.rx_over_err,
        &mut stats.rx_crc_err,
        &mut stats.collisions,
    ]
}

fn read_fixed(reader: &mut Reader<'_>, version: Version) -> Result<PortStats, Refusal> {
    let mut stats = PortStats::unknown(read_number(reader, version)?);
    reader.skip(if version == Version::OpenFlow10 { 6 } else { 4 })?;
    for counter in common(&mut stats) {
        *counter = reader.counter()?;
    }
    for counter in ethernet(&mut stats) {
        *counter = reader.counter()?;
    }
    if version >= Version::OpenFlow13 {
        stats.duration = read_duration(reader)?;
    }
    Ok(stats)
}

fn read_with_properties(reader: &mut Reader<'_>) -> Result<PortStats, Refusal> {
    let length = usize::from({ *reader }.u16()?);
    let mut body = reader.part(length)?;
    body.skip(4)?;
    let mut stats = PortStats::unknown(body.port32()?);
    stats.duration = read_duration(&mut body)?;
    for counter in common(&mut stats) {
        *counter = body.counter()?;
    }
    while !body.is_empty() {
        let mut element = property(&mut body)?;
        match element.kind {
            ETHERNET => {
                element.body.skip(4)?;
                for counter in ethernet(&mut stats) {
                    *counter = element.body.counter()?;
                }
            }
            EXPERIMENTER_PROPERTY => read_further(&mut element.body, &mut stats)?,
            // Others say more, not something else.
            _ => {}
        }
    }
    Ok(stats)
}

fn read_further(body: &mut Reader<'_>, stats: &mut PortStats) -> Result<(), Refusal> {
    match (body.u32()?, body.u32()?) {
        (INTEL, RFC2819) => {
            body.skip(4)?;
            let mut counters = EtherCounters::default();
            for counter in further(&mut counters) {
                *counter = body.counter()?;
            }
            stats.ethernet = Some(Box::new(counters));
        }
        (INTEL, CUSTOM) => {
            body.skip(2)?;
            for _ in 0..body.u16()? {
                let len = usize::from(body.u8()?);
                stats.custom.push(CustomCounter {
                    name: String::from_utf8_lossy(body.take(len)?).into_owned(),
                    value: body.u64()?,
                });
            }
        }
        _ => {}
    }
    Ok(())
}

/// Counters of RFC 2819, in the order of the wire.
fn further(counters: &mut EtherCounters) -> impl Iterator<Item = &mut Option<u64>> {
    let EtherCounters {
        rx_sizes,
        tx_sizes,
        tx_multicast,
        rx_broadcast,
        tx_broadcast,
        rx_undersized,
        rx_oversize,
        rx_fragmented,
        rx_jabber,
    } = counters;
    rx_sizes.iter_mut().chain(tx_sizes.iter_mut()).chain([
        tx_multicast,
        rx_broadcast,
        tx_broadcast,
        rx_undersized,
        rx_oversize,
        rx_fragmented,
        rx_jabber,
    ])
}

pub(super) fn encode_stats_reply(
    out: &mut Writer<'_>,
    ports: &[PortStats],
) -> Result<(), EncodeError> {
    out.begin(Class::Reply, 4);
    for port in ports {
        match out.version {
            Version::OpenFlow14 | Version::OpenFlow15 => write_with_properties(out, port)?,
            _ => write_fixed(out, port),
        }
        out.end_entry()?;
    }
    Ok(())
}

fn write_fixed(out: &mut Writer<'_>, port: &PortStats) {
    match out.version {
        Version::OpenFlow10 => {
            out.u16(port.port.0);
            out.zeros(6);
        }
        _ => {
            out.port32(port.port);
            out.zeros(4);
        }
    }
    let mut stats = port.clone();
    for counter in common(&mut stats) {
        out.counter(*counter);
    }
    for counter in ethernet(&mut stats) {
        out.counter(*counter);
    }
    if out.version >= Version::OpenFlow13 {
        write_duration(out, port.duration);
    }
}

fn write_with_properties(out: &mut Writer<'_>, port: &PortStats) -> Result<(), EncodeError> {
    let start = out.place();
    out.zeros(4);
    out.port32(port.port);
    write_duration(out, port.duration);
    let mut stats = port.clone();
    for counter in common(&mut stats) {
        out.counter(*counter);
    }
    out.u16(ETHERNET);
    out.u16(40);
    out.zeros(4);
    for counter in ethernet(&mut stats) {
        out.counter(*counter);
    }
    if let Some(counters) = &mut stats.ethernet {
        let head = begin_further(out, RFC2819);
        out.zeros(4);
        for counter in further(counters) {
            out.counter(*counter);
        }
        out.length_at(head + 2, head)?;
    }
    if !port.custom.is_empty() {
        write_custom(out, &port.custom)?;
    }
    out.length_at(start, start)
}

/// Where a property with further counters begins.
fn begin_further(out: &mut Writer<'_>, kind: u32) -> usize {
    let head = out.place();
    out.u16(EXPERIMENTER_PROPERTY);
    out.u16(0);
    out.u32(INTEL);
    out.u32(kind);
    head
}

fn write_custom(out: &mut Writer<'_>, counters: &[CustomCounter]) -> Result<(), EncodeError> {
    let head = begin_further(out, CUSTOM);
    out.zeros(2);
    let too_many = EncodeError::TooLong("a list of counters");
    out.u16(u16::try_from(counters.len()).map_err(|_| too_many)?);
    for counter in counters {
        let mut len = counter.name.len().min(usize::from(u8::MAX));
        while !counter.name.is_char_boundary(len) {
            len -= 1;
        }
        out.u8(len as u8);
        out.all(&counter.name.as_bytes()[..len]);
        out.u64(counter.value);
    }
    out.length_at(head + 2, head)?;
    out.pad_to_8(head);
    Ok(())
}
