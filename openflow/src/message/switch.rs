//! What a switch is, and how it is configured.

use super::PortDesc;

/// What a switch is (OpenFlow 1.3.5 §7.3.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Features {
    /// Its number: the lower 48 bits are an Ethernet address.
    pub datapath_id: u64,
    /// Packets that it can keep for controllers.
    pub n_buffers: u32,
    /// Flow tables.
    pub n_tables: u8,
    /// Which connection of the same controller this is (from OpenFlow 1.3).
    pub auxiliary_id: u8,
    /// What it can do.
    pub capabilities: Capabilities,
    /// Its actions: bit N is the action of type N (OpenFlow 1.0).
    pub actions: u32,
    /// Its ports (to OpenFlow 1.2); later ones ask for them.
    pub ports: Vec<PortDesc>,
}

/// What a switch can do: bits as OpenFlow 1.3 numbers them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Capabilities(pub u32);

impl Capabilities {
    /// Counts flows.
    pub const FLOW_STATS: Capabilities = Capabilities(1);
    /// Counts tables.
    pub const TABLE_STATS: Capabilities = Capabilities(1 << 1);
    /// Counts ports.
    pub const PORT_STATS: Capabilities = Capabilities(1 << 2);
    /// Counts groups (from OpenFlow 1.1).
    pub const GROUP_STATS: Capabilities = Capabilities(1 << 3);
    /// Puts fragments together.
    pub const IP_REASM: Capabilities = Capabilities(1 << 5);
    /// Counts queues.
    pub const QUEUE_STATS: Capabilities = Capabilities(1 << 6);
    /// Matches addresses in ARP (to OpenFlow 1.1).
    pub const ARP_MATCH_IP: Capabilities = Capabilities(1 << 7);
    /// Blocks ports that would loop (from OpenFlow 1.2).
    pub const PORT_BLOCKED: Capabilities = Capabilities(1 << 8);
    /// Takes bundles (from OpenFlow 1.5, Open vSwitch tells it in 1.4, too).
    pub const BUNDLES: Capabilities = Capabilities(1 << 9);
    /// Monitors flows (from OpenFlow 1.5).
    pub const FLOW_MONITORING: Capabilities = Capabilities(1 << 10);
    /// Speaks the spanning tree protocol (OpenFlow 1.0, where it has the bit of
    /// [`Capabilities::GROUP_STATS`]).
    pub const STP: Capabilities = Capabilities(1 << 31);

    /// Whether all of `other` are among them.
    pub fn contains(self, other: Capabilities) -> bool {
        self.0 & other.0 == other.0
    }

    /// These and `other`.
    #[must_use]
    pub fn with(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 | other.0)
    }
}

/// How a switch is configured (OpenFlow 1.3.5 §7.3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SwitchConfig {
    /// What is done with fragments.
    pub fragments: FragmentHandling,
    /// Whether packets whose time to live ends go to controllers (OpenFlow 1.1 and 1.2).
    pub invalid_ttl_to_controller: Option<bool>,
    /// Bytes of packets that a table's miss sends at most.
    pub miss_send_len_bytes: u16,
}

/// What is done with fragments of IP; the position is the number on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FragmentHandling {
    /// Matched with ports of 0.
    Normal,
    /// Dropped.
    Drop,
    /// Put together.
    Reassemble,
    /// The first is matched as if it were whole, the others with ports of 0 (Nicira's).
    NxMatch,
}
