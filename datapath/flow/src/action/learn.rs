//! Flows made of packets.

use crate::Subfield;

/// How a flow is made of a packet (`learn`).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Learn {
    /// Table of the new flow.
    pub table: u8,
    /// Its idle timeout, 0 for none.
    pub idle_timeout_s: u16,
    /// Its hard timeout, 0 for none.
    pub hard_timeout_s: u16,
    /// Idle timeout after the connection ends.
    pub fin_idle_timeout_s: u16,
    /// Hard timeout after the connection ends.
    pub fin_hard_timeout_s: u16,
    /// Its priority.
    pub priority: u16,
    /// Its cookie.
    pub cookie: u64,
    /// Tells controllers when it is removed.
    pub send_flow_removed: bool,
    /// Goes with the flow that learned it.
    pub delete_learned: bool,
    /// Flows that are learned at most, 0 for any number.
    pub limit: u32,
    /// Bit that tells whether the flow is there.
    pub result: Option<Subfield>,
    /// Its match and actions.
    pub specs: Vec<LearnSpec>,
}

/// One part of a learned flow.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum LearnSpec {
    /// Matches a value.
    MatchValue {
        /// Bits of the new match.
        to: Subfield,
        /// Their value.
        value: u128,
    },
    /// Matches what the packet has.
    MatchField {
        /// Bits of the new match.
        to: Subfield,
        /// Bits of the packet.
        from: Subfield,
    },
    /// Sets a value.
    LoadValue {
        /// Bits that the new flow sets.
        to: Subfield,
        /// Their value.
        value: u128,
    },
    /// Sets what the packet has.
    LoadField {
        /// Bits that the new flow sets.
        to: Subfield,
        /// Bits of the packet.
        from: Subfield,
    },
    /// Outputs to the port whose number the packet has.
    Output(Subfield),
}

impl Default for Learn {
    fn default() -> Self {
        Learn {
            table: 1,
            idle_timeout_s: 0,
            hard_timeout_s: 0,
            fin_idle_timeout_s: 0,
            fin_hard_timeout_s: 0,
            priority: crate::Flow::DEFAULT_PRIORITY,
            cookie: 0,
            send_flow_removed: false,
            delete_learned: false,
            limit: 0,
            result: None,
            specs: Vec::new(),
        }
    }
}
