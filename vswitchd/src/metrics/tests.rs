//! What is written is what Prometheus reads.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use aorta_api::{CardExplain, FlowExplain, TableExplain};
use aorta_ovsdb::Usage;

use super::super::{Durations, SwitchValues};
use super::*;
use crate::reconcile::FlowCounters;

/// A sample: name, labels, value.
type Sample = (String, BTreeMap<String, String>, f64);

/// Reads the text format strictly; panics with the line that isn't of it.
fn parse(text: &str) -> (BTreeMap<String, String>, Vec<Sample>) {
    let (mut types, mut samples) = (BTreeMap::new(), Vec::new());
    let mut helps = HashSet::new();
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(helps.insert(name.to_owned()) && !help.is_empty(), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(helps.contains(name), "{line}");
            let before = types.insert(name.to_owned(), kind.to_owned());
            assert!(before.is_none(), "{line}");
        } else {
            samples.push(sample(line));
        }
    }
    (types, samples)
}

fn sample(line: &str) -> Sample {
    let end = line
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .unwrap();
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            let (value, after) = quoted(after).unwrap_or_else(|| panic!("{line}"));
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None => {
                    rest = after.strip_prefix('}').unwrap_or_else(|| panic!("{line}"));
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}"));
    (name.to_owned(), labels, value.parse().unwrap())
}

/// A label's value, and what is behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    while let Some((at, character)) = chars.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                other @ ('"' | '\\') => other,
                _ => return None,
            }),
            other => value.push(other),
        }
    }
    None
}

fn port(name: &str) -> PortStatus {
    PortStatus {
        name: name.to_owned(),
        ofport: 1,
        kind: "system".to_owned(),
        hook: "tcx".to_owned(),
        reason: String::new(),
        ifindex: 7,
        guard: String::new(),
        rx_packets: 10,
        rx_bytes: 1000,
        tx_packets: 20,
        tx_bytes: u64::MAX,
        drops: BTreeMap::from([("no_vlan".to_owned(), 3)]),
    }
}

fn values() -> Values {
    let mut commit = Distribution::default();
    commit.counts[0] = 2;
    commit.counts[3] = 1;
    commit.counts[BOUNDS_US.len()] = 1;
    commit.sum_us = 6_000_450;
    Values {
        datapath: "kernel",
        switch: SwitchValues {
            bridges: vec![BridgeStatus {
                name: "br \"0\"\\\n".to_owned(),
                fdb_entries: 5,
                fdb_size: 8192,
                flows: 3,
                ports: vec![port("tap0"), port("tap1")],
            }],
            problems: vec!["x".to_owned()],
            explained: vec![(
                "br0".to_owned(),
                FlowExplain {
                    tables: vec![TableExplain {
                        table: 7,
                        flows: 3,
                        template: "hash".to_owned(),
                        probes_per_packet: 1.5,
                        ..TableExplain::default()
                    }],
                    program_insns: 120,
                    load_ms: 1.25,
                    ..FlowExplain::default()
                },
            )],
            matched: BTreeMap::from([(
                ("br0".to_owned(), 7),
                FlowCounters {
                    packets: 11,
                    bytes: 1100,
                    used: None,
                },
            )]),
            lost_upcalls: 9,
            connections: BTreeMap::from([("br0".to_owned(), 2)]),
            cards: vec![(
                "br0".to_owned(),
                CardExplain {
                    name: "pf0".to_owned(),
                    language: "flower".to_owned(),
                    flows: 2,
                    rules: 5,
                    traps: 1,
                    refusals: 3,
                    ..CardExplain::default()
                },
            )],
        },
        usage: Usage {
            sessions: 4,
            ..Usage::default()
        },
        file_bytes: 12345,
        readings: crate::coverage::read(),
        durations: Durations {
            commit,
            ..Durations::default()
        },
        started_s: 1_700_000_000.5,
        resident_bytes: 4096,
    }
}

#[test]
fn it_is_read_as_it_is_meant() {
    let (types, samples) = parse(&render(&values()));
    let names: BTreeSet<&str> = f::ALL.iter().map(|family| family.name).collect();
    assert_eq!(
        types.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        names
    );
    let value = |name: &str, labels: &[(&str, &str)]| {
        let found = samples.iter().find(|(known, given, _)| {
            known == name
                && given.len() == labels.len()
                && labels
                    .iter()
                    .all(|(k, v)| given.get(*k).is_some_and(|g| g == v))
        });
        found.unwrap_or_else(|| panic!("{name} {labels:?}")).2
    };
    let bridge = ("bridge", "br \"0\"\\\n");
    let tap = [bridge, ("port", "tap1")];
    assert_eq!(value("aorta_port_receive_packets_total", &tap), 10.0);
    let drops = [tap[0], tap[1], ("reason", "no_vlan")];
    assert_eq!(value("aorta_port_drops_total", &drops), 3.0);
    assert_eq!(value("aorta_bridge_fdb_size", &[bridge]), 8192.0);
    let table = [("bridge", "br0"), ("table", "7"), ("template", "hash")];
    assert_eq!(value("aorta_table_flows", &table), 3.0);
    let table = &table[..2];
    assert_eq!(value("aorta_table_matched_packets", table), 11.0);
    assert_eq!(value("aorta_table_matched_bytes", table), 1100.0);
    let load = "aorta_bridge_program_load_seconds";
    assert_eq!(value(load, &[("bridge", "br0")]), 0.00125);
    assert_eq!(value("aorta_upcalls_lost_total", &[]), 9.0);
    assert_eq!(value("process_start_time_seconds", &[]), 1_700_000_000.5);
    let failed = [("result", "failed")];
    assert!(value("aorta_ovsdb_transactions_total", &failed) >= 0.0);
}

#[test]
fn every_metric_has_samples_with_its_labels_and_each_is_there_once() {
    let text = render(&values());
    let (_, samples) = parse(&text);
    for family in f::ALL {
        let own = samples.iter().filter(|(name, ..)| {
            let rest = name.strip_prefix(family.name);
            rest.is_some_and(|rest| ["", "_bucket", "_sum", "_count"].contains(&rest))
        });
        let mut count = 0;
        for (name, labels, _) in own {
            count += 1;
            for label in labels.keys().filter(|_| name == family.name) {
                assert!(family.labels.contains(&label.as_str()), "{name} {label}");
            }
        }
        assert!(count > 0, "{}", family.name);
    }
    let mut lines: Vec<&str> = text.lines().collect();
    let all = lines.len();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), all);
}

#[test]
fn buckets_hold_all_that_is_shorter() {
    let text = render(&values());
    let own: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("aorta_ovsdb_commit_seconds"))
        .collect();
    assert_eq!(
        own[0],
        "aorta_ovsdb_commit_seconds_bucket{le=\"0.00005\"} 2"
    );
    assert_eq!(own[3], "aorta_ovsdb_commit_seconds_bucket{le=\"0.0005\"} 3");
    assert_eq!(own[13], "aorta_ovsdb_commit_seconds_bucket{le=\"5\"} 3");
    assert_eq!(own[14], "aorta_ovsdb_commit_seconds_bucket{le=\"+Inf\"} 4");
    assert_eq!(own[15], "aorta_ovsdb_commit_seconds_sum 6.00045");
    assert_eq!(own[16], "aorta_ovsdb_commit_seconds_count 4");
}

#[test]
fn counters_that_are_told_exist() {
    let readings = crate::coverage::read();
    for (_, counter, _) in COUNTERS {
        assert!(readings.iter().any(|r| r.name == counter), "{counter}");
    }
}
