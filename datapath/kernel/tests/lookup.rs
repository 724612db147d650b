//! Lookups in the kernel: what the verifier says of their code, and what they find.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod lookup_lab;

use aorta_compiler::pipeline::record::{Clause, MatchWord, Rule, RuleId, rank};
use aorta_compiler::pipeline::template::{Fit, Template};
use aorta_flow::field::FieldId;
use aorta_kernel::Loader;
use aorta_testing::{Rng, acl, acl_flows, acl_packet, output, prefix_flows, prefixes};
use lookup_lab::{Key, Lab, key, plain, rule};

const KEYS: usize = 512;

fn compare(rules: &[Rule], keys: &[Key], template: Template) -> Lab {
    let mut lab = Lab::new(&mut Loader::new(), rules, keys);
    assert_eq!(lab.image.template(), template, "{:#?}", lab.image.report());
    let found = lab.found(keys.len(), 1);
    for (key, found) in keys.iter().zip(&found) {
        assert_eq!(*found, plain(rules, key), "{key:?}");
    }
    let hits = found
        .iter()
        .filter(|found| **found != lookup_lab::MISS)
        .count();
    assert!(hits > keys.len() / 4, "only {hits} hits");
    lab
}

#[test]
fn access_lists() {
    let mut rng = Rng::new(5);
    let list = acl(600, &mut rng);
    let flows = acl_flows(&list, 1200, 0, &[output(1)]);
    let rules: Vec<Rule> = flows
        .iter()
        .enumerate()
        .map(|(n, flow)| rule(flow, n))
        .collect();
    let keys: Vec<Key> = (0..KEYS)
        .map(|_| key(&acl_packet(rng.pick(&list), &mut rng).fields()))
        .collect();
    let mut lab = compare(&rules, &keys, Template::Tuple);
    // Each other rule goes.
    let memory = &mut lab.memory;
    for rule in rules.iter().step_by(2) {
        assert!(lab.image.kill(rule, 2, memory).is_some());
    }
    let left: Vec<Rule> = rules.iter().skip(1).step_by(2).cloned().collect();
    for (version, rules) in [(1, &rules), (2, &left)] {
        let expected: Vec<u32> = keys.iter().map(|key| plain(rules, key)).collect();
        assert_eq!(lab.found(KEYS, version), expected, "version {version}");
    }
}

#[test]
fn routes() {
    let mut rng = Rng::new(6);
    let all = prefixes(3000, &mut rng);
    let flows = prefix_flows(&all, 0, &[output(1)]);
    let rules: Vec<Rule> = flows
        .iter()
        .enumerate()
        .map(|(n, flow)| rule(flow, n))
        .collect();
    let address = |rng: &mut Rng| match rng.chance(80) {
        true => rng.pick(&all).address(&mut rng.clone()),
        false => rng.next_u32(),
    };
    let keys: Vec<Key> = (0..KEYS)
        .map(|_| {
            let destination = u128::from(address(&mut rng));
            rng.next_u64();
            key(&[(FieldId::ETH_TYPE, 0x800), (FieldId::IP_DST, destination)])
        })
        .collect();
    compare(&rules, &keys, Template::Lpm);
}

#[test]
fn stations() {
    let mut rng = Rng::new(7);
    let addresses: Vec<u64> = (0..2000).map(|_| rng.next_u64() >> 16).collect();
    let flow = |address: &u64| {
        let mut flow = aorta_flow::Flow {
            priority: 10,
            ..aorta_flow::Flow::default()
        };
        flow.matching
            .set(FieldId::ETH_DST, (*address).into())
            .unwrap();
        flow
    };
    let mut rules: Vec<Rule> = addresses
        .iter()
        .enumerate()
        .map(|(n, address)| rule(&flow(address), n))
        .collect();
    rules.push(Rule {
        id: RuleId(9999),
        rank: 1,
        words: Vec::new(),
        ..rules[0].clone()
    });
    let keys: Vec<Key> = (0..KEYS)
        .map(|_| {
            let address = if rng.chance(90) {
                *rng.pick(&addresses)
            } else {
                rng.next_u64()
            };
            let at = aorta_compiler::pipeline::layout::word(FieldId::ETH_DST, 0).unwrap();
            vec![
                (at, address as u32),
                (at + 4, (address >> 32) as u32 & 0xffff),
            ]
        })
        .collect();
    let mut lab = compare(&rules, &keys, Template::Hash);
    let more = Rule {
        id: RuleId(10_000),
        rank: u64::MAX,
        ..rules[17].clone()
    };
    assert_eq!(lab.image.insert(&more, 3, &mut lab.memory), Fit::InPlace);
    rules.push(more);
    let expected: Vec<u32> = keys.iter().map(|key| plain(&rules, key)).collect();
    assert_eq!(lab.found(KEYS, 3), expected);
}

/// Hundreds of addresses times tens of ports, as clauses of two conjunctions.
#[test]
fn conjunctions() {
    let mut rng = Rng::new(8);
    let [src, port, conj_id] = [FieldId::IP_SRC, FieldId::TCP_DST, FieldId::CONJ_ID]
        .map(|field| aorta_compiler::pipeline::layout::word(field, 0).unwrap());
    let addresses: Vec<u32> = (0..400).map(|_| rng.next_u32()).collect();
    let mut rules = Vec::new();
    let mut add = |at: i16, value: u32, clauses: Vec<Clause>| {
        let number = rules.len() as u32;
        rules.push(Rule {
            id: RuleId(number),
            rank: rank(20, number.into()),
            words: vec![MatchWord {
                at,
                value,
                mask: u32::MAX,
            }],
            shape: 0,
            params: Vec::new(),
            clauses,
        });
        number
    };
    let clause = |conjunction, number| Clause {
        conjunction,
        number,
        of: 2,
    };
    for (index, address) in addresses.iter().enumerate() {
        add(src, *address, vec![clause(1 + index as u32 % 2, 1)]);
    }
    for number in 0..40 {
        add(port, number, vec![clause(1, 2)]);
        add(port, 1000 + number, vec![clause(1, 2), clause(2, 2)]);
    }
    let flows = [add(conj_id, 1, Vec::new()), add(conj_id, 2, Vec::new())];
    let mut keys = Vec::new();
    let mut expected = Vec::new();
    for _ in 0..KEYS {
        let index = rng.below(addresses.len());
        let to = *rng.pick(&[5, 1005, 9999]);
        keys.push(vec![(src, addresses[index]), (port, to), (conj_id, 0)]);
        expected.push(match (index % 2, to) {
            (0, 5 | 1005) => flows[0],
            (1, 1005) => flows[1],
            _ => lookup_lab::MISS,
        });
    }
    let mut lab = Lab::new(&mut Loader::new(), &rules, &keys);
    assert_eq!(lab.found(KEYS, 1), expected);
}
