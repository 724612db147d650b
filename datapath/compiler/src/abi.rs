//! The contract between programs, loader and counters: maps, their sizes, and record layouts.
//!
//! *State* maps outlive a daemon and its upgrades: records may grow at their end, never change.
//! *Generation* maps are made anew by each daemon, so their layout may change freely.
//! All integers are in host order.

use aorta_ebpf::MapId;
use aorta_flow::DropReason;

/// Ports that one switch can have, patch ports included.
pub const MAX_PORTS: u32 = 8192;
/// Bridges that one switch can have.
pub const MAX_BRIDGES: u32 = 1024;
/// Places in all flood lists together.
pub const MAX_FLOOD_PLACES: u32 = 1 << 20;
/// Flood lists.
pub const MAX_FLOOD_SETS: u32 = 1 << 16;

/// Kind of a kernel map (`enum bpf_map_type`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapKind {
    /// `BPF_MAP_TYPE_HASH`
    Hash = 1,
    /// `BPF_MAP_TYPE_ARRAY`
    Array = 2,
    /// `BPF_MAP_TYPE_PROG_ARRAY`
    ProgArray = 3,
    /// `BPF_MAP_TYPE_PERCPU_ARRAY`
    PerCpuArray = 6,
    /// `BPF_MAP_TYPE_LRU_HASH`
    LruHash = 9,
    /// `BPF_MAP_TYPE_RINGBUF`; the greatest number of entries is its bytes.
    RingBuf = 27,
    /// `BPF_MAP_TYPE_ARRAY` of one entry, `BPF_F_MMAPABLE`: the daemon writes its bytes without a
    /// system call.
    Memory = 0x402,
}

/// Shape of one map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MapSpec {
    /// How programs name it.
    pub id: MapId,
    /// Name in the kernel and in the pin directory.
    pub name: &'static str,
    /// Kind.
    pub kind: MapKind,
    /// Bytes of a key.
    pub key_bytes: u32,
    /// Bytes of a value.
    pub value_bytes: u32,
    /// Greatest number of entries.
    pub max_entries: u32,
}

macro_rules! map {
    ($(#[$doc:meta])* $name:ident, $id:literal, $text:literal, $kind:ident, $key:expr, $value:expr, $max:expr) => {
        $(#[$doc])*
        pub const $name: MapSpec = MapSpec {
            id: MapId($id),
            name: $text,
            kind: MapKind::$kind,
            key_bytes: $key,
            value_bytes: $value,
            max_entries: $max,
        };
    };
}

map! {
    /// State: [`counter`] words of each port slot.
    COUNTERS, 1, "counters", PerCpuArray, 4, counter::BYTES as u32, MAX_PORTS
}
map! {
    /// Generation: [`port`] record of each port slot.
    PORTS, 2, "ports", Array, 4, port::BYTES as u32, MAX_PORTS
}
map! {
    /// Generation: VLANs that each port slot carries, one bit each, for ports that list them.
    VLANS, 3, "vlans", Array, 4, 512, MAX_PORTS
}
map! {
    /// Generation: (bridge slot, VLAN) → (start, count) of its list in [`FLOOD_PLACES`].
    FLOOD_SETS, 4, "flood_sets", Hash, 8, 8, MAX_FLOOD_SETS
}
map! {
    /// Generation: port slots, list after list.
    FLOOD_PLACES, 5, "flood_places", Array, 4, 4, MAX_FLOOD_PLACES
}
map! {
    /// Generation: what one program hands to the next; see [`scratch`].
    SCRATCH, 6, "scratch", PerCpuArray, 4, scratch::BYTES as u32, 1
}
map! {
    /// Generation: programs that others jump to; see [`jump`].
    JUMPS, 7, "jumps", ProgArray, 4, 4, jump::COUNT
}

map! {
    /// Generation: the [`recent`] record of each port slot, per CPU.
    RECENT, 8, "recent", PerCpuArray, 4, recent::BYTES as u32, MAX_PORTS
}
map! {
    /// Generation: one u64 that changes whenever a known station turns up behind another port or
    /// is forgotten by order: what is remembered of lookups before is void.
    EPOCH, 9, "epoch", Array, 4, 8, 1
}

map! {
    /// Generation: XDP programs that others jump to: the XDP form of the pipeline of the bridge in
    /// each slot. A prog array holds programs of one kind only.
    XDP_JUMPS, 10, "xdp_jumps", ProgArray, 4, 4, MAX_BRIDGES
}

map! {
    /// Generation: the [`bucket`]s of each port slot.
    BUCKETS, 11, "buckets", Array, 4, bucket::BYTES as u32, MAX_PORTS
}

/// Maps that each generation makes anew.
pub const GENERATION_MAPS: &[MapSpec] = &[
    PORTS,
    VLANS,
    FLOOD_SETS,
    FLOOD_PLACES,
    SCRATCH,
    JUMPS,
    RECENT,
    EPOCH,
    XDP_JUMPS,
    BUCKETS,
];

/// State: MAC addresses of one bridge, see [`fdb`].
pub const fn fdb_spec(bridge_slot: u32, max_entries: u32) -> MapSpec {
    MapSpec {
        id: fdb_id(bridge_slot),
        name: "fdb",
        kind: MapKind::LruHash,
        key_bytes: 8,
        value_bytes: fdb::BYTES as u32,
        max_entries,
    }
}

/// How programs name the MAC table of a bridge.
pub const fn fdb_id(bridge_slot: u32) -> MapId {
    MapId(0x1_0000 + bridge_slot)
}

/// Bit in a bridge slot in a key of [`FLOOD_SETS`], for lists without protected ports: those of frames
/// from protected ports.
pub const FLOOD_FROM_PROTECTED: u32 = 1 << 31;

/// VLAN in a key of [`FLOOD_SETS`] that stands for every VLAN without a list of its own.
pub const FLOOD_DEFAULT_VLAN: u32 = 0xffff;

/// Bytes that grow with the `wide-records` feature, which stands for a later version whose
/// records have grown: tests upgrade from one to the other.
const GROWTH: usize = if cfg!(feature = "wide-records") {
    64
} else {
    0
};

/// Words of a port's counters, each 8 bytes.
pub mod counter {
    use super::{DropReason, GROWTH};

    /// Frames taken from the port.
    pub const RX_PACKETS: usize = 0;
    /// Bytes taken from the port.
    pub const RX_BYTES: usize = 1;
    /// Frames sent to the port.
    pub const TX_PACKETS: usize = 2;
    /// Bytes sent to the port.
    pub const TX_BYTES: usize = 3;
    /// Frames from this port that were flooded to at least one other.
    pub const FLOODED: usize = 4;
    /// Copies that flooding made of them.
    pub const COPIES: usize = 5;
    /// First of the words that count drops, one for each [`DropReason`].
    pub const DROPS: usize = 8;
    /// Words that are counted.
    pub const WORDS: usize = DROPS + DropReason::ALL.len();
    /// Bytes of a record; the rest is room for reasons to come.
    pub const BYTES: usize = 320 + GROWTH;
    const _: () = assert!(8 * WORDS <= BYTES);

    /// Byte offset of a word.
    pub const fn offset(word: usize) -> i16 {
        (word * 8) as i16
    }
}

/// Record of a port.
pub mod port {
    /// u32: device to send to; 0 if none.
    pub const IFINDEX: i16 = 0;
    /// u32: longest frame that it takes, bytes.
    pub const MAX_LEN: i16 = 4;
    /// u16: VLAN whose frames leave without a tag, [`NO_VLAN`] if none.
    pub const UNTAGGED_VLAN: i16 = 8;
    /// u8: which VLANs leave with a tag: [`TAGGED_NONE`], [`TAGGED_ALL`], [`TAGGED_LISTED`].
    pub const TAGGED: i16 = 10;
    /// u8: which XDP programs can send to the device: [`XDP_NONE`], [`XDP_GENERIC`],
    /// [`XDP_NATIVE`].
    pub const XDP: i16 = 11;
    /// u32: index in the jumps of the program on the other side of a patch port; 0 if none.
    pub const JUMP: i16 = 12;
    /// u32: 1 if it is protected: NORMAL sends nothing there from protected ports.
    pub const PROTECTED: i16 = 16;
    /// u32: which priorities leave in a tag of their own: bits of [`PRIORITY_KEPT`],
    /// [`PRIORITY_OWN`], [`PRIORITY_ALWAYS`].
    pub const PRIORITY: i16 = 20;
    /// Bytes of a record, a power of two: the kernel multiplies faster by these.
    pub const BYTES: usize = 32;

    /// Frames of [`UNTAGGED_VLAN`] whose priority isn't 0 leave with the tag that they have.
    pub const PRIORITY_KEPT: i32 = 1;
    /// Frames of [`UNTAGGED_VLAN`] whose priority isn't 0 leave with another tag that has it.
    pub const PRIORITY_OWN: i32 = 2;
    /// Frames of VLAN 0 leave with the tag that they came with.
    pub const PRIORITY_ALWAYS: i32 = 4;

    /// No XDP program sends to the device.
    pub const XDP_NONE: u8 = 0;
    /// Those that run in the stack do, not those in drivers.
    pub const XDP_GENERIC: u8 = 1;
    /// All do.
    pub const XDP_NATIVE: u8 = 2;

    /// No VLAN leaves untagged.
    pub const NO_VLAN: u16 = 0xffff;
    /// No VLAN leaves tagged.
    pub const TAGGED_NONE: u8 = 0;
    /// Every other VLAN leaves tagged.
    pub const TAGGED_ALL: u8 = 1;
    /// The VLANs whose bit is set leave tagged.
    pub const TAGGED_LISTED: u8 = 2;

    /// The values of a record.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Record {
        /// See [`IFINDEX`].
        pub ifindex: u32,
        /// See [`MAX_LEN`].
        pub max_len: u32,
        /// See [`UNTAGGED_VLAN`].
        pub untagged_vlan: u16,
        /// See [`TAGGED`].
        pub tagged: u8,
        /// See [`XDP`].
        pub xdp: u8,
        /// See [`JUMP`].
        pub jump: u32,
        /// See [`PROTECTED`].
        pub protected: bool,
        /// See [`PRIORITY`].
        pub priority: i32,
    }

    impl Record {
        /// A slot without a port: frames to it are dropped.
        pub const FREE: Record = Record {
            ifindex: 0,
            max_len: 0,
            untagged_vlan: NO_VLAN,
            tagged: TAGGED_NONE,
            xdp: XDP_NONE,
            jump: 0,
            protected: false,
            priority: 0,
        };

        /// The bytes as programs read them.
        pub fn encode(&self) -> [u8; BYTES] {
            let mut bytes = [0; BYTES];
            let mut put = |at: i16, value: &[u8]| {
                let at = at as usize;
                bytes[at..at + value.len()].copy_from_slice(value);
            };
            put(IFINDEX, &self.ifindex.to_ne_bytes());
            put(MAX_LEN, &self.max_len.to_ne_bytes());
            put(UNTAGGED_VLAN, &self.untagged_vlan.to_ne_bytes());
            put(TAGGED, &[self.tagged]);
            put(XDP, &[self.xdp]);
            put(JUMP, &self.jump.to_ne_bytes());
            put(PROTECTED, &u32::from(self.protected).to_ne_bytes());
            put(PRIORITY, &self.priority.to_ne_bytes());
            bytes
        }
    }
}

/// Entry of a MAC table. Key: the address in its first 6 bytes, then the VLAN (u16).
pub mod fdb {
    use super::GROWTH;
    use aorta_packet::{MacAddr, Vid};

    /// u32: port slot.
    pub const PORT: i16 = 0;
    /// u64: `jiffies_64` when a frame last came from it.
    pub const SEEN: i16 = 8;
    /// Bytes of a value.
    pub const BYTES: usize = 16 + GROWTH;

    /// The key of an address in a VLAN.
    pub fn key(vid: Vid, mac: MacAddr) -> [u8; 8] {
        let mut key = [0; 8];
        key[..6].copy_from_slice(&mac.0);
        key[6..].copy_from_slice(&vid.get().to_ne_bytes());
        key
    }

    /// Address and VLAN of a key.
    pub fn split(key: [u8; 8]) -> (u16, MacAddr) {
        let [a, b, c, d, e, f, g, h] = key;
        (u16::from_ne_bytes([g, h]), MacAddr([a, b, c, d, e, f]))
    }
}

/// The newest pair of stations that a port's program looked up on this CPU. It spares the lookups
/// for frames of the same pair within the same tick and epoch.
pub mod recent {
    /// u64: `jiffies_64` of the lookup.
    pub const TICK: i16 = 0;
    /// u64: epoch, read before the lookup.
    pub const EPOCH: i16 = 8;
    /// u64: key of the source.
    pub const SRC: i16 = 16;
    /// u64: key of the destination.
    pub const DST: i16 = 24;
    /// u32: slot of the destination's port.
    pub const EGRESS: i16 = 32;
    /// Bytes of a record.
    pub const BYTES: usize = 40;
}

/// Rates of a port: when each of its buckets will be full again, in nanoseconds of the monotonic clock.
pub mod bucket {
    /// u64: of the bytes that come from it.
    pub const BYTES_FULL: i16 = 0;
    /// u64: of the packets that come from it.
    pub const PACKETS_FULL: i16 = 8;
    /// u64: of broadcasts.
    pub const BROADCAST_FULL: i16 = 16;
    /// u64: of other frames that are flooded.
    pub const UNKNOWN_FULL: i16 = 24;
    /// Bytes of a record: a cache line, so that ports don't wait for each other.
    pub const BYTES: usize = 64;
}

/// Indices in the jumps.
pub mod jump {
    /// Floods a frame.
    pub const FLOOD: u32 = 0;
    /// Sends a frame and goes on with what is left to do for it.
    pub const FINISH: u32 = 1;
    /// Takes a frame out of a pipeline, into another program.
    pub const LEAVE: u32 = 2;
    /// Entry of the patch port in slot 0; the others follow.
    pub const FIRST_PATCH: u32 = 3;
    /// NORMAL for frames of a pipeline that came from the port in slot 0; the others follow.
    pub const FIRST_NORMAL: u32 = FIRST_PATCH + super::MAX_PORTS;

    /// Root of the pipeline of the bridge in slot 0; the others follow.
    pub const FIRST_BRIDGE: u32 = FIRST_NORMAL + super::MAX_PORTS;
    /// Where the pipeline of the bridge in slot 0 goes on when a frame comes back from another
    /// program; the others follow.
    pub const FIRST_RESUME: u32 = FIRST_BRIDGE + super::MAX_BRIDGES;
    /// The pipeline of the bridge in slot 0 that holds for any version of its tables, also where
    /// another has the place of the root; the others follow.
    pub const FIRST_PLAIN: u32 = FIRST_RESUME + super::MAX_BRIDGES;
    /// How many there are.
    pub const COUNT: u32 = FIRST_PLAIN + super::MAX_BRIDGES;

    /// Entry of the patch port in `slot`.
    pub const fn patch(slot: u32) -> u32 {
        FIRST_PATCH + slot
    }

    /// NORMAL for frames of a pipeline that came from the port in `slot`.
    pub const fn normal(slot: u32) -> u32 {
        FIRST_NORMAL + slot
    }

    /// Root of the pipeline of the bridge in `slot`.
    pub const fn bridge(slot: u32) -> u32 {
        FIRST_BRIDGE + slot
    }

    /// The pipeline of the bridge in `slot` for any version of its tables.
    pub const fn plain(slot: u32) -> u32 {
        FIRST_PLAIN + slot
    }

    /// Where the pipeline of the bridge in `slot` goes on.
    pub const fn resume(slot: u32) -> u32 {
        FIRST_RESUME + slot
    }
}

/// What one program hands to the next, per CPU.
///
/// A *tag state* is a u64: 0 for no tag, else `protocol (network order) << 32 | 1 << 16 | tci`, and
/// `1 << 17` if the frame came without one.
/// What is left to do for a frame is a stack of items: jumps into other bridges, and returns to
/// the tag state of the bridge that jumped, or to a pipeline in the middle of its work.
pub mod scratch {
    /// u32: slot of the port that the frame came from.
    pub const INGRESS: i16 = 0;
    /// u32: slot of the bridge.
    pub const BRIDGE: i16 = 4;
    /// u64: tag state of the frame as it is now.
    pub const TAG_NOW: i16 = 8;
    /// u64: tag state of the frame where it leaves tagged; holds its VLAN.
    pub const TAG_FORM: i16 = 16;
    /// u32: device that the next copy goes to; 0 if none.
    pub const PENDING: i16 = 24;
    /// u32: patch ports crossed.
    pub const DEPTH: i16 = 28;
    /// u64: tag state with which the next copy leaves.
    pub const PENDING_TAG: i16 = 32;
    /// u32: items on the stack.
    pub const ITEMS: i16 = 40;
    /// u32: length of the frame when it entered the bridge.
    pub const LEN: i16 = 44;
    /// u32: flood list: places done.
    pub const FLOOD_DONE: i16 = 48;
    /// u32: flood list: places in all.
    pub const FLOOD_COUNT: i16 = 52;
    /// u32: flood list: first place.
    pub const FLOOD_START: i16 = 56;
    /// u32: copies made so far.
    pub const FLOOD_COPIES: i16 = 60;
    /// u32: pipelines that have set aside what they are in the middle of.
    pub const ASIDE: i16 = 64;
    /// The items.
    pub const STACK: i16 = 72;
    /// Items at most.
    pub const MAX_ITEMS: i32 = 32;
    /// Bytes of the record.
    pub const BYTES: usize = STACK as usize + MAX_ITEMS as usize * item::BYTES as usize;

    /// One item.
    pub mod item {
        /// u32: index in the jumps, or [`RETURN`].
        pub const TARGET: i16 = 0;
        /// u32: patch ports crossed once there.
        pub const DEPTH: i16 = 4;
        /// u64: tag state to make before going there.
        pub const TAG: i16 = 8;
        /// u64: for a return: what the outer bridge calls that tag state.
        pub const TAG_OUTER: i16 = 16;
        /// Bytes of an item, a power of two.
        pub const BYTES: i32 = 32;
        /// Not a jump: go back to the outer bridge.
        pub const RETURN: i32 = -1;
        /// Go back to the pipeline that was set aside last.
        pub const RESUME: i32 = -2;
    }
}
