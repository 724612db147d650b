//! Values of flows, where those of neighbouring numbers mostly continue each other.

use std::collections::BTreeMap;

use crate::table::FlowId;

/// A value that may stand for those of the numbers after it.
pub trait Continued: Copy + PartialEq {
    /// The value that the number `n` behind has if it continues this one.
    fn after(self, n: u32) -> Self;
}

/// Numbers that count up with the flows.
impl Continued for u32 {
    fn after(self, n: u32) -> u32 {
        self.wrapping_add(n)
    }
}

/// Flows of numbers that count up.
impl Continued for FlowId {
    fn after(self, n: u32) -> FlowId {
        FlowId(self.0.wrapping_add(n.into()))
    }
}

/// A map from flows to values that takes memory for each run of values that continue each other, not
/// for each flow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Runs<V> {
    /// By the first number: how many, and the first value.
    runs: BTreeMap<u64, (u32, V)>,
    len: usize,
}

impl<V> Default for Runs<V> {
    fn default() -> Self {
        Runs {
            runs: BTreeMap::new(),
            len: 0,
        }
    }
}

impl<V: Continued> Runs<V> {
    /// How many flows have a value.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A flow's value.
    pub fn get(&self, flow: FlowId) -> Option<V> {
        let (first, _, value) = self.around(flow.0)?;
        Some(value.after((flow.0 - first) as u32))
    }

    /// The run that a number is in: its first number, length and first value.
    fn around(&self, number: u64) -> Option<(u64, u32, V)> {
        let (first, (len, value)) = self.runs.range(..=number).next_back()?;
        (number - first < u64::from(*len)).then_some((*first, *len, *value))
    }

    /// Gives a flow a value; the one that it had.
    pub fn insert(&mut self, flow: FlowId, value: V) -> Option<V> {
        let old = self.get(flow);
        if old == Some(value) {
            return old;
        }
        if old.is_some() {
            self.remove(flow);
        }
        self.len += 1;
        let number = flow.0;
        let (mut first, mut len, mut start) = (number, 1, value);
        if let Some((before, (length, from))) = self.runs.range(..number).next_back()
            && before + u64::from(*length) == number
            && from.after(*length) == value
            && *length < u32::MAX / 2
        {
            (first, len, start) = (*before, length + 1, *from);
        }
        if let Some(&(length, from)) = self.runs.get(&(number + 1))
            && value.after(1) == from
            && length < u32::MAX / 2
        {
            self.runs.remove(&(number + 1));
            len += length;
        }
        self.runs.insert(first, (len, start));
        old
    }

    /// Takes a flow's value away.
    pub fn remove(&mut self, flow: FlowId) -> Option<V> {
        let (first, len, value) = self.around(flow.0)?;
        let before = (flow.0 - first) as u32;
        let behind = len - before - 1;
        if before == 0 {
            self.runs.remove(&first);
        } else {
            self.runs.insert(first, (before, value));
        }
        if behind > 0 {
            let next = value.after(before + 1);
            self.runs.insert(flow.0 + 1, (behind, next));
        }
        self.len -= 1;
        Some(value.after(before))
    }

    /// All flows with their values, by number.
    pub fn iter(&self) -> impl Iterator<Item = (FlowId, V)> + '_ {
        self.runs.iter().flat_map(|(first, (len, value))| {
            (0..*len).map(move |n| (FlowId(first + u64::from(n)), value.after(n)))
        })
    }

    /// Those of numbers from this one on.
    pub fn starting_at(&self, flow: FlowId) -> impl Iterator<Item = (FlowId, V)> + '_ {
        let around = self.around(flow.0).map_or(flow.0, |(first, ..)| first);
        let runs = self.runs.range(around..);
        let all = runs.flat_map(|(first, (len, value))| {
            (0..*len).map(move |n| (FlowId(first + u64::from(n)), value.after(n)))
        });
        all.skip_while(move |(id, _)| *id < flow)
    }

    /// All runs: the first flow, how many there are, and the first value.
    pub fn runs(&self) -> impl Iterator<Item = (FlowId, u32, V)> + '_ {
        let runs = self.runs.iter();
        runs.map(|(first, (len, value))| (FlowId(*first), *len, *value))
    }
}

impl<V: Continued> FromIterator<(FlowId, V)> for Runs<V> {
    fn from_iter<I: IntoIterator<Item = (FlowId, V)>>(all: I) -> Self {
        let mut runs = Runs::default();
        for (flow, value) in all {
            runs.insert(flow, value);
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn neighbours_are_one_run() {
        let mut runs: Runs<u32> = (1..1000).map(|n| (FlowId(n), n as u32 + 5)).collect();
        assert_eq!((runs.runs.len(), runs.len()), (1, 999));
        assert_eq!(runs.remove(FlowId(500)), Some(505));
        assert_eq!(runs.runs.len(), 2);
        assert_eq!(runs.insert(FlowId(500), 505), None);
        assert_eq!(runs.runs.len(), 1);
        assert_eq!(runs.get(FlowId(0)), None);
        assert_eq!(runs.get(FlowId(999)), Some(1004));
        let last: Vec<(FlowId, u32)> = runs.starting_at(FlowId(998)).collect();
        assert_eq!(last, [(FlowId(998), 1003), (FlowId(999), 1004)]);
        assert_eq!(runs.starting_at(FlowId(1000)).count(), 0);
    }

    proptest! {
        #[test]
        fn they_are_a_map(steps in prop::collection::vec((0u64..12, 0u32..12, any::<bool>()), 0..80)) {
            let (mut runs, mut map) = (Runs::default(), BTreeMap::new());
            for (number, value, insert) in steps {
                let flow = FlowId(number);
                let (ours, theirs) = match insert {
                    true => (runs.insert(flow, value), map.insert(flow, value)),
                    false => (runs.remove(flow), map.remove(&flow)),
                };
                prop_assert_eq!(ours, theirs);
                let all: Vec<_> = map.iter().map(|(flow, value)| (*flow, *value)).collect();
                prop_assert_eq!(runs.iter().collect::<Vec<_>>(), all);
                prop_assert_eq!(runs.len(), map.len());
            }
        }
    }
}
