//! Reduction of a failing case.

use aorta_flow::action::{Action, Instructions};
use aorta_flow::{Flow, Match};

use crate::{Case, Frame, Offload};

/// The smallest case that still fails, as far as leaving out frames, flows, groups, meters,
/// actions, fields and bytes leads there. `fails` is asked of valid tables only.
pub fn shrink(case: Case, fails: &mut dyn FnMut(&Case) -> bool) -> Case {
    let mut smallest = case;
    loop {
        let before = smallest.clone();
        smallest = round(smallest, fails);
        if smallest == before {
            return smallest;
        }
    }
}

fn round(mut case: Case, fails: &mut dyn FnMut(&Case) -> bool) -> Case {
    let mut still = |case: &Case| case.tables().is_ok() && fails(case);
    macro_rules! list {
        ($part:ident) => {
            let rest = case.clone();
            case.$part = smallest_list(&case.$part, &mut |fewer| {
                let $part = fewer.to_vec();
                still(&Case {
                    $part,
                    ..rest.clone()
                })
            });
        };
    }
    list!(frames);
    list!(flows);
    list!(groups);
    list!(meters);
    simpler_buckets(&mut case, &mut still);
    for at in 0..case.flows.len() {
        while let Some(simpler) = simpler_flow(&case, at, &mut still) {
            case = simpler;
        }
    }
    for at in 0..case.frames.len() {
        while let Some(simpler) = simpler_frame(&case, at, &mut still) {
            case = simpler;
        }
    }
    case
}

/// The list without whatever can be left out: large pieces first.
pub fn smallest_list<T: Clone>(list: &[T], still: &mut dyn FnMut(&[T]) -> bool) -> Vec<T> {
    let mut kept = list.to_vec();
    let mut piece = kept.len();
    while piece > 0 {
        let mut at = 0;
        while at < kept.len() {
            let end = (at + piece).min(kept.len());
            let fewer = [&kept[..at], &kept[end..]].concat();
            if still(&fewer) {
                kept = fewer;
            } else {
                at = end;
            }
        }
        piece /= 2;
    }
    kept
}

fn simpler_buckets(case: &mut Case, still: &mut dyn FnMut(&Case) -> bool) {
    for g in 0..case.groups.len() {
        let rest = case.clone();
        let buckets = smallest_list(&rest.groups[g].buckets, &mut |fewer| {
            let mut other = rest.clone();
            other.groups[g].buckets = fewer.to_vec();
            still(&other)
        });
        case.groups[g].buckets = buckets;
        for b in 0..case.groups[g].buckets.len() {
            let rest = case.clone();
            let actions = smallest_list(&rest.groups[g].buckets[b].actions, &mut |fewer| {
                let mut other = rest.clone();
                other.groups[g].buckets[b].actions = fewer.to_vec();
                still(&other)
            });
            case.groups[g].buckets[b].actions = actions;
        }
    }
}

/// The case with one flow made simpler.
fn simpler_flow(case: &Case, at: usize, still: &mut dyn FnMut(&Case) -> bool) -> Option<Case> {
    simpler_flows(&case.flows[at]).into_iter().find_map(|flow| {
        let mut other = case.clone();
        other.flows[at] = flow;
        still(&other).then_some(other)
    })
}

fn simpler_flows(flow: &Flow) -> Vec<Flow> {
    let mut found = Vec::new();
    let with = |instructions: Instructions| Flow {
        instructions: instructions.into(),
        ..flow.clone()
    };
    let own = &flow.instructions;
    for apply in shorter(&own.apply) {
        found.push(with(Instructions {
            apply,
            ..(**own).clone()
        }));
    }
    for write_actions in shorter(&own.write_actions) {
        found.push(with(Instructions {
            write_actions,
            ..(**own).clone()
        }));
    }
    if own.goto_table.is_some() || own.write_metadata.is_some() || own.clear_actions {
        found.push(with(Instructions {
            apply: own.apply.clone(),
            write_actions: own.write_actions.clone(),
            ..Default::default()
        }));
    }
    for matching in wider(&flow.matching) {
        found.push(Flow {
            matching,
            ..flow.clone()
        });
    }
    let plain = Flow {
        cookie: 0,
        ..flow.clone()
    };
    if plain != *flow {
        found.push(plain);
    }
    found
}

/// Lists with one action less, or with what is inside of a clone in its place.
fn shorter(actions: &[Action]) -> Vec<Vec<Action>> {
    let mut found = Vec::new();
    for at in 0..actions.len() {
        let with = |instead: &[Action]| [&actions[..at], instead, &actions[at + 1..]].concat();
        found.push(with(&[]));
        if let Action::Clone(inner) = &actions[at] {
            found.push(with(inner));
            let inside = shorter(inner).into_iter();
            found.extend(inside.map(|fewer| with(&[Action::Clone(fewer)])));
        }
    }
    found
}

/// Matches that ask for one field less.
fn wider(matching: &Match) -> Vec<Match> {
    let parts: Vec<_> = matching.parts().collect();
    let without = |left_out: usize| {
        let mut wider = matching.clone();
        let field = parts[left_out].field;
        wider.set_masked(field, 0, 0).is_ok().then_some(wider)
    };
    (0..parts.len()).filter_map(without).collect()
}

/// The case with one frame made simpler.
fn simpler_frame(case: &Case, at: usize, still: &mut dyn FnMut(&Case) -> bool) -> Option<Case> {
    let frame = &case.frames[at];
    let mut try_bytes = |bytes: Vec<u8>, offload| {
        let mut other = case.clone();
        other.frames[at] = Frame {
            in_port: frame.in_port,
            offload,
            bytes,
        };
        still(&other).then_some(other)
    };
    if frame.offload != Offload::None
        && let Some(found) = try_bytes(frame.bytes.clone(), Offload::None)
    {
        return Some(found);
    }
    let len = frame.bytes.len();
    for cut in [len / 2, len / 4, 4, 1] {
        if cut > 0
            && len - cut >= 14
            && let Some(found) = try_bytes(frame.bytes[..len - cut].to_vec(), frame.offload)
        {
            return Some(found);
        }
    }
    (0..len).filter(|i| frame.bytes[*i] != 0).find_map(|i| {
        let mut bytes = frame.bytes.clone();
        bytes[i] = 0;
        try_bytes(bytes, frame.offload)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;
    use crate::tables::{Profile, random_case};

    #[test]
    fn what_does_not_matter_goes() {
        let mut checked = 0;
        for seed in 0..40 {
            let case = random_case(&Profile::default(), &mut Rng::new(seed));
            let matters = |case: &Case| {
                let pops = case.flows.iter().flat_map(|f| f.instructions.all_actions());
                pops.filter(|a| matches!(a, Action::Output(_))).count() >= 2
                    && case.frames.iter().any(|f| f.bytes.contains(&2))
            };
            if !matters(&case) {
                continue;
            }
            checked += 1;
            let small = shrink(case, &mut |case| matters(case));
            let actions: usize = small
                .flows
                .iter()
                .map(|f| f.instructions.all_actions().len())
                .sum();
            assert!(actions == 2, "{small}");
            assert!(small.flows.iter().all(|f| f.matching == Match::any()));
            let [frame] = &small.frames[..] else {
                panic!("{small}");
            };
            assert_eq!(frame.bytes.len(), 14);
            assert_eq!(frame.bytes.iter().filter(|b| **b != 0).count(), 1);
        }
        assert!(checked > 20, "{checked}");
    }

    #[test]
    fn lists_lose_all_but_what_is_needed() {
        let list: Vec<u32> = (0..100).collect();
        let mut needs = |list: &[u32]| list.contains(&17) && list.contains(&80);
        assert_eq!(smallest_list(&list, &mut needs), [17, 80]);
    }
}
