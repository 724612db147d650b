//! Which tables packets can reach, and how often: most pipelines can't exceed the limits, and are
//! not counted at run time.

use std::collections::{BTreeMap, BTreeSet};

use aorta_flow::translate::{MAX_DEPTH, MAX_LOOKUPS};

/// A way from a table to a table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Edge {
    /// The table that is looked up.
    pub to: u8,
    /// Whether control comes back.
    pub comes_back: bool,
}

/// Ways out of the tables: for each table, for each different flow, all of its ways.
pub type Ways = BTreeMap<u8, BTreeSet<Vec<Edge>>>;

/// What must be counted at run time.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// Tables that packets can reach.
    pub reachable: BTreeSet<u8>,
    /// Tables that are reached by a jump backwards in the code or from themselves.
    pub loops: BTreeSet<u8>,
    /// Lookups must be counted.
    pub count_lookups: bool,
    /// Open visits of the same or earlier tables must be counted.
    pub count_depth: bool,
}

impl Limits {
    /// For packets that begin in table 0.
    pub fn of(ways: &Ways) -> Limits {
        let mut limits = Limits::default();
        let mut pending = vec![0];
        while let Some(table) = pending.pop() {
            if !limits.reachable.insert(table) {
                continue;
            }
            for edge in edges(ways, table) {
                if edge.to <= table {
                    limits.loops.insert(edge.to);
                }
                pending.push(edge.to);
            }
        }
        let mut walk = Walk {
            ways,
            known: BTreeMap::new(),
        };
        let reach = walk.reach(0);
        let within = reach.as_ref();
        limits.count_lookups = within.is_none_or(|r| r.lookups > MAX_LOOKUPS);
        limits.count_depth = within.is_none_or(|r| r.depth >= MAX_DEPTH);
        limits
    }
}

fn edges(ways: &Ways, table: u8) -> impl Iterator<Item = Edge> {
    ways.get(&table).into_iter().flatten().flatten().copied()
}

/// What a visit of a table can lead to at most.
#[derive(Clone, Copy, Debug)]
struct Reach {
    lookups: u32,
    depth: u32,
}

struct Walk<'w> {
    ways: &'w Ways,
    /// `None` while the table is being visited: to find it again is a loop.
    known: BTreeMap<u8, Option<Reach>>,
}

impl Walk<'_> {
    /// `None` if there is no limit.
    fn reach(&mut self, table: u8) -> Option<Reach> {
        if let Some(known) = self.known.get(&table) {
            return *known;
        }
        self.known.insert(table, None);
        let mut reach = Reach {
            lookups: 1,
            depth: 0,
        };
        let ways = self.ways;
        for flow in ways.get(&table).into_iter().flatten() {
            let mut lookups = 1u32;
            for edge in flow {
                let deeper = self.reach(edge.to)?;
                lookups = lookups.saturating_add(deeper.lookups);
                let deepens = edge.comes_back && edge.to <= table;
                reach.depth = reach.depth.max(deeper.depth + u32::from(deepens));
            }
            reach.lookups = reach.lookups.max(lookups);
        }
        self.known.insert(table, Some(reach));
        Some(reach)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ways(list: &[(u8, &[u8])]) -> Ways {
        let mut ways = Ways::new();
        for (from, to) in list {
            let edge = |to: &u8| Edge {
                to: *to,
                comes_back: true,
            };
            let flow = to.iter().map(edge).collect();
            ways.entry(*from).or_default().insert(flow);
        }
        ways
    }

    #[test]
    fn what_ends_by_itself_is_not_counted() {
        let limits = Limits::of(&ways(&[(0, &[5]), (5, &[2, 2]), (2, &[7]), (9, &[9])]));
        assert!(!limits.count_lookups && !limits.count_depth);
        assert_eq!(limits.reachable, BTreeSet::from([0, 2, 5, 7]));
        assert_eq!(limits.loops, BTreeSet::from([2]));
    }

    #[test]
    fn loops_and_growth_are_counted() {
        assert!(Limits::of(&ways(&[(0, &[1]), (1, &[0])])).count_depth);
        let doubling: Vec<(u8, Vec<u8>)> = (0..13).map(|t| (t, vec![t + 1, t + 1])).collect();
        let borrowed: Vec<(u8, &[u8])> = doubling.iter().map(|(t, to)| (*t, &to[..])).collect();
        let limits = Limits::of(&ways(&borrowed));
        assert!(limits.count_lookups && !limits.count_depth);
    }
}
