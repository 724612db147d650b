//! Packets for controllers, collectors and connection tracking.

use std::net::IpAddr;

use super::Action;
use crate::{OfPort, Subfield};

/// How a packet goes to controllers (`controller`).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Controller {
    /// Bytes that are sent at most; 65535 for all.
    pub max_len_bytes: u16,
    /// Which controller.
    pub id: u16,
    /// Why, as it is told.
    pub reason: PacketInReason,
    /// Bytes that come along.
    pub userdata: Vec<u8>,
    /// Whether the controller can make it go on.
    pub pause: bool,
    /// Meter that limits how many are sent.
    pub meter: Option<u32>,
}

impl Default for Controller {
    fn default() -> Self {
        Controller {
            max_len_bytes: u16::MAX,
            id: 0,
            reason: PacketInReason::Action,
            userdata: Vec::new(),
            pause: false,
            meter: None,
        }
    }
}

/// Why a packet goes to a controller (OpenFlow 1.5.1 §7.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PacketInReason {
    /// No flow matched.
    NoMatch,
    /// An action asked for it.
    Action,
    /// Its time to live ended.
    InvalidTtl,
    /// An output of an action set.
    ActionSet,
    /// An output of a group.
    Group,
    /// An output of what a controller sent.
    PacketOut,
}

impl PacketInReason {
    /// All, with their names; the position is the number on the wire.
    pub const ALL: [(&'static str, PacketInReason); 6] = [
        ("no_match", PacketInReason::NoMatch),
        ("action", PacketInReason::Action),
        ("invalid_ttl", PacketInReason::InvalidTtl),
        ("action_set", PacketInReason::ActionSet),
        ("group", PacketInReason::Group),
        ("packet_out", PacketInReason::PacketOut),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }
}

/// Which packets go to collectors (`sample`).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Sample {
    /// Of 65535, how many.
    pub probability: u16,
    /// Which collectors.
    pub collector_set: u32,
    /// Observation domain that they are told.
    pub obs_domain: u32,
    /// Observation point that they are told.
    pub obs_point: u32,
    /// Port that the sample stands for.
    pub sampling_port: Option<OfPort>,
    /// Direction at this port.
    pub direction: Option<SampleDirection>,
}

/// Direction of sampled packets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SampleDirection {
    /// Into the switch.
    Ingress,
    /// Out of the switch.
    Egress,
}

/// How a packet goes through connection tracking (`ct`).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Ct {
    /// Remembers the connection.
    pub commit: bool,
    /// Takes the packet's direction as the connection's.
    pub force: bool,
    /// Where the packet goes on, with `ct_state`; nowhere if none.
    pub table: Option<u8>,
    /// Which connections.
    pub zone: CtZone,
    /// Protocol with connections of its own: `ftp` or `tftp`.
    pub alg: Option<&'static str>,
    /// Address translation.
    pub nat: Option<Nat>,
    /// What is done to the connection's mark and label.
    pub exec: Vec<Action>,
}

impl Ct {
    /// Names of protocols with connections of their own.
    pub const ALGS: [&'static str; 2] = ["ftp", "tftp"];
}

/// A zone of connection tracking.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CtZone {
    /// A number.
    Number(u16),
    /// The number in 16 bits of a field.
    Field(Subfield),
}

impl Default for CtZone {
    fn default() -> Self {
        CtZone::Number(0)
    }
}

/// Address translation (`nat`). Without direction, that of the connection.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Nat {
    /// What is translated.
    pub direction: Option<NatDirection>,
    /// First and last address.
    pub addresses: Option<(IpAddr, Option<IpAddr>)>,
    /// First and last port.
    pub ports: Option<(u16, Option<u16>)>,
    /// The same address for the same client.
    pub persistent: bool,
    /// Port by a hash.
    pub hash: bool,
    /// Port by chance.
    pub random: bool,
}

/// What is translated.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NatDirection {
    /// Source address and port.
    Source,
    /// Destination address and port.
    Destination,
}
