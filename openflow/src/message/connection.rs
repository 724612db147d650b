//! What two sides say about their connection.

use crate::error::{ErrorCode, WireError};
use crate::version::Versions;

/// Which versions the sender has (OpenFlow 1.3.5 §7.5.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hello {
    /// The versions; the header has the highest.
    pub versions: Versions,
}

/// A request can't be done (OpenFlow 1.3.5 §7.5.4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErrorMessage {
    /// Why.
    pub error: ReportedError,
    /// The first bytes of the request, or a text if no version is common.
    pub data: Vec<u8>,
}

/// An error as the other side tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReportedError {
    /// One that has a name here.
    Known(ErrorCode),
    /// Another.
    Unknown(WireError),
}

/// Which asynchronous messages and changes a controller has (OpenFlow 1.3.5 §6.3.4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// Asks for the present role.
    NoChange,
    /// All of it, as others do.
    Equal,
    /// All of it, as the only one that isn't equal.
    Primary,
    /// Reads, and is told of ports only.
    Secondary,
}

/// Asks for a role, or tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RoleRequest {
    /// Nicira's form has no generation.
    pub form: super::Form,
    /// The role.
    pub role: Role,
    /// Which election of a primary this is; an older one is refused.
    pub generation_id: Option<u64>,
}

/// The role was changed (OpenFlow 1.4.1 §7.4.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RoleStatus {
    /// The new role.
    pub role: Role,
    /// Why.
    pub reason: RoleReason,
    /// The election.
    pub generation_id: Option<u64>,
}

/// Why a role was changed; the position is the number on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoleReason {
    /// Another controller asked to be the primary.
    PrimaryRequest,
    /// The configuration changed.
    Config,
    /// What an experimenter defined.
    Experimenter,
}

/// How flows of OpenFlow 1.0 are written (NXT_SET_FLOW_FORMAT).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlowFormat {
    /// As OpenFlow 1.0 has them.
    OpenFlow10,
    /// With Nicira's extended match.
    Nxm,
}

/// How packets come to a controller (NXT_SET_PACKET_IN_FORMAT).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PacketInFormat {
    /// As the version has them.
    Standard,
    /// NXT_PACKET_IN.
    Nicira,
    /// NXT_PACKET_IN2.
    Nicira2,
}
