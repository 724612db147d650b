//! Connection tracking and address translation.

use std::net::IpAddr;

use aorta_flow::action::{Action, Ct, CtZone, Nat, NatDirection};

use super::super::field::{Choice, read_operand, subfield, write_operand};
use super::super::kind::NICIRA;
use super::super::read::{Reader, Refusal};
use super::super::write::Writer;
use super::super::{Decoding, EncodeError};
use super::number::nx;
use super::standard::padding;
use super::write::{nicira, packed_bits};
use super::{EXPERIMENTER, MAX_DEPTH, bad_argument, next_raw, read_one, refused, write};
use crate::error::ErrorCode;

const COMMIT: u16 = 1;
const FORCE: u16 = 2;
/// No table.
const NO_TABLE: u8 = 0xff;
/// Protocols with connections of their own, by the port that they are known for.
const ALGS: [(u16, &str); 2] = [(21, "ftp"), (69, "tftp")];

/// Flags, field of the zone, zone or bits of the field, table, padding, protocol; actions.
pub(super) fn read(body: &mut Reader<'_>, d: Decoding<'_>) -> Result<Action, Refusal> {
    let flags = body.u16()?;
    let mut zone_field = body.part(4)?;
    let fixed_zone = { zone_field }.u32()? == 0;
    let zone = body.u16()?;
    let table = body.u8()?;
    body.skip(3)?;
    let alg = body.u16()?;
    let mut ct = Ct {
        commit: flags & COMMIT != 0,
        force: flags & FORCE != 0,
        table: Some(table).filter(|table| *table != NO_TABLE),
        ..Ct::default()
    };
    if ct.force && !ct.commit {
        return Err(bad_argument("force has a meaning with commit only"));
    }
    ct.zone = match fixed_zone {
        true => CtZone::Number(zone),
        false => {
            let id = read_operand(&mut zone_field)?;
            let part = subfield(id, zone >> 6, (zone & 0x3f) + 1)?;
            if part.bits != 16 {
                return Err(refused(ErrorCode::OFPBAC_BAD_SET_LEN, "a zone has 16 bits"));
            }
            CtZone::Field(part)
        }
    };
    if alg != 0 {
        let known = ALGS.iter().find(|(port, _)| *port == alg);
        let (_, name) = known.ok_or(bad_argument("a protocol of ct isn't known"))?;
        ct.alg = Some(name);
    }
    read_inner(body, &mut ct, d)?;
    Ok(Action::Ct(Box::new(ct)))
}

fn read_inner(body: &mut Reader<'_>, ct: &mut Ct, d: Decoding<'_>) -> Result<(), Refusal> {
    let depth = d.depth + 1;
    if depth > MAX_DEPTH {
        return Err(refused(
            ErrorCode::OFPBAC_TOO_MANY,
            "actions are nested too deeply",
        ));
    }
    let inner = Decoding { depth, ..d };
    while !body.is_empty() {
        let mut raw = next_raw(body)?;
        let mut peek = raw.body;
        if raw.kind == EXPERIMENTER && peek.u32()? == NICIRA && peek.u16()? == nx::NAT {
            raw.body.skip(6)?;
            if ct.nat.is_some() {
                return Err(bad_argument("ct can translate once only"));
            }
            ct.nat = Some(read_nat(&mut raw.body)?);
            continue;
        }
        match read_one(raw, inner)? {
            Some(
                action @ (Action::SetField { .. } | Action::Load { .. } | Action::Move { .. }),
            ) => ct.exec.push(action),
            Some(_) => {
                return Err(bad_argument("ct can set fields of the connection only"));
            }
            None => {}
        }
    }
    Ok(())
}

const NAT_SRC: u16 = 1;
const NAT_DST: u16 = 2;
const NAT_PERSISTENT: u16 = 4;
const NAT_HASH: u16 = 8;
const NAT_RANDOM: u16 = 16;

const IPV4_MIN: u16 = 1;
const IPV4_MAX: u16 = 2;
const IPV6_MIN: u16 = 4;
const IPV6_MAX: u16 = 8;
const PORT_MIN: u16 = 16;
const PORT_MAX: u16 = 32;

/// Padding, flags, what is given, and that.
fn read_nat(body: &mut Reader<'_>) -> Result<Nat, Refusal> {
    body.zeros(2, ErrorCode::NXBAC_MUST_BE_ZERO)?;
    let (flags, given) = (body.u16()?, body.u16()?);
    let set = |bit: u16| flags & bit != 0;
    let has = |bit: u16| given & bit != 0;
    let known = NAT_SRC | NAT_DST | NAT_PERSISTENT | NAT_HASH | NAT_RANDOM;
    if flags & !known != 0 || set(NAT_SRC) && set(NAT_DST) || set(NAT_HASH) && set(NAT_RANDOM) {
        return Err(bad_argument(
            "flags of nat exclude each other or aren't known",
        ));
    }
    let mut nat = Nat {
        direction: match (set(NAT_SRC), set(NAT_DST)) {
            (true, _) => Some(NatDirection::Source),
            (_, true) => Some(NatDirection::Destination),
            _ => None,
        },
        persistent: set(NAT_PERSISTENT),
        hash: set(NAT_HASH),
        random: set(NAT_RANDOM),
        ..Nat::default()
    };
    let mut address = |min: u16, max: u16, v6: bool| -> Result<(), Refusal> {
        let mut one = || -> Result<IpAddr, Refusal> {
            Ok(match v6 {
                true => IpAddr::from(body.u128()?.to_be_bytes()),
                false => IpAddr::from(body.u32()?.to_be_bytes()),
            })
        };
        if has(min) {
            let first = one()?;
            let last = if has(max) { Some(one()?) } else { None };
            nat.addresses = Some((first, last));
        }
        Ok(())
    };
    address(IPV4_MIN, IPV4_MAX, false)?;
    address(IPV6_MIN, IPV6_MAX, true)?;
    if has(PORT_MIN) {
        let first = body.u16()?;
        let last = if has(PORT_MAX) {
            Some(body.u16()?)
        } else {
            None
        };
        nat.ports = Some((first, last));
    }
    if nat.direction.is_none() && (flags != 0 || given != 0) {
        return Err(bad_argument("nat without direction has nothing else"));
    }
    padding(body)?;
    Ok(nat)
}

pub(super) fn write_ct(out: &mut Writer<'_>, ct: &Ct) -> Result<(), EncodeError> {
    nicira(out, nx::CT, |out| {
        let flag = |set: bool, bit: u16| if set { bit } else { 0 };
        out.u16(flag(ct.commit, COMMIT) | flag(ct.force, FORCE));
        match ct.zone {
            CtZone::Number(zone) => {
                out.u32(0);
                out.u16(zone);
            }
            CtZone::Field(part) => {
                write_operand(out, part.field, Choice::Older)?;
                out.u16(packed_bits(part));
            }
        }
        out.u8(ct.table.unwrap_or(NO_TABLE));
        out.zeros(3);
        let alg = ALGS.iter().find(|(_, name)| ct.alg == Some(*name));
        out.u16(alg.map_or(0, |(port, _)| *port));
        if let Some(nat) = &ct.nat {
            write_nat(out, nat)?;
        }
        write(out, &ct.exec)
    })
}

fn write_nat(out: &mut Writer<'_>, nat: &Nat) -> Result<(), EncodeError> {
    nicira(out, nx::NAT, |out| {
        out.zeros(2);
        let flag = |set: bool, bit: u16| if set { bit } else { 0 };
        out.u16(
            flag(nat.direction == Some(NatDirection::Source), NAT_SRC)
                | flag(nat.direction == Some(NatDirection::Destination), NAT_DST)
                | flag(nat.persistent, NAT_PERSISTENT)
                | flag(nat.hash, NAT_HASH)
                | flag(nat.random, NAT_RANDOM),
        );
        let addresses = match nat.addresses {
            Some((IpAddr::V4(_), last)) => IPV4_MIN | flag(last.is_some(), IPV4_MAX),
            Some((IpAddr::V6(_), last)) => IPV6_MIN | flag(last.is_some(), IPV6_MAX),
            None => 0,
        };
        let ports = match nat.ports {
            Some((_, last)) => PORT_MIN | flag(last.is_some(), PORT_MAX),
            None => 0,
        };
        out.u16(addresses | ports);
        if let Some((first, last)) = nat.addresses {
            for address in [Some(first), last].into_iter().flatten() {
                match address {
                    IpAddr::V4(address) => out.all(&address.octets()),
                    IpAddr::V6(address) => out.all(&address.octets()),
                }
            }
        }
        if let Some((first, last)) = nat.ports {
            [Some(first), last]
                .into_iter()
                .flatten()
                .for_each(|port| out.u16(port));
        }
        Ok(())
    })
}
