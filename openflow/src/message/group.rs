//! What groups have counted, and what the switch can do with groups.

use std::time::Duration;

/// What a group has counted (OpenFlow 1.3.5 §7.3.5.9).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupStats {
    /// Which.
    pub id: u32,
    /// Flows and groups that lead to it.
    pub ref_count: u32,
    /// Packets.
    pub n_packets: Option<u64>,
    /// Bytes of these.
    pub n_bytes: Option<u64>,
    /// How long it has been there (from OpenFlow 1.3).
    pub duration: Option<Duration>,
    /// Of each bucket.
    pub buckets: Vec<GroupBucketStats>,
}

/// What a bucket has counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupBucketStats {
    /// Packets.
    pub n_packets: Option<u64>,
    /// Bytes of these.
    pub n_bytes: Option<u64>,
}

/// What the switch can do with groups (OpenFlow 1.3.5 §7.3.5.11). Of the arrays, places are all,
/// select, indirect and fast failover.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GroupFeatures {
    /// Kinds of groups that there are: bit N is the kind of number N.
    pub types: u32,
    /// 1 weights, 2 liveness, 4 chains, 8 checks for loops.
    pub capabilities: u32,
    /// How many groups at most.
    pub max_groups: [u32; 4],
    /// Actions: bit N is the action of type N.
    pub actions: [u32; 4],
}
