//! The pass over all flows of a bridge.

use std::collections::BTreeMap;
use std::sync::Arc;

use aorta_flow::table::{FlowId, TableFlow, Tables};
use aorta_flow::{Flow, Group, Match, Meter, MeterId};

use crate::choose::{Kept, choose};
use crate::close::close;
use crate::form::{Form, seen_by, unmatched, widened};
use crate::guard::guard;
use crate::making::form;
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

/// A flow that packets of the card may match.
pub(crate) struct Candidate {
    pub id: FlowId,
    pub flow: Arc<Flow>,
    /// Its match as the card sees it.
    pub matching: Match,
    /// What it is on the card, or why it can't be there whatever others do.
    pub form: Result<Form, Reason>,
    /// Why it can't be there because of others.
    pub withdrawn: Option<Reason>,
    /// What a rule that leaves its packets to software matches; none if there can't be one.
    pub trap: Option<Match>,
}

impl Candidate {
    /// What it is on the card, or why it can't be there.
    pub fn fate(&self) -> Result<&Form, &Reason> {
        match &self.withdrawn {
            Some(why) => Err(why),
            None => self.form.as_ref(),
        }
    }

    /// Whether it can be on the card.
    pub fn is_able(&self) -> bool {
        self.fate().is_ok()
    }

    /// The table where its packets go on, if it can be on the card.
    pub fn goto(&self) -> Option<u8> {
        self.fate().ok()?.goto
    }

    /// What is decided of it if it is kept in this form, and its rule.
    pub fn outcome(&self, kept: Kept, max_rules: usize) -> (Decision, Option<Rule>) {
        let trapped = kept == Kept::Trap;
        let form = self.fate().ok().filter(|_| kept == Kept::Whole);
        let policer = form.and_then(|form| form.policer);
        let (decision, verdict) = match self.fate() {
            Ok(form) if kept == Kept::Whole => {
                let (actions, goto) = (form.actions.clone(), form.goto);
                (Decision::Placed, Verdict::Forward { actions, goto })
            }
            Ok(_) if self.flow.table > 0 => (Decision::software(Reason::NotReached), Verdict::Trap),
            Ok(_) => {
                let why = Reason::Full { max_rules };
                (Decision::Software { why, trapped }, Verdict::Trap)
            }
            Err(why) => {
                let why = why.clone();
                (Decision::Software { why, trapped }, Verdict::Trap)
            }
        };
        let rule = (kept != Kept::Not).then(|| Rule {
            table: self.flow.table,
            priority: self.flow.priority,
            flow: Some(self.id),
            matching: match (trapped, &self.trap) {
                (true, Some(trap)) => trap.clone(),
                _ => self.matching.clone(),
            },
            verdict,
            policer,
        });
        (decision, rule)
    }
}

/// All flows of a table in the order of lookups; those that no packet of the card matches aren't
/// among them.
pub(crate) type Table = Vec<Candidate>;

/// Decides about all flows of a bridge.
pub fn place(tables: &Tables, device: &Device, told: &Told) -> Placement {
    let mut placement = Placement::default();
    let mut sorted: BTreeMap<u8, Table> = BTreeMap::new();
    let refs = Refs {
        group: &|id| tables.group(id).map(Arc::as_ref),
        meter: &|id| tables.meter(MeterId::Number(id)).map(Arc::as_ref),
    };
    for entry in tables.flows() {
        match candidate(entry, device, told, &refs) {
            Ok(candidate) => sorted.entry(entry.flow.table).or_default().push(candidate),
            Err(why) => placement.decide(entry.id, Decision::software(why)),
        }
    }
    close(&mut sorted, &device.capabilities, told);
    if let Some(first) = sorted.get_mut(&0) {
        guard(first);
    }
    let view = sorted
        .iter()
        .map(|(number, table)| (*number, table.iter().collect()));
    let chosen = choose(&view.collect(), &device.capabilities, told);
    for (number, table) in &sorted {
        for (position, candidate) in table.iter().enumerate() {
            let kept = chosen.kept(*number, position, candidate.is_able());
            let (decision, rule) = candidate.outcome(kept, device.capabilities.max_rules);
            placement.decide(candidate.id, decision);
            placement.rules.extend(rule);
        }
    }
    placement.rules.extend(chosen.misses().map(miss));
    placement.rules.sort_by_key(Rule::order);
    placement
}

/// What becomes of packets that match no flow of a table that the card has whole.
pub(crate) fn miss(table: u8) -> Rule {
    Rule {
        table,
        priority: 0,
        flow: None,
        matching: Match::any(),
        verdict: Verdict::Forward {
            actions: Vec::new(),
            goto: None,
        },
        policer: None,
    }
}

/// What flows of a bridge may refer to.
#[derive(Clone, Copy)]
pub(crate) struct Refs<'f, 't> {
    /// A group.
    pub group: &'f dyn Fn(u32) -> Option<&'t Group>,
    /// A meter.
    pub meter: &'f dyn Fn(u32) -> Option<&'t Meter>,
}

/// A flow by itself.
///
/// # Errors
/// [`Reason::NotFromDevice`] if no packet of the card matches it.
pub(crate) fn candidate(
    entry: &TableFlow,
    device: &Device,
    told: &Told,
    refs: &Refs,
) -> Result<Candidate, Reason> {
    let flow = &entry.flow;
    let matching = seen_by(flow, device)?;
    let capabilities = &device.capabilities;
    let form = if told.excludes(flow) {
        Err(Reason::Excluded)
    } else if let Some(why) = told.refused.get(&entry.id) {
        Err(Reason::Refused(why.clone()))
    } else if let Some(why) = unmatched(&matching, capabilities) {
        Err(why)
    } else {
        form(flow, &matching, device, refs)
    };
    let may_trap = capabilities.traps && flow.table == 0 && !told.refused_traps.contains(&entry.id);
    Ok(Candidate {
        id: entry.id,
        flow: Arc::clone(flow),
        trap: may_trap.then(|| widened(&matching, capabilities)),
        matching,
        form,
        withdrawn: None,
    })
}

impl Decision {
    pub(crate) fn software(why: Reason) -> Decision {
        let trapped = false;
        Decision::Software { why, trapped }
    }
}

impl Placement {
    fn decide(&mut self, flow: FlowId, decision: Decision) {
        self.decisions.insert(flow, decision);
    }
}
