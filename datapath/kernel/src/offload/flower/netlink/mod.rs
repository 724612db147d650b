//! Requests and answers of rtnetlink about filters, as bytes (linux/rtnetlink.h, linux/pkt_cls.h).

mod actions;
mod decode;
mod encode;
mod police;
#[cfg(test)]
mod tests;

pub use decode::{Answer, answers};
pub use encode::{encode, get_filter, get_filters};

/// Types of messages.
pub const NEW_QDISC: u16 = 36;
pub const DEL_QDISC: u16 = 37;
pub const NEW_FILTER: u16 = 44;
pub const DEL_FILTER: u16 = 45;
pub const GET_FILTER: u16 = 46;

/// Attributes of messages about filters (TCA_*).
pub const KIND: u16 = 1;
pub const OPTIONS: u16 = 2;
pub const CHAIN: u16 = 11;
/// What a list is to have: a value and which bits of it count.
pub const DUMP_FLAGS: u16 = 15;
/// Of each filter flags, cookies and counters only (Linux 5.8); older kernels tell all.
pub const TERSE: u32 = 1;

/// Attributes of flower (TCA_FLOWER_*), besides keys.
pub const FLOWER_ACT: u16 = 3;
pub const FLOWER_FLAGS: u16 = 22;
pub const SKIP_HW: u32 = 1;
pub const SKIP_SW: u32 = 2;
pub const IN_HW: u32 = 4;

/// Attributes of actions (TCA_ACT_*).
pub const ACT_KIND: u16 = 1;
pub const ACT_OPTIONS: u16 = 2;
pub const ACT_STATS: u16 = 4;
pub const ACT_COOKIE: u16 = 6;
pub const ACT_FLAGS: u16 = 7;

/// The protocol of all frames (ETH_P_ALL), as `tcm_info` has it beside the preference.
pub const ALL_PROTOCOLS: u16 = 3u16.to_be();
