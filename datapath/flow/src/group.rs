//! Groups of actions, and meters.

use crate::OfPort;
use crate::action::Action;
use crate::field::FieldId;

/// A group: one or more action lists of which some are done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// Its number, at most [`Group::MAX_ID`].
    pub id: u32,
    /// Which buckets are done.
    pub kind: GroupKind,
    /// Its action lists; numbers unique.
    pub buckets: Vec<Bucket>,
    /// How a bucket is selected.
    pub selection: Option<Selection>,
}

impl Group {
    /// Highest number of a group (OFPG_MAX).
    pub const MAX_ID: u32 = 0xffff_ff00;
}

/// Which buckets of a group are done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupKind {
    /// Every one, each with a copy.
    All,
    /// One, selected by a hash and the buckets' weights.
    Select,
    /// The only one.
    Indirect,
    /// The first that is live.
    FastFailover,
}

/// How a bucket is selected.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Selection {
    /// `hash` or `dp_hash`.
    pub method: String,
    /// For the method.
    pub parameter: u64,
    /// Fields of the hash, with the bits that count.
    pub fields: Vec<(FieldId, u128)>,
}

/// One action list of a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bucket {
    /// Its number in the group.
    pub id: u32,
    /// Its share of a select group; none where none was given.
    pub weight: Option<u16>,
    /// It is live while this port is.
    pub watch_port: Option<OfPort>,
    /// It is live while this group is.
    pub watch_group: Option<u32>,
    /// What is done.
    pub actions: Vec<Action>,
}

impl Bucket {
    /// In changes of buckets, the first one that there is (OFPG_BUCKET_FIRST, OpenFlow 1.5.1
    /// §7.3.4.3).
    pub const FIRST: u32 = 0xffff_fffd;
    /// In changes of buckets, the last one that there is (OFPG_BUCKET_LAST).
    pub const LAST: u32 = 0xffff_fffe;

    /// Its share of a select group.
    pub fn weight(&self) -> u16 {
        self.weight.unwrap_or(1)
    }
}

/// A meter: how much may pass.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Meter {
    /// Which.
    pub id: MeterId,
    /// What is measured.
    pub unit: MeterUnit,
    /// Whether bursts are limited by the bands' sizes.
    pub burst: bool,
    /// Whether it counts.
    pub stats: bool,
    /// What happens above which rate.
    pub bands: Vec<Band>,
}

/// Number of a meter, or a reserved one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MeterId {
    /// 1 to 0xffff0000.
    Number(u32),
    /// Of packets that user space handles.
    Slowpath,
    /// Of packets for controllers.
    Controller,
}

/// What a meter measures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MeterUnit {
    /// Kilobits a second.
    Kbps,
    /// Packets a second.
    Pktps,
}

/// What happens above a rate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Band {
    /// What happens.
    pub kind: BandKind,
    /// Above this rate, in the meter's unit.
    pub rate: u32,
    /// How much may pass at once, in kilobits or packets; 0 if not given.
    pub burst_size: u32,
}

/// What happens to packets above a rate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BandKind {
    /// They are dropped.
    Drop,
    /// Their drop precedence is raised by this many levels.
    DscpRemark(u8),
}
