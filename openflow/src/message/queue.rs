//! Queues.

use std::time::Duration;

use aorta_flow::OfPort;

/// Which queues are asked for (OpenFlow 1.3.5 §7.3.5.8).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueFilter {
    /// Of this port; [`OfPort::ANY`] for all.
    pub port: OfPort,
    /// This one; all if none.
    pub queue: Option<u32>,
}

/// What a queue has counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueStats {
    /// Its port.
    pub port: OfPort,
    /// Its number.
    pub queue: u32,
    /// How long it has been there (from OpenFlow 1.3).
    pub duration: Option<Duration>,
    /// Bytes that went out.
    pub tx_bytes: Option<u64>,
    /// Packets that went out.
    pub tx_packets: Option<u64>,
    /// Packets for which there was no room.
    pub tx_errors: Option<u64>,
}

/// A queue's configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueDesc {
    /// Its port.
    pub port: OfPort,
    /// Its number.
    pub queue: u32,
    /// Rate that it has at least, in tenths of a percent of the port's.
    pub min_rate_permille: Option<u16>,
    /// Rate that it has at most, in tenths of a percent of the port's.
    pub max_rate_permille: Option<u16>,
}
