//! Differences between two values of a column, as `update2` and the log write them: the new
//! value of a scalar or optional, the symmetric difference of sets, and of maps the pairs that
//! changed (new value) or went away (the pair itself).
use std::cmp::Ordering;

use super::{AtomMap, AtomSet, Datum};
use crate::schema::ColumnType;

impl Datum {
    /// What turns `old` into `self` under [`Datum::apply_diff`].
    pub fn diff_from(&self, old: &Self, ty: &ColumnType) -> Self {
        match (old, self) {
            _ if ty.max == 1 => self.clone(),
            (Self::Set(old), Self::Set(new)) => Self::Set(set_difference(old, new)),
            (Self::Map(old), Self::Map(new)) => Self::Map(map_difference(old, new)),
            _ => self.clone(),
        }
    }

    /// Applies a difference; the result is not checked against the type.
    pub fn apply_diff(&self, diff: &Self, ty: &ColumnType) -> Self {
        match (self, diff) {
            _ if ty.max == 1 => diff.clone(),
            (Self::Set(old), Self::Set(diff)) => Self::Set(set_difference(old, diff)),
            (Self::Map(old), Self::Map(diff)) => {
                let mut map = old.clone();
                for (key, value) in diff {
                    if old.get(key) == Some(value) {
                        map.remove(key);
                    } else {
                        map.insert(key.clone(), value.clone());
                    }
                }
                Self::Map(map)
            }
            _ => diff.clone(),
        }
    }
}

fn set_difference(a: &AtomSet, b: &AtomSet) -> AtomSet {
    differences(a.as_slice(), b.as_slice())
        .into_iter()
        .map(|(atom, _)| atom.clone())
        .collect()
}

/// What is only in `a` (false) or only in `b` (true) of two ascending slices, in order. Made for
/// long slices that differ little: what they have in common at both ends is skipped.
pub(crate) fn differences<'a, T: Ord>(mut a: &'a [T], mut b: &'a [T]) -> Vec<(&'a T, bool)> {
    let common = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    (a, b) = (
        a.get(common..).unwrap_or_default(),
        b.get(common..).unwrap_or_default(),
    );
    let common = a
        .iter()
        .rev()
        .zip(b.iter().rev())
        .take_while(|(x, y)| x == y)
        .count();
    a = a.get(..a.len() - common).unwrap_or_default();
    b = b.get(..b.len() - common).unwrap_or_default();
    let mut out = Vec::new();
    while let (Some((x, rest_a)), Some((y, rest_b))) = (a.split_first(), b.split_first()) {
        match x.cmp(y) {
            Ordering::Less => {
                out.push((x, false));
                a = rest_a;
            }
            Ordering::Greater => {
                out.push((y, true));
                b = rest_b;
            }
            Ordering::Equal => (a, b) = (rest_a, rest_b),
        }
    }
    out.extend(a.iter().map(|x| (x, false)));
    out.extend(b.iter().map(|y| (y, true)));
    out
}

fn map_difference(old: &AtomMap, new: &AtomMap) -> AtomMap {
    let gone = old.iter().filter(|(key, _)| new.get(key).is_none());
    let changed = new
        .iter()
        .filter(|(key, value)| old.get(key) != Some(value));
    gone.chain(changed).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn many(value: bool) -> ColumnType {
        let mut json = json!({"key": "integer", "min": 0, "max": "unlimited"});
        if value {
            json["value"] = json!("integer");
        }
        ColumnType::from_json(&json).unwrap()
    }

    #[test]
    fn an_optional_is_replaced() {
        let ty = ColumnType::from_json(&json!({"key": "integer", "min": 0, "max": 1})).unwrap();
        let (old, new) = (Datum::scalar(5i64), Datum::empty());
        assert_eq!(new.diff_from(&old, &ty), Datum::empty());
        assert_eq!(old.apply_diff(&Datum::empty(), &ty), new);
    }

    #[test]
    fn one_port_more_is_one_element() {
        let (old, new) = (Datum::set(0i64..1000), Datum::set(0i64..1001));
        assert_eq!(new.diff_from(&old, &many(false)), Datum::scalar(1000i64));
    }

    proptest! {
        #[test]
        fn a_diff_leads_from_old_to_new(
            a in prop::collection::btree_map(0i64..20, 0i64..3, 0..20),
            b in prop::collection::btree_map(0i64..20, 0i64..3, 0..20),
        ) {
            let (old, new) = (Datum::map(a.clone()), Datum::map(b.clone()));
            let diff = new.diff_from(&old, &many(true));
            prop_assert_eq!(old.apply_diff(&diff, &many(true)), new);
            let (old, new) = (Datum::set(a.into_keys()), Datum::set(b.into_keys()));
            let diff = new.diff_from(&old, &many(false));
            prop_assert_eq!(old.apply_diff(&diff, &many(false)), new);
        }
    }
}
