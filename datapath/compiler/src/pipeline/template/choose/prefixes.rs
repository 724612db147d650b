//! Whether a table's rules are prefixes of one word.

use std::collections::{HashMap, HashSet};

use super::super::super::record::MatchWord;
use super::super::lane::{Pair, pairs};
use super::super::lpm::{Prefix, last, prefix};
use super::Candidate;

/// Fewer rules are as well off in tuples.
const FEWEST: usize = 16;
/// With fewer lengths, there are as few tuples.
const FEWEST_LENGTHS: u32 = 3;

/// Rules that are prefixes.
pub(super) struct Prefixes {
    /// Byte offset of the word in the key.
    pub word: i16,
    /// What they ask for besides.
    pub fixed: Vec<Pair>,
    /// Indices of the rules.
    pub members: Vec<u32>,
    /// Their prefixes.
    pub prefixes: Vec<Prefix>,
}

/// The rules among `hard` that an LPM search should have, if there are enough of them: at least
/// half, with several lengths, and longer prefixes with higher ranks.
pub(super) fn choose(candidates: &[Candidate<'_>], hard: &[u32]) -> Option<Prefixes> {
    let partly = |index: &u32| {
        let words = candidates[*index as usize].rule.words.iter();
        words
            .filter(|word| word.mask != u32::MAX && prefix(Some(word)).is_some())
            .map(|w| w.at)
    };
    let words: HashSet<i16> = hard.iter().flat_map(partly).collect();
    let best = words
        .into_iter()
        .filter_map(|word| of_word(candidates, hard, word));
    let best = best.max_by_key(|found| (found.members.len(), found.word))?;
    (2 * best.members.len() >= hard.len()).then_some(best)
}

/// The largest set of rules that differ only in prefixes of this word.
fn of_word(candidates: &[Candidate<'_>], hard: &[u32], word: i16) -> Option<Prefixes> {
    let mut sets: HashMap<Vec<MatchWord>, Vec<(Prefix, u32)>> = HashMap::new();
    for index in hard {
        let words = &candidates[*index as usize].rule.words;
        let own = words.iter().find(|w| w.at == word);
        if let Some(prefix) = prefix(own) {
            let others = words.iter().filter(|w| w.at != word).copied().collect();
            sets.entry(others).or_default().push((prefix, *index));
        }
    }
    let (others, members) = sets
        .into_iter()
        .max_by_key(|(others, members)| (members.len(), others.clone()))?;
    let lengths = members
        .iter()
        .fold(0u64, |lengths, ((_, len), _)| lengths | 1 << len);
    if members.len() < FEWEST || lengths.count_ones() < FEWEST_LENGTHS {
        return None;
    }
    let total = members.len();
    let members = nested(candidates, members);
    let (prefixes, members): (Vec<Prefix>, Vec<u32>) = members.into_iter().unzip();
    let enough = 8 * members.len() >= 7 * total;
    enough.then(|| Prefixes {
        word,
        fixed: pairs(&others),
        members,
        prefixes,
    })
}

/// Those whose rank is above that of every shorter prefix around them.
fn nested(candidates: &[Candidate<'_>], mut members: Vec<(Prefix, u32)>) -> Vec<(Prefix, u32)> {
    let rank = |index: u32| candidates[index as usize].rule.rank;
    members.sort_unstable_by_key(|(prefix, index)| (*prefix, std::cmp::Reverse(rank(*index))));
    // A short prefix that outranks several within it goes, rather than these.
    let mut outranked: HashMap<u32, usize> = HashMap::new();
    let mut sweep = Sweep::default();
    for &(prefix, index) in &members {
        if let Err(outer) = sweep.step(prefix, index, rank(index)) {
            *outranked.entry(outer).or_default() += 1;
        }
    }
    members.retain(|(_, index)| outranked.get(index).is_none_or(|count| *count < 2));
    let mut sweep = Sweep::default();
    members.retain(|&(prefix, index)| sweep.step(prefix, index, rank(index)).is_ok());
    members
}

/// Goes through prefixes by start and length.
#[derive(Default)]
struct Sweep {
    /// The prefixes around the current one, the longest at the end, each with the rule of the
    /// highest rank.
    around: Vec<(Prefix, u32, u64)>,
}

impl Sweep {
    /// The next prefix, of equal ones that of the highest rank first; the rule around it that
    /// outranks it.
    fn step(&mut self, prefix: Prefix, index: u32, rank: u64) -> Result<(), u32> {
        while self
            .around
            .last()
            .is_some_and(|(outer, ..)| last(*outer) < prefix.0)
        {
            self.around.pop();
        }
        let same = self
            .around
            .last()
            .is_some_and(|(outer, ..)| *outer == prefix);
        let outer = self.around.iter().rev().nth(usize::from(same));
        if let Some(&(_, outer, highest)) = outer
            && highest >= rank
        {
            return Err(outer);
        }
        if !same {
            self.around.push((prefix, index, rank));
        }
        Ok(())
    }
}
