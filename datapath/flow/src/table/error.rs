//! Why tables can't be changed.

use crate::field::FieldId;
use crate::{MeterId, OfPort};

/// Why flows, groups or meters can't be changed as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// The table is the switch's own.
    #[error("table {0} is the switch's own: the last one for flows is {last}", last = super::MAX_TABLE)]
    ReservedTable(u8),
    /// `check_overlap`, and there is a flow that matches some of the same packets.
    #[error("some packets would match this flow and, with the same priority, {0}")]
    Overlap(String),
    /// `goto_table` to an earlier table, or to itself.
    #[error("goto_table must lead to a later table: it stands in {from} and leads to {to}")]
    GotoBackwards {
        /// Table of the flow.
        from: u8,
        /// Where it leads.
        to: u8,
    },
    /// An action on a field that the packets of the match may not have.
    #[error("{action} needs {needs} in the match, or an action before it that makes it so")]
    Prerequisite {
        /// The action's text.
        action: String,
        /// What it needs.
        needs: &'static str,
    },
    /// An action in the action set that can't be there.
    #[error("{0} can't be in an action set")]
    NotInActionSet(String),
    /// Clauses of conjunctions beside other actions.
    #[error("a flow with conjunction can have no other action but note")]
    ConjunctionMixed,
    /// More VLAN tags than a packet can have.
    #[error("a packet can't have more than two VLAN tags")]
    TooManyTags,
    /// A group that isn't there.
    #[error("there is no group {0}")]
    NoGroup(u32),
    /// A meter that isn't there.
    #[error("there is no meter {0}")]
    NoMeter(MeterId),
    /// No packet can be sent there.
    #[error("packets can't be sent to port {0}")]
    OutPort(OfPort),
    /// A change of a group that isn't there.
    #[error("there is no group {0} to change")]
    UnknownGroup(u32),
    /// A group that another one leads to can't be deleted alone.
    #[error("group {group} leads to group {deleted}: change it first")]
    ChainedGroup {
        /// The group that stays.
        group: u32,
        /// The group that was to go.
        deleted: u32,
    },
    /// A change of a meter that isn't there.
    #[error("there is no meter {0} to change")]
    UnknownMeter(MeterId),
    /// A group that is there already.
    #[error("group {0} exists already")]
    GroupExists(u32),
    /// A group that would lead to itself.
    #[error("group {0} would lead back to itself")]
    GroupLoop(u32),
    /// A bucket that isn't there.
    #[error("group {group} has no bucket {bucket}")]
    NoBucket {
        /// The group.
        group: u32,
        /// The bucket.
        bucket: u32,
    },
    /// A bucket that is there already, or twice.
    #[error("group {group} has a bucket {bucket} already")]
    BucketExists {
        /// The group.
        group: u32,
        /// The bucket.
        bucket: u32,
    },
    /// The number of buckets isn't right for the type.
    #[error("an indirect group has exactly one bucket; group {0} would have another number")]
    IndirectBuckets(u32),
    /// A bucket of a fast-failover group that watches nothing.
    #[error("bucket {bucket} of fast-failover group {group} needs watch_port or watch_group")]
    WatchesNothing {
        /// The group.
        group: u32,
        /// The bucket.
        bucket: u32,
    },
    /// A meter that is there already.
    #[error("meter {0} exists already")]
    MeterExists(MeterId),
    /// No room for another flow, and none that may go for it.
    #[error("table {table} is full: it has room for {max_flows} flows")]
    TableFull {
        /// The table.
        table: u8,
        /// Its limit.
        max_flows: usize,
    },
    /// A match on a field without its prerequisites.
    #[error("{0} is matched without what it needs")]
    MatchPrerequisite(FieldId),
}

/// An error as OpenFlow tells it (OpenFlow 1.3.5 §7.4.4): type and code of version 1.3, and the
/// name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenFlowError {
    /// Type.
    pub kind: u16,
    /// Code.
    pub code: u16,
    /// The code's name.
    pub name: &'static str,
}

impl TableError {
    /// The error that a controller gets.
    pub fn openflow(&self) -> OpenFlowError {
        let (kind, code, name) = match self {
            TableError::ReservedTable(_) => (1, 5, "OFPBRC_EPERM"),
            TableError::Overlap(_) => (5, 3, "OFPFMFC_OVERLAP"),
            TableError::GotoBackwards { .. } => (3, 2, "OFPBIC_BAD_TABLE_ID"),
            TableError::Prerequisite { .. } | TableError::ConjunctionMixed => {
                (2, 10, "OFPBAC_MATCH_INCONSISTENT")
            }
            TableError::NotInActionSet(_) => (2, 0, "OFPBAC_BAD_TYPE"),
            TableError::TooManyTags => (2, 8, "OFPBAC_BAD_TAG"),
            TableError::NoGroup(_) => (2, 9, "OFPBAC_BAD_OUT_GROUP"),
            TableError::NoMeter(_) => (12, 2, "OFPMMFC_INVALID_METER"),
            TableError::OutPort(_) => (2, 4, "OFPBAC_BAD_OUT_PORT"),
            TableError::UnknownGroup(_) => (6, 8, "OFPGMFC_UNKNOWN_GROUP"),
            TableError::ChainedGroup { .. } => (6, 9, "OFPGMFC_CHAINED_GROUP"),
            TableError::UnknownMeter(_) => (12, 3, "OFPMMFC_UNKNOWN_METER"),
            TableError::GroupExists(_) => (6, 0, "OFPGMFC_GROUP_EXISTS"),
            TableError::GroupLoop(_) => (6, 7, "OFPGMFC_LOOP"),
            TableError::NoBucket { .. } => (6, 15, "OFPGMFC_UNKNOWN_BUCKET"),
            TableError::BucketExists { .. } => (6, 16, "OFPGMFC_BUCKET_EXISTS"),
            TableError::IndirectBuckets(_) => (6, 1, "OFPGMFC_INVALID_GROUP"),
            TableError::WatchesNothing { .. } => (6, 13, "OFPGMFC_BAD_WATCH"),
            TableError::MeterExists(_) => (12, 1, "OFPMMFC_METER_EXISTS"),
            TableError::TableFull { .. } => (5, 1, "OFPFMFC_TABLE_FULL"),
            TableError::MatchPrerequisite(_) => (4, 9, "OFPBMC_BAD_PREREQ"),
        };
        OpenFlowError { kind, code, name }
    }
}
