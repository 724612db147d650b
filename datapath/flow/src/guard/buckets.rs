//! The buckets of a port's rates.

use aorta_packet::MacAddr;

use super::{Policing, StormLimits, TokenRate};
use crate::DropReason;

/// The state of a port's buckets: when each will be full again, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Buckets {
    bytes_ns: u64,
    packets_ns: u64,
    broadcast_ns: u64,
    unknown_ns: u64,
}

impl Buckets {
    /// Takes a frame of so many bytes (without its outer tag) from the port's device.
    ///
    /// # Errors
    /// When it is over a rate; a frame that is over that of packets only has cost its bytes.
    pub fn police(
        &mut self,
        policing: &Policing,
        len_bytes: u64,
        now_ns: u64,
    ) -> Result<(), DropReason> {
        let of_bytes = take(policing.bytes(), &mut self.bytes_ns, len_bytes, now_ns);
        let both = of_bytes && take(policing.packets(), &mut self.packets_ns, 1, now_ns);
        both.then_some(()).ok_or(DropReason::Policed)
    }

    /// Takes a frame that is to be flooded.
    ///
    /// # Errors
    /// When too many were.
    pub fn limit_flooding(
        &mut self,
        limits: &StormLimits,
        to: MacAddr,
        now_ns: u64,
    ) -> Result<(), DropReason> {
        let (rate, full_ns, reason) = match to == MacAddr::BROADCAST {
            true => (
                limits.broadcast(),
                &mut self.broadcast_ns,
                DropReason::StormBroadcast,
            ),
            false => (
                limits.unknown(),
                &mut self.unknown_ns,
                DropReason::StormUnknown,
            ),
        };
        let within = take(rate, full_ns, 1, now_ns);
        within.then_some(()).ok_or(reason)
    }
}

/// Takes so many units out of a bucket; false if there are not enough.
fn take(rate: Option<TokenRate>, full_ns: &mut u64, units: u64, now_ns: u64) -> bool {
    let Some(rate) = rate else {
        return true;
    };
    let next_ns = rate.take(*full_ns, units, now_ns);
    *full_ns = next_ns.unwrap_or(*full_ns);
    next_ns.is_some()
}
