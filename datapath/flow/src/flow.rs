//! Flows and what is counted of them.

use std::sync::Arc;
use std::time::Duration;

use crate::Match;
use crate::action::Instructions;

/// One flow of a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flow {
    /// Its table.
    pub table: u8,
    /// The highest of those that match is taken.
    pub priority: u16,
    /// The controller's number for it.
    pub cookie: u64,
    /// Seconds without a packet after which it goes, 0 for never.
    pub idle_timeout_s: u16,
    /// Seconds after which it goes, 0 for never.
    pub hard_timeout_s: u16,
    /// What goes first when the table is full; higher stays longer.
    pub importance: u16,
    /// Flags.
    pub flags: FlowFlags,
    /// Which packets it is for.
    pub matching: Match,
    /// What it does; [tables](crate::table::Tables) keep equal ones once.
    pub instructions: Arc<Instructions>,
}

impl Flow {
    /// Priority of a flow that names none (OFP_DEFAULT_PRIORITY).
    pub const DEFAULT_PRIORITY: u16 = 0x8000;
}

impl Default for Flow {
    fn default() -> Self {
        Flow {
            table: 0,
            priority: Flow::DEFAULT_PRIORITY,
            cookie: 0,
            idle_timeout_s: 0,
            hard_timeout_s: 0,
            importance: 0,
            flags: FlowFlags::default(),
            matching: Match::default(),
            instructions: Arc::default(),
        }
    }
}

/// Flags of a flow (OpenFlow 1.3.5 §A.3.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct FlowFlags(u8);

impl FlowFlags {
    /// Tell controllers when it goes.
    pub const SEND_FLOW_REM: FlowFlags = FlowFlags(1);
    /// Refuse it if another of the same priority matches some of the same packets.
    pub const CHECK_OVERLAP: FlowFlags = FlowFlags(2);
    /// Start counting anew.
    pub const RESET_COUNTS: FlowFlags = FlowFlags(4);
    /// Packets needn't be counted.
    pub const NO_PACKET_COUNTS: FlowFlags = FlowFlags(8);
    /// Bytes needn't be counted.
    pub const NO_BYTE_COUNTS: FlowFlags = FlowFlags(16);

    /// All, with their names, in the order in which they are printed.
    pub const ALL: [(&'static str, FlowFlags); 5] = [
        ("send_flow_rem", FlowFlags::SEND_FLOW_REM),
        ("check_overlap", FlowFlags::CHECK_OVERLAP),
        ("reset_counts", FlowFlags::RESET_COUNTS),
        ("no_packet_counts", FlowFlags::NO_PACKET_COUNTS),
        ("no_byte_counts", FlowFlags::NO_BYTE_COUNTS),
    ];

    /// Whether all of `other` are set.
    pub fn contains(self, other: FlowFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// These and `other`.
    #[must_use]
    pub fn with(self, other: FlowFlags) -> FlowFlags {
        FlowFlags(self.0 | other.0)
    }
}

/// What is counted of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FlowStats {
    /// How long it has been there.
    pub duration: Duration,
    /// Packets that it matched.
    pub n_packets: u64,
    /// Bytes of these.
    pub n_bytes: u64,
    /// Seconds since the last packet.
    pub idle_age_s: Option<u32>,
    /// Seconds since it was last changed.
    pub hard_age_s: Option<u32>,
}
