//! The switch's vocabulary and meaning: identifiers, port configuration, the language of flows,
//! and the reference interpreter that defines what every compiled program must do.
//!
//! Pure: no clock, no I/O. Time is an argument.
#![forbid(unsafe_code)]

pub mod action;
mod drop_reason;
pub mod field;
mod flow;
pub mod fuzzing;
mod group;
pub mod guard;
pub mod hash;
mod id;
mod interpreter;
mod key;
mod matching;
pub mod meter;
pub mod runs;
mod switch;
pub mod table;
pub mod text;
pub mod translate;
mod vlan;

pub use drop_reason::DropReason;
pub use flow::{Flow, FlowFlags, FlowStats};
pub use group::{Band, BandKind, Bucket, Group, GroupKind, Meter, MeterId, MeterUnit, Selection};
pub use guard::PortGuard;
pub use id::{BridgeName, IfIndex, OfPort, PortName};
pub use interpreter::{
    FlowCount, GroupCount, Interpreter, Jump, LINK_HEADER_BYTES, Learned, MAX_PATCH_DEPTH, Output,
    PacketIn, PacketOut, Station, StationCounts, TraceOutput, Tracing, Verdict,
};
pub use key::{FlowKey, Subfield, SubfieldError};
pub use matching::{Match, MatchError, Part};
pub use meter::MeterVerdict;

pub use switch::{
    Attachment, Bridge, DEFAULT_MAC_AGING_S, DEFAULT_MAC_TABLE_SIZE, MIN_MAC_AGING_S,
    MIN_MAC_TABLE_SIZE, Port, PortHook, Restrictions, Snapshot,
};
pub use vlan::{PortVlan, PriorityTags, VidSet};
