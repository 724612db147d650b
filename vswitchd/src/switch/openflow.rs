//! What connections of OpenFlow ask of the switch.

use aorta_flow::PacketIn;

use super::*;
use crate::openflow::Order;

impl<E: Effects, D: Datapath> Switch<E, D> {
    /// Follows an order.
    pub fn openflow(&mut self, order: Order) {
        match order {
            Order::Connected(_) | Order::Disconnected(_) => {}
            Order::FailOpen { bridge, open } => self.fail_open(&bridge.into(), open),
            Order::Messages(batch) => drop(batch.done),
        }
    }

    /// Tells controllers of a packet.
    pub(super) fn packet_in(&mut self, _packet: PacketIn) {}
}
