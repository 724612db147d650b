//! The table of all kinds of messages, and where a message's bytes say of which kind it is.

use std::sync::LazyLock;

use super::read::{Reader, Refusal};
use super::{
    Decoding, asynchronous, bundle, connection, ct, flow_mod, flow_removed, flow_stats, group,
    ipfix, meter, monitor, multipart, packet_in, packet_out, port, queue, role, settings, switch,
    table, table_features, tlv,
};
use crate::error::ErrorCode;
use crate::message::Message;
use crate::version::Version;

/// Who numbers a kind of message, and where the number stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Class {
    /// The standard's types.
    Ofpt,
    /// The standard's requests of more.
    Request,
    /// The standard's replies with more.
    Reply,
    /// Nicira's types.
    Nxt,
    /// Nicira's requests of more.
    NxRequest,
    /// Nicira's replies with more.
    NxReply,
    /// The Open Networking Foundation's types.
    Onft,
    /// The Open Networking Foundation's requests of more.
    OnfRequest,
    /// The Open Networking Foundation's replies with more.
    OnfReply,
}

pub(crate) const NICIRA: u32 = 0x0000_2320;
pub(crate) const ONF: u32 = 0x4f4e_4600;

/// Type of messages of others than the standard.
pub(crate) const EXPERIMENTER: u8 = 4;
/// The same among requests and replies of more.
pub(crate) const STATS_EXPERIMENTER: u16 = 0xffff;
/// Flag of replies (and requests) after which more follow.
pub(crate) const MORE: u16 = 1;

/// Types of requests and replies of more.
pub(crate) fn stats_types(version: Version) -> [u8; 2] {
    match version {
        Version::OpenFlow10 => [16, 17],
        _ => [18, 19],
    }
}

/// One kind of message in some versions.
pub(crate) struct Kind {
    pub class: Class,
    /// First and last minor version.
    pub versions: (u8, u8),
    pub number: u32,
    pub decode: for<'a> fn(&mut Reader<'a>, Decoding<'_>) -> Result<Message, Refusal>,
}

pub(crate) const fn kind(
    class: Class,
    number: u32,
    first: u8,
    last: u8,
    decode: for<'a> fn(&mut Reader<'a>, Decoding<'_>) -> Result<Message, Refusal>,
) -> Kind {
    Kind {
        class,
        versions: (first, last),
        number,
        decode,
    }
}

const FAMILIES: [&[Kind]; 22] = [
    asynchronous::KINDS,
    bundle::KINDS,
    connection::KINDS,
    ct::KINDS,
    flow_mod::KINDS,
    flow_removed::KINDS,
    flow_stats::KINDS,
    group::KINDS,
    ipfix::KINDS,
    meter::KINDS,
    monitor::KINDS,
    multipart::KINDS,
    packet_in::KINDS,
    packet_out::KINDS,
    port::KINDS,
    queue::KINDS,
    role::KINDS,
    settings::KINDS,
    switch::KINDS,
    table::KINDS,
    table_features::KINDS,
    tlv::KINDS,
];

/// Kinds by version and type of the standard.
static PLAIN: LazyLock<Vec<[Option<&'static Kind>; 64]>> = LazyLock::new(|| {
    let mut plain = vec![[None; 64]; Version::ALL.len()];
    let kinds = FAMILIES.iter().copied().flatten();
    for kind in kinds.filter(|kind| kind.class == Class::Ofpt) {
        for minor in kind.versions.0..=kind.versions.1 {
            plain[usize::from(minor)][kind.number as usize % 64] = Some(kind);
        }
    }
    plain
});

fn lookup(version: Version, class: Class, number: u32) -> Option<&'static Kind> {
    let minor = version as u8;
    let mut kinds = FAMILIES.iter().copied().flatten();
    kinds.find(|kind| {
        kind.class == class
            && kind.number == number
            && (kind.versions.0..=kind.versions.1).contains(&minor)
    })
}

/// The kind of a message, whether more parts follow, and what is behind the parts of the header
/// that tell so.
pub(super) fn find(
    version: Version,
    number: u8,
    body: &[u8],
) -> Result<(&'static Kind, bool, &[u8]), Refusal> {
    let [request, reply] = stats_types(version);
    if number == EXPERIMENTER {
        return experimenter(version, body);
    }
    if number == request {
        return stats(
            version,
            [Class::Request, Class::NxRequest, Class::OnfRequest],
            body,
        );
    }
    if number == reply {
        return stats(
            version,
            [Class::Reply, Class::NxReply, Class::OnfReply],
            body,
        );
    }
    let row = &PLAIN[version as usize];
    match row.get(usize::from(number)).copied().flatten() {
        Some(kind) => Ok((kind, false, body)),
        None => Err(Refusal::new(
            ErrorCode::OFPBRC_BAD_TYPE,
            "there is no such type in this version",
        )),
    }
}

fn vendor_class(vendor: u32, classes: [Class; 2]) -> Result<Class, Refusal> {
    match vendor {
        NICIRA => Ok(classes[0]),
        ONF => Ok(classes[1]),
        _ => Err(Refusal::new(
            ErrorCode::OFPBRC_BAD_VENDOR,
            "the experimenter isn't known",
        )),
    }
}

fn experimenter(version: Version, body: &[u8]) -> Result<(&'static Kind, bool, &[u8]), Refusal> {
    let mut reader = Reader::new(body, ErrorCode::OFPBRC_BAD_LEN);
    let class = vendor_class(reader.u32()?, [Class::Nxt, Class::Onft])?;
    let subtype = reader.u32()?;
    match lookup(version, class, subtype) {
        Some(kind) => Ok((kind, false, reader.rest())),
        None => Err(Refusal::new(
            ErrorCode::OFPBRC_BAD_SUBTYPE,
            "the experimenter has no such type in this version",
        )),
    }
}

fn stats(
    version: Version,
    classes: [Class; 3],
    body: &[u8],
) -> Result<(&'static Kind, bool, &[u8]), Refusal> {
    let mut reader = Reader::new(body, ErrorCode::OFPBRC_BAD_LEN);
    let number = reader.u16()?;
    let more = reader.u16()? & MORE != 0;
    if version > Version::OpenFlow10 {
        reader.skip(4)?;
    }
    let mut unknown = ErrorCode::OFPBRC_BAD_STAT;
    let kind = if number == STATS_EXPERIMENTER {
        unknown = ErrorCode::OFPBRC_BAD_SUBTYPE;
        let class = vendor_class(reader.u32()?, [classes[1], classes[2]])?;
        let subtype = reader.u32()?;
        if version == Version::OpenFlow10 {
            reader.skip(4)?;
        }
        lookup(version, class, subtype)
    } else {
        lookup(version, classes[0], number.into())
    };
    match kind {
        Some(kind) => Ok((kind, more, reader.rest())),
        None => Err(Refusal::new(
            unknown,
            "there is no such request in this version",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_kinds_have_the_same_number_in_the_same_version() {
        let mut seen = std::collections::HashSet::new();
        for kind in FAMILIES.iter().copied().flatten() {
            for minor in kind.versions.0..=kind.versions.1 {
                let place = (kind.class, minor, kind.number);
                assert!(seen.insert(place), "{place:?} stands twice in the table");
            }
        }
    }
}
