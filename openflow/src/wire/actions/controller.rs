//! Packets for controllers.

use aorta_flow::action::{Action, Controller, PacketInReason};

use super::super::EncodeError;
use super::super::read::{Reader, Refusal, element};
use super::super::write::Writer;
use super::bad_argument;
use super::number::nx;
use super::write::nicira;
use crate::error::ErrorCode;

/// Types of the properties of the newer form.
const MAX_LEN: u16 = 0;
const CONTROLLER_ID: u16 = 1;
const REASON: u16 = 2;
const USERDATA: u16 = 3;
const PAUSE: u16 = 4;
const METER_ID: u16 = 5;

fn reason(number: u8) -> Result<PacketInReason, Refusal> {
    let all = PacketInReason::ALL.iter();
    let mut all = all.map(|(_, reason)| *reason);
    all.nth(number.into())
        .ok_or(bad_argument("a packet's reason isn't known"))
}

pub(super) fn read(body: &mut Reader<'_>) -> Result<Action, Refusal> {
    let (max_len_bytes, id) = (body.u16()?, body.u16()?);
    let reason = reason(body.u8()?)?;
    body.skip(1)?;
    Ok(Action::Controller(Box::new(Controller {
        max_len_bytes,
        id,
        reason,
        ..Controller::default()
    })))
}

pub(super) fn read2(body: &mut Reader<'_>) -> Result<Action, Refusal> {
    body.zeros(6, ErrorCode::NXBAC_MUST_BE_ZERO)?;
    let mut controller = Controller::default();
    while !body.is_empty() {
        let mut property = element(body, ErrorCode::OFPBPC_BAD_LEN)?;
        let value = &mut property.body;
        match property.kind {
            MAX_LEN => controller.max_len_bytes = padded_u16(value)?,
            CONTROLLER_ID => controller.id = padded_u16(value)?,
            REASON => controller.reason = reason(value.u8()?)?,
            USERDATA => controller.userdata = value.rest().to_vec(),
            PAUSE => controller.pause = true,
            METER_ID => controller.meter = Some(value.u32()?),
            _ => {
                return Err(Refusal::new(
                    ErrorCode::OFPBPC_BAD_TYPE,
                    "a property of the action isn't known",
                ));
            }
        }
        value.end()?;
    }
    Ok(Action::Controller(Box::new(controller)))
}

/// Numbers of 16 bits have as many of padding behind them.
fn padded(value: u16) -> [u8; 4] {
    let [high, low] = value.to_be_bytes();
    [high, low, 0, 0]
}

fn padded_u16(body: &mut Reader<'_>) -> Result<u16, Refusal> {
    let value = body.u16()?;
    body.skip(2)?;
    Ok(value)
}

pub(super) fn write(out: &mut Writer<'_>, controller: &Controller) -> Result<(), EncodeError> {
    let Controller {
        max_len_bytes,
        id,
        reason,
        userdata,
        pause,
        meter,
    } = controller;
    if userdata.is_empty() && !pause && meter.is_none() {
        return nicira(out, nx::CONTROLLER, |out| {
            out.u16(*max_len_bytes);
            out.u16(*id);
            out.u8(*reason as u8);
            Ok(())
        });
    }
    nicira(out, nx::CONTROLLER2, |out| {
        out.zeros(6);
        if *max_len_bytes != u16::MAX {
            property(out, MAX_LEN, &padded(*max_len_bytes))?;
        }
        if *id != 0 {
            property(out, CONTROLLER_ID, &padded(*id))?;
        }
        if *reason != PacketInReason::Action {
            property(out, REASON, &[*reason as u8])?;
        }
        if !userdata.is_empty() {
            property(out, USERDATA, userdata)?;
        }
        if *pause {
            property(out, PAUSE, &[])?;
        }
        match meter {
            Some(meter) => property(out, METER_ID, &meter.to_be_bytes()),
            None => Ok(()),
        }
    })
}

/// Writes an element of type, length, value and padding.
pub(in super::super) fn property(
    out: &mut Writer<'_>,
    kind: u16,
    value: &[u8],
) -> Result<(), EncodeError> {
    let start = out.place();
    out.u16(kind);
    out.u16(0);
    out.all(value);
    out.length_at(start + 2, start)?;
    out.pad_to_8(start);
    Ok(())
}
