//! Choices by hash or by liveness.

use aorta_flow::action::{
    Action, Bundle, BundleAlgorithm, HashFields, Multipath, MultipathAlgorithm,
};
use aorta_flow::field::FieldId;
use aorta_flow::{OfPort, Subfield};

use super::super::EncodeError;
use super::super::field::{Choice, read_operand, writable, write_operand};
use super::super::read::{Reader, Refusal};
use super::super::write::Writer;
use super::bad_argument;
use super::nicira::packed;
use super::number::nx;
use super::standard::padding;
use super::write::{nicira, packed_bits};

fn nth<T: Copy>(all: &[(&'static str, T)], number: u16, what: &'static str) -> Result<T, Refusal> {
    let found = all.get(usize::from(number));
    found.map(|(_, one)| *one).ok_or(bad_argument(what))
}

fn hash_fields(number: u16) -> Result<HashFields, Refusal> {
    nth(
        &HashFields::ALL,
        number,
        "what a hash is made of isn't known",
    )
}

/// Hash fields, basis, padding; algorithm, links less 1, argument, padding; bits and field.
pub(super) fn read_multipath(body: &mut Reader<'_>) -> Result<Action, Refusal> {
    let fields = hash_fields(body.u16()?)?;
    let basis = body.u16()?;
    body.skip(2)?;
    let algorithm = body.u16()?;
    let n_links = u32::from(body.u16()?) + 1;
    let argument = body.u32()?;
    body.skip(2)?;
    let bits = body.u16()?;
    let to = writable(packed(body, bits)?)?;
    if to.bits < 16 && n_links > 1 << to.bits {
        return Err(bad_argument("a field can't hold the numbers of all links"));
    }
    let algorithm = nth(
        &MultipathAlgorithm::ALL,
        algorithm,
        "an algorithm of links isn't known",
    )?;
    Ok(Action::Multipath(Box::new(Multipath {
        fields,
        basis,
        algorithm,
        n_links,
        argument,
        to,
    })))
}

pub(super) fn write_multipath(
    out: &mut Writer<'_>,
    multipath: &Multipath,
) -> Result<(), EncodeError> {
    nicira(out, nx::MULTIPATH, |out| {
        out.u16(multipath.fields as u16);
        out.u16(multipath.basis);
        out.zeros(2);
        out.u16(multipath.algorithm as u16);
        out.u16(multipath.n_links.wrapping_sub(1) as u16);
        out.u32(multipath.argument);
        out.zeros(2);
        out.u16(packed_bits(multipath.to));
        write_operand(out, multipath.to.field, Choice::Older)
    })
}

/// Algorithm, hash fields, basis, kind of members, how many, bits and field, padding; members.
pub(super) fn read_bundle(body: &mut Reader<'_>, load: bool) -> Result<Action, Refusal> {
    let algorithm = body.u16()?;
    let fields = hash_fields(body.u16()?)?;
    let basis = body.u16()?;
    let kind = read_operand(body)?;
    let count = usize::from(body.u16()?);
    let bits = body.u16()?;
    let to = match load {
        true => Some(writable(packed(body, bits)?)?),
        false => {
            body.skip(4)?;
            None
        }
    };
    body.skip(4)?;
    if kind != FieldId::IN_PORT {
        return Err(bad_argument("members of a bundle are ports"));
    }
    let mut ports = body.part(count * 2)?;
    let mut members = Vec::with_capacity(count);
    while !ports.is_empty() {
        members.push(OfPort(ports.u16()?));
    }
    padding(body)?;
    let algorithm = nth(
        &BundleAlgorithm::ALL,
        algorithm,
        "an algorithm of bundles isn't known",
    )?;
    Ok(Action::Bundle(Box::new(Bundle {
        fields,
        basis,
        algorithm,
        to,
        members,
    })))
}

pub(super) fn write_bundle(out: &mut Writer<'_>, bundle: &Bundle) -> Result<(), EncodeError> {
    let subtype = match bundle.to {
        Some(_) => nx::BUNDLE_LOAD,
        None => nx::BUNDLE,
    };
    let count = u16::try_from(bundle.members.len());
    let count = count.map_err(|_| EncodeError::TooLong("a bundle"))?;
    nicira(out, subtype, |out| {
        out.u16(bundle.algorithm as u16);
        out.u16(bundle.fields as u16);
        out.u16(bundle.basis);
        write_operand(out, FieldId::IN_PORT, Choice::Older)?;
        out.u16(count);
        match bundle.to {
            Some(to) => write_packed(out, to)?,
            None => out.zeros(6),
        }
        out.zeros(4);
        bundle.members.iter().for_each(|port| out.u16(port.0));
        Ok(())
    })
}

fn write_packed(out: &mut Writer<'_>, part: Subfield) -> Result<(), EncodeError> {
    out.u16(packed_bits(part));
    write_operand(out, part.field, Choice::Older)
}
