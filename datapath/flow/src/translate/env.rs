//! What the interpreter asks of what is around it.

use crate::action::{Ct, HashFields};
use crate::{Group, OfPort};

use super::Packet;

/// What a meter says about a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MeterVerdict {
    /// It may pass.
    Pass,
    /// It is dropped.
    Drop,
    /// It passes with its DSCP changed to this.
    Remark(u8),
}

/// What connection tracking knows of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CtOutcome {
    /// Bits of `ct_state`.
    pub state: u8,
    /// The connection's mark.
    pub mark: u32,
    /// The connection's label.
    pub label: u128,
}

/// What the interpreter asks of what is around it. The methods with a body give the answer of a
/// switch without ports, state and traffic.
pub trait Env {
    /// The ports to which NORMAL sends a packet.
    fn normal(&mut self, _packet: &Packet) -> Vec<OfPort> {
        Vec::new()
    }

    /// All ports, each with whether FLOOD sends there.
    fn ports(&mut self) -> Vec<(OfPort, bool)> {
        Vec::new()
    }

    /// Whether a port is up.
    fn is_live(&mut self, _port: OfPort) -> bool {
        true
    }

    /// A hash of a packet's fields, with a number that goes into it.
    fn hash(&mut self, fields: HashFields, basis: u16, packet: &Packet) -> u32;

    /// A hash of a packet, as a select group wants it.
    fn group_hash(&mut self, group: &Group, packet: &Packet) -> u32;

    /// What a meter says.
    fn meter(&mut self, _meter: u32, _packet: &Packet) -> MeterVerdict {
        MeterVerdict::Pass
    }

    /// What connection tracking says.
    fn ct(&mut self, _ct: &Ct, _packet: &Packet) -> CtOutcome {
        CtOutcome::default()
    }
}
