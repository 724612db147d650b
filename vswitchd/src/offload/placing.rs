//! One card: what is on it, and how it follows the tables of a bridge.

mod follow;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aorta_flow::MeterId;
use aorta_flow::meter::MeterState;
use aorta_flow::table::FlowId;
use aorta_placement::{Decision, Planner, Reason, Rule, RuleKey, Step, Told, Verdict};
use tracing::{info, warn};

use super::ledger::Ledger;
use super::metered::MeterLedger;
use crate::config::OffloadCookies;
use crate::ofproto::Moment;
use crate::reconcile::{Card, CardError, CardRule, CardSpec, Counted, FlowCounters};

pub use follow::Since;

/// Time until a card that failed is tried again; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(64);

/// Software's record of what flows have counted: takes more, and gives back what it doesn't take.
pub type Record<'r> = dyn Fn(Vec<(FlowId, FlowCounters)>) -> Vec<(FlowId, FlowCounters)> + 'r;

/// Why a card has no rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// In one sentence.
    pub why: String,
    /// When it is tried again.
    pub again: Moment,
    pause: Duration,
}

/// A card that follows the tables of a bridge.
pub struct Placing<C> {
    /// Which card.
    pub spec: CardSpec,
    /// The card, while it is in use.
    card: Option<C>,
    /// What an earlier switch left hasn't been looked at yet.
    fresh: bool,
    /// What is on it.
    there: BTreeMap<RuleKey, Rule>,
    /// Plans what is to be on it; none if that is to be planned from the beginning.
    planner: Option<Planner>,
    /// What is decided about all flows of the bridge.
    pub decisions: BTreeMap<FlowId, Decision>,
    /// Whether all that is planned is there.
    settled: bool,
    /// What is left to do when software obeys the new tables; none if that isn't known.
    rest: Option<Vec<Vec<Step>>>,
    /// What was there of rules before the change that is being made.
    displaced: BTreeMap<RuleKey, Option<Rule>>,
    /// What is known of flows.
    told: Told,
    /// Whether something is known of them that wasn't planned with yet.
    news: bool,
    /// Rules that there turned out to be room for, if that are fewer than was said.
    room: Option<usize>,
    ledger: Ledger,
    meters: MeterLedger,
    /// Why it isn't used, if it isn't.
    pub trouble: Option<Trouble>,
    /// What others have put there.
    pub foreign: Vec<String>,
    /// Rules that it has refused since it is in use.
    pub refusals: u64,
}

impl<C: Card> Placing<C> {
    /// A card that isn't in use yet.
    pub fn new(spec: CardSpec) -> Placing<C> {
        Placing {
            spec,
            card: None,
            fresh: false,
            there: BTreeMap::new(),
            planner: None,
            decisions: BTreeMap::new(),
            settled: false,
            rest: None,
            displaced: BTreeMap::new(),
            told: Told::default(),
            news: false,
            room: None,
            ledger: Ledger::default(),
            meters: MeterLedger::default(),
            trouble: None,
            foreign: Vec::new(),
            refusals: 0,
        }
    }

    /// Takes what operators want of flows. True if that is something else than before.
    pub fn ask(&mut self, cookies: &OffloadCookies) -> bool {
        let (pinned, excluded) = (&cookies.pinned, &cookies.excluded);
        let other = self.told.pinned != *pinned || self.told.excluded != *excluded;
        self.told.pinned.clone_from(pinned);
        self.told.excluded.clone_from(excluded);
        self.news |= other;
        other
    }

    /// Takes how busy flows are.
    pub fn hear_rates(&mut self, rates_pps: BTreeMap<FlowId, u64>) {
        self.news |= self.told.rates_pps != rates_pps;
        self.told.rates_pps = rates_pps;
    }

    /// Takes other ports over, if the card goes on with them. What it is to have on them is planned anew.
    pub fn take_ports(&mut self, spec: &CardSpec) -> bool {
        let ports = spec.ports.iter();
        let ports = ports.map(|(port, (_, device))| (*port, *device)).collect();
        let taken = match &mut self.card {
            // What an earlier switch has left is on the ports that it had.
            Some(_) if self.fresh => return false,
            Some(card) => card.set_ports(&ports),
            None => Ok(true),
        };
        match taken {
            Ok(true) => {
                self.spec = spec.clone();
                if let Some(planner) = self.planner.take() {
                    self.told.placed.clone_from(&planner.told().placed);
                }
                self.settled = false;
                true
            }
            Ok(false) => false,
            Err(error) => {
                warn!("{}: its ports can't be changed: {error}", self.spec.name);
                false
            }
        }
    }

    /// Whether it isn't in use, but may be now.
    pub fn is_due(&self, now: Moment) -> bool {
        self.card.is_none() && self.trouble.as_ref().is_none_or(|t| t.again <= now)
    }

    /// Has it be tried again at once.
    pub fn hurry(&mut self, now: Moment) {
        if let Some(trouble) = &mut self.trouble {
            trouble.again = now;
        }
    }

    /// Rules that are on the card, and how many of these leave their packets to software.
    pub fn rules(&self) -> (usize, usize) {
        let traps = self.there.values().filter(|rule| is_trap(rule)).count();
        (self.there.len(), traps)
    }

    /// What is on the card, and what that had counted when it was last asked.
    pub fn card_rules(&self) -> impl Iterator<Item = CardRule> {
        self.there.values().map(|rule| CardRule {
            rule: rule.clone(),
            language: self.spec.language,
            counted: rule
                .flow
                .map_or_else(FlowCounters::default, |flow| self.ledger.now(flow)),
        })
    }

    /// Whether the card has something that counts.
    pub fn counts(&self) -> bool {
        self.card.is_some() && !self.there.is_empty()
    }

    /// Takes the card into use, if it isn't. What is on it is known then.
    pub fn open(&mut self, now: Moment, open: impl FnOnce(&CardSpec) -> Result<C, CardError>) {
        if !self.is_due(now) {
            return;
        }
        match open(&self.spec) {
            Ok(card) => {
                self.card = Some(card);
                self.fresh = true;
                self.room = None;
                self.told.refused.clear();
                self.told.refused_traps.clear();
                self.told.refused_misses.clear();
            }
            Err(error) => self.fail(&error, now),
        }
    }

    /// Goes on with what an earlier switch has left, if that is as it is to be.
    fn adopt(&mut self, now: Moment) {
        let Some(card) = &mut self.card else { return };
        let name = &self.spec.name;
        let planned = self.planner.as_ref().map(Planner::rules);
        let rules: Vec<Rule> = planned
            .into_iter()
            .flatten()
            .map(|(_, rule)| rule.clone())
            .collect();
        match card.adopt(&rules) {
            Ok(adopted) => {
                self.fresh = false;
                let language = self.spec.language.name();
                let kept = if adopted.all { rules.len() } else { 0 };
                info!("{name}: flows are offloaded by {language}; {kept} rules were there");
                for foreign in adopted.foreign.iter().filter(|f| !self.foreign.contains(f)) {
                    warn!("{name}: {foreign}; it is left alone");
                }
                self.foreign = adopted.foreign;
                self.ledger.keep(adopted.ended);
                let rules = rules.into_iter().filter(|_| adopted.all);
                self.there = rules.map(|rule| (rule.key(), rule)).collect();
            }
            Err(error) => self.fail(&error, now),
        }
    }

    /// Reads what rules have counted.
    pub fn count(&mut self, now: Moment) {
        let Some(card) = &mut self.card else { return };
        let counted = card.counters();
        self.take_ended();
        match counted {
            Ok(counted) => self.take_counted(counted),
            Err(error) => self.fail(&error, now),
        }
    }

    fn take_counted(&mut self, counted: Counted) {
        let of_flows = counted.into_iter();
        let of_flows = of_flows.filter_map(|(key, counters)| Some((key.flow?, counters)));
        self.ledger.look(of_flows);
    }

    /// Takes what rules had counted that have gone, and what meters have.
    pub(super) fn take_ended(&mut self) {
        let Some(card) = &mut self.card else { return };
        self.ledger.end_rules(card.ended());
        self.meters.look(card.meters());
    }

    /// Hands what rules had counted that have gone to software's record, which gives back what it doesn't
    /// take.
    pub fn hand_over(&mut self, record: &Record) {
        self.take_ended();
        let ended = self.ledger.take_ended();
        if !ended.is_empty() {
            self.ledger.keep(record(ended));
        }
    }

    /// What it has counted that isn't told of rules any more, when it is retired.
    pub fn remains(self) -> (Ledger, MeterLedger) {
        (self.ledger, self.meters)
    }

    /// Adds what the card has counted.
    pub fn add_to(&self, counters: &mut HashMap<FlowId, FlowCounters>) {
        self.ledger.add_to(counters);
    }

    /// Whether a rule that is there drops packets above a rate.
    pub fn polices(&self) -> bool {
        self.there.values().any(|rule| rule.policer.is_some())
    }

    /// Adds what the card has counted of meters.
    pub fn add_meters_to(&self, states: &mut BTreeMap<MeterId, MeterState>) {
        self.meters.add_to(states);
    }

    /// Whether flows aren't there only because there is no room.
    pub fn is_full(&self) -> bool {
        let mut decisions = self.decisions.values();
        decisions.any(|decision| {
            matches!(
                decision,
                Decision::Software {
                    why: Reason::Full { .. },
                    ..
                }
            )
        })
    }

    /// Has nothing on the card. Packets are left to software then.
    pub fn retire(&mut self, now: Moment) {
        self.go_to(&[], now);
        self.count(now);
        self.planner = None;
        if let Some(card) = &mut self.card
            && let Err(error) = card.clear()
        {
            warn!("{}: {error}", self.spec.name);
        }
        self.ledger.end_all();
        self.meters.end_all();
        self.card = None;
        self.there.clear();
    }

    /// The card isn't used for a while. What it had is in software.
    fn fail(&mut self, error: &CardError, now: Moment) {
        let mut why = error.to_string();
        self.fresh = false;
        self.rest = None;
        if let Some(mut card) = self.card.take() {
            // Whatever still can be known.
            let counted = card.counters();
            let ended = card.ended();
            self.meters.look(card.meters());
            self.ledger.end_rules(ended);
            if let Ok(counted) = counted {
                self.take_counted(counted);
            }
            if let Err(CardError(left)) = card.clear()
                && left != why
            {
                why = format!("{why}; rules may be left there: {left}");
            }
        }
        let pause = match &self.trouble {
            Some(trouble) => (trouble.pause * 2).min(LONGEST_PAUSE),
            None => FIRST_PAUSE,
        };
        let known = self.trouble.as_ref().is_some_and(|t| t.why == why);
        if !known {
            let name = &self.spec.name;
            warn!("{name}: its flows are in software: {why}");
        }
        let again = now + pause;
        self.trouble = Some(Trouble { why, again, pause });
        self.ledger.end_all();
        self.meters.end_all();
        self.there.clear();
        self.planner = None;
        self.decisions.clear();
        self.settled = false;
    }
}

fn is_trap(rule: &Rule) -> bool {
    rule.verdict == Verdict::Trap
}
