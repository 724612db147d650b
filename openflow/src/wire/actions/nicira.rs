//! Reading Nicira's actions.

use aorta_flow::action::{Action, Sample, SampleDirection};
use aorta_flow::field::FieldId;
use aorta_flow::{OfPort, Subfield};

use super::super::Decoding;
use super::super::field::{read_operand, subfield, writable};
use super::super::read::{Reader, Refusal};
use super::number::nx;
use super::standard::{copy, mpls_label, padding, push_mpls};
use super::{bad_argument, choices, controller, ct, learn, refused, set_field};
use crate::error::ErrorCode;
use crate::version::Version;

/// Reads an action behind its experimenter.
pub(super) fn read(body: &mut Reader<'_>, d: Decoding<'_>) -> Result<Option<Action>, Refusal> {
    let subtype = body.u16()?;
    let found = match simple(subtype, body, d.version)? {
        Some(action) => Some(action),
        None => with_fields(subtype, body, d)?,
    };
    if found.is_some() {
        return Ok(found);
    }
    match subtype {
        nx::REG_LOAD2 => set_field::read_load2(body, d),
        _ => Err(refused(
            ErrorCode::OFPBAC_BAD_VENDOR_TYPE,
            "an action of Nicira's isn't known in this version",
        )),
    }
}

fn padded(body: &mut Reader<'_>, len: usize, action: Action) -> Result<Action, Refusal> {
    body.skip(len)?;
    Ok(action)
}

/// Those that OpenFlow 1.1 has as standard ones.
fn only_10(subtype: u16, body: &mut Reader<'_>) -> Result<Option<Action>, Refusal> {
    let modify = |field: FieldId, value: u8| Action::Modify {
        field,
        value: value.into(),
    };
    Ok(Some(match subtype {
        nx::SET_QUEUE => {
            body.skip(2)?;
            Action::SetQueue(body.u32()?)
        }
        nx::GROUP => {
            body.skip(2)?;
            Action::Group(body.u32()?)
        }
        nx::DEC_TTL => padded(body, 6, Action::DecTtl(None))?,
        nx::PUSH_MPLS => {
            let action = push_mpls(body)?;
            padded(body, 4, action)?
        }
        nx::POP_MPLS => {
            let ethertype = body.u16()?;
            padded(body, 4, Action::PopMpls(ethertype))?
        }
        nx::SET_MPLS_TTL => {
            let ttl = body.u8()?;
            padded(body, 5, modify(FieldId::MPLS_TTL, ttl))?
        }
        nx::SET_MPLS_TC => match body.u8()? {
            tc @ 0..8 => padded(body, 5, modify(FieldId::MPLS_TC, tc))?,
            _ => return Err(bad_argument("an MPLS traffic class has 3 bits")),
        },
        nx::SET_MPLS_LABEL => {
            body.skip(2)?;
            mpls_label(body.u32()?)?
        }
        nx::DEC_MPLS_TTL => padded(body, 6, Action::DecMplsTtl)?,
        _ => return Ok(None),
    }))
}

/// Actions of numbers.
fn simple(
    subtype: u16,
    body: &mut Reader<'_>,
    version: Version,
) -> Result<Option<Action>, Refusal> {
    if version == Version::OpenFlow10
        && let Some(action) = only_10(subtype, body)?
    {
        return Ok(Some(action));
    }
    Ok(Some(match subtype {
        nx::RESUBMIT => {
            let in_port = OfPort(body.u16()?);
            padded(body, 4, resubmit(in_port, 0xff, false))?
        }
        nx::RESUBMIT_TABLE | nx::RESUBMIT_TABLE_CT => {
            let (in_port, table) = (OfPort(body.u16()?), body.u8()?);
            body.zeros(3, ErrorCode::NXBAC_MUST_BE_ZERO)?;
            resubmit(in_port, table, subtype == nx::RESUBMIT_TABLE_CT)
        }
        nx::SET_TUNNEL => {
            body.skip(2)?;
            let id = body.u32()?.into();
            Action::SetTunnel { id, wide: false }
        }
        nx::SET_TUNNEL64 => {
            body.skip(6)?;
            let id = body.u64()?;
            Action::SetTunnel { id, wide: true }
        }
        nx::POP_QUEUE => padded(body, 6, Action::PopQueue)?,
        nx::NOTE => Action::Note(body.rest().to_vec()),
        nx::EXIT => padded(body, 6, Action::Exit)?,
        nx::DEC_TTL_CNT_IDS => dec_ttl(body)?,
        nx::FIN_TIMEOUT => {
            let (idle_timeout_s, hard_timeout_s) = (body.u16()?, body.u16()?);
            body.skip(2)?;
            Action::FinTimeout {
                idle_timeout_s,
                hard_timeout_s,
            }
        }
        nx::CONTROLLER => controller::read(body)?,
        nx::CONTROLLER2 => controller::read2(body)?,
        nx::SAMPLE | nx::SAMPLE2 | nx::SAMPLE3 => sample(subtype, body)?,
        nx::CONJUNCTION => conjunction(body)?,
        nx::OUTPUT_TRUNC => {
            let (port, max_len_bytes) = (OfPort(body.u16()?), body.u32()?);
            if max_len_bytes < 14 {
                return Err(bad_argument("a frame has at least 14 bytes"));
            }
            Action::OutputTruncated {
                port,
                max_len_bytes,
            }
        }
        nx::CT_CLEAR => padded(body, 6, Action::CtClear)?,
        nx::DEC_NSH_TTL => padded(body, 6, Action::DecNshTtl)?,
        nx::DEBUG_SLOW => padded(body, 6, Action::DebugSlow)?,
        nx::DEBUG_RECIRC => padded(body, 6, Action::DebugRecirc)?,
        _ => return Ok(None),
    }))
}

fn resubmit(in_port: OfPort, table: u8, ct: bool) -> Action {
    Action::Resubmit {
        in_port: Some(in_port).filter(|port| *port != OfPort::IN_PORT),
        table: Some(table).filter(|table| *table != 0xff),
        ct,
    }
}

/// How many controllers, padding, their numbers, padding.
fn dec_ttl(body: &mut Reader<'_>) -> Result<Action, Refusal> {
    let count = usize::from(body.u16()?);
    body.skip(4)?;
    let mut numbers = body.part(count * 2)?;
    let mut ids = Vec::with_capacity(count);
    while !numbers.is_empty() {
        ids.push(numbers.u16()?);
    }
    padding(body)?;
    Ok(Action::DecTtl(Some(ids)))
}

fn sample(subtype: u16, body: &mut Reader<'_>) -> Result<Action, Refusal> {
    let mut sample = Sample {
        probability: body.u16()?,
        collector_set: body.u32()?,
        obs_domain: body.u32()?,
        obs_point: body.u32()?,
        ..Sample::default()
    };
    if sample.probability == 0 {
        return Err(bad_argument("a sample needs a probability"));
    }
    if subtype != nx::SAMPLE {
        let port = OfPort(body.u16()?);
        sample.sampling_port = Some(port).filter(|port| *port != OfPort::ANY);
        let direction = body.u8()?;
        body.skip(5)?;
        sample.direction = match direction {
            _ if subtype == nx::SAMPLE2 => None,
            0 => None,
            1 => Some(SampleDirection::Ingress),
            2 => Some(SampleDirection::Egress),
            _ => return Err(bad_argument("a sample's direction is 0, 1 or 2")),
        };
    }
    Ok(Action::Sample(Box::new(sample)))
}

fn conjunction(body: &mut Reader<'_>) -> Result<Action, Refusal> {
    let (clause, n_clauses, id) = (body.u8()?, body.u8()?, body.u32()?);
    if !(2..=64).contains(&n_clauses) || clause >= n_clauses {
        return Err(refused(
            ErrorCode::NXBAC_BAD_CONJUNCTION,
            "a conjunction has 2 to 64 clauses",
        ));
    }
    Ok(Action::Conjunction {
        id,
        clause: clause + 1,
        n_clauses,
    })
}

/// Actions of fields, and those that contain others.
fn with_fields(
    subtype: u16,
    body: &mut Reader<'_>,
    d: Decoding<'_>,
) -> Result<Option<Action>, Refusal> {
    Ok(Some(match subtype {
        nx::REG_MOVE => {
            let (bits, from, to) = (body.u16()?, body.u16()?, body.u16()?);
            copy(body, bits, from, to)?
        }
        nx::REG_LOAD => set_field::read_load(body)?,
        nx::STACK_PUSH => Action::Push(stack(body)?),
        nx::STACK_POP => Action::Pop(writable(stack(body)?)?),
        nx::OUTPUT_REG => {
            let bits = body.u16()?;
            let from = packed(body, bits)?;
            body.skip(2)?;
            body.zeros(6, ErrorCode::NXBAC_MUST_BE_ZERO)?;
            Action::OutputField(from)
        }
        nx::OUTPUT_REG2 => {
            let bits = body.u16()?;
            body.skip(2)?;
            let from = packed(body, bits)?;
            padding_of_10(body)?;
            Action::OutputField(from)
        }
        nx::MULTIPATH => choices::read_multipath(body)?,
        nx::BUNDLE => choices::read_bundle(body, false)?,
        nx::BUNDLE_LOAD => choices::read_bundle(body, true)?,
        nx::LEARN => learn::read(body, false)?,
        nx::LEARN2 => learn::read(body, true)?,
        nx::CT => ct::read(body, d)?,
        nx::CLONE => {
            body.skip(6)?;
            let inner = Decoding {
                depth: d.depth + 1,
                ..d
            };
            Action::Clone(super::read(body, inner)?)
        }
        nx::CHECK_PKT_LARGER => check_pkt_larger(body)?,
        nx::DELETE_FIELD => {
            let id = read_operand(body)?;
            padding_of_10(body)?;
            if id.as_tun_metadata().is_none() {
                return Err(bad_argument("only tunnel options can be deleted"));
            }
            Action::DeleteField(id)
        }
        _ => return Ok(None),
    }))
}

/// Field and bits where first bit and number of bits, less 1, share 16 bits.
pub(super) fn packed(body: &mut Reader<'_>, bits: u16) -> Result<Subfield, Refusal> {
    subfield(read_operand(body)?, bits >> 6, (bits & 0x3f) + 1)
}

/// Padding of an action that reserves 10 bytes for a field's code.
fn padding_of_10(body: &mut Reader<'_>) -> Result<(), Refusal> {
    let len = body.len();
    body.zeros(len, ErrorCode::NXBAC_MUST_BE_ZERO)
}

/// First bit, field, number of bits, padding.
fn stack(body: &mut Reader<'_>) -> Result<Subfield, Refusal> {
    let start = body.u16()?;
    let id = read_operand(body)?;
    let bits = body.u16()?;
    padding_of_10(body)?;
    subfield(id, start, bits)
}

fn check_pkt_larger(body: &mut Reader<'_>) -> Result<Action, Refusal> {
    let (len_bytes, bit) = (body.u16()?, body.u16()?);
    let id = read_operand(body)?;
    padding_of_10(body)?;
    Ok(Action::CheckPktLarger {
        len_bytes,
        to: writable(subfield(id, bit, 1)?)?,
    })
}
