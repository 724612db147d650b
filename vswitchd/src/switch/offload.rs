//! What network cards take over of the bridges' flows, and where flows run.

use std::cmp::Reverse;

use aorta_api::{CardExplain, FlowExplain};
use aorta_flow::table::Tables;

use super::flows::Answer;
use super::*;
use crate::offload::CardPlaces;
use crate::ofproto::Placer;
use crate::reconcile::CardRule;

/// A flow on a network card.
#[derive(Debug)]
pub struct CardFlow {
    /// Its bridge.
    pub bridge: String,
    /// What the card has, and what that has counted.
    pub on_card: CardRule,
}

impl<E: Effects, D: Datapath> Switch<E, D> {
    /// What network cards have been given of all bridges' flows: by bridge and table, then from the
    /// highest priority.
    pub fn card_flows(&self) -> Vec<CardFlow> {
        let bridges = self.desired.bridges.iter();
        let of = |bridge: &BridgeName| {
            let mut rules = self.datapath.card_rules(bridge);
            rules.sort_by_key(|CardRule { rule, .. }| {
                (rule.table, Reverse(rule.priority), rule.flow)
            });
            rules
        };
        bridges
            .flat_map(|bridge| {
                let rules = of(&bridge.name).into_iter();
                rules.map(|on_card| CardFlow {
                    bridge: bridge.name.to_string(),
                    on_card,
                })
            })
            .collect()
    }

    /// Has the datapath do something with the tables of each bridge.
    pub(super) fn each_tables(&mut self, act: impl Fn(&mut D, &BridgeName, &Tables)) {
        for (name, flows) in &self.flows {
            // Packets obey others as long as the datapath refuses these.
            if flows.given {
                flows.obeyed(name, &mut self.datapath, &act);
            }
        }
    }

    /// What tells where flows of a bridge run.
    pub(super) fn placer(&self, name: &BridgeName) -> Placer {
        let explained = self.datapath.explain(name).unwrap_or_default();
        let bridges = self.applied.bridges.iter();
        let bridge = bridges.filter(|bridge| bridge.name == *name);
        Placer {
            hook: explained.hook,
            ports: bridge
                .flat_map(|b| &b.ports)
                .map(|port| port.ofport)
                .collect(),
            nics: self.datapath.places(name, true),
            xdp: self.datapath.xdp(name),
        }
    }

    /// How the tables of a bridge are compiled, and how many of their flows run where.
    pub(super) fn explain_places(&self, name: &BridgeName) -> Answer<FlowExplain> {
        let mut explained = self.explain_flows(name)?;
        let placer = self.placer(name);
        for entry in self.bridge_flows(name)?.tables().flows() {
            let number = entry.flow.table;
            let table = explained.tables.iter_mut().find(|t| t.table == number);
            if let Some(table) = table {
                let places = placer.of(entry).places.join(", ");
                *table.places.entry(places).or_insert(0) += 1;
            }
        }
        explained.cards = self.cards_of(name);
        Ok(explained)
    }

    /// The cards of a bridge.
    pub(super) fn cards_of(&self, name: &BridgeName) -> Vec<CardExplain> {
        let places = self.datapath.places(name, false).unwrap_or_default();
        places.cards.into_iter().map(card).collect()
    }

    /// Cards that can't be used, one line each.
    pub(super) fn card_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for bridge in &self.desired.bridges {
            for card in self.cards_of(&bridge.name) {
                if !card.trouble.is_empty() {
                    let (bridge, CardExplain { name, trouble, .. }) = (&bridge.name, card);
                    problems.push(format!(
                        "the flows of {bridge} on nic({name}) are in software: {trouble}"
                    ));
                }
            }
        }
        problems
    }
}

fn card(card: CardPlaces) -> CardExplain {
    CardExplain {
        name: card.name,
        language: card.language.to_owned(),
        ports: card.ports.values().map(ToString::to_string).collect(),
        flows: card.flows as u64,
        rules: card.rules as u64,
        traps: card.traps as u64,
        refusals: card.refusals,
        trouble: card.trouble.unwrap_or_default(),
        foreign: card.foreign,
    }
}
