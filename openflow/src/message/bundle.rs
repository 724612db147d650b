//! Bundles, and requests of other controllers.

use aorta_flow::table::{GroupMod, MeterMod};

use super::Envelope;

/// Opens, closes, commits or discards a bundle, or tells that it is done (OpenFlow 1.4.1 §7.3.9).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BundleControl {
    /// Which bundle.
    pub id: u32,
    /// What is done.
    pub kind: BundleControlKind,
    /// How.
    pub flags: BundleFlags,
}

/// What is done with a bundle; the position is the number on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BundleControlKind {
    /// Begin.
    OpenRequest,
    /// It began.
    OpenReply,
    /// No more messages come.
    CloseRequest,
    /// No more are taken.
    CloseReply,
    /// Do it.
    CommitRequest,
    /// It is done.
    CommitReply,
    /// Forget it.
    DiscardRequest,
    /// It is forgotten.
    DiscardReply,
}

impl BundleControlKind {
    /// All, by their numbers.
    pub const ALL: [BundleControlKind; 8] = [
        BundleControlKind::OpenRequest,
        BundleControlKind::OpenReply,
        BundleControlKind::CloseRequest,
        BundleControlKind::CloseReply,
        BundleControlKind::CommitRequest,
        BundleControlKind::CommitReply,
        BundleControlKind::DiscardRequest,
        BundleControlKind::DiscardReply,
    ];

    /// The reply to a request; itself if it is one.
    #[must_use]
    pub fn reply(self) -> BundleControlKind {
        Self::ALL[self as usize | 1]
    }
}

/// How a bundle is done: 1 all or nothing, 2 in order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct BundleFlags(pub u16);

impl BundleFlags {
    /// All of it or nothing, and no packet sees a part of it.
    pub const ATOMIC: BundleFlags = BundleFlags(1);
    /// In the order of its messages.
    pub const ORDERED: BundleFlags = BundleFlags(2);

    /// Whether all of `other` are set.
    pub fn contains(self, other: BundleFlags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Adds a message to a bundle.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BundleAdd {
    /// Which bundle.
    pub id: u32,
    /// How it will be done.
    pub flags: BundleFlags,
    /// What is added: a change of flows, groups, meters or ports, or a packet to send.
    pub message: Envelope,
    /// The added message's own bytes, which errors about it quote.
    pub quote: Vec<u8>,
}

/// A change that another controller asked for (OpenFlow 1.4.1 §7.4.6).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RequestForward {
    /// Of groups, with the request's transaction.
    Group {
        /// Transaction of the request.
        xid: u32,
        /// What was asked for.
        group_mod: GroupMod,
    },
    /// Of meters.
    Meter {
        /// Transaction of the request.
        xid: u32,
        /// What was asked for.
        meter_mod: MeterMod,
    },
}
