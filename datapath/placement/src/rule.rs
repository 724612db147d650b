//! What a card is told.

use std::cmp::Reverse;

use aorta_flow::Match;
use aorta_flow::action::Action;
use aorta_flow::table::FlowId;

/// A rule of a card.
///
/// Of those that match a packet in a table, the one of the highest priority is taken. Among several
/// of the same priority it may be any: what becomes of the packet is the same. A rule without a flow
/// comes after all others of its table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Its table. Packets from ports begin in table 0.
    pub table: u8,
    /// The flow's; 0 if there is none.
    pub priority: u16,
    /// The flow that it is part of; none for packets that match no flow.
    pub flow: Option<FlowId>,
    /// Which packets. An `in_port` is one of the card's ports.
    pub matching: Match,
    /// What becomes of them.
    pub verdict: Verdict,
    /// The meter that its actions name, as it is.
    pub policer: Option<Policer>,
}

/// A meter as cards have it: packets above a rate are dropped. All rules that name it share one bucket.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Policer {
    /// The meter's number.
    pub meter: u32,
    /// What may pass in a second; not 0.
    pub rate: PolicedRate,
    /// How long packets that come at once may last at this rate, in nanoseconds.
    pub burst_ns: u64,
}

/// What may pass in a second.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PolicedRate {
    /// Packets.
    Packets(u32),
    /// Thousands of bits, of whole frames.
    Kilobits(u32),
}

/// Which rule: there is one of each at most.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RuleKey {
    /// Its table.
    pub table: u8,
    /// The flow that it is part of; none for packets that match no flow.
    pub flow: Option<FlowId>,
}

impl Rule {
    /// Which rule it is.
    pub fn key(&self) -> RuleKey {
        RuleKey {
            table: self.table,
            flow: self.flow,
        }
    }

    /// Sorts rules by table, then from the highest priority.
    pub(crate) fn order(&self) -> (u8, bool, Reverse<u16>, Option<FlowId>) {
        let is_last = self.flow.is_none();
        (self.table, is_last, Reverse(self.priority), self.flow)
    }

    /// The table where packets go on.
    pub fn goto(&self) -> Option<u8> {
        match self.verdict {
            Verdict::Forward { goto, .. } => goto,
            Verdict::Trap => None,
        }
    }

    /// A rule in its place that leaves its packets to software.
    #[must_use]
    pub(crate) fn trapping(&self) -> Rule {
        Rule {
            verdict: Verdict::Trap,
            policer: None,
            ..self.clone()
        }
    }
}

/// What a card does with packets of a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// These, in order: [`Action::Output`] to the card's ports, [`Action::SetField`],
    /// [`Action::Modify`], [`Action::PushVlan`], [`Action::PopVlan`]. A packet isn't sent back to the
    /// port that it came from; but [`OfPort::IN_PORT`](aorta_flow::OfPort::IN_PORT) is that one, where
    /// the capability `to_in_port` allows it. Where `dec_ttl` does, there is one [`Action::DecTtl`] at
    /// most, in table 0 and before all outputs: packets whose time to live is 0 or 1 go to software as
    /// they came then. Where `mpls_labels` does, [`Action::PushMpls`] and [`Action::PopMpls`]: before
    /// anybody sees a label that was pushed, its number, class and time to live are all set. Where `meters`
    /// does, there is one [`Action::Meter`] at most, before all outputs: that of the rule's policer. In the
    /// end another table, if there is one.
    Forward {
        /// What is done.
        actions: Vec<Action>,
        /// Where they go on.
        goto: Option<u8>,
    },
    /// They go to software as they came.
    Trap,
}
