//! The maps of pipelines: what programs of every bridge share, and what each has of its own.

use aorta_ebpf::MapId;

use super::layout::state;
use crate::abi::{MapKind, MapSpec};

/// Generation: what a pipeline keeps of a packet, see [`state`].
pub const STATE: MapSpec = MapSpec {
    id: MapId(0x100),
    name: "pipeline",
    kind: MapKind::PerCpuArray,
    key_bytes: 4,
    value_bytes: state::BYTES as u32,
    max_entries: 1,
};

/// Generation: what pipelines that a frame left are in the middle of: the state as it was, up to
/// the base, then the values of `push`, then what is to be undone of labels.
pub const ASIDE: MapSpec = MapSpec {
    id: MapId(0x105),
    name: "aside",
    kind: MapKind::PerCpuArray,
    key_bytes: 4,
    value_bytes: (state::FRAMES_AT + 16 * state::MAX_STACK + (state::LABELS_END - state::LABELS_AT))
        as u32,
    max_entries: MAX_ASIDE,
};

/// Pipelines that a frame can be in the middle of, besides the one that it is in.
pub const MAX_ASIDE: u32 = 8;

/// Generation: copies on their way to the daemon, see [`upcall`].
pub const UPCALLS: MapSpec = MapSpec {
    id: MapId(0x101),
    name: "upcalls",
    kind: MapKind::RingBuf,
    key_bytes: 0,
    value_bytes: 0,
    max_entries: 1 << 22,
};

/// Generation: where programs put a record of [`UPCALLS`] together.
pub const UPCALL_SPACE: MapSpec = MapSpec {
    id: MapId(0x106),
    name: "upcall_space",
    kind: MapKind::PerCpuArray,
    key_bytes: 4,
    value_bytes: upcall::SPACE_BYTES as u32,
    max_entries: 1,
};

/// How programs name the memory with the meters of their bridge, which programs write; see
/// [`meters`]. It stays when the program is replaced.
pub const METERS: MapId = MapId(0x107);

/// State: counters of `rules` rules, a *row* for each of `cpus` processors by its number, and one more
/// for the daemon's own. A row has a record for each rule, by [`RuleId`](super::record::RuleId); see
/// [`stats`]. The daemon maps it. When there are more rules, another takes its place.
pub const fn flow_stats_spec(cpus: u32, rules: u32) -> MapSpec {
    MapSpec {
        id: FLOW_STATS,
        name: "rule_counters",
        kind: MapKind::Memory,
        key_bytes: 4,
        value_bytes: stats::BYTES as u32 * rules,
        max_entries: cpus + 1,
    }
}

/// How programs name the counters of rules.
pub const FLOW_STATS: MapId = MapId(0x102);

/// How programs name the memory with the ports of their bridge; see [`ports`].
pub const BRIDGE_PORTS: MapId = MapId(0x103);

/// How programs name the memory whose first u32 is the version of their tables.
pub const VERSION: MapId = MapId(0x104);

/// How programs name the memory with the rules of a table of their bridge.
pub const fn table_memory(table: u8) -> MapId {
    MapId(0x200 + table as u32)
}

/// The table whose memory programs name so.
pub const fn table_of_memory(map: MapId) -> Option<u8> {
    match map.0 {
        0x200..=0x2ff => Some(map.0 as u8),
        _ => None,
    }
}

/// Counters of a rule in a row.
pub mod stats {
    /// u64: packets.
    pub const PACKETS: i16 = 0;
    /// u64: their bytes, as they came.
    pub const BYTES_SEEN: i16 = 8;
    /// u64: `jiffies_64` when the newest came; 0 if none did.
    pub const USED: i16 = 16;
    /// Bytes of a record.
    pub const BYTES: usize = 24;
    /// Rules that a row can have: programs point no further into a value.
    pub const MAX_RULES: u32 = (1 << 29) / BYTES as u32;
}

/// Memory of one bridge with flows: which port has which number.
pub mod ports {
    /// Offset of the u32 of port number 0: its port slot plus 1, or 0 if there is none. Those of
    /// the other numbers follow.
    pub const SLOTS: u32 = 0;
    /// u32: which of the two lists of all ports holds, 0 or 1.
    pub const WHICH: u32 = 4 << 16;
    /// u32: epoch of the bridge. A program that holds other tables than the bridge's root was made in
    /// an earlier one.
    pub const EPOCH: u32 = WHICH + 4;
    /// The first list: u32 how many, u32 to how many of them FLOOD sends, which come first; then for
    /// each a u32: the port slot. The second list is [`LIST_BYTES`] behind it.
    pub const LISTS: u32 = WHICH + 8;
    /// In a list: how many there are.
    pub const COUNT: i16 = 0;
    /// In a list: how many FLOOD sends to.
    pub const FLOODED: i16 = 4;
    /// In a list: the first slot.
    pub const FIRST: i16 = 8;
    /// Bytes of a list, a power of two.
    pub const LIST_BYTES: u32 = 1 << 16;
    /// Ports that a list can hold.
    pub const MAX_LISTED: u32 = crate::abi::MAX_PORTS;
    /// Bytes of the memory.
    pub const BYTES: u32 = LISTS + 2 * LIST_BYTES;

    /// Offset of the u32 of a port number.
    pub const fn slot_of(ofport: u16) -> u32 {
        SLOTS + 4 * ofport as u32
    }
}

/// A record of [`UPCALLS`]: a header, words of the key, then bytes of the frame.
pub mod upcall {
    /// u32: slot of the bridge.
    pub const BRIDGE: i16 = 0;
    /// u32: number of the port that the packet came from.
    pub const IN_PORT: i16 = 4;
    /// u32: rule whose actions sent it, all ones if none.
    pub const RULE: i16 = 8;
    /// u32: table.
    pub const TABLE: i16 = 12;
    /// u32: what for: the number that the pipeline gave the action.
    pub const WHAT: i16 = 16;
    /// u32: version of the tables.
    pub const VERSION: i16 = 20;
    /// u32: length of the whole frame in bytes.
    pub const FRAME_LEN: i16 = 24;
    /// u32: words of the key that follow the header: those of the pipeline's metadata, in the
    /// order of its list.
    pub const WORDS: i16 = 28;
    /// Bytes of the header.
    pub const HEADER_BYTES: i16 = 32;
    /// Words of the key at most.
    pub const MAX_WORDS: usize = 248;
    /// Bytes of the frame that come along at most: what is longer was to be cut into segments.
    pub const MAX_FRAME_BYTES: i32 = 16384;
    /// Bytes of a record at most.
    pub const MAX_BYTES: usize = HEADER_BYTES as usize + 4 * MAX_WORDS + MAX_FRAME_BYTES as usize;
    /// In the space, behind the record: what was learned last on this processor. Entries of u64
    /// what, and u64 when, in nanoseconds.
    pub const LEARNED: usize = MAX_BYTES.next_multiple_of(8);
    /// Entries of these, a power of two.
    pub const LEARNED_ENTRIES: i32 = 256;
    /// Bytes of one.
    pub const LEARNED_BYTES: i32 = 16;
    /// u64 behind them: records that found no room in the ring.
    pub const LOST: usize = LEARNED + (LEARNED_ENTRIES * LEARNED_BYTES) as usize;
    /// Bytes of the space.
    pub const SPACE_BYTES: usize = LOST + 8;
}

/// Memory of one bridge's meters: a record for each, by its place
/// ([`Places`](super::meters::Places)).
pub mod meters {
    /// Meters that a bridge can have, the reserved ones included.
    pub const MAX: u32 = 256;
    /// u64: packets that it was asked about.
    pub const PACKETS: i16 = 0;
    /// u64: their bytes.
    pub const BYTES_SEEN: i16 = 8;
    /// The first band; the others follow.
    pub const BANDS: i16 = 16;
    /// Bands of a meter at most.
    pub const MAX_BANDS: usize = 10;
    /// Bytes of a band.
    pub const BAND_BYTES: i16 = 24;
    /// u64 of a band: nanoseconds, the time when its bucket will be empty again.
    pub const TAT: i16 = 0;
    /// u64 of a band: packets over its rate.
    pub const OVER_PACKETS: i16 = 8;
    /// u64 of a band: their bytes.
    pub const OVER_BYTES: i16 = 16;
    /// Bytes of a meter's record.
    pub const RECORD_BYTES: u32 = 256;
    /// Bytes of the memory.
    pub const BYTES: u32 = MAX * RECORD_BYTES;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_space_is_within_an_instruction_s_reach() {
        const { assert!(upcall::SPACE_BYTES <= i16::MAX as usize) };
    }

    #[test]
    fn a_record_holds_all_bands() {
        let end = meters::BANDS as usize + meters::MAX_BANDS * meters::BAND_BYTES as usize;
        assert!(end <= meters::RECORD_BYTES as usize);
    }

    #[test]
    fn a_list_holds_every_port() {
        const { assert!(ports::FIRST as u32 + 4 * ports::MAX_LISTED <= ports::LIST_BYTES) };
        assert_eq!(ports::slot_of(u16::MAX) + 4, ports::WHICH);
    }
}
