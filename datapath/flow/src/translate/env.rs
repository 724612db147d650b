//! What the interpreter asks of what is around it.

use super::{Effect, Packet, Trace};
use crate::action::{Ct, HashFields};
use crate::table::TableFlow;
use crate::{Bucket, Group, MeterId, MeterVerdict, OfPort, hash};

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

/// What the interpreter asks of what is around it, and tells it. The methods with a body are those
/// of a switch without ports, state and traffic.
pub trait Env {
    /// Whether anybody wants the trace.
    fn traces(&self) -> bool {
        true
    }

    /// The way of the copy that [`Env::happens`] was told of, where it is known: what another
    /// bridge did with it.
    fn followed(&mut self) -> Trace {
        Trace::default()
    }

    /// The ports to which NORMAL sends a packet. What it learns, it learns now; the packet is sent
    /// when [`Effect::Normal`] happens.
    fn normal(&mut self, _packet: &Packet) -> Vec<OfPort> {
        Vec::new()
    }

    /// All ports that can take the packet now, each with whether FLOOD sends there.
    fn ports(&mut self, _packet: &Packet) -> Vec<(OfPort, bool)> {
        Vec::new()
    }

    /// Whether there is such a port, for the trace.
    fn has_port(&mut self, _port: OfPort) -> bool {
        true
    }

    /// Whether a port is up.
    fn is_live(&mut self, _port: OfPort) -> bool {
        true
    }

    /// A hash of a packet's fields, with a number that goes into it.
    fn hash(&mut self, fields: HashFields, basis: u16, packet: &Packet) -> u32 {
        hash::of_fields(fields, basis, &packet.key)
    }

    /// A hash of a packet, as a select group wants it.
    fn group_hash(&mut self, group: &Group, packet: &Packet) -> u32 {
        hash::of_group(group, &packet.key)
    }

    /// What a meter says.
    fn meter(&mut self, _meter: MeterId, _packet: &Packet) -> MeterVerdict {
        MeterVerdict::Pass
    }

    /// What connection tracking says; `None` if there is none, so that the copy ends here.
    fn ct(&mut self, _ct: &Ct, _packet: &Packet) -> Option<CtOutcome> {
        Some(CtOutcome::default())
    }

    /// A flow was found for the packet.
    fn found(&mut self, _flow: &TableFlow, _packet: &Packet) {}

    /// A group is done with the packet, by these buckets.
    fn grouped(&mut self, _group: &Group, _buckets: &[&Bucket], _packet: &Packet) {}

    /// Something happens, at once and for good, even if the packet is given up afterwards. For
    /// [`Effect::Learn`], whether the flow is there then.
    fn happens(&mut self, _effect: &Effect) -> bool {
        true
    }
}
