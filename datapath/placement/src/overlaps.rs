//! Which of many matches some packet of another one could match, too, without comparing with each.
//!
//! Matches are the leaves of a tree. A node with many divides them by bits of one field: those that
//! look at all of these bits, by their values, and the rest. A question that looks at these bits goes
//! on with one value and the rest; another one goes on with all values that it doesn't rule out.

use std::collections::HashMap;

use aorta_flow::Match;
use aorta_flow::field::FieldId;

/// Matches, each with a position.
pub struct Overlaps<P = usize> {
    root: Node<P>,
}

impl<P> Default for Overlaps<P> {
    fn default() -> Self {
        let root = Node::default();
        Overlaps { root }
    }
}

/// Matches of a leaf that it isn't worth dividing.
const FEW: usize = 16;

struct Node<P> {
    /// Those of a leaf.
    leaf: Vec<(Match, P)>,
    /// After so many it is tried again to divide them.
    patience: usize,
    split: Option<Box<Split<P>>>,
}

impl<P> Default for Node<P> {
    fn default() -> Self {
        Node {
            leaf: Vec::new(),
            patience: 0,
            split: None,
        }
    }
}

struct Split<P> {
    field: FieldId,
    /// Bits of the field's storage.
    bits: u128,
    by_value: HashMap<u128, Node<P>>,
    rest: Node<P>,
}

impl<P: Copy + Ord> Overlaps<P> {
    /// Adds a match.
    pub fn insert(&mut self, matching: &Match, position: P) {
        self.root.insert(matching.clone(), position);
    }

    /// Takes one out that was added.
    pub fn remove(&mut self, matching: &Match, position: P) {
        self.root.remove(matching, position);
    }

    /// The lowest position whose match overlaps and that `counts`.
    pub fn first(&self, question: &Match, counts: impl Fn(P) -> bool) -> Option<P> {
        let mut lowest: Option<P> = None;
        self.root.visit(question, &mut |matching, position| {
            let lower = lowest.is_none_or(|lowest| position < lowest);
            if lower && matching.overlaps(question) && counts(position) {
                lowest = Some(position);
            }
            true
        });
        lowest
    }

    /// Calls for all positions whose matches overlap, in no order.
    pub fn each(&self, question: &Match, tell: &mut impl FnMut(P)) {
        self.each_while(question, &mut |position| {
            tell(position);
            true
        });
    }

    /// The same, until `tell` says that it is enough.
    pub fn each_while(&self, question: &Match, tell: &mut impl FnMut(P) -> bool) {
        self.root.visit(question, &mut |matching, position| {
            !matching.overlaps(question) || tell(position)
        });
    }
}

impl<P: Copy + Ord> Node<P> {
    fn insert(&mut self, matching: Match, position: P) {
        if let Some(split) = &mut self.split {
            return split.insert(matching, position);
        }
        self.leaf.push((matching, position));
        if self.leaf.len() <= self.patience.max(FEW) {
            return;
        }
        self.patience = 2 * self.leaf.len();
        if let Some((field, bits)) = division(&self.leaf) {
            let mut split = Box::new(Split {
                field,
                bits,
                by_value: HashMap::new(),
                rest: Node::default(),
            });
            for (matching, position) in self.leaf.drain(..) {
                split.insert(matching, position);
            }
            self.split = Some(split);
        }
    }

    fn remove(&mut self, matching: &Match, position: P) {
        if let Some(split) = &mut self.split {
            return split.remove(matching, position);
        }
        let of = |(other, at): &(Match, P)| *at == position && other == matching;
        if let Some(at) = self.leaf.iter().position(of) {
            self.leaf.swap_remove(at);
        }
    }

    fn is_empty(&self) -> bool {
        self.leaf.is_empty() && self.split.is_none()
    }

    /// Shows those that may overlap until one says that it is enough; whether none did.
    fn visit(&self, question: &Match, see: &mut dyn FnMut(&Match, P) -> bool) -> bool {
        let mut leaf = self.leaf.iter();
        if !leaf.all(|(matching, position)| see(matching, *position)) {
            return false;
        }
        let Some(split) = &self.split else {
            return true;
        };
        let (value, mask) = stored(question, split.field);
        let asked = mask & split.bits;
        if !split.rest.visit(question, see) {
            return false;
        }
        if asked == split.bits {
            let node = split.by_value.get(&(value & asked));
            return node.is_none_or(|node| node.visit(question, see));
        }
        let mut others = split.by_value.iter();
        others.all(|(known, node)| (known ^ value) & asked != 0 || node.visit(question, see))
    }
}

impl<P: Copy + Ord> Split<P> {
    fn remove(&mut self, matching: &Match, position: P) {
        let (value, mask) = stored(matching, self.field);
        if mask & self.bits != self.bits {
            return self.rest.remove(matching, position);
        }
        let value = value & self.bits;
        if let Some(node) = self.by_value.get_mut(&value) {
            node.remove(matching, position);
            if node.is_empty() {
                self.by_value.remove(&value);
            }
        }
    }

    fn insert(&mut self, matching: Match, position: P) {
        let (value, mask) = stored(&matching, self.field);
        let node = match mask & self.bits == self.bits {
            true => self.by_value.entry(value & self.bits).or_default(),
            false => &mut self.rest,
        };
        node.insert(matching, position);
    }
}

/// What a match says of a field's storage.
fn stored(matching: &Match, field: FieldId) -> (u128, u128) {
    let part = matching.parts().find(|part| part.field == field);
    part.map_or((0, 0), |part| (part.value, part.mask))
}

/// The bits of a field by which matches are best divided: those that leave the fewest together.
/// Nothing if none divides them.
fn division<P>(leaf: &[(Match, P)]) -> Option<(FieldId, u128)> {
    let mut tried: Vec<(FieldId, u128)> = leaf
        .iter()
        .flat_map(|(matching, _)| matching.parts())
        .map(|part| (part.field, part.mask))
        .collect();
    tried.sort_unstable();
    tried.dedup();
    let cost = |(field, bits): &(FieldId, u128)| {
        let said = leaf.iter().map(|(matching, _)| stored(matching, *field));
        let looking = said.filter(|(_, mask)| mask & bits == *bits);
        let mut values: Vec<u128> = looking.map(|(value, _)| value & bits).collect();
        values.sort_unstable();
        let most = values.chunk_by(|a, b| a == b).map(<[u128]>::len).max();
        leaf.len() - values.len() + most.unwrap_or(0)
    };
    let costs = tried.into_iter().map(|way| (cost(&way), way));
    let (cost, best) = costs.min()?;
    (cost < leaf.len()).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aorta_flow::text::{NoNames, parse_flow_line};
    use aorta_testing::Rng;

    fn random(rng: &mut Rng) -> Match {
        let fields = ["nw_src=10.0.0", "nw_dst=10.1.0", "tcp_dst=", "vlan_tci="];
        let mut text = "tcp".to_owned();
        for field in fields {
            if rng.chance(50) {
                continue;
            }
            let number = rng.below(4);
            text += &match field {
                "tcp_dst=" => format!(",tcp_dst={number}/{}", 1 + rng.below(3)),
                "vlan_tci=" => format!(",vlan_tci=0x100{number}/0x1fff"),
                address => format!(",{address}.{number}/{}", 30 + rng.below(3)),
            };
        }
        let (_, flow) = parse_flow_line(&format!("{text},actions=drop"), &NoNames).unwrap();
        flow.into_flow().matching
    }

    #[test]
    fn the_same_as_comparing_with_each() {
        let mut rng = Rng::new(7);
        let mut overlaps = Overlaps::default();
        let mut inserted = Vec::new();
        let mut found = 0;
        for position in 0..300 {
            let question = random(&mut rng);
            let expected: Vec<usize> = (0..position)
                .filter(|at: &usize| question.overlaps(&inserted[*at]))
                .collect();
            let mut all = Vec::new();
            overlaps.each(&question, &mut |position| all.push(position));
            all.sort_unstable();
            assert_eq!(all, expected, "{question:?}");
            let odd = expected.iter().find(|position| *position % 2 == 1);
            assert_eq!(overlaps.first(&question, |at| at % 2 == 1), odd.copied());
            found += expected.len();
            overlaps.insert(&question, position);
            inserted.push(question);
        }
        let mut left: Vec<usize> = (0..300).collect();
        while left.len() > 3 {
            let gone = left.swap_remove(rng.below(left.len()));
            overlaps.remove(&inserted[gone], gone);
            let question = random(&mut rng);
            let expected = left.iter().filter(|at| question.overlaps(&inserted[**at]));
            assert_eq!(overlaps.first(&question, |_| true), expected.min().copied());
        }
        assert!(overlaps.root.split.is_some());
        assert!((1000..40_000).contains(&found), "{found}");
    }
}
