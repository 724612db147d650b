//! Flows made of packets.
//!
//! Each part of the new flow has 16 bits in front: how many bits it has, where they come from and
//! what they are for.

use aorta_flow::Subfield;
use aorta_flow::action::{Action, Learn, LearnSpec};
use aorta_flow::field::ones;

use super::super::EncodeError;
use super::super::field::{
    Choice, read_operand, read_value, subfield, writable, write_operand, write_value,
};
use super::super::read::{Reader, Refusal};
use super::super::write::Writer;
use super::number::nx;
use super::write::nicira;
use super::{bad_argument, refused};
use crate::error::ErrorCode;

const SEND_FLOW_REMOVED: u16 = 1;
const DELETE_LEARNED: u16 = 2;
const WRITE_RESULT: u16 = 4;

const BITS: u16 = 0x7ff;
const FROM_VALUE: u16 = 1 << 13;
const TO: u16 = 3 << 11;
const TO_MATCH: u16 = 0;
const TO_LOAD: u16 = 1 << 11;
const TO_OUTPUT: u16 = 2 << 11;

pub(super) fn read(body: &mut Reader<'_>, second: bool) -> Result<Action, Refusal> {
    let mut learn = Learn {
        idle_timeout_s: body.u16()?,
        hard_timeout_s: body.u16()?,
        priority: body.u16()?,
        cookie: body.u64()?,
        ..Learn::default()
    };
    let flags = body.u16()?;
    let known = SEND_FLOW_REMOVED | DELETE_LEARNED | if second { WRITE_RESULT } else { 0 };
    if flags & !known != 0 {
        return Err(bad_argument("learn has flags that aren't known"));
    }
    learn.send_flow_removed = flags & SEND_FLOW_REMOVED != 0;
    learn.delete_learned = flags & DELETE_LEARNED != 0;
    learn.table = body.u8()?;
    body.skip(1)?;
    learn.fin_idle_timeout_s = body.u16()?;
    learn.fin_hard_timeout_s = body.u16()?;
    if learn.table == 0xff {
        return Err(bad_argument("learn needs a table"));
    }
    if second {
        learn.limit = body.u32()?;
        let bit = body.u16()?;
        body.skip(2)?;
        if flags & WRITE_RESULT != 0 {
            learn.result = Some(writable(subfield(read_operand(body)?, bit, 1)?)?);
        }
    }
    while body.len() >= 2 {
        match body.u16()? {
            0 => break,
            header => learn.specs.push(read_spec(body, header)?),
        }
    }
    body.rest();
    Ok(Action::Learn(Box::new(learn)))
}

fn read_part(body: &mut Reader<'_>, bits: u16) -> Result<Subfield, Refusal> {
    let id = read_operand(body)?;
    subfield(id, body.u16()?, bits)
}

/// Values have a multiple of 16 bits.
fn value_bytes(bits: u8) -> usize {
    usize::from(bits).div_ceil(16) * 2
}

fn read_spec(body: &mut Reader<'_>, header: u16) -> Result<LearnSpec, Refusal> {
    let bits = header & BITS;
    if header & !(BITS | FROM_VALUE | TO) != 0 || bits == 0 || bits > 128 {
        return Err(bad_argument("a part of a learned flow isn't known"));
    }
    let (mut value, mut from) = (None, None);
    match header & FROM_VALUE != 0 {
        true => {
            let read = read_value(body, value_bytes(bits as u8))?;
            if read & !ones(bits as u8) != 0 {
                return Err(bad_argument("a value of a learned flow has too many bits"));
            }
            value = Some(read);
        }
        false => from = Some(read_part(body, bits)?),
    }
    Ok(match (header & TO, value, from) {
        (TO_MATCH, Some(value), _) => LearnSpec::MatchValue {
            to: read_part(body, bits)?,
            value,
        },
        (TO_MATCH, _, Some(from)) => LearnSpec::MatchField {
            to: read_part(body, bits)?,
            from,
        },
        (TO_LOAD, Some(value), _) => LearnSpec::LoadValue {
            to: writable(read_part(body, bits)?)?,
            value,
        },
        (TO_LOAD, _, Some(from)) => LearnSpec::LoadField {
            to: writable(read_part(body, bits)?)?,
            from,
        },
        (TO_OUTPUT, _, Some(from)) => LearnSpec::Output(from),
        _ => {
            return Err(refused(
                ErrorCode::OFPBAC_BAD_ARGUMENT,
                "a learned flow can't send to a fixed port this way",
            ));
        }
    })
}

pub(super) fn write(out: &mut Writer<'_>, learn: &Learn) -> Result<(), EncodeError> {
    let second = learn.limit != 0 || learn.result.is_some();
    let subtype = if second { nx::LEARN2 } else { nx::LEARN };
    nicira(out, subtype, |out| {
        out.u16(learn.idle_timeout_s);
        out.u16(learn.hard_timeout_s);
        out.u16(learn.priority);
        out.u64(learn.cookie);
        let flag = |set: bool, bit: u16| if set { bit } else { 0 };
        out.u16(
            flag(learn.send_flow_removed, SEND_FLOW_REMOVED)
                | flag(learn.delete_learned, DELETE_LEARNED)
                | flag(learn.result.is_some(), WRITE_RESULT),
        );
        out.u8(learn.table);
        out.zeros(1);
        out.u16(learn.fin_idle_timeout_s);
        out.u16(learn.fin_hard_timeout_s);
        if second {
            out.u32(learn.limit);
            out.u16(learn.result.map_or(0, |bit| bit.start.into()));
            out.zeros(2);
            if let Some(bit) = learn.result {
                write_operand(out, bit.field, Choice::Older)?;
            }
        }
        learn
            .specs
            .iter()
            .try_for_each(|spec| write_spec(out, spec))
    })
}

fn write_part(out: &mut Writer<'_>, part: Subfield) -> Result<(), EncodeError> {
    write_operand(out, part.field, Choice::Older)?;
    out.u16(part.start.into());
    Ok(())
}

fn write_spec(out: &mut Writer<'_>, spec: &LearnSpec) -> Result<(), EncodeError> {
    match *spec {
        LearnSpec::MatchValue { to, value } => {
            out.u16(u16::from(to.bits) | FROM_VALUE | TO_MATCH);
            write_value(out, value, value_bytes(to.bits));
            write_part(out, to)
        }
        LearnSpec::MatchField { to, from } => {
            out.u16(u16::from(to.bits) | TO_MATCH);
            write_part(out, from)?;
            write_part(out, to)
        }
        LearnSpec::LoadValue { to, value } => {
            out.u16(u16::from(to.bits) | FROM_VALUE | TO_LOAD);
            write_value(out, value, value_bytes(to.bits));
            write_part(out, to)
        }
        LearnSpec::LoadField { to, from } => {
            out.u16(u16::from(to.bits) | TO_LOAD);
            write_part(out, from)?;
            write_part(out, to)
        }
        LearnSpec::Output(from) => {
            out.u16(u16::from(from.bits) | TO_OUTPUT);
            write_part(out, from)
        }
    }
}
