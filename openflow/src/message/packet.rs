//! Packets for controllers and from them.

use aorta_flow::action::{Action, PacketInReason};
use aorta_flow::{Match, OfPort};

/// A packet for controllers, or one that goes on (OpenFlow 1.3.5 §7.4.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PacketIn {
    /// How it is written.
    pub form: PacketInForm,
    /// The packet's bytes, perhaps cut.
    pub frame: Vec<u8>,
    /// Bytes of the whole packet.
    pub total_len_bytes: u32,
    /// Number of the packet that the switch keeps.
    pub buffer_id: Option<u32>,
    /// Why it comes.
    pub reason: PacketInReason,
    /// Table of the flow; none where the version doesn't tell.
    pub table: Option<u8>,
    /// Cookie of the flow.
    pub cookie: Option<u64>,
    /// Where it came in, registers, metadata, tunnel: fields that aren't in the frame. In port
    /// is among them; it is all that OpenFlow 1.0 and 1.1 tell.
    pub metadata: Match,
    /// The flow's bytes (NXT_PACKET_IN2).
    pub userdata: Vec<u8>,
    /// What the switch needs to go on with it (NXT_PACKET_IN2, NXT_RESUME).
    pub continuation: Option<Vec<u8>>,
}

/// Encodings of [`PacketIn`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PacketInForm {
    /// The version's own.
    Standard,
    /// NXT_PACKET_IN.
    Nicira,
    /// NXT_PACKET_IN2.
    Nicira2,
}

/// A packet from a controller (OpenFlow 1.3.5 §7.3.7).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PacketOut {
    /// Number of a packet that the switch keeps; then the frame is empty.
    pub buffer_id: Option<u32>,
    /// Port that it is as if it came in at.
    pub in_port: OfPort,
    /// Fields that it is to have besides (from OpenFlow 1.5).
    pub metadata: Match,
    /// What is done with it.
    pub actions: Vec<Action>,
    /// Its bytes.
    pub frame: Vec<u8>,
}
