//! Counters as a list (OpenFlow 1.5.1 §7.2.4.2).

use std::time::Duration;

use super::EncodeError;
use super::read::{Reader, Refusal};
use super::write::Writer;
use crate::error::ErrorCode;

const CLASS: u16 = 0x8002;
const DURATION: u8 = 0;
const IDLE_TIME: u8 = 1;
const FLOW_COUNT: u8 = 3;
const PACKET_COUNT: u8 = 4;
const BYTE_COUNT: u8 = 5;

/// What a list says.
#[derive(Clone, Copy, Default)]
pub(super) struct Counters {
    pub duration: Option<Duration>,
    pub idle: Option<Duration>,
    pub n_flows: Option<u32>,
    pub n_packets: Option<u64>,
    pub n_bytes: Option<u64>,
}

/// Reads seconds and nanoseconds.
pub(super) fn read_duration(reader: &mut Reader<'_>) -> Result<Duration, Refusal> {
    let (seconds, nanoseconds) = (reader.u32()?, reader.u32()?);
    // More nanoseconds than a second has are as many seconds, which can't be too many in 64 bits.
    Ok(Duration::new(seconds.into(), nanoseconds))
}

/// Writes seconds and nanoseconds.
pub(super) fn write_duration(out: &mut Writer<'_>, duration: Duration) {
    out.u32(u32::try_from(duration.as_secs()).unwrap_or(u32::MAX));
    out.u32(duration.subsec_nanos());
}

/// Reads a list with its length and padding; what isn't known is passed over.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<Counters, Refusal> {
    reader.skip(2)?;
    let length = usize::from(reader.u16()?);
    let refused = Refusal::bad_len("a list of counters is too short");
    let mut fields = reader.part(length.checked_sub(4).ok_or(refused)?)?;
    reader.skip((length.next_multiple_of(8) - length).min(reader.len()))?;
    let mut counters = Counters::default();
    while !fields.is_empty() {
        let class = fields.u16()?;
        let number = fields.u8()? >> 1;
        let len = usize::from(fields.u8()?);
        let mut value = fields.part(len)?.with_error(ErrorCode::OFPBRC_BAD_LEN);
        if class != CLASS {
            continue;
        }
        match number {
            DURATION => counters.duration = Some(read_duration(&mut value)?),
            IDLE_TIME => counters.idle = Some(read_duration(&mut value)?),
            FLOW_COUNT => counters.n_flows = Some(value.u32()?),
            PACKET_COUNT => counters.n_packets = value.counter()?,
            BYTE_COUNT => counters.n_bytes = value.counter()?,
            _ => continue,
        }
        value.end()?;
    }
    Ok(counters)
}

fn field(out: &mut Writer<'_>, number: u8, len: u8) {
    out.u16(CLASS);
    out.u8(number << 1);
    out.u8(len);
}

/// Writes a list with its length and padding.
pub(super) fn write(out: &mut Writer<'_>, counters: Counters) -> Result<(), EncodeError> {
    let start = out.place();
    out.zeros(4);
    if let Some(duration) = counters.duration {
        field(out, DURATION, 8);
        write_duration(out, duration);
    }
    if let Some(idle) = counters.idle {
        field(out, IDLE_TIME, 8);
        write_duration(out, idle);
    }
    for (number, count) in [
        (PACKET_COUNT, counters.n_packets),
        (BYTE_COUNT, counters.n_bytes),
    ] {
        if let Some(count) = count {
            field(out, number, 8);
            out.u64(count);
        }
    }
    if let Some(count) = counters.n_flows {
        field(out, FLOW_COUNT, 4);
        out.u32(count);
    }
    out.length_at(start + 2, start)?;
    out.pad_to_8(start);
    Ok(())
}
