//! Reading actions that send packets elsewhere: controllers, collectors, connection tracking.

use std::net::IpAddr;

use super::error::{Problem, TextError};
use super::scan::{Item, Token};
use super::small_actions::note;
use super::{Parser, choice, items, number_u16, number_u32, subfield};
use crate::Subfield;
use crate::action::{
    Action, Controller, Ct, CtZone, Nat, NatDirection, PacketInReason, Sample, SampleDirection,
};
use crate::field::FieldId;

impl Parser<'_> {
    /// `controller`, `controller:BYTES` or `controller(KEY=VALUE,...)`.
    pub(super) fn controller(self, item: &Item<'_>) -> Result<Action, TextError> {
        let mut controller = Controller::default();
        match item.value {
            Some(at) if !item.parenthesised && !at.text.is_empty() => {
                controller.max_len_bytes = number_u16(at)?;
            }
            Some(list) => {
                for entry in items(list)? {
                    controller_part(&mut controller, &entry)?;
                }
            }
            None => {}
        }
        Ok(Action::Controller(Box::new(controller)))
    }

    pub(super) fn sample(self, list: Token<'_>) -> Result<Sample, TextError> {
        const KEYS: [&str; 7] = [
            "probability",
            "collector_set_id",
            "obs_domain_id",
            "obs_point_id",
            "sampling_port",
            "ingress",
            "egress",
        ];
        let mut sample = Sample::default();
        for entry in items(list)? {
            let value = || entry.need("KEY=NUMBER");
            match entry.key.text {
                "probability" => sample.probability = number_u16(value()?)?,
                "collector_set_id" => sample.collector_set = number_u32(value()?)?,
                "obs_domain_id" => sample.obs_domain = number_u32(value()?)?,
                "obs_point_id" => sample.obs_point = number_u32(value()?)?,
                "sampling_port" => sample.sampling_port = Some(self.port(value()?)?),
                "ingress" => sample.direction = Some(SampleDirection::Ingress),
                "egress" => sample.direction = Some(SampleDirection::Egress),
                _ => {
                    let known = KEYS.into_iter();
                    return Err(TextError::unknown(entry.key, "part of sample", known));
                }
            }
        }
        match sample.probability {
            0 => Err(TextError::rule(list, "sample needs probability=1 to 65535")),
            _ => Ok(sample),
        }
    }

    pub(super) fn ct(self, list: Token<'_>, depth: usize) -> Result<Ct, TextError> {
        const KEYS: [&str; 7] = ["commit", "force", "table", "zone", "nat", "alg", "exec"];
        let mut ct = Ct::default();
        for entry in items(list)? {
            match entry.key.text {
                "commit" => ct.commit = true,
                "force" => ct.force = true,
                "table" => ct.table = Some(self.table(entry.need("table=TABLE")?)?),
                "zone" => ct.zone = zone(entry.need("zone=NUMBER or zone=FIELD[BITS]")?)?,
                "nat" => ct.nat = Some(nat(&entry)?),
                "alg" => {
                    let algs = Ct::ALGS.map(|name| (name, name));
                    ct.alg = Some(choice(entry.need("alg=ftp")?, "protocol", &algs)?);
                }
                "exec" => {
                    let at = entry.need("exec(ACTIONS)")?;
                    ct.exec = self.actions(at, depth + 1)?;
                    check_exec(at, &ct.exec)?;
                }
                _ => {
                    let known = KEYS.into_iter();
                    return Err(TextError::unknown(entry.key, "part of ct", known));
                }
            }
        }
        if ct.force && !ct.commit {
            return Err(TextError::rule(list, "force needs commit"));
        }
        Ok(ct)
    }
}

fn controller_part(controller: &mut Controller, entry: &Item<'_>) -> Result<(), TextError> {
    const KEYS: [&str; 6] = ["max_len", "reason", "id", "userdata", "pause", "meter_id"];
    let value = || entry.need("KEY=VALUE");
    match entry.key.text {
        "max_len" => controller.max_len_bytes = number_u16(value()?)?,
        "reason" => controller.reason = choice(value()?, "reason", &PacketInReason::ALL)?,
        "id" => controller.id = number_u16(value()?)?,
        "userdata" => {
            let at = entry.value.unwrap_or(entry.key.from(entry.key.text.len()));
            controller.userdata = note(at)?;
        }
        "pause" => controller.pause = true,
        "meter_id" => controller.meter = Some(number_u32(value()?)?),
        _ => {
            let known = KEYS.into_iter();
            return Err(TextError::unknown(entry.key, "part of controller", known));
        }
    }
    Ok(())
}

fn zone(at: Token<'_>) -> Result<CtZone, TextError> {
    if at.text.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(CtZone::Number(number_u16(at)?));
    }
    let part = subfield(at)?;
    match part {
        Subfield { bits: 16, .. } => Ok(CtZone::Field(part)),
        _ => Err(TextError::form(
            at,
            "a zone: a number, or 16 bits of a field",
        )),
    }
}

/// Only the connection's own fields can be changed.
fn check_exec(at: Token<'_>, actions: &[Action]) -> Result<(), TextError> {
    let allowed = |id: FieldId| id == FieldId::CT_MARK || id == FieldId::CT_LABEL;
    let right = actions.iter().all(|action| match action {
        Action::SetField { field, .. } => allowed(*field),
        Action::Load { to, .. } | Action::Move { to, .. } => allowed(to.field),
        _ => false,
    });
    match right {
        true => Ok(()),
        false => Err(TextError::rule(
            at,
            "exec may only set ct_mark and ct_label (set_field, load, move)",
        )),
    }
}

/// `nat`, or `nat(src|dst[=ADDRESS[-ADDRESS][:PORT[-PORT]]][,FLAG...])`.
fn nat(entry: &Item<'_>) -> Result<Nat, TextError> {
    const KEYS: [&str; 5] = ["src", "dst", "persistent", "hash", "random"];
    let mut nat = Nat::default();
    let Some(list) = entry.value else {
        return Ok(nat);
    };
    for part in items(list)? {
        match part.key.text {
            "src" | "dst" if nat.direction.is_some() => {
                return Err(TextError::rule(part.all, "either src or dst, not both"));
            }
            "src" | "dst" => {
                nat.direction = Some(match part.key.text {
                    "src" => NatDirection::Source,
                    _ => NatDirection::Destination,
                });
                if let Some(range) = part.value {
                    nat_range(&mut nat, range)?;
                }
            }
            "persistent" => nat.persistent = true,
            "hash" => nat.hash = true,
            "random" => nat.random = true,
            _ => {
                let known = KEYS.into_iter();
                return Err(TextError::unknown(part.key, "part of nat", known));
            }
        }
    }
    let options = nat.persistent || nat.hash || nat.random;
    if nat.direction.is_none() && options {
        return Err(TextError::rule(list, "these options need src or dst"));
    }
    if nat.hash && nat.random {
        return Err(TextError::rule(list, "either hash or random, not both"));
    }
    Ok(nat)
}

/// `ADDRESS[-ADDRESS][:PORT[-PORT]]`; IPv6 addresses stand in brackets if ports follow.
fn nat_range(nat: &mut Nat, at: Token<'_>) -> Result<(), TextError> {
    let bracketed = at.text.starts_with('[');
    let ipv6 = bracketed || at.text.matches(':').count() > 1;
    let (addresses, ports) = if ipv6 {
        match at.split_once("]:") {
            Some((_, ports)) => (at.slice(0, ports.offset - at.offset - 1), Some(ports)),
            None => (at, None),
        }
    } else {
        match at.split_once(":") {
            Some((addresses, ports)) => (addresses, Some(ports)),
            None => (at, None),
        }
    };
    if !addresses.text.is_empty() {
        nat.addresses = Some(range(addresses, |part| {
            let text = part.text.trim_start_matches('[').trim_end_matches(']');
            text.parse::<IpAddr>()
                .map_err(|_| TextError::form(part, "an IP address"))
        })?);
    }
    if let Some((first, Some(last))) = nat.addresses
        && (first.is_ipv4() != last.is_ipv4() || first > last)
    {
        return Err(TextError::rule(
            addresses,
            "the first address must be the lower one",
        ));
    }
    if let Some(ports) = ports {
        if nat.addresses.is_none() {
            return Err(TextError::new(
                at,
                Problem::Rule("ports need an address in front of them"),
            ));
        }
        nat.ports = Some(range(ports, number_u16)?);
    }
    match nat.ports {
        Some((first, Some(last))) if first > last => {
            Err(TextError::rule(at, "the first port must be the lower one"))
        }
        _ => Ok(()),
    }
}

fn range<T>(
    at: Token<'_>,
    read: impl Fn(Token<'_>) -> Result<T, TextError>,
) -> Result<(T, Option<T>), TextError> {
    match at.split_once("-") {
        Some((first, last)) => Ok((read(first)?, Some(read(last)?))),
        None => Ok((read(at)?, None)),
    }
}
