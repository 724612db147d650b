//! The tables that are measured, each with packets that are spread over its rules.

use aorta_compiler::pipeline::layout;
use aorta_compiler::pipeline::record::{MatchWord, Rule, RuleId, rank};
use aorta_flow::field::FieldId;
use aorta_testing::{Rng, acl, acl_flows, acl_packet, output, prefix_flows, prefixes};

use crate::lookup_lab::{Key, key, rule};

type Make = fn(usize, usize) -> (Vec<Rule>, Vec<Key>);

/// Name, how it is made, and how many rules.
pub const ALL: [(&str, Make, &[usize]); 5] = [
    (
        "stations",
        stations,
        &[10, 1_000, 10_000, 100_000, 1_000_000],
    ),
    ("tuples5", five_tuples, &[10, 1_000, 100_000, 1_000_000]),
    ("routes", routes, &[10, 1_000, 10_000, 100_000, 500_000]),
    ("acl", access_list, &[10, 1_000, 10_000, 100_000]),
    ("12 masks", twelve_masks, &[10, 1_000, 10_000, 100_000]),
];

fn stations(size: usize, keys: usize) -> (Vec<Rule>, Vec<Key>) {
    let at = layout::word(FieldId::ETH_DST, 0).unwrap();
    let mut rng = Rng::new(1);
    let words = |rng: &mut Rng| [(at, rng.next_u32()), (at + 4, rng.next_u32() >> 16)];
    exact(size, keys, &mut rng, words)
}

fn five_tuples(size: usize, keys: usize) -> (Vec<Rule>, Vec<Key>) {
    let fields = [
        FieldId::ETH_TYPE,
        FieldId::NW_PROTO,
        FieldId::IP_SRC,
        FieldId::IP_DST,
        FieldId::TCP_SRC,
        FieldId::TCP_DST,
    ];
    let at = fields.map(|field| layout::word(field, 0).unwrap());
    let words = |rng: &mut Rng| {
        let (src, dst) = (rng.next_u32(), rng.next_u32());
        let (from, to) = (rng.next_u32() >> 16, rng.next_u32() >> 16);
        let values = [0x800, 6, src, dst, from, to];
        let mut index = 0;
        at.map(|at| {
            index += 1;
            (at, values[index - 1])
        })
    };
    exact(size, keys, &mut Rng::new(2), words)
}

/// Rules without masks, by what `words` gives.
fn exact<const N: usize>(
    size: usize,
    keys: usize,
    rng: &mut Rng,
    words: impl Fn(&mut Rng) -> [(i16, u32); N],
) -> (Vec<Rule>, Vec<Key>) {
    let all: Vec<[(i16, u32); N]> = (0..size).map(|_| words(rng)).collect();
    let rule = |(number, words): (usize, &[(i16, u32); N])| Rule {
        id: RuleId(number as u32),
        rank: rank(10, number as u64),
        words: words
            .iter()
            .map(|&(at, value)| MatchWord {
                at,
                value,
                mask: u32::MAX,
            })
            .collect(),
        shape: 0,
        params: vec![1],
        clauses: Vec::new(),
    };
    let rules = all.iter().enumerate().map(rule).collect();
    let keys = (0..keys).map(|_| rng.pick(&all).to_vec()).collect();
    (rules, keys)
}

fn routes(size: usize, keys: usize) -> (Vec<Rule>, Vec<Key>) {
    let mut rng = Rng::new(3);
    let all = prefixes(size, &mut rng);
    let flows = prefix_flows(&all, 0, &[output(1)]);
    let rules = flows
        .iter()
        .enumerate()
        .map(|(number, flow)| rule(flow, number))
        .collect();
    let keys = (0..keys).map(|_| {
        let prefix = *rng.pick(&all);
        let address = prefix.address(&mut rng).into();
        key(&[(FieldId::ETH_TYPE, 0x800), (FieldId::IP_DST, address)])
    });
    (rules, keys.collect())
}

const FIVE: [FieldId; 8] = [
    FieldId::ETH_TYPE,
    FieldId::NW_PROTO,
    FieldId::IP_SRC,
    FieldId::IP_DST,
    FieldId::TCP_SRC,
    FieldId::TCP_DST,
    FieldId::UDP_SRC,
    FieldId::UDP_DST,
];

fn access_list(size: usize, keys: usize) -> (Vec<Rule>, Vec<Key>) {
    let mut rng = Rng::new(4);
    let list = acl(size, &mut rng);
    let flows = acl_flows(&list, size, 0, &[output(1)]);
    let rules: Vec<Rule> = flows
        .iter()
        .enumerate()
        .map(|(n, flow)| rule(flow, n))
        .collect();
    // Port ranges take several flows, so that not all of the list is there.
    let there = list.len() * rules.len() / (rules.len() + rules.len() / 2);
    let keys = (0..keys).map(|_| {
        let mut fields = acl_packet(&list[rng.below(there)], &mut rng).fields();
        fields.retain(|(field, _)| FIVE.contains(field));
        key(&fields)
    });
    (rules, keys.collect())
}

/// Rules over twelve masks whose destinations are different networks, with broad ones of lower
/// priority around them.
fn twelve_masks(size: usize, keys: usize) -> (Vec<Rule>, Vec<Key>) {
    const MASKS: [(u32, u32, bool); 12] = [
        (8, 24, true),
        (16, 24, true),
        (24, 24, true),
        (32, 32, true),
        (0, 24, true),
        (16, 28, true),
        (24, 28, false),
        (8, 32, false),
        (0, 32, true),
        (32, 24, false),
        (16, 32, true),
        (0, 28, false),
    ];
    let mut rng = Rng::new(5);
    let at = [
        FieldId::ETH_TYPE,
        FieldId::NW_PROTO,
        FieldId::IP_SRC,
        FieldId::IP_DST,
        FieldId::UDP_DST,
    ]
    .map(|field| layout::word(field.field().home, 0).unwrap());
    let mut rules = Vec::new();
    let mut add = |priority: u16, words: [(u32, u32); 5]| {
        let number = rules.len() as u32;
        let words = at.iter().zip(words).filter(|(_, (_, mask))| *mask != 0);
        let words = words.map(|(at, (value, mask))| MatchWord {
            at: *at,
            value: value & mask,
            mask,
        });
        let mut words: Vec<MatchWord> = words.collect();
        words.sort_by_key(|word| word.at);
        rules.push(Rule {
            id: RuleId(number),
            rank: rank(priority, number.into()),
            words,
            shape: 0,
            params: vec![1],
            clauses: Vec::new(),
        });
    };
    let all = u32::MAX;
    let mask = |len: u32| all.checked_shl(32 - len).unwrap_or(0);
    add(0, [(0, 0); 5]);
    for k in 0..(size / 50).max(1) as u32 {
        let network = 0x1400_0000 + ((k * 50 * 256) & 0xffff_0000);
        let words = [(0x800, all), (17, all), (0, 0), (network, mask(16)), (0, 0)];
        add(10 + (k % 50) as u16, words);
    }
    let mut packets = Vec::new();
    for number in 0..size as u32 {
        let (src_len, dst_len, port) = MASKS[number as usize % 12];
        let dst = 0x1400_0000 + number * 256 + rng.below(256) as u32;
        let src = 0x0a00_0000 + (rng.next_u32() >> 8);
        let to = *rng.pick(&[53u32, 80, 123, 443, 4789, 5353, 8080]);
        let port_mask = if port { all } else { 0 };
        let words = [
            (0x800, all),
            (17, all),
            (src, mask(src_len)),
            (dst, mask(dst_len)),
            (to, port_mask),
        ];
        add(100 + (u64::from(number) * 7919 % 1000) as u16, words);
        packets.push(
            at.into_iter()
                .zip([0x800, 17, src, dst, to])
                .collect::<Key>(),
        );
    }
    let keys = (0..keys).map(|_| rng.pick(&packets).clone()).collect();
    (rules, keys)
}
