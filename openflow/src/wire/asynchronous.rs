//! Which asynchronous messages come (OpenFlow 1.3.5 §7.3.10, OpenFlow 1.4.1 §7.3.10).

use super::actions::property;
use super::kind::{Class, Kind, kind};
use super::read::{Reader, Refusal, element};
use super::write::Writer;
use super::{Decoding, EncodeError};
use crate::error::ErrorCode;
use crate::message::{AsyncConfig, AsyncForm, AsyncMasks, Message};
use crate::version::Version;

const GET_REQUEST: u32 = 26;
const GET_REPLY: u32 = 27;
const SET: u32 = 28;
const NX_SET: u32 = 19;
const NX_SET2: u32 = 27;

pub(super) const KINDS: &[Kind] = &[
    kind(Class::Ofpt, GET_REQUEST, 3, 5, |_, _| {
        Ok(Message::GetAsyncRequest)
    }),
    kind(Class::Ofpt, GET_REPLY, 3, 5, |r, d| {
        Ok(Message::GetAsyncReply(read(r, d, AsyncForm::Standard)?))
    }),
    kind(Class::Ofpt, SET, 3, 5, |r, d| {
        Ok(Message::SetAsync(read(r, d, AsyncForm::Standard)?))
    }),
    kind(Class::Nxt, NX_SET, 0, 5, |r, d| {
        Ok(Message::SetAsync(read(r, d, AsyncForm::Nicira)?))
    }),
    kind(Class::Nxt, NX_SET2, 0, 3, |r, d| {
        Ok(Message::SetAsync(read(r, d, AsyncForm::Nicira2)?))
    }),
];

/// Whether it is written as properties.
fn has_properties(form: AsyncForm, version: Version) -> bool {
    match form {
        AsyncForm::Standard => version >= Version::OpenFlow14,
        AsyncForm::Nicira => false,
        AsyncForm::Nicira2 => true,
    }
}

/// The masks in the order of their properties' numbers.
fn masks(masks: &mut AsyncMasks) -> [&mut Option<u32>; 6] {
    [
        &mut masks.packet_in,
        &mut masks.port_status,
        &mut masks.flow_removed,
        &mut masks.role_status,
        &mut masks.table_status,
        &mut masks.request_forward,
    ]
}

fn read(reader: &mut Reader<'_>, d: Decoding<'_>, form: AsyncForm) -> Result<AsyncConfig, Refusal> {
    let mut config = AsyncConfig {
        form,
        primary: AsyncMasks::default(),
        secondary: AsyncMasks::default(),
    };
    if !has_properties(form, d.version) {
        for at in 0..3 {
            *masks(&mut config.primary)[at] = Some(reader.u32()?);
            *masks(&mut config.secondary)[at] = Some(reader.u32()?);
        }
        return Ok(config);
    }
    while !reader.is_empty() {
        let mut property = element(reader, ErrorCode::OFPBPC_BAD_LEN)?;
        let at = usize::from(property.kind / 2);
        let role = match property.kind % 2 {
            0 => &mut config.secondary,
            _ => &mut config.primary,
        };
        let mut all = masks(role);
        let mask = all.get_mut(at).ok_or(Refusal::new(
            ErrorCode::OFPBPC_BAD_TYPE,
            "a kind of asynchronous messages isn't known",
        ))?;
        **mask = Some(property.body.u32()?);
        property.body.end()?;
    }
    Ok(config)
}

pub(super) fn encode(out: &mut Writer<'_>, message: &Message) -> Result<(), EncodeError> {
    let what = "settings of asynchronous messages but in Nicira's form";
    let (number, config) = match message {
        Message::GetAsyncReply(config) => (GET_REPLY, Some(config)),
        Message::SetAsync(config) => (SET, Some(config)),
        _ => (GET_REQUEST, None),
    };
    match config.map_or(AsyncForm::Standard, |config| config.form) {
        AsyncForm::Standard if out.version < Version::OpenFlow13 => {
            return Err(out.unsupported(what));
        }
        AsyncForm::Standard => out.begin(Class::Ofpt, number),
        AsyncForm::Nicira => out.begin(Class::Nxt, NX_SET),
        AsyncForm::Nicira2 if out.version > Version::OpenFlow13 => {
            return Err(out.unsupported("settings of asynchronous messages in Nicira's form"));
        }
        AsyncForm::Nicira2 => out.begin(Class::Nxt, NX_SET2),
    }
    config.map_or(Ok(()), |config| write(out, *config))
}

fn write(out: &mut Writer<'_>, mut config: AsyncConfig) -> Result<(), EncodeError> {
    let properties = has_properties(config.form, out.version);
    let secondary = masks(&mut config.secondary).map(|mask| *mask);
    let primary = masks(&mut config.primary).map(|mask| *mask);
    let pairs = secondary.into_iter().zip(primary);
    if !properties {
        for (secondary, primary) in pairs.take(3) {
            out.u32(primary.unwrap_or(0));
            out.u32(secondary.unwrap_or(0));
        }
        return Ok(());
    }
    let numbered = pairs.flat_map(|(secondary, primary)| [secondary, primary]);
    for (number, mask) in (0..).zip(numbered) {
        if let Some(mask) = mask {
            property(out, number, &mask.to_be_bytes())?;
        }
    }
    Ok(())
}
