//! What the switch knows of a connection. Pure.

use std::collections::BTreeMap;

use aorta_flow::BridgeName;
use aorta_flow::action::PacketInReason;
use aorta_openflow::error::ErrorCode;
use aorta_openflow::message::{
    AsyncConfig, AsyncForm, AsyncMasks, ErrorMessage, PacketInFormat, ReportedError, Role,
};
use aorta_openflow::{Envelope, Message, Version};
use tracing::debug;

use super::{Bundle, Monitor};
use crate::openflow::{Cause, ConnId, Connected, Kind, Outbox, Outgoing};

/// Bytes that a miss sends unless configured (OFP_DEFAULT_MISS_SEND_LEN).
const DEFAULT_MISS_SEND_LEN_BYTES: u16 = 128;

/// A kind of message that nobody asks for each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unasked {
    /// A packet, for the reason of this number.
    PacketIn(u8),
    /// A port, by the number of what happened.
    PortStatus(u8),
    /// A flow that is gone, for the reason of this number.
    FlowRemoved(u8),
    /// A table, for the reason of this number.
    TableStatus(u8),
    /// Another's request, by its number: 0 groups, 1 meters.
    RequestForward(u8),
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    /// Its number.
    pub id: ConnId,
    /// Its bridge.
    pub bridge: BridgeName,
    /// The version that both sides speak.
    pub version: Version,
    /// Who is on the other side.
    pub kind: Kind,
    /// What it is called in the log.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Number by which flows send packets to it.
    pub controller_id: u16,
    /// How packets are written for it.
    pub packet_in_format: PacketInFormat,
    /// Bytes of packets that no flow matched.
    pub miss_send_len_bytes: u16,
    /// Which messages it gets as primary or equal.
    pub primary: AsyncMasks,
    /// Which it gets as secondary.
    pub secondary: AsyncMasks,
    /// Its bundles by their numbers.
    pub bundles: BTreeMap<u32, Bundle>,
    /// Its flow monitors by their numbers.
    pub monitors: BTreeMap<u32, Monitor>,
    outbox: Outbox,
}

impl Connection {
    /// A connection as it begins.
    pub fn new(connected: Connected) -> Connection {
        let Connected {
            id,
            bridge,
            version,
            kind,
            name,
            outbox,
        } = connected;
        let (primary, secondary) = default_masks(version);
        Connection {
            id,
            bridge: bridge.into(),
            version,
            kind,
            name,
            role: Role::Equal,
            controller_id: 0,
            packet_in_format: PacketInFormat::Standard,
            miss_send_len_bytes: match kind {
                Kind::Controller => DEFAULT_MISS_SEND_LEN_BYTES,
                Kind::Service => 0,
            },
            primary,
            secondary,
            bundles: BTreeMap::new(),
            monitors: BTreeMap::new(),
            outbox,
        }
    }

    /// Answers a request, when all of its batch is done.
    pub fn reply(&self, xid: u32, message: Message) {
        let answer = Outgoing::Message(self.envelope(xid, message));
        self.outbox.answer([answer]);
    }

    /// Answers a request with an error, which quotes its first bytes.
    pub fn refuse(&self, xid: u32, quote: &[u8], error: ErrorCode) {
        debug!("{}: refused request {xid:#x} with {error}", self.name);
        let message = Message::Error(ErrorMessage {
            error: ReportedError::Known(error),
            data: quote.to_vec(),
        });
        self.reply(xid, message);
    }

    /// Tells something that was not asked for.
    pub fn tell(&self, message: Message) {
        self.outbox.tell(self.envelope(0, message));
    }

    /// Tells of a packet.
    pub fn tell_packet(&self, message: Message, cause: Cause) {
        self.outbox.packet_in(self.envelope(0, message), cause);
    }

    /// Has answers sent that belong to no batch.
    pub fn wake(&self) {
        self.outbox.wake();
    }

    /// Adds to what is sent.
    pub fn send(&self, outgoing: Outgoing) {
        self.outbox.add(outgoing);
    }

    fn envelope(&self, xid: u32, message: Message) -> Envelope {
        Envelope {
            version: self.version,
            xid,
            message,
        }
    }

    /// Changes its role, and has the database told.
    pub fn set_role(&mut self, role: Role) {
        self.role = role;
        self.send(Outgoing::Role(role));
    }

    /// Whether it is told of this.
    pub fn wants(&self, unasked: Unasked) -> bool {
        if self.kind == Kind::Service && self.miss_send_len_bytes == 0 {
            return false;
        }
        let masks = match self.role {
            Role::Secondary => &self.secondary,
            _ => &self.primary,
        };
        let (mask, reason) = match unasked {
            Unasked::PacketIn(reason) => (masks.packet_in, reason),
            Unasked::PortStatus(reason) => (masks.port_status, reason),
            Unasked::FlowRemoved(reason) => (masks.flow_removed, reason),
            Unasked::TableStatus(reason) => (masks.table_status, reason),
            Unasked::RequestForward(reason) => (masks.request_forward, reason),
        };
        mask.unwrap_or(0) >> reason & 1 != 0
    }

    /// Whether it expects packets that no flow matched, unless their table says otherwise: from
    /// OpenFlow 1.3 on only flows send packets to controllers (OpenFlow 1.3.5 §5.4).
    pub fn expects_misses(&self) -> bool {
        let no_match = Unasked::PacketIn(PacketInReason::NoMatch as u8);
        self.version < Version::OpenFlow13 && self.controller_id == 0 && self.wants(no_match)
    }

    /// Chooses which messages it gets; what isn't mentioned stays. Who chooses wants some.
    pub fn set_async(&mut self, config: &AsyncConfig) {
        if self.kind == Kind::Service && self.miss_send_len_bytes == 0 {
            self.miss_send_len_bytes = DEFAULT_MISS_SEND_LEN_BYTES;
        }
        change(&mut self.primary, &config.primary);
        change(&mut self.secondary, &config.secondary);
    }

    /// Which messages it gets.
    pub fn async_config(&self) -> AsyncConfig {
        AsyncConfig {
            form: AsyncForm::Standard,
            primary: self.primary,
            secondary: self.secondary,
        }
    }

    /// Whether packets come whose time to live ended.
    pub fn set_invalid_ttl(&mut self, wanted: bool) {
        const INVALID_TTL: u32 = 1 << 2;
        let mask = self.primary.packet_in.unwrap_or(0) & !INVALID_TTL;
        let bit = if wanted { INVALID_TTL } else { 0 };
        self.primary.packet_in = Some(mask | bit);
    }

    /// Whether packets come whose time to live ended.
    pub fn invalid_ttl(&self) -> bool {
        self.primary.packet_in.unwrap_or(0) & 1 << 2 != 0
    }
}

/// What connections get until they choose: packets but those whose time to live ended, ports, and
/// flows that are gone for reasons that the version knows.
fn default_masks(version: Version) -> (AsyncMasks, AsyncMasks) {
    let flow_removed = match version {
        Version::OpenFlow10 | Version::OpenFlow11 | Version::OpenFlow12 => 0x7,
        Version::OpenFlow13 => 0xf,
        Version::OpenFlow14 | Version::OpenFlow15 => 0x3f,
    };
    let packet_in = match version {
        Version::OpenFlow14 | Version::OpenFlow15 => 0x3b,
        _ => 0x3,
    };
    let nothing = AsyncMasks {
        packet_in: Some(0),
        port_status: Some(0x7),
        flow_removed: Some(0),
        role_status: Some(0),
        table_status: Some(0),
        request_forward: Some(0),
    };
    let all = AsyncMasks {
        packet_in: Some(packet_in),
        flow_removed: Some(flow_removed),
        ..nothing
    };
    (all, nothing)
}

fn change(masks: &mut AsyncMasks, to: &AsyncMasks) {
    masks.packet_in = to.packet_in.or(masks.packet_in);
    masks.port_status = to.port_status.or(masks.port_status);
    masks.flow_removed = to.flow_removed.or(masks.flow_removed);
    masks.role_status = to.role_status.or(masks.role_status);
    masks.table_status = to.table_status.or(masks.table_status);
    masks.request_forward = to.request_forward.or(masks.request_forward);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(kind: Kind, version: Version) -> Connection {
        Connection::new(Connected {
            id: ConnId(1),
            bridge: "br0".into(),
            version,
            kind,
            name: "br0<->test".into(),
            outbox: Outbox::new(),
        })
    }

    #[test]
    fn clients_are_told_of_nothing_until_they_ask_for_it() {
        let mut service = connection(Kind::Service, Version::OpenFlow13);
        assert!(!service.wants(Unasked::PortStatus(0)));
        service.set_async(&AsyncConfig {
            form: AsyncForm::Standard,
            primary: AsyncMasks {
                packet_in: Some(0x2),
                ..AsyncMasks::default()
            },
            secondary: AsyncMasks::default(),
        });
        assert!(service.wants(Unasked::PortStatus(0)));
        assert!(service.wants(Unasked::PacketIn(1)) && !service.wants(Unasked::PacketIn(0)));
    }

    #[test]
    fn secondaries_hear_of_ports_only() {
        let mut controller = connection(Kind::Controller, Version::OpenFlow14);
        let packet = Unasked::PacketIn(1);
        let removed = Unasked::FlowRemoved(5);
        assert!(controller.wants(packet) && controller.wants(removed));
        assert!(!controller.wants(Unasked::PacketIn(2)), "time to live");
        controller.set_invalid_ttl(true);
        assert!(controller.wants(Unasked::PacketIn(2)) && controller.invalid_ttl());
        controller.role = Role::Secondary;
        assert!(!controller.wants(packet) && !controller.wants(removed));
        assert!(controller.wants(Unasked::PortStatus(2)));
    }

    #[test]
    fn versions_have_the_reasons_that_they_know() {
        let of = |version| connection(Kind::Controller, version);
        assert!(!of(Version::OpenFlow12).wants(Unasked::FlowRemoved(3)));
        assert!(of(Version::OpenFlow13).wants(Unasked::FlowRemoved(3)));
        assert!(!of(Version::OpenFlow13).wants(Unasked::FlowRemoved(5)));
    }
}
