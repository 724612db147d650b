//! In which order a table that is code asks for what its rules match: by the word of the key that
//! tells most of them apart first, so that few are left to be compared one by one.

use std::collections::{BTreeMap, BTreeSet};

use crate::pipeline::record::MatchWord;

/// Up to this many rules are compared one by one.
const MAX_LEAF: usize = 3;
/// Rules that stand in several branches, for each that there is, at most.
const MAX_COPIES: usize = 3;
/// Words one below the other at most.
const MAX_DEPTH: usize = 8;

/// What is left to be asked for a rule, whose position in its table is given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Left {
    /// The position: the lower wins.
    pub rule: usize,
    /// Words that are still to be compared.
    pub words: Vec<MatchWord>,
}

/// Questions, and where the answers lead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Tree {
    /// One after the other.
    Rules(Vec<Left>),
    /// By the bits `mask` of a word.
    Word {
        /// Byte offset in the key.
        at: i16,
        /// The bits.
        mask: u32,
        /// Values that rules ask for, ascending.
        cases: Vec<(u32, Tree)>,
        /// Any other value.
        other: Box<Tree>,
    },
}

impl Tree {
    /// Of rules by descending rank.
    pub fn of(rules: Vec<Left>) -> Tree {
        let mut copies = MAX_COPIES * rules.len();
        grow(rules, MAX_DEPTH, &mut copies)
    }
}

fn grow(mut rules: Vec<Left>, depth: usize, copies: &mut usize) -> Tree {
    // What is behind a rule that asks for nothing is never found.
    if let Some(all) = rules.iter().position(|left| left.words.is_empty()) {
        rules.truncate(all + 1);
    }
    let split = match rules.len() > MAX_LEAF && depth > 0 {
        true => best_split(&rules, *copies),
        false => None,
    };
    let Some(Split {
        at,
        mask,
        cases,
        other,
    }) = split
    else {
        return Tree::Rules(rules);
    };
    let sum: usize = cases.values().map(Vec::len).sum();
    *copies -= (sum + other.len()).saturating_sub(rules.len()).min(*copies);
    let cases = cases.into_iter();
    Tree::Word {
        at,
        mask,
        cases: cases
            .map(|(value, left)| (value, grow(left, depth - 1, copies)))
            .collect(),
        other: Box::new(grow(other, depth - 1, copies)),
    }
}

/// The rules for each value of a word's bits, and for all other values.
struct Split {
    at: i16,
    mask: u32,
    cases: BTreeMap<u32, Vec<Left>>,
    other: Vec<Left>,
}

/// The word that leaves least to be compared; `None` if none leaves less.
fn best_split(rules: &[Left], copies: usize) -> Option<Split> {
    let words = rules.iter().flat_map(|left| &left.words);
    let masks: BTreeSet<(i16, u32)> = words.map(|word| (word.at, word.mask)).collect();
    let splits = masks.into_iter().filter_map(|(at, mask)| {
        let split = split(rules, at, mask);
        let branches = || split.cases.values().chain([&split.other]);
        let sizes: Vec<usize> = branches().map(Vec::len).collect();
        let sum: usize = sizes.iter().sum();
        let most = sizes.iter().copied().max().unwrap_or_default();
        let allowed = most < rules.len() && sum <= rules.len() + copies;
        // Most of what is left to be compared, and the search among the values.
        let cost = 2 * most + sizes.len().ilog2() as usize;
        allowed.then_some((cost, sum, split))
    });
    let best = splits.min_by_key(|(cost, sum, _)| (*cost, *sum));
    best.map(|(.., split)| split)
}

fn split(rules: &[Left], at: i16, mask: u32) -> Split {
    let asks = |left: &Left| {
        let word = left.words.iter().find(|word| word.at == at);
        word.copied()
    };
    let whole = |word: &MatchWord| word.mask & mask == mask;
    let values = rules.iter().filter_map(asks).filter(whole);
    let values: BTreeSet<u32> = values.map(|word| word.value & mask).collect();
    let mut cases: BTreeMap<u32, Vec<Left>> = values.iter().map(|v| (*v, Vec::new())).collect();
    let mut other = Vec::new();
    for left in rules {
        let word = asks(left);
        for (value, case) in &mut cases {
            case.extend(given(left, word, mask, *value));
        }
        if !word.is_some_and(|word| whole(&word)) {
            other.push(left.clone());
        }
    }
    Split {
        at,
        mask,
        cases,
        other,
    }
}

/// What is left of a rule, which asks for `word`, once its bits `mask` are known; `None` if it can't
/// match.
fn given(left: &Left, word: Option<MatchWord>, mask: u32, value: u32) -> Option<Left> {
    let Some(word) = word else {
        return Some(left.clone());
    };
    let known = word.mask & mask;
    if word.value & known != value & known {
        return None;
    }
    let rest = word.mask & !mask;
    let words = left
        .words
        .iter()
        .filter_map(|other| match other.at == word.at {
            true if rest == 0 => None,
            true => Some(MatchWord {
                mask: rest,
                value: word.value & rest,
                ..word
            }),
            false => Some(*other),
        });
    Some(Left {
        rule: left.rule,
        words: words.collect(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn word(at: i16, value: u32, mask: u32) -> MatchWord {
        MatchWord {
            at,
            value: value & mask,
            mask,
        }
    }

    fn find(tree: &Tree, key: &HashMap<i16, u32>, asked: &mut usize) -> Option<usize> {
        let of = |at: i16| key.get(&at).copied().unwrap_or_default();
        match tree {
            Tree::Rules(rules) => rules.iter().find_map(|left| {
                *asked += 1;
                let meets = |w: &MatchWord| of(w.at) & w.mask == w.value;
                left.words.iter().all(meets).then_some(left.rule)
            }),
            Tree::Word {
                at,
                mask,
                cases,
                other,
            } => {
                let value = of(*at) & mask;
                let case = cases.iter().find(|(case, _)| *case == value);
                find(case.map_or(other, |(_, tree)| tree), key, asked)
            }
        }
    }

    #[test]
    fn the_first_rule_that_matches_is_found_whatever_is_asked_first() {
        let mut number = 1u32;
        let mut random = move |n: u32| {
            number = number.wrapping_mul(0x915f_77f5).wrapping_add(1);
            (number >> 16) % n
        };
        for rules in [1, 4, 9, 40, 120] {
            let masks = [u32::MAX, u32::MAX, 0xf, 0x3, 0xc];
            let all: Vec<Left> = (0..rules)
                .map(|rule| {
                    let mut words = Vec::new();
                    for at in [0, 4, 8] {
                        if random(3) > 0 {
                            let mask = masks[random(5) as usize];
                            words.push(word(at, random(12), mask));
                        }
                    }
                    Left { rule, words }
                })
                .collect();
            let (plain, tree) = (Tree::Rules(all.clone()), Tree::of(all));
            let mut asked = [0, 0];
            for _ in 0..2000 {
                let key = HashMap::from([0, 4, 8].map(|at| (at, random(13))));
                let found = find(&tree, &key, &mut asked[1]);
                assert_eq!(found, find(&plain, &key, &mut asked[0]), "{key:?} {tree:?}");
            }
            assert!(asked[1] <= asked[0], "{asked:?}");
        }
    }

    #[test]
    fn rules_that_differ_in_one_word_are_found_by_it() {
        let rule = |rule: usize| Left {
            rule,
            words: vec![word(0, 7, u32::MAX), word(4, rule as u32, u32::MAX)],
        };
        let tree = Tree::of((0..64).map(rule).collect());
        let mut asked = 0;
        let key = HashMap::from([(0, 7), (4, 63)]);
        assert_eq!(find(&tree, &key, &mut asked), Some(63));
        assert_eq!(asked, 1);
    }
}
