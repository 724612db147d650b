//! The pass over all flows of a bridge.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aorta_flow::action::Action;
use aorta_flow::table::{FlowId, TableFlow, Tables};
use aorta_flow::{Flow, Match};

use crate::choose::{Kept, choose};
use crate::close::close;
use crate::form::{Form, form, seen_by, unmatched, widened};
use crate::guard::guard;
use crate::{Device, Reason};

/// A rule of a card.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Its table. Packets from ports begin in table 0.
    pub table: u8,
    /// The lowest of those that match in a table is taken; ranks of a table differ.
    pub rank: u32,
    /// The flow that it is part of; none for packets that match no flow.
    pub flow: Option<FlowId>,
    /// Which packets. An `in_port` is one of the card's ports.
    pub matching: Match,
    /// What becomes of them.
    pub verdict: Verdict,
}

/// What a card does with packets of a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// These, in order: outputs, changes of fields, VLAN tags pushed and popped. A packet isn't sent
    /// back to the port that it came from. Then another table, if there is one.
    Forward {
        /// What is done.
        actions: Vec<Action>,
        /// Where they go on.
        goto: Option<u8>,
    },
    /// They go to software as they came.
    Trap,
}

/// Where a flow is, as far as the card is concerned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// On the card.
    Placed,
    /// In software; `trapped` if a rule of the card leaves its packets there.
    Software {
        /// Why.
        why: Reason,
        /// Whether there is such a rule.
        trapped: bool,
    },
}

/// What becomes of the flows of a bridge.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Placement {
    /// The card's rules, by table and rank.
    pub rules: Vec<Rule>,
    /// All flows of the bridge.
    pub decisions: BTreeMap<FlowId, Decision>,
}

/// What is known of flows besides what they say.
#[derive(Clone, Default, Debug)]
pub struct Told {
    /// Flows that the card refused, and what it said.
    pub refused: BTreeMap<FlowId, String>,
    /// Flows whose traps it refused.
    pub refused_traps: BTreeSet<FlowId>,
    /// Packets a second, of flows that have any.
    pub rates_pps: BTreeMap<FlowId, u64>,
    /// Flows that are on the card now: others must be half as busy again to take their place.
    pub placed: BTreeSet<FlowId>,
    /// Cookies and masks of flows that come before all others.
    pub pinned: Vec<(u64, u64)>,
    /// Cookies and masks of flows that are kept in software.
    pub excluded: Vec<(u64, u64)>,
    /// Tables that do something else than drop with packets that match no flow.
    pub misses_not_dropped: BTreeSet<u8>,
}

impl Told {
    fn excludes(&self, flow: &Flow) -> bool {
        has_cookie(flow, &self.excluded)
    }

    /// Whether it comes before all others.
    pub(crate) fn pins(&self, flow: &Flow) -> bool {
        has_cookie(flow, &self.pinned)
    }
}

fn has_cookie(flow: &Flow, list: &[(u64, u64)]) -> bool {
    list.iter()
        .any(|(cookie, mask)| (flow.cookie ^ cookie) & mask == 0)
}

/// A flow in the pass.
pub(crate) struct Candidate {
    pub id: FlowId,
    pub flow: Arc<Flow>,
    /// Its match as the card sees it.
    pub matching: Match,
    pub fate: Result<Form, Reason>,
    /// What a rule that leaves its packets to software matches; none if there can't be one.
    pub trap: Option<Match>,
}

/// All flows of a table in the order of lookups; those that no packet of the card matches aren't
/// among them.
pub(crate) type Table = Vec<Candidate>;

/// Decides about all flows of a bridge.
pub fn place(tables: &Tables, device: &Device, told: &Told) -> Placement {
    let mut placement = Placement::default();
    let mut sorted: BTreeMap<u8, Table> = BTreeMap::new();
    for entry in tables.flows() {
        match candidate(entry, device, told) {
            Ok(candidate) => sorted.entry(entry.flow.table).or_default().push(candidate),
            Err(why) => placement.decide(entry.id, Decision::software(why)),
        }
    }
    close(&mut sorted, &device.capabilities, told);
    if let Some(first) = sorted.get_mut(&0) {
        guard(first);
    }
    let chosen = choose(&sorted, &device.capabilities, told);
    let max_rules = device.capabilities.max_rules;
    for (number, table) in sorted {
        for (position, candidate) in table.into_iter().enumerate() {
            let kept = chosen.kept(number, position, candidate.fate.is_ok());
            placement.take(position, candidate, kept, max_rules);
        }
        if chosen.needs_miss(number) {
            placement.rules.push(miss(number));
        }
    }
    placement
}

/// What becomes of packets that match no flow of a table that the card has whole.
fn miss(table: u8) -> Rule {
    Rule {
        table,
        rank: u32::MAX,
        flow: None,
        matching: Match::any(),
        verdict: Verdict::Forward {
            actions: Vec::new(),
            goto: None,
        },
    }
}

fn candidate(entry: &TableFlow, device: &Device, told: &Told) -> Result<Candidate, Reason> {
    let flow = &entry.flow;
    let matching = seen_by(flow, device)?;
    let capabilities = &device.capabilities;
    let fate = if told.excludes(flow) {
        Err(Reason::Excluded)
    } else if let Some(why) = told.refused.get(&entry.id) {
        Err(Reason::Refused(why.clone()))
    } else if let Some(why) = unmatched(&matching, capabilities) {
        Err(why)
    } else {
        form(flow, &matching, device)
    };
    let may_trap = capabilities.traps && flow.table == 0 && !told.refused_traps.contains(&entry.id);
    Ok(Candidate {
        id: entry.id,
        flow: Arc::clone(flow),
        trap: may_trap.then(|| widened(&matching, capabilities)),
        matching,
        fate,
    })
}

impl Decision {
    fn software(why: Reason) -> Decision {
        let trapped = false;
        Decision::Software { why, trapped }
    }
}

impl Placement {
    fn decide(&mut self, flow: FlowId, decision: Decision) {
        self.decisions.insert(flow, decision);
    }

    /// Decides about a flow whose rule is kept in this form, and adds the rule.
    fn take(&mut self, position: usize, candidate: Candidate, kept: Kept, max_rules: usize) {
        let Candidate { id, flow, .. } = candidate;
        let mut rule = Rule {
            table: flow.table,
            rank: position as u32,
            flow: Some(id),
            matching: candidate.matching,
            verdict: Verdict::Trap,
        };
        let trapped = kept == Kept::Trap;
        let decision = match candidate.fate {
            Ok(form) if kept == Kept::Whole => {
                let Form { actions, goto, .. } = form;
                rule.verdict = Verdict::Forward { actions, goto };
                Decision::Placed
            }
            Ok(_) if flow.table > 0 => Decision::software(Reason::NotReached),
            Ok(_) => Decision::Software {
                why: Reason::Full { max_rules },
                trapped,
            },
            Err(why) => Decision::Software { why, trapped },
        };
        self.decide(id, decision);
        if let (true, Some(trap)) = (trapped, candidate.trap) {
            rule.matching = trap;
        }
        if kept != Kept::Not {
            self.rules.push(rule);
        }
    }
}
