//! What guards ports: what is let in from their devices, and what NORMAL doesn't send on.

use std::time::Duration;

use aorta_packet::MacAddr;

use super::{Interpreter, untagged_bytes};
use crate::DropReason;
use crate::translate::Packet;

impl Interpreter {
    /// Lets a frame in from the device of a port, or tells why not.
    pub(super) fn let_in(
        &mut self,
        b: usize,
        p: usize,
        frame: &[u8],
        now: Duration,
    ) -> Result<(), DropReason> {
        let port = &self.bridges[b].ports[p];
        if let Some(allowed) = &port.guard.allowed {
            allowed.check(frame)?;
        }
        if port.guard.policing.is_none() {
            return Ok(());
        }
        let buckets = self.buckets.entry(port.name.clone()).or_default();
        let len_bytes = untagged_bytes(frame) as u64;
        buckets.police(&port.guard.policing, len_bytes, now.as_nanos() as u64)
    }

    /// Why a port's guard would not let a packet in, whatever came before.
    pub(super) fn refused(&self, b: usize, p: usize, packet: &Packet) -> Option<DropReason> {
        let allowed = self.bridges[b].ports[p].guard.allowed.as_ref()?;
        allowed.check(&packet.frame()?).err()
    }

    /// Whether one more frame from a port may be flooded.
    pub(super) fn limit_flooding(
        &mut self,
        b: usize,
        p: Option<usize>,
        to: MacAddr,
        now: Duration,
    ) -> Result<(), DropReason> {
        let port = p.map(|p| &self.bridges[b].ports[p]);
        let Some(port) = port.filter(|port| !port.guard.storm.is_none()) else {
            return Ok(());
        };
        let buckets = self.buckets.entry(port.name.clone()).or_default();
        buckets.limit_flooding(&port.guard.storm, to, now.as_nanos() as u64)
    }

    /// Whether NORMAL sends nothing from port `p` to port `e`.
    pub(super) fn both_protected(&self, b: usize, p: Option<usize>, e: usize) -> bool {
        let ports = &self.bridges[b].ports;
        p.is_some_and(|p| ports[p].guard.protected) && ports[e].guard.protected
    }
}
