//! What a card's maps and programs may be.

use std::collections::BTreeMap;

use aorta_flow::field::FieldId;
use aorta_placement::{Capabilities, KeySupport};

use crate::pipeline::card::{MAX_TABLES, STACK_BYTES};

/// What a card's maps and programs may be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CardLimits {
    /// Entries of a map.
    pub max_entries: u32,
    /// Bytes of a map's key.
    pub key_bytes: u32,
    /// Bytes of a map's value.
    pub value_bytes: u32,
    /// Maps of a program, the counters' included.
    pub maps: usize,
    /// Instructions of a program.
    pub insns: usize,
    /// Whether it sends to other ports of the card (`bpf_redirect`).
    pub redirects: bool,
    /// Whether it makes frames longer and shorter (`bpf_xdp_adjust_head`), which tags need.
    pub adjusts_head: bool,
    /// Rules of a table that are always code.
    pub code_rules: usize,
    /// Maps of a table.
    pub masks: usize,
}

impl Default for CardLimits {
    /// What the kernel itself allows, and cards that only pass on what it says.
    fn default() -> CardLimits {
        CardLimits {
            max_entries: 1 << 16,
            key_bytes: 256,
            value_bytes: 256,
            maps: 32,
            insns: 16384,
            redirects: false,
            adjusts_head: true,
            code_rules: 16,
            masks: 8,
        }
    }
}

/// Rules that are counted at most: with theirs, maps of counters have 64 KiB.
pub const MAX_COUNTERS: u32 = 4096;

impl CardLimits {
    /// Bytes of stack that a program has.
    pub const STACK_BYTES: usize = STACK_BYTES as usize;

    /// What a card with these limits can do.
    pub fn capabilities(&self) -> Capabilities {
        use FieldId as F;
        let keys = [
            F::ETH_SRC,
            F::ETH_DST,
            F::ETH_TYPE,
            F::VLAN_TCI,
            F::NW_PROTO,
            F::IP_SRC,
            F::IP_DST,
            F::IP_FRAG,
            F::NW_TOS,
            F::NW_TTL,
            F::TCP_SRC,
            F::TCP_DST,
            F::TCP_FLAGS,
            F::IPV6_SRC,
            F::IPV6_DST,
            F::IPV6_LABEL,
            F::MPLS_LABEL,
            F::MPLS_TC,
            F::MPLS_BOS,
            F::MPLS_TTL,
        ];
        let sets = [
            F::ETH_SRC,
            F::ETH_DST,
            F::IP_SRC,
            F::IP_DST,
            F::NW_TOS,
            F::NW_TTL,
            F::TCP_SRC,
            F::TCP_DST,
            F::VLAN_TCI,
        ];
        let keys: BTreeMap<FieldId, KeySupport> =
            keys.map(|field| (field, KeySupport::Masked)).into();
        Capabilities {
            keys,
            sets: sets.into(),
            sets_masked: true,
            vlan_tags: self.adjusts_head,
            mpls_labels: false,
            meters: false,
            dec_ttl: true,
            to_in_port: true,
            max_outputs: 1,
            changes_between_outputs: false,
            max_tables: MAX_TABLES,
            max_rules: self.max_entries.min(MAX_COUNTERS) as usize - 1,
            traps: true,
        }
    }
}
