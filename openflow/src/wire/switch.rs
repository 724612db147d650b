//! What the switch is, and how it is configured.

use super::kind::{Class, Kind, kind};
use super::read::{Reader, Refusal};
use super::write::Writer;
use super::{Decoding, EncodeError, port};
use crate::error::ErrorCode;
use crate::message::{Capabilities, Features, FragmentHandling, Message, SwitchConfig};
use crate::version::Version;

const FEATURES_REQUEST: u32 = 5;
const FEATURES_REPLY: u32 = 6;
const GET_CONFIG_REQUEST: u32 = 7;
const GET_CONFIG_REPLY: u32 = 8;
const SET_CONFIG: u32 = 9;

pub(super) const KINDS: &[Kind] = &[
    kind(Class::Ofpt, FEATURES_REQUEST, 0, 5, |_, _| {
        Ok(Message::FeaturesRequest)
    }),
    kind(Class::Ofpt, FEATURES_REPLY, 0, 5, read_features),
    kind(Class::Ofpt, GET_CONFIG_REQUEST, 0, 5, |_, _| {
        Ok(Message::GetConfigRequest)
    }),
    kind(Class::Ofpt, GET_CONFIG_REPLY, 0, 5, |r, d| {
        Ok(Message::GetConfigReply(read_config(r, d)?))
    }),
    kind(Class::Ofpt, SET_CONFIG, 0, 5, |r, d| {
        Ok(Message::SetConfig(read_config(r, d)?))
    }),
];

fn read_features(reader: &mut Reader<'_>, d: Decoding<'_>) -> Result<Message, Refusal> {
    let old = d.version == Version::OpenFlow10;
    let mut features = Features {
        datapath_id: reader.u64()?,
        n_buffers: reader.u32()?,
        n_tables: reader.u8()?,
        auxiliary_id: 0,
        capabilities: Capabilities::default(),
        actions: 0,
        ports: Vec::new(),
    };
    let auxiliary_id = reader.u8()?;
    reader.skip(2)?;
    features.capabilities = read_capabilities(reader.u32()?, old);
    let actions = reader.u32()?;
    if old {
        features.actions = actions;
    }
    if d.version >= Version::OpenFlow13 {
        features.auxiliary_id = auxiliary_id;
        return Ok(Message::FeaturesReply(features));
    }
    while !reader.is_empty() {
        features.ports.push(port::read_desc(reader, d.version)?);
    }
    Ok(Message::FeaturesReply(features))
}

/// OpenFlow 1.0 has the spanning tree protocol where later versions have groups.
fn read_capabilities(bits: u32, old: bool) -> Capabilities {
    let groups = Capabilities::GROUP_STATS.0;
    match old && bits & groups != 0 {
        true => Capabilities(bits & !groups | Capabilities::STP.0),
        false => Capabilities(bits),
    }
}

/// Capabilities that a version doesn't know aren't told.
fn write_capabilities(capabilities: Capabilities, version: Version) -> u32 {
    let (groups, stp) = (Capabilities::GROUP_STATS.0, Capabilities::STP.0);
    let bits = capabilities.0 & !unknown_capabilities(version);
    match version == Version::OpenFlow10 {
        true if bits & stp != 0 => bits & !stp | groups,
        true => bits & !groups,
        false => bits & !stp,
    }
}

fn unknown_capabilities(version: Version) -> u32 {
    let without = |unknown, capability: Capabilities| match unknown {
        true => capability.0,
        false => 0,
    };
    without(version > Version::OpenFlow11, Capabilities::ARP_MATCH_IP)
        | without(version < Version::OpenFlow12, Capabilities::PORT_BLOCKED)
        | without(version < Version::OpenFlow14, Capabilities::BUNDLES)
        | without(version < Version::OpenFlow15, Capabilities::FLOW_MONITORING)
}

/// Bits of the flags of a configuration: what is done with fragments, and with packets whose time
/// to live ends (OpenFlow 1.2 §A.3.2).
const FRAGMENTS: u16 = 3;
const INVALID_TTL_TO_CONTROLLER: u16 = 1 << 2;

fn has_invalid_ttl(version: Version) -> bool {
    matches!(version, Version::OpenFlow11 | Version::OpenFlow12)
}

fn read_config(reader: &mut Reader<'_>, d: Decoding<'_>) -> Result<SwitchConfig, Refusal> {
    let flags = reader.u16()?;
    let ttl = has_invalid_ttl(d.version);
    let known = if ttl {
        FRAGMENTS | INVALID_TTL_TO_CONTROLLER
    } else {
        FRAGMENTS
    };
    if flags & !known != 0 {
        return Err(Refusal::new(
            ErrorCode::OFPSCFC_BAD_FLAGS,
            "the configuration has unknown flags",
        ));
    }
    Ok(SwitchConfig {
        fragments: match flags & FRAGMENTS {
            0 => FragmentHandling::Normal,
            1 => FragmentHandling::Drop,
            2 => FragmentHandling::Reassemble,
            _ => FragmentHandling::NxMatch,
        },
        invalid_ttl_to_controller: ttl.then_some(flags & INVALID_TTL_TO_CONTROLLER != 0),
        miss_send_len_bytes: reader.u16()?,
    })
}

pub(super) fn encode(out: &mut Writer<'_>, message: &Message) -> Result<(), EncodeError> {
    match message {
        Message::FeaturesReply(features) => return write_features(out, features),
        Message::GetConfigReply(config) => write_config(out, GET_CONFIG_REPLY, *config),
        Message::SetConfig(config) => write_config(out, SET_CONFIG, *config),
        Message::FeaturesRequest => out.begin(Class::Ofpt, FEATURES_REQUEST),
        _ => out.begin(Class::Ofpt, GET_CONFIG_REQUEST),
    }
    Ok(())
}

fn write_features(out: &mut Writer<'_>, features: &Features) -> Result<(), EncodeError> {
    let old = out.version == Version::OpenFlow10;
    out.begin(Class::Ofpt, FEATURES_REPLY);
    out.u64(features.datapath_id);
    out.u32(features.n_buffers);
    out.u8(features.n_tables);
    let late = out.version >= Version::OpenFlow13;
    out.u8(if late { features.auxiliary_id } else { 0 });
    out.zeros(2);
    out.u32(write_capabilities(features.capabilities, out.version));
    out.u32(if old { features.actions } else { 0 });
    if !late {
        for port in &features.ports {
            port::write_desc(out, port)?;
        }
    }
    Ok(())
}

fn write_config(out: &mut Writer<'_>, number: u32, config: SwitchConfig) {
    out.begin(Class::Ofpt, number);
    let ttl = config.invalid_ttl_to_controller == Some(true) && has_invalid_ttl(out.version);
    let flags = config.fragments as u16;
    out.u16(if ttl {
        flags | INVALID_TTL_TO_CONTROLLER
    } else {
        flags
    });
    out.u16(config.miss_send_len_bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_told_of_what_it_knows() {
        let all = Capabilities(!Capabilities::STP.0);
        let told = |version| Capabilities(write_capabilities(all, version));
        for (version, blocked, bundles, arp) in [
            (Version::OpenFlow10, false, false, true),
            (Version::OpenFlow11, false, false, true),
            (Version::OpenFlow12, true, false, false),
            (Version::OpenFlow13, true, false, false),
            (Version::OpenFlow14, true, true, false),
            (Version::OpenFlow15, true, true, false),
        ] {
            let told = told(version);
            assert_eq!(told.contains(Capabilities::PORT_BLOCKED), blocked);
            assert_eq!(told.contains(Capabilities::BUNDLES), bundles);
            assert_eq!(told.contains(Capabilities::ARP_MATCH_IP), arp);
            let monitors = told.contains(Capabilities::FLOW_MONITORING);
            assert_eq!(monitors, version == Version::OpenFlow15);
        }
    }
}
