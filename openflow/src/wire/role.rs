//! Roles of controllers (OpenFlow 1.3.5 §7.3.9, OpenFlow 1.4.1 §7.4.4).

use super::kind::{Class, Kind, kind};
use super::read::{Reader, Refusal};
use super::write::Writer;
use super::{Decoding, EncodeError};
use crate::error::ErrorCode;
use crate::message::{Form, Message, Role, RoleReason, RoleRequest, RoleStatus};
use crate::version::Version;

const REQUEST: u32 = 24;
const REPLY: u32 = 25;
const NX_REQUEST: u32 = 10;
const NX_REPLY: u32 = 11;
const STATUS: u32 = 30;
const ONF_STATUS: u32 = 1911;

pub(super) const KINDS: &[Kind] = &[
    kind(Class::Ofpt, REQUEST, 2, 5, |r, _| {
        Ok(Message::RoleRequest(read_role(r)?))
    }),
    kind(Class::Ofpt, REPLY, 2, 5, |r, _| {
        Ok(Message::RoleReply(read_role(r)?))
    }),
    kind(Class::Nxt, NX_REQUEST, 0, 5, |r, _| {
        Ok(Message::RoleRequest(read_nicira(r)?))
    }),
    kind(Class::Nxt, NX_REPLY, 0, 5, |r, _| {
        Ok(Message::RoleReply(read_nicira(r)?))
    }),
    kind(Class::Ofpt, STATUS, 4, 5, read_status),
    kind(Class::Onft, ONF_STATUS, 3, 3, read_status),
];

/// No generation.
const NO_GENERATION: u64 = u64::MAX;

/// By the standard's numbers.
const ROLES: [Role; 4] = [Role::NoChange, Role::Equal, Role::Primary, Role::Secondary];
/// By Nicira's.
const NX_ROLES: [Role; 3] = [Role::Equal, Role::Primary, Role::Secondary];

fn role(all: &[Role], number: u32) -> Result<Role, Refusal> {
    let found = usize::try_from(number).ok().and_then(|at| all.get(at));
    found.copied().ok_or(Refusal::new(
        ErrorCode::OFPRRFC_BAD_ROLE,
        "there is no such role",
    ))
}

fn number(all: &[Role], role: Role) -> Option<u32> {
    let at = all.iter().position(|r| *r == role)?;
    Some(at as u32)
}

fn generation(number: u64) -> Option<u64> {
    Some(number).filter(|number| *number != NO_GENERATION)
}

/// Role, padding, generation.
fn read_role(reader: &mut Reader<'_>) -> Result<RoleRequest, Refusal> {
    let role = role(&ROLES, reader.u32()?)?;
    reader.skip(4)?;
    Ok(RoleRequest {
        form: Form::Standard,
        role,
        generation_id: generation(reader.u64()?),
    })
}

fn read_nicira(reader: &mut Reader<'_>) -> Result<RoleRequest, Refusal> {
    Ok(RoleRequest {
        form: Form::Nicira,
        role: role(&NX_ROLES, reader.u32()?)?,
        generation_id: None,
    })
}

/// Role, reason, padding, generation.
fn read_status(reader: &mut Reader<'_>, _: Decoding<'_>) -> Result<Message, Refusal> {
    let role = role(&ROLES, reader.u32()?)?;
    let reason = match reader.u8()? {
        0 => RoleReason::PrimaryRequest,
        1 => RoleReason::Config,
        2 => RoleReason::Experimenter,
        _ => {
            return Err(Refusal::new(
                ErrorCode::NXBRC_BAD_REASON,
                "the reason for which a role changed isn't known",
            ));
        }
    };
    reader.skip(3)?;
    Ok(Message::RoleStatus(RoleStatus {
        role,
        reason,
        generation_id: generation(reader.u64()?),
    }))
}

pub(super) fn encode(out: &mut Writer<'_>, message: &Message) -> Result<(), EncodeError> {
    match message {
        Message::RoleRequest(request) => write_role(out, REQUEST, NX_REQUEST, request),
        Message::RoleReply(reply) => write_role(out, REPLY, NX_REPLY, reply),
        Message::RoleStatus(status) => write_status(out, status),
        _ => Err(out.unsupported("such role message")),
    }
}

fn write_role(
    out: &mut Writer<'_>,
    plain: u32,
    nicira: u32,
    request: &RoleRequest,
) -> Result<(), EncodeError> {
    if request.form == Form::Nicira {
        let role = number(&NX_ROLES, request.role);
        let role = role.ok_or(out.unsupported("question for the role in Nicira's form"))?;
        out.begin(Class::Nxt, nicira);
        out.u32(role);
        return Ok(());
    }
    if out.version < Version::OpenFlow12 {
        return Err(out.unsupported("roles but in Nicira's form"));
    }
    out.begin(Class::Ofpt, plain);
    out.u32(number(&ROLES, request.role).unwrap_or(0));
    out.zeros(4);
    out.u64(request.generation_id.unwrap_or(NO_GENERATION));
    Ok(())
}

fn write_status(out: &mut Writer<'_>, status: &RoleStatus) -> Result<(), EncodeError> {
    match out.version {
        Version::OpenFlow14 | Version::OpenFlow15 => out.begin(Class::Ofpt, STATUS),
        Version::OpenFlow13 => out.begin(Class::Onft, ONF_STATUS),
        _ => return Err(out.unsupported("messages about changed roles")),
    }
    out.u32(number(&ROLES, status.role).unwrap_or(0));
    out.u8(status.reason as u8);
    out.zeros(3);
    out.u64(status.generation_id.unwrap_or(NO_GENERATION));
    Ok(())
}
