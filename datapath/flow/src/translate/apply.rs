//! Actions that change the packet and nothing else.

use super::Packet;
use crate::action::Action;
use crate::field::FieldId;
use crate::{OfPort, Subfield};

/// Fields that connection tracking fills and `ct_clear` forgets.
pub const CONNECTION: [FieldId; 11] = [
    FieldId::CT_STATE,
    FieldId::CT_ZONE,
    FieldId::CT_MARK,
    FieldId::CT_LABEL,
    FieldId::CT_NW_PROTO,
    FieldId::CT_NW_SRC,
    FieldId::CT_NW_DST,
    FieldId::CT_IPV6_SRC,
    FieldId::CT_IPV6_DST,
    FieldId::CT_TP_SRC,
    FieldId::CT_TP_DST,
];

/// Does an action that only changes the packet's fields. `None` if it isn't such an action;
/// otherwise whether the packet has the field that it changes.
pub(super) fn change(packet: &mut Packet, action: &Action) -> Option<bool> {
    match action {
        Action::SetField { field, value, mask } => return Some(packet.set(*field, *value, *mask)),
        Action::Load { to, value } => return Some(packet.write(*to, (*value).into())),
        Action::Modify { field, value } => return Some(modify(packet, *field, *value)),
        Action::Move { from, to } => return Some(copy(packet, *from, *to)),
        Action::SetVlanVid { vid, .. } => packet.set_vlan(FieldId::DL_VLAN, (*vid).into()),
        Action::SetVlanPcp { pcp, .. } => packet.set_vlan(FieldId::VLAN_PCP, (*pcp).into()),
        Action::PushVlan(tpid) => packet.push_vlan(*tpid),
        Action::PopVlan | Action::StripVlan => packet.pop_vlan(),
        Action::PushMpls(ethertype) => packet.push_mpls(*ethertype),
        Action::PopMpls(ethertype) => packet.pop_mpls(*ethertype),
        Action::SetTunnel { id, .. } => packet.key.set(FieldId::TUN_ID, (*id).into()),
        Action::CtClear => forget_connection(packet),
        Action::CheckPktLarger { len_bytes, to } => {
            let larger = packet.len_bytes() > u32::from(*len_bytes);
            packet.key.write(*to, larger.into());
        }
        Action::DeleteField(field) => packet.key.set(*field, 0),
        _ => return None,
    }
    Some(true)
}

/// Takes away what connection tracking found.
pub(super) fn forget_connection(packet: &mut Packet) {
    for field in CONNECTION {
        packet.key.set(field, 0);
    }
}

fn modify(packet: &mut Packet, field: FieldId, value: u128) -> bool {
    match field {
        // Ports are where they are, whichever protocol has them.
        FieldId::TCP_SRC | FieldId::TCP_DST => {
            let has_ports = [FieldId::TCP_SRC, FieldId::UDP_SRC, FieldId::SCTP_SRC]
                .into_iter()
                .any(|port| packet.has(port.field().prereq));
            if has_ports {
                packet.key.set(field, value);
            }
            has_ports
        }
        // Its ECN bits stay.
        FieldId::NW_TOS => packet.set(FieldId::IP_DSCP, value >> 2, 0x3f),
        _ => packet.set(field, value, field.field().full_mask()),
    }
}

fn copy(packet: &mut Packet, from: Subfield, to: Subfield) -> bool {
    packet.has(from.field.field().prereq) && packet.write(to, packet.key.read(from))
}

/// The port that a packet came in at.
pub(super) fn in_port(packet: &Packet) -> OfPort {
    OfPort(packet.key.get(FieldId::IN_PORT) as u16)
}
