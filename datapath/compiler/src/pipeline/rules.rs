//! Flows as rules.

use aorta_flow::Flow;
use aorta_flow::action::Action;
use aorta_flow::table::TableFlow;

use super::codegen::other;
use super::record::{Clause, MatchWord, Rule, RuleId, rank};
use super::shape::{Shape, Step, split};
use super::{Refusal, layout};

/// A flow as a rule, and what its table's code must know.
pub struct Planned {
    /// The rule.
    pub rule: Rule,
    /// Its shape.
    pub shape: Shape,
}

/// Splits a flow. Its shape has no number yet.
///
/// # Errors
/// When it asks for what programs can't do.
pub fn plan_flow(entry: &TableFlow, id: RuleId) -> Result<Planned, Refusal> {
    let (shape, params) = split(&entry.flow)?;
    let clauses = clauses(&entry.flow);
    for step in shape.all_steps() {
        if let Step::Other(whole) = step {
            other::check(&whole.0)?;
        }
    }
    let rule = Rule {
        id,
        rank: rank(entry.flow.priority, entry.id.0),
        words: words(entry)?,
        shape: 0,
        params,
        clauses,
    };
    Ok(Planned { rule, shape })
}

/// The parts of conjunctions that a flow is.
fn clauses(flow: &Flow) -> Vec<Clause> {
    let clause = |action: &Action| match action {
        Action::Conjunction {
            id,
            clause,
            n_clauses,
        } => Some(Clause {
            conjunction: *id,
            number: *clause,
            of: *n_clauses,
        }),
        _ => None,
    };
    flow.instructions.apply.iter().filter_map(clause).collect()
}

fn words(entry: &TableFlow) -> Result<Vec<MatchWord>, Refusal> {
    let mut words = Vec::new();
    for part in entry.flow.matching.parts() {
        for number in 0..4u8 {
            let of = |all: u128| (all >> (32 * u32::from(number))) as u32;
            if of(part.mask) == 0 {
                continue;
            }
            let at = layout::word(part.field, number).ok_or_else(|| Refusal::Field {
                field: part.field.name().to_owned(),
            })?;
            let (value, mask) = (of(part.value), of(part.mask));
            // Bits that the field hasn't are 0 on both sides: whole words are simpler to compare.
            let whole = mask == of(part.field.field().full_mask());
            let mask = if whole { u32::MAX } else { mask };
            words.push(MatchWord { at, value, mask });
        }
    }
    words.sort_by_key(|word| word.at);
    Ok(words)
}
