//! What a pipeline keeps of a packet, per CPU: the fields, as programs read and change them.
//!
//! Each field that has storage of its own stands at a fixed place in the *key*, as a number in host
//! order, in words of 32 bits of which the least significant comes first. So a word of a
//! [`Match`](aorta_flow::Match) is compared with one load, and two neighbouring words with one
//! 64-bit load. The packet's bytes follow later: they are brought to the key before a copy leaves
//! ([`super::commit`]). What bytes alone don't tell cheaply stands in the *base*, which has the
//! places of the key: which VLAN tags the frame has at the moment.

use std::sync::LazyLock;

use aorta_flow::field::FieldId;

/// Fields of the packet's headers, in the order in which they stand; those that are often matched
/// together are neighbours.
const HEADERS: &[FieldId] = &[
    FieldId::IN_PORT,
    FieldId::ETH_TYPE,
    FieldId::ETH_SRC,
    FieldId::ETH_DST,
    FieldId::VLAN_TCI,
    FieldId::NW_PROTO,
    FieldId::IP_SRC,
    FieldId::IP_DST,
    FieldId::TCP_SRC,
    FieldId::TCP_DST,
    FieldId::IP_FRAG,
    FieldId::NW_TOS,
    FieldId::NW_TTL,
    FieldId::TCP_FLAGS,
    FieldId::IPV6_SRC,
    FieldId::IPV6_DST,
    FieldId::ND_TARGET,
    FieldId::ARP_SHA,
    FieldId::ARP_THA,
    FieldId::IPV6_LABEL,
    FieldId::MPLS_LABEL,
    FieldId::MPLS_TC,
    FieldId::MPLS_BOS,
    FieldId::MPLS_TTL,
];

/// Bytes that the fields of headers take at most: the part of the key that the base has too.
pub const HEADER_BYTES: i16 = 256;
/// Bytes of a key.
pub const KEY_BYTES: i16 = 2048;

/// Byte offset of each field's storage in the key, by the field's index.
static PLACES: LazyLock<Vec<Option<i16>>> = LazyLock::new(|| {
    let mut places = vec![None; FieldId::COUNT];
    let mut at = 0;
    for id in HEADERS {
        put(&mut places, *id, &mut at);
    }
    at = HEADER_BYTES;
    for id in FieldId::all().filter(|id| id.field().home == *id) {
        put(&mut places, id, &mut at);
    }
    places
});

fn put(places: &mut [Option<i16>], id: FieldId, at: &mut i16) {
    if places[id.index()].is_some() {
        return;
    }
    let bytes = storage_bytes(id);
    let align = bytes.min(8);
    *at = (*at + align - 1) / align * align;
    if *at + bytes <= KEY_BYTES {
        places[id.index()] = Some(*at);
        *at += bytes;
    }
}

/// The fields of the packet's headers that the key has.
pub fn header_fields() -> impl Iterator<Item = FieldId> {
    HEADERS.iter().copied()
}

/// Bytes that a field's storage takes: 4, 8 or 16.
pub fn storage_bytes(home: FieldId) -> i16 {
    match home.field().key_bits {
        0..=32 => 4,
        33..=64 => 8,
        _ => 16,
    }
}

/// Byte offset in the key of the storage of `home`, a field that is its own
/// [`home`](aorta_flow::field::Field::home). `None` if the key doesn't have it.
pub fn place(home: FieldId) -> Option<i16> {
    PLACES[home.index()]
}

/// Byte offset in the key of 32-bit word `number` (0 is the least significant) of `home`.
pub fn word(home: FieldId, number: u8) -> Option<i16> {
    let at = 4 * i16::from(number);
    (at < storage_bytes(home)).then_some(place(home)? + at)
}

/// VLAN tags in the key and in the base, behind the fields: what is behind the outer tag, and what
/// `vlan_tci` doesn't say of the outer one. Byte offsets in the key. They are there only if the
/// bridge's actions add or remove tags ([`super::commit::Changes::tags`]).
///
/// The tags on the wire are, outermost first: none if `vlan_tci` lacks its bit 0x1000, whatever is
/// behind; else the outer one, then `INNER[COUNT - 1]` down to `INNER[0]`.
pub mod vlan {
    /// u32: protocol identifier of the outer tag in the high half (0 stands for 0x8100), its drop
    /// eligible indicator in bit 12, nothing else.
    pub const OUTER: i16 = 192;
    /// u32: tags behind the outer one.
    pub const COUNT: i16 = 196;
    /// Tags behind the outer one, the innermost first, u32 each: protocol identifier in the high
    /// half, tag control information as on the wire in the low one. One more place than there are
    /// tags is for the commit's own use.
    pub const INNER: i16 = 200;
    /// Tags behind the outer one at most; a packet that would get more is given up.
    pub const MAX_INNER: i16 = 3;
    /// First byte behind all of it.
    pub const END: i16 = INNER + 4 * (MAX_INNER + 1);
}

/// u32 in the key: length of the packet in bytes as it came, without VLAN tags if the bridge's
/// actions add or remove some. It is there only if an action asks for it.
pub const LENGTH: i16 = vlan::END;

/// What pipelines that add or remove MPLS labels keep. Byte offsets in the key: u32 each.
pub mod labels {
    /// Changes of labels that are to be undone, in [`state::LABELS_AT`](super::state::LABELS_AT).
    pub const LOG: i16 = super::LENGTH + 4;
    /// Type that stands before a label that is added, or that takes the place of one.
    pub const TYPE: i16 = LOG + 4;
    /// The label that is added or removed, as a number.
    pub const ENTRY: i16 = LOG + 8;
    /// Where the type ends in the frame without VLAN tags.
    pub const AT: i16 = LOG + 12;
    /// `vlan_tci` while the tags are off.
    pub const TCI: i16 = LOG + 16;
    /// The rest of the outer tag meanwhile.
    pub const OUTER: i16 = LOG + 20;
    /// How many tags are behind it meanwhile.
    pub const COUNT: i16 = LOG + 24;
    /// 1 while fields are read anew.
    pub const READING: i16 = LOG + 28;

    /// Changes of labels that can be undone, a power of two.
    pub const MAX_LOG: i16 = 8;
    /// Bytes of one.
    pub const ENTRY_BYTES: i16 = 256;
    /// u32 of a change: [`PUSHED`] or [`POPPED`].
    pub const KIND: i16 = 0;
    /// u32: what is to come back into the place of the type.
    pub const OLD_TYPE: i16 = 4;
    /// u32: the label that is to come back.
    pub const OLD_LABEL: i16 = 8;
    /// u32: [`AT`] as it was then.
    pub const PLACE: i16 = 12;
    /// The fields of headers that were behind the label.
    pub const FIELDS: i16 = 16;
    /// A label was added.
    pub const PUSHED: i32 = 1;
    /// A label was removed.
    pub const POPPED: i32 = 2;
}

/// u32 in the key: the priority that the packet came with, if the bridge's actions choose queues.
pub const PRIORITY: i16 = labels::READING + 4;

/// What a pipeline keeps per CPU besides the key. Offsets in bytes; the key starts at
/// [`state::KEY`], the base at [`state::BASE`].
pub mod state {
    use super::{HEADER_BYTES, KEY_BYTES};

    /// u32: version of the tables that the packet goes by.
    pub const VERSION: i16 = 0;
    /// u32: slot of the port that the packet came from.
    pub const INGRESS: i16 = 4;
    /// u32: lookups so far.
    pub const LOOKUPS: i16 = 8;
    /// u32: open visits of the same or earlier tables.
    pub const DEPTH: i16 = 12;
    /// u32: frames on the stack of what is still to be done.
    pub const FRAMES: i16 = 16;
    /// u32: frames that belong to bridges that the packet came through before.
    pub const FRAME_BASE: i16 = 20;
    /// u32: bytes in which copies of keys are set aside, from [`SAVES_AT`] on.
    pub const SAVES: i16 = 24;
    /// u32: values on the stack of `push` and `pop`.
    pub const STACK: i16 = 28;
    /// u64: bit n is set if the bytes may differ from the key in group n.
    pub const DIRTY: i16 = 32;
    /// u32: copies that left or went to controllers.
    pub const OUTPUTS: i16 = 40;
    /// u32: slot of the port that the packet, as its bytes are, still has to be sent to, plus 1;
    /// 0 if none.
    pub const PENDING: i16 = 44;
    /// u32: queue for outputs, plus 1; 0 if none.
    pub const QUEUE: i16 = 48;
    /// u32: offset of the network header in the frame, without the tag beside it; 0 if none, or if
    /// it isn't such that its fields count.
    pub const L3: i16 = 52;
    /// u32: offset of the transport header; 0 if none, in later fragments, and if it isn't whole.
    pub const L4: i16 = 56;
    /// u32: length of the frame in bytes as it came, with its tag.
    pub const LEN: i16 = 60;
    /// u64: `jiffies_64` when the packet came.
    pub const NOW: i16 = 64;
    /// u32: rule whose actions are being done ([`super::super::record::RULE`]).
    pub const RULE: i16 = 72;
    /// u32: table whose actions are being done.
    pub const TABLE: i16 = 76;
    /// u32: why the packet is given up ([`DropReason`](aorta_flow::DropReason) index plus 1), 0 if it isn't.
    pub const GIVEN_UP: i16 = 80;
    /// u32: 1 if a lookup found no flow.
    pub const MISSED: i16 = 84;
    /// u32: hash of the packet, once computed; see [`HASHED`].
    pub const HASH: i16 = 88;
    /// u32: what [`HASH`] is a hash of.
    pub const HASHED: i16 = 92;
    /// u32: not 0 if other programs have more to do for the frame once this bridge is done: then
    /// the pipeline gives it back as it came, in [`finish`](super::super::leave::finish).
    pub const INSIDE: i16 = 96;
    /// u32: slot of the bridge.
    pub const BRIDGE: i16 = 100;
    /// u32: index in the jumps of the program that the frame leaves to.
    pub const LEAVE_TO: i16 = 104;
    /// u32: patch ports crossed.
    pub const CROSSED: i16 = 108;
    /// u32: the packet's in port while a lookup is made for another.
    pub const OWN_PORT: i16 = 112;
    /// u32: what becomes pending once the bytes follow the key.
    pub const NEXT: i16 = 116;
    /// u32: ports of the list of all ports that are done, or other things that are counted.
    pub const LISTED: i16 = 120;
    /// u32, in XDP programs: length of the frame as it leaves, without its outer tag.
    pub const LEAVING_LEN: i16 = LISTED;
    /// u32: queue before one output went by another.
    pub const QUEUE_BEFORE: i16 = 124;
    /// u64: groups in which the bytes followed the key at some time, as in [`DIRTY`].
    pub const COMMITTED: i16 = 128;
    /// u32: frames when the copy that is being worked on was begun, its own included; 0 if none.
    pub const SCOPE: i16 = 136;
    /// u32: 1 once the action set at the end of the packet was begun.
    pub const SET_DONE: i16 = 140;
    /// u32: entries of the action set in [`SETS_AT`].
    pub const SETS: i16 = 144;
    /// u32: how many of those are done.
    pub const SETS_BEGUN: i16 = 148;
    /// u32: frames when the bucket that is being worked on was begun, its own included; 0 if none.
    pub const BUCKET: i16 = 152;
    /// u32: [`SAVES`] then.
    pub const BUCKET_SAVES: i16 = 156;
    /// The action set, one entry for each kind of which the last one counts: u32 place of the code,
    /// 0 for none, and u32 record.
    pub const ACTION_SET: i16 = 160;
    /// Kinds that have an entry.
    pub const SET_KINDS: i16 = 10;
    /// Actions of an action set that are all done, in order; entries of the same form.
    pub const SETS_AT: i16 = ACTION_SET + 8 * SET_KINDS;
    /// How many there can be.
    pub const MAX_SETS: i16 = 16;
    /// u32: which of the bridge's programs works on the packet: it alone knows what the places of
    /// frames are.
    pub const PROGRAM: i16 = SETS_AT + 8 * MAX_SETS;
    /// One past the words that are the bridge's own.
    pub const WORDS_END: i16 = PROGRAM + 8;
    /// u32 while the frame is parsed: offset of the header that comes next.
    pub const PARSE_OFFSET: i16 = WORDS_END + 16;
    /// u32 while the frame is parsed: type or protocol of that header.
    pub const PARSE_TYPE: i16 = PARSE_OFFSET + 4;
    /// u32 while the frame is parsed: bytes that IP carries from that header on.
    pub const PARSE_LEFT: i16 = PARSE_OFFSET + 8;
    /// u32 while the frame is parsed: headers or options that may still be read.
    pub const PARSE_COUNT: i16 = PARSE_OFFSET + 12;
    /// u32: 1 if the frame comes back to where it left the pipeline.
    pub const RESUMED: i16 = WORDS_END;
    /// The key.
    pub const KEY: i16 = 512;
    /// The base: the header part of a key.
    pub const BASE: i16 = KEY + KEY_BYTES;
    /// What is still to be done, [`FRAME_BYTES`] each.
    pub const FRAMES_AT: i16 = BASE + HEADER_BYTES;
    /// Bytes of a frame: u32 where to go on, u32 record (offset in its table's memory), u64 for
    /// what is to go on there.
    pub const FRAME_BYTES: i16 = 16;
    /// Frames at most, a power of two.
    pub const MAX_FRAMES: i16 = 256;
    /// Values of `push`, 16 bytes each.
    pub const STACK_AT: i16 = FRAMES_AT + FRAME_BYTES * MAX_FRAMES;
    /// Values of `push` at most, a power of two.
    pub const MAX_STACK: i16 = 64;
    /// Keys that are set aside.
    pub const SAVES_AT: i16 = STACK_AT + 16 * MAX_STACK;
    /// Bytes of a key set aside at most: the words that the bridge's actions change, one after the other.
    pub const SAVE_BYTES: i16 = 1024;
    /// Keys of that size set aside at most, a power of two; of smaller ones, more fit.
    pub const MAX_SAVES: i16 = 16;
    /// What the commit works with.
    pub const COMMIT_AT: i16 = SAVES_AT + SAVE_BYTES * MAX_SAVES;
    /// Bytes of that.
    pub const COMMIT_BYTES: i16 = 80;
    /// What lookups of conjunctions keep, see [`clauses`].
    pub const CLAUSES_AT: i16 = COMMIT_AT + COMMIT_BYTES;
    /// Bytes of all of it; a per-CPU value can have 32 KiB.
    pub const BYTES: usize = super::paused::END as usize;
    /// u32: weights of the buckets, or the best number, that a choice is made by.
    pub const WEIGHT: i16 = 448;
    /// u32: 1 if the meter that was asked last says that the packet is to be dropped.
    pub const OVER: i16 = 452;
    /// u64: which of the buckets that can be down are up.
    pub const LIVE: i16 = 456;
    /// u64: hash of what a packet teaches, and the rule that has it taught.
    pub const LEARNING: i16 = 464;
    /// 16 bytes: what was chosen.
    pub const CHOSEN: i16 = 472;

    /// A lookup in a table with conjunctions. All of it but the stamps means nothing between
    /// lookups.
    pub mod clauses {
        /// u64: number of the newest pass over clauses.
        pub const STAMP: i16 = super::CLAUSES_AT;
        /// u64: conjunctions of lower orders are done with.
        pub const FROM: i16 = STAMP + 8;
        /// u64: lowest order of a conjunction that is complete; all ones if none is.
        pub const BEST: i16 = STAMP + 16;
        /// u32: first slot of the window.
        pub const WINDOW: i16 = STAMP + 24;
        /// u32: first slot behind the window that has a clause; all ones if none has.
        pub const NEXT_WINDOW: i16 = STAMP + 28;
        /// u32: offset of the record of the plain rule; 0 if there is none.
        pub const PLAIN: i16 = STAMP + 32;
        /// u32: lowest priority of clauses that count.
        pub const LEVEL: i16 = STAMP + 36;
        /// u32: 1 while plain rules are searched with a conjunction's number.
        pub const PHASE: i16 = STAMP + 40;
        /// u32: which of a record's clauses is looked at.
        pub const INDEX: i16 = STAMP + 44;
        /// u32: `conj_id` of the packet.
        pub const CONJ_ID: i16 = STAMP + 48;
        /// Slots of the window: u64 the pass in which it was begun, u64 a bit for each clause that
        /// is missing.
        pub const SLOTS_AT: i16 = STAMP + 64;
        /// Bytes of a slot.
        pub const SLOT_BYTES: i16 = 16;
        /// Slots of the window.
        pub const SLOTS: i16 = 256;
        /// Bytes of all.
        pub const BYTES: i16 = 64 + SLOT_BYTES * SLOTS;
    }
    /// What XDP programs know besides: they count nothing before they know that they take the
    /// packet. u32: rules in [`NOTED_AT`].
    pub const NOTED: i16 = CLAUSES_AT + clauses::BYTES;
    /// u32: how many of those are counted.
    pub const NOTED_DONE: i16 = NOTED + 4;
    /// u32: length of the frame without its outer tag, as the other hook counts it at ports.
    pub const BARE_LEN: i16 = NOTED + 8;
    /// u32: what a port's record must at least say ([`XDP`](crate::abi::port::XDP)) for the frame
    /// to be sent there.
    pub const XDP_NEEDS: i16 = NOTED + 12;
    /// Rules that the packet has found, u32 each.
    pub const NOTED_AT: i16 = NOTED + 16;
    /// Rules that can be noted.
    pub const MAX_NOTED: i16 = 64;
    /// Changes of labels that are to be undone, see [`labels`](super::labels).
    pub const LABELS_AT: i16 = NOTED_AT + 4 * MAX_NOTED;
    /// One past them.
    pub const LABELS_END: i16 = LABELS_AT + super::labels::ENTRY_BYTES * super::labels::MAX_LOG;
    /// u32: [`QUEUE`] of what is pending.
    pub const PENDING_QUEUE: i16 = PARSE_COUNT + 4;
    /// u32: slot plus 1 of the port that a copy goes to that is cut, 0 if there is none.
    pub const CUT_PORT: i16 = 488;
    /// u32: bytes that are left of it.
    pub const CUT_LEN: i16 = 492;
    /// u32: number of the action that sends a copy to the daemon, just before it does.
    pub const UPCALL_WHAT: i16 = 496;
    /// u32: bytes of the frame that go along at most.
    pub const UPCALL_MAX_LEN: i16 = 500;
    /// u32: 1 if the table that comes next is looked up by `resubmit`.
    pub const RESUBMITTED: i16 = 504;
}

/// What is gathered of a packet that waits for its controller, where copies for the daemon have it.
/// Offsets in the state.
pub mod paused {
    use super::state;

    /// Place of frames that are notes: the first of all.
    pub const NOTE: u32 = 1;
    /// u32: notes, also those that found no room.
    pub const NOTES: i16 = state::LABELS_END;
    /// u32: values on the stack, also those that found no room.
    pub const VALUES: i16 = NOTES + 4;
    /// u32: rules that wrote the action set since it was empty, also those that found no room.
    pub const SETS: i16 = NOTES + 8;
    /// Notes, the newest first: u32 rule, u32 which of its resubmits.
    pub const NOTES_AT: i16 = NOTES + 16;
    /// Room for these, a power of two.
    pub const MAX_NOTES: i16 = 8;
    /// Rules that wrote the action set, the oldest first: u32 each.
    pub const SET_RULES: i16 = NOTES_AT + 8 * MAX_NOTES;
    /// Room for these, a power of two.
    pub const MAX_SETS: i16 = 8;
    /// Values, the newest first.
    pub const VALUES_AT: i16 = SET_RULES + 4 * MAX_SETS;
    /// Room for these.
    pub const MAX_VALUES: i16 = 8;
    /// One past all of it.
    pub const END: i16 = VALUES_AT + 16 * MAX_VALUES;
    /// Words of all of it.
    pub const WORDS: usize = (END - NOTES) as usize / 4;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_with_storage_has_a_place_of_its_own() {
        let mut end = 0;
        let mut places: Vec<(i16, FieldId)> = FieldId::all()
            .filter(|id| id.field().home == *id)
            .map(|id| (place(id).unwrap(), id))
            .collect();
        places.sort();
        for (at, id) in places {
            assert!(at >= end, "{id} at {at}");
            assert_eq!(at % storage_bytes(id).min(8), 0, "{id}");
            end = at + storage_bytes(id);
        }
        assert!(end <= KEY_BYTES);
        let fields_end = |id: &FieldId| place(*id).unwrap() + storage_bytes(*id);
        assert!(HEADERS.iter().all(|id| fields_end(id) <= vlan::OUTER));
        const { assert!(PRIORITY + 4 <= HEADER_BYTES) };
        const { assert!(labels::FIELDS + vlan::OUTER <= labels::ENTRY_BYTES) };
        const { assert!(state::BYTES <= 32768) };
        const { assert!(state::PENDING_QUEUE + 4 <= state::WEIGHT) };
        const { assert!(state::RESUMED + 4 <= state::KEY) };
    }

    #[test]
    fn addresses_and_ports_are_neighbours() {
        let apart = |a, b| place(b).unwrap() - place(a).unwrap();
        assert_eq!(apart(FieldId::IP_SRC, FieldId::IP_DST), 4);
        assert_eq!(apart(FieldId::TCP_SRC, FieldId::TCP_DST), 4);
        assert_eq!(place(FieldId::IP_SRC).unwrap() % 8, 0);
        assert_eq!(
            word(FieldId::IPV6_SRC, 3),
            Some(place(FieldId::IPV6_SRC).unwrap() + 12)
        );
        assert_eq!(word(FieldId::IP_SRC, 1), None);
    }
}
