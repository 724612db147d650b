//! Steps where it matters how little is done, or in which order.

use aorta_flow::OfPort;
use aorta_flow::action::Action;
use aorta_flow::table::FlowId;
use aorta_flow::text::{NoNames, parse_flow_line};
use aorta_placement::{Capabilities, Rule, RuleKey, Step, Steps, Told, Verdict, steps};

/// A rule that sends to port 1, or goes on in a table.
fn rule(table: u8, priority: u16, flow: u64, matching: &str, goto: Option<u8>) -> Rule {
    let text = format!("{matching} actions=drop");
    let parsed = parse_flow_line(&text, &NoNames).map(|(_, text)| text.into_flow());
    assert!(parsed.is_ok(), "{parsed:?}");
    let actions = match goto {
        None => vec![Action::Output(OfPort(1))],
        Some(_) => Vec::new(),
    };
    Rule {
        table,
        priority,
        flow: Some(FlowId(flow)),
        matching: parsed.unwrap_or_default().matching,
        verdict: Verdict::Forward { actions, goto },
        policer: None,
    }
}

fn trap(rule: &Rule) -> Rule {
    Rule {
        verdict: Verdict::Trap,
        ..rule.clone()
    }
}

fn put(rule: &Rule) -> Step {
    Step::Put(rule.clone())
}

fn remove(flow: u64) -> Step {
    let flow = Some(FlowId(flow));
    Step::Remove(RuleKey { table: 0, flow })
}

fn way(old: &[&Rule], new: &[&Rule], capabilities: &Capabilities) -> Steps {
    let owned = |rules: &[&Rule]| rules.iter().map(|rule| (*rule).clone()).collect::<Vec<_>>();
    steps(&owned(old), &owned(new), capabilities, &Told::default())
}

#[test]
fn a_flow_beside_others_is_one_step() {
    let (a, b) = (rule(0, 5, 1, "arp", None), rule(0, 5, 2, "ip", None));
    let added = way(&[&a], &[&a, &b], &Capabilities::flower(10));
    assert_eq!(added.before, [[]; 0]);
    assert_eq!(added.after, [[put(&b)]]);
}

#[test]
fn a_flow_above_another_is_a_trap_first() {
    let (high, low) = (rule(0, 9, 2, "tcp", None), rule(0, 5, 1, "ip", None));
    let added = way(&[&low], &[&high, &low], &Capabilities::flower(10));
    assert_eq!(added.before, [[put(&trap(&high))]]);
    assert_eq!(added.after, [[put(&high)]]);
    // Without room for a trap the lower one gives way.
    let full = way(&[&low], &[&high, &low], &Capabilities::flower(1));
    assert_eq!(full.before, [[put(&trap(&low))]]);
    assert_eq!(full.after, [[put(&high)], [put(&low)]]);
    let mut capabilities = Capabilities::flower(10);
    capabilities.traps = false;
    let untrapped = way(&[&low], &[&high, &low], &capabilities);
    assert_eq!(untrapped.before, [[remove(1)]]);
    assert_eq!(untrapped.after, [[put(&high)], [put(&low)]]);
}

#[test]
fn a_flow_that_goes_lets_those_below_go_first_where_there_are_no_traps() {
    let (high, low) = (rule(0, 9, 2, "tcp", None), rule(0, 5, 1, "ip", None));
    let mut capabilities = Capabilities::flower(10);
    let removed = way(&[&high, &low], &[&low], &capabilities);
    assert_eq!(removed.before, [[put(&trap(&high))]]);
    assert_eq!(removed.after, [[remove(2)]]);
    capabilities.traps = false;
    let removed = way(&[&high, &low], &[&low], &capabilities);
    assert_eq!(removed.before, [[remove(1)], [remove(2)]]);
    assert_eq!(removed.after, [[put(&low)]]);
}

#[test]
fn what_leads_to_a_change_through_other_tables_gives_way() {
    let first = rule(0, 5, 1, "ip", Some(1));
    let second = rule(1, 5, 2, "tcp", Some(2));
    let (old, new) = (rule(2, 5, 3, "tcp", None), rule(2, 5, 4, "tcp", None));
    let changed = way(
        &[&first, &second, &old],
        &[&first, &second, &new],
        &Capabilities::flower(10),
    );
    assert_eq!(changed.before, [[put(&trap(&first))]]);
    let removed = Step::Remove(old.key());
    assert_eq!(
        changed.after,
        [vec![removed], vec![put(&new)], vec![put(&first)]]
    );
}

#[test]
fn a_trap_that_must_match_more_isn_t_enough_in_between() {
    let low = rule(0, 5, 1, "ip", None);
    let (narrow, wide) = (trap(&rule(0, 9, 2, "tcp", None)), rule(0, 9, 2, "ip", None));
    let changed = way(&[&narrow, &low], &[&wide, &low], &Capabilities::flower(10));
    assert_eq!(changed.before, [[put(&trap(&low))]]);
    assert_eq!(changed.after, [[put(&wide)], [put(&low)]]);
    let back = way(&[&wide, &low], &[&narrow, &low], &Capabilities::flower(10));
    assert_eq!(back.before, [[put(&trap(&wide))]]);
    assert_eq!(back.after, [[put(&narrow)]]);
}
