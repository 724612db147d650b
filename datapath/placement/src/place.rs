//! The pass over all flows of a bridge.

use std::collections::BTreeMap;
use std::sync::Arc;

use aorta_flow::table::{FlowId, TableFlow, Tables};
use aorta_flow::{Flow, Match};

use crate::choose::{Kept, choose};
use crate::close::close;
use crate::form::{Form, form, seen_by, unmatched, widened};
use crate::guard::guard;
use crate::{Device, Reason, Rule, Told, Verdict};

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
    /// The card's rules: by table, then from the highest priority.
    pub rules: Vec<Rule>,
    /// All flows of the bridge.
    pub decisions: BTreeMap<FlowId, Decision>,
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
            placement.take(candidate, kept, max_rules);
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
        priority: 0,
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
    fn take(&mut self, candidate: Candidate, kept: Kept, max_rules: usize) {
        let Candidate { id, flow, .. } = candidate;
        let mut rule = Rule {
            table: flow.table,
            priority: flow.priority,
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
