//! Matches as a list of fields, in the order in which others write them: conditions before what
//! needs them.

use std::sync::LazyLock;

use aorta_flow::field::{EtherType, FieldId, IpProto};
use aorta_flow::{Match, Part};

use super::EncodeError;
use super::field::write_entry;
use super::write::Writer;
use crate::version::Version;

/// Storages in the order in which they are written.
const ORDER: [FieldId; 60] = [
    FieldId::PACKET_TYPE,
    FieldId::DP_HASH,
    FieldId::RECIRC_ID,
    FieldId::CONJ_ID,
    FieldId::IN_PORT,
    FieldId::ACTSET_OUTPUT,
    FieldId::ETH_SRC,
    FieldId::ETH_DST,
    FieldId::ETH_TYPE,
    FieldId::VLAN_TCI,
    FieldId::MPLS_TC,
    FieldId::MPLS_BOS,
    FieldId::MPLS_TTL,
    FieldId::MPLS_LABEL,
    FieldId::IP_SRC,
    FieldId::IP_DST,
    FieldId::IPV6_SRC,
    FieldId::IPV6_DST,
    FieldId::IP_FRAG,
    FieldId::NW_TOS,
    FieldId::NW_TTL,
    FieldId::IPV6_LABEL,
    FieldId::NW_PROTO,
    FieldId::TCP_SRC,
    FieldId::TCP_DST,
    FieldId::TCP_FLAGS,
    FieldId::ND_RESERVED,
    FieldId::ND_TARGET,
    FieldId::ND_OPTIONS_TYPE,
    FieldId::ARP_SHA,
    FieldId::ARP_THA,
    FieldId::TUN_ID,
    FieldId::TUN_FLAGS,
    FieldId::TUN_SRC,
    FieldId::TUN_DST,
    FieldId::TUN_IPV6_SRC,
    FieldId::TUN_IPV6_DST,
    FieldId::TUN_GBP_ID,
    FieldId::TUN_GBP_FLAGS,
    FieldId::TUN_ERSPAN_IDX,
    FieldId::TUN_ERSPAN_VER,
    FieldId::TUN_ERSPAN_DIR,
    FieldId::TUN_ERSPAN_HWID,
    FieldId::TUN_GTPU_FLAGS,
    FieldId::TUN_GTPU_MSGTYPE,
    FieldId::NSH_FLAGS,
    FieldId::NSH_TTL,
    FieldId::NSH_MDTYPE,
    FieldId::NSH_NP,
    FieldId::NSH_SPI,
    FieldId::NSH_SI,
    FieldId::NSH_C1,
    FieldId::NSH_C2,
    FieldId::NSH_C3,
    FieldId::NSH_C4,
    FieldId::xxreg(0),
    FieldId::xxreg(1),
    FieldId::xxreg(2),
    FieldId::xxreg(3),
    FieldId::PKT_MARK,
];

/// Position of each storage; those that the order doesn't name come last.
static RANKS: LazyLock<[u8; FieldId::COUNT]> = LazyLock::new(|| {
    let mut ranks = [u8::MAX; FieldId::COUNT];
    for (rank, id) in ORDER.iter().enumerate() {
        ranks[id.index()] = rank as u8;
    }
    // The controller's metadata is the very last.
    for id in FieldId::all().filter(|id| *id != FieldId::METADATA) {
        if id.as_tun_metadata().is_some() {
            ranks[id.index()] = ranks[FieldId::TUN_GBP_FLAGS.index()];
        }
        ranks[id.index()] = ranks[id.index()].min(u8::MAX - 1);
    }
    ranks
});

/// What kind of packets a match is for, which decides the names of shared storage.
struct Kind {
    arp: bool,
    ipv6: bool,
    proto: Option<u8>,
}

impl Kind {
    fn of(matching: &Match) -> Kind {
        let ethertype = matching.exact(FieldId::ETH_TYPE).map(|t| t as u16);
        Kind {
            arp: matches!(ethertype, Some(EtherType::ARP | EtherType::RARP)),
            ipv6: ethertype == Some(EtherType::IPV6),
            proto: matching.exact(FieldId::NW_PROTO).map(|p| p as u8),
        }
    }

    /// The name of a storage in these packets.
    fn name(&self, storage: FieldId) -> FieldId {
        match storage {
            FieldId::NW_PROTO if self.arp => FieldId::ARP_OP,
            FieldId::IP_SRC if self.arp => FieldId::ARP_SPA,
            FieldId::IP_DST if self.arp => FieldId::ARP_TPA,
            FieldId::ARP_SHA if self.ipv6 => FieldId::ND_SLL,
            FieldId::ARP_THA if self.ipv6 => FieldId::ND_TLL,
            FieldId::TCP_SRC => match self.proto {
                Some(IpProto::UDP) => FieldId::UDP_SRC,
                Some(IpProto::SCTP) => FieldId::SCTP_SRC,
                Some(IpProto::ICMP) if !self.ipv6 => FieldId::ICMP_TYPE,
                Some(IpProto::ICMPV6) if self.ipv6 => FieldId::ICMPV6_TYPE,
                _ => storage,
            },
            FieldId::TCP_DST => match self.proto {
                Some(IpProto::UDP) => FieldId::UDP_DST,
                Some(IpProto::SCTP) => FieldId::SCTP_DST,
                Some(IpProto::ICMP) if !self.ipv6 => FieldId::ICMP_CODE,
                Some(IpProto::ICMPV6) if self.ipv6 => FieldId::ICMPV6_CODE,
                _ => storage,
            },
            _ => storage,
        }
    }

    fn rank(&self, storage: FieldId) -> u8 {
        match storage {
            // The operation of ARP stands in front of its addresses.
            FieldId::NW_PROTO if self.arp => RANKS[FieldId::IP_SRC.index()] - 1,
            _ => RANKS[storage.index()],
        }
    }
}

/// Writes a list of fields as Nicira's extended match has it, in all versions.
pub(super) fn write_nicira(out: &mut Writer<'_>, matching: &Match) -> Result<(), EncodeError> {
    let version = std::mem::replace(&mut out.version, Version::OpenFlow10);
    let done = write(out, matching);
    out.version = version;
    done
}

/// Writes a list of fields.
pub(super) fn write(out: &mut Writer<'_>, matching: &Match) -> Result<(), EncodeError> {
    let kind = Kind::of(matching);
    let mut parts: Vec<Part> = matching.parts().collect();
    parts.sort_by_key(|part| kind.rank(part.field));
    for part in parts {
        match write_part(out, &kind, part) {
            // What has no code is left out of what is only told.
            Err(EncodeError::Unsupported { .. }) if out.lossy => {}
            done => done?,
        }
    }
    Ok(())
}

fn write_part(out: &mut Writer<'_>, kind: &Kind, part: Part) -> Result<(), EncodeError> {
    let Part { field, value, mask } = part;
    match field {
        FieldId::IN_PORT if out.version >= Version::OpenFlow12 => {
            write_entry(out, FieldId::IN_PORT_OXM, value, mask)
        }
        FieldId::VLAN_TCI => write_vlan(out, value, mask),
        FieldId::NW_TOS => write_tos(out, value, mask),
        _ => match (0..4).find(|n| field == FieldId::xxreg(*n)) {
            Some(n) => write_registers(out, n, value, mask),
            None => {
                let name = kind.name(field);
                write_entry(out, name, value, mask & name.field().full_mask())
            }
        },
    }
}

/// VLAN and the bit that says that there is a tag; that bit; the priority.
const VID: u128 = 0x1fff;
const PRESENT: u128 = 0x1000;
const PCP: u128 = 0xe000;
const PCP_SHIFT: u32 = 13;

/// The tag as one field, or from OpenFlow 1.2 on VLAN and priority, if these can say it.
fn write_vlan(out: &mut Writer<'_>, value: u128, mask: u128) -> Result<(), EncodeError> {
    let has_tag = value & mask & PRESENT != 0;
    let whole_pcp = mask & PCP == PCP && has_tag;
    if out.version < Version::OpenFlow12 || mask & PCP != 0 && !whole_pcp {
        // Without a tag nothing of it is left to be anything.
        let no_tag = value == 0 && mask == VID;
        let mask = if no_tag { 0xffff } else { mask };
        return write_entry(out, FieldId::VLAN_TCI, value, mask);
    }
    if mask & VID != 0 {
        write_entry(out, FieldId::VLAN_VID, value & VID, mask & VID)?;
    }
    if whole_pcp {
        let pcp = (value & PCP) >> PCP_SHIFT;
        let all = FieldId::VLAN_PCP.field().full_mask();
        return write_entry(out, FieldId::VLAN_PCP, pcp, all);
    }
    Ok(())
}

const DSCP: u128 = 0xfc;
const DSCP_SHIFT: u32 = 2;
const ECN: u128 = 3;

fn write_tos(out: &mut Writer<'_>, value: u128, mask: u128) -> Result<(), EncodeError> {
    if mask & DSCP != 0 {
        let all = |id: FieldId| id.field().full_mask();
        match out.version < Version::OpenFlow12 {
            true => write_entry(out, FieldId::NW_TOS, value & DSCP, all(FieldId::NW_TOS))?,
            false => {
                let dscp = (value & DSCP) >> DSCP_SHIFT;
                write_entry(out, FieldId::IP_DSCP, dscp, all(FieldId::IP_DSCP))?;
            }
        }
    }
    if mask & ECN != 0 {
        return write_entry(out, FieldId::NW_ECN, value & ECN, ECN);
    }
    Ok(())
}

/// Four registers; from OpenFlow 1.5 on two pairs.
fn write_registers(
    out: &mut Writer<'_>,
    number: u8,
    value: u128,
    mask: u128,
) -> Result<(), EncodeError> {
    let pairs = out.version >= Version::OpenFlow15;
    let (bits, count) = if pairs { (64, 2) } else { (32, 4) };
    for n in 0..count {
        let shift = bits * u32::from(count - 1 - n);
        let low = u128::MAX >> (128 - bits);
        let (value, mask) = (value >> shift & low, mask >> shift & low);
        let field = match pairs {
            true => FieldId::xreg(number * 2 + n),
            false => FieldId::reg(number * 4 + n),
        };
        if mask != 0 {
            write_entry(out, field, value, mask)?;
        }
    }
    Ok(())
}
