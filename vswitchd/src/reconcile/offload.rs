//! What the switch needs of network cards.

use std::collections::BTreeMap;
use std::fmt::Debug;

use aorta_flow::meter::MeterCount;
use aorta_flow::table::FlowId;
use aorta_flow::{BridgeName, IfIndex, OfPort, PortName};
use aorta_placement::{Capabilities, Rule, RuleKey, Step};

use super::FlowCounters;
use crate::config::OffloadMode;

/// A port whose device may be a card's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardPort {
    /// Its name.
    pub name: PortName,
    /// Its number.
    pub ofport: OfPort,
    /// Its device.
    pub ifindex: IfIndex,
    /// How its card is to be programmed; never [`OffloadMode::Off`].
    pub mode: OffloadMode,
}

/// How a card is programmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Language {
    /// By TC flower.
    Flower,
    /// By an eBPF program that the card runs itself.
    Ebpf,
}

impl Language {
    /// Its name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Language::Flower => "flower",
            Language::Ebpf => "ebpf",
        }
    }
}

/// A card with ports of a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardSpec {
    /// Its name, for people: that of a device.
    pub name: String,
    /// How it is programmed.
    pub language: Language,
    /// Its ports and their devices.
    pub ports: BTreeMap<OfPort, (PortName, IfIndex)>,
    /// What it can do.
    pub capabilities: Capabilities,
}

/// The cards that a bridge's ports belong to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looked {
    /// Each card, and how it is programmed, once.
    pub cards: Vec<CardSpec>,
    /// Why other ports have none that can be programmed.
    pub without: BTreeMap<PortName, String>,
}

/// A card didn't do one thing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    /// In the words of its driver, if there are any.
    pub text: String,
    /// Whether it is because there is no room.
    pub full: bool,
}

/// A card as a whole can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CardError(pub String);

/// What an earlier switch of the same instance, and others, have left on a card.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Whether the rules that are asked about, and no others, are there and are kept. Otherwise
    /// nothing of this switch's is there any more.
    pub all: bool,
    /// What others have put there, one sentence each. It is left alone.
    pub foreign: Vec<String>,
    /// What flows had counted by rules that aren't there any more.
    pub ended: Vec<(FlowId, FlowCounters)>,
}

/// A rule that a card has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardRule {
    /// The rule.
    pub rule: Rule,
    /// How its card is programmed.
    pub language: Language,
    /// What packets did to it since it is there.
    pub counted: FlowCounters,
}

/// What packets did to rules.
pub type Counted = Vec<(RuleKey, FlowCounters)>;

/// What a meter of a card has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Metered {
    /// What came to it.
    pub input: MeterCount,
    /// Packets that were over its rate.
    pub dropped: u64,
}

/// One card, or those of its ports that a bridge has.
pub trait Card: Debug + Send {
    /// Goes on with what an earlier switch of the same instance has left, if these are its rules, or
    /// removes it. It is called before anything else.
    ///
    /// # Errors
    /// If the card can't be used.
    fn adopt(&mut self, rules: &[Rule]) -> Result<Adopted, CardError>;

    /// Goes on with other ports, of which some may be those that it has: rules stay on these, and come to
    /// the others that they are for. False if it can't: then it has what it had.
    ///
    /// # Errors
    /// If the card can't be used.
    fn set_ports(&mut self, _ports: &BTreeMap<OfPort, IfIndex>) -> Result<bool, CardError> {
        Ok(false)
    }

    /// Does steps, in their order, each whatever became of those before it; what became of each. One
    /// that is refused leaves what was there before.
    ///
    /// # Errors
    /// If the card can't be used; then it isn't known which steps were done.
    fn apply(&mut self, steps: &[Step]) -> Result<Vec<Result<(), Refusal>>, CardError>;

    /// What the card decided by rules that are there, since each is there as it is: [`Card::ended`] has
    /// what it decided before. Packets that a trap leaves to software aren't in it.
    ///
    /// # Errors
    /// If the card can't be used, or has lost rules.
    fn counters(&mut self) -> Result<Counted, CardError>;

    /// What the card decided by rules that have gone, or were replaced, since the last call.
    fn ended(&mut self) -> Counted;

    /// What meters have counted by now, by their numbers, when counters were last read or a rule went.
    /// It never falls while the card is in use.
    fn meters(&self) -> BTreeMap<u32, Metered> {
        BTreeMap::new()
    }

    /// Removes all of its rules, in such an order that no packet meets a rule that one that is gone
    /// was to keep it from.
    ///
    /// # Errors
    /// If some may still be there.
    fn clear(&mut self) -> Result<(), CardError>;
}

/// The host's cards.
pub trait Cards: Debug + Send {
    /// A card that is in use.
    type Card: Card;

    /// Looks which cards there are.
    fn look(&mut self, bridge: &BridgeName, ports: &[CardPort]) -> Looked;

    /// Takes a card into use.
    ///
    /// # Errors
    /// If it can't be used.
    fn open(&mut self, bridge: &BridgeName, spec: &CardSpec) -> Result<Self::Card, CardError>;

    /// Forgets what was found out about kinds of cards: they are asked anew.
    fn forget(&mut self) {}

    /// Removes what an earlier switch of this instance has left on devices other than these.
    /// Returns what can't be removed, one sentence each.
    fn sweep(&mut self, kept: &[IfIndex]) -> Vec<String>;
}
