//! Where cards have flows, for those who ask.

use std::collections::{BTreeMap, HashMap};

use aorta_flow::table::FlowId;
use aorta_flow::{OfPort, PortName};
use aorta_placement::{Decision, Reason};

use super::bridge::BridgeCards;
use super::placing::Placing;
use crate::reconcile::Cards;

/// Where the flows of a bridge are, as far as cards are concerned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// The cards of the bridge.
    pub cards: Vec<CardPlaces>,
    /// Flows about which cards had to decide.
    pub flows: HashMap<FlowId, NicPlace>,
    /// Why ports have no card that takes flows.
    pub without: BTreeMap<PortName, String>,
}

/// A card.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CardPlaces {
    /// Its name.
    pub name: String,
    /// How it is programmed: `flower` or `ebpf`.
    pub language: &'static str,
    /// Its ports.
    pub ports: BTreeMap<OfPort, PortName>,
    /// Rules that are on it.
    pub rules: usize,
    /// Those of them that leave their packets to software.
    pub traps: usize,
    /// Flows that are on it.
    pub flows: usize,
    /// Rules that it has refused.
    pub refusals: u64,
    /// What it says to one of the flows that it refuses, and how many these are.
    pub refused: Option<(String, usize)>,
    /// Why it isn't used, if it isn't.
    pub trouble: Option<String>,
    /// What others have put there.
    pub foreign: Vec<String>,
}

/// Where one flow is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NicPlace {
    /// Positions of the cards that have it.
    pub on: Vec<usize>,
    /// Why others haven't.
    pub why: Vec<(usize, String)>,
}

impl Places {
    /// Of the cards of a bridge; none of a bridge that is not known yet.
    pub(super) fn of<C: Cards>(bridge: Option<&BridgeCards<C>>, flows: bool) -> Places {
        let Some(bridge) = bridge else {
            return Places::default();
        };
        let mut places = Places {
            cards: bridge.cards.iter().map(card).collect(),
            without: bridge.without.clone(),
            ..Places::default()
        };
        for (at, card) in bridge.cards.iter().enumerate().filter(|_| flows) {
            for (flow, decision) in &card.decisions {
                let place = places.flows.entry(*flow).or_default();
                match decision {
                    Decision::Placed => place.on.push(at),
                    Decision::Software { why, .. } => place.why.push((at, why.to_string())),
                }
            }
        }
        places
    }

    /// Where frames of a port are decided first, and why there.
    pub fn of_port(&self, port: &PortName) -> (String, String) {
        let card = self
            .cards
            .iter()
            .find(|card| card.ports.values().any(|p| p == port));
        match card {
            None => {
                let why = self.without.get(port).cloned();
                ("off".to_owned(), why.unwrap_or_default())
            }
            Some(card) => match (&card.trouble, &card.refused) {
                (Some(why), _) => ("off".to_owned(), format!("{}: {why}", card.name)),
                (None, Some((said, count))) => {
                    let why = format!("nic({}), which refused {count} flows: {said}", card.name);
                    (card.language.to_owned(), why)
                }
                (None, None) => (card.language.to_owned(), format!("nic({})", card.name)),
            },
        }
    }
}

fn card<C: crate::reconcile::Card>(card: &Placing<C>) -> CardPlaces {
    let (rules, traps) = card.rules();
    let decisions = card.decisions.values();
    let mut refused = decisions.clone().filter_map(|decision| match decision {
        Decision::Software {
            why: Reason::Refused(said),
            ..
        } => Some(said),
        _ => None,
    });
    let said = refused.next().cloned();
    let ports = card.spec.ports.iter();
    CardPlaces {
        name: card.spec.name.clone(),
        language: card.spec.language.name(),
        ports: ports.map(|(of, (name, _))| (*of, name.clone())).collect(),
        rules,
        traps,
        flows: decisions
            .filter(|decision| **decision == Decision::Placed)
            .count(),
        refused: said.map(|said| (said, 1 + refused.count())),
        refusals: card.refusals,
        trouble: card.trouble.as_ref().map(|trouble| trouble.why.clone()),
        foreign: card.foreign.clone(),
    }
}
