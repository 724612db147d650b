//! What meters have counted, and what the switch can do with meters.

use std::time::Duration;

use aorta_flow::MeterId;

/// What a meter has counted (OpenFlow 1.3.5 §7.3.5.12).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MeterStats {
    /// Which.
    pub id: MeterId,
    /// Flows that use it.
    pub flow_count: u32,
    /// Packets that it measured.
    pub packet_in_count: u64,
    /// Bytes of these.
    pub byte_in_count: u64,
    /// How long it has been there.
    pub duration: Duration,
    /// Of each band.
    pub bands: Vec<MeterBandStats>,
}

/// What a band has counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MeterBandStats {
    /// Packets over its rate.
    pub packet_count: u64,
    /// Bytes of these.
    pub byte_count: u64,
}

/// What the switch can do with meters (OpenFlow 1.3.5 §7.3.5.14).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MeterFeatures {
    /// How many meters at most.
    pub max_meters: u32,
    /// Kinds of bands: bit N is the kind of number N.
    pub band_types: u32,
    /// 1 kilobits, 2 packets, 4 bursts, 8 counters.
    pub capabilities: u32,
    /// Bands of a meter at most.
    pub max_bands: u8,
    /// Highest colour.
    pub max_color: u8,
}
