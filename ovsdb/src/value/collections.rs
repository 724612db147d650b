//! Sorted sets and maps of atoms. Most columns hold zero or one element: sorted vectors keep
//! those at one small allocation where a tree node would take hundreds of bytes.
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use super::Atom;

/// A set of atoms in ascending order.
#[derive(Debug, Clone)]
pub struct AtomSet(Elements);

/// Scalars are sets of one: they need no memory elsewhere.
#[derive(Debug, Clone)]
enum Elements {
    One(Atom),
    Any(Vec<Atom>),
}

impl AtomSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self(Elements::Any(Vec::new()))
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// The elements in ascending order.
    pub fn iter(&self) -> std::slice::Iter<'_, Atom> {
        self.as_slice().iter()
    }

    /// The elements in ascending order.
    pub fn as_slice(&self) -> &[Atom] {
        match &self.0 {
            Elements::One(atom) => std::slice::from_ref(atom),
            Elements::Any(atoms) => atoms,
        }
    }

    /// Whether `atom` is an element.
    pub fn contains(&self, atom: &Atom) -> bool {
        self.as_slice().binary_search(atom).is_ok()
    }

    /// Adds an element; false if it was there.
    pub fn insert(&mut self, atom: Atom) -> bool {
        match self.as_slice().binary_search(&atom) {
            Ok(_) => false,
            Err(_) if self.is_empty() => {
                self.0 = Elements::One(atom);
                true
            }
            Err(at) => {
                self.change(|atoms| atoms.insert(at, atom));
                true
            }
        }
    }

    /// Takes an element out; false if it wasn't there.
    pub fn remove(&mut self, atom: &Atom) -> bool {
        match self.as_slice().binary_search(atom) {
            Ok(at) => {
                self.change(|atoms| atoms.remove(at));
                true
            }
            Err(_) => false,
        }
    }

    /// Keeps the elements for which `keep` says so.
    pub fn retain(&mut self, keep: impl FnMut(&Atom) -> bool) {
        self.change(|atoms| atoms.retain(keep));
    }

    fn change<T>(&mut self, change: impl FnOnce(&mut Vec<Atom>) -> T) -> T {
        let mut atoms = match std::mem::replace(&mut self.0, Elements::Any(Vec::new())) {
            Elements::One(atom) => vec![atom],
            Elements::Any(atoms) => atoms,
        };
        let result = change(&mut atoms);
        self.0 = Elements::Any(atoms);
        result
    }
}

impl From<Atom> for AtomSet {
    fn from(atom: Atom) -> Self {
        Self(Elements::One(atom))
    }
}

impl Default for AtomSet {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for AtomSet {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for AtomSet {}

impl PartialOrd for AtomSet {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for AtomSet {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

impl Hash for AtomSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl FromIterator<Atom> for AtomSet {
    fn from_iter<I: IntoIterator<Item = Atom>>(iter: I) -> Self {
        let mut atoms = iter.into_iter();
        let Some(first) = atoms.next() else {
            return Self::new();
        };
        let Some(second) = atoms.next() else {
            return first.into();
        };
        let mut atoms: Vec<Atom> = [first, second].into_iter().chain(atoms).collect();
        atoms.sort_unstable();
        atoms.dedup();
        Self(Elements::Any(atoms))
    }
}

impl<'a> IntoIterator for &'a AtomSet {
    type Item = &'a Atom;
    type IntoIter = std::slice::Iter<'a, Atom>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A map from atoms to atoms in ascending order of the keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AtomMap(Vec<(Atom, Atom)>);

impl AtomMap {
    /// The empty map.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pairs in ascending order of the keys.
    pub fn iter(&self) -> std::slice::Iter<'_, (Atom, Atom)> {
        self.0.iter()
    }

    /// The value of `key`.
    pub fn get(&self, key: &Atom) -> Option<&Atom> {
        self.find(key)
            .ok()
            .and_then(|at| self.0.get(at))
            .map(|(_, value)| value)
    }

    /// Sets the value of `key`.
    pub fn insert(&mut self, key: Atom, value: Atom) {
        match self.find(&key) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (key, value)),
        }
    }

    /// Takes a key and its value out; false if it wasn't there.
    pub fn remove(&mut self, key: &Atom) -> bool {
        match self.find(key) {
            Ok(at) => {
                self.0.remove(at);
                true
            }
            Err(_) => false,
        }
    }

    /// Keeps the pairs for which `keep` says so.
    pub fn retain(&mut self, keep: impl FnMut(&(Atom, Atom)) -> bool) {
        self.0.retain(keep);
    }

    fn find(&self, key: &Atom) -> Result<usize, usize> {
        self.0.binary_search_by(|(k, _)| k.cmp(key))
    }
}

/// Of several pairs with one key, the first is kept.
impl FromIterator<(Atom, Atom)> for AtomMap {
    fn from_iter<I: IntoIterator<Item = (Atom, Atom)>>(iter: I) -> Self {
        let mut pairs: Vec<(Atom, Atom)> = iter.into_iter().collect();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs.dedup_by(|b, a| a.0 == b.0);
        Self(pairs)
    }
}

impl<'a> IntoIterator for &'a AtomMap {
    type Item = &'a (Atom, Atom);
    type IntoIter = std::slice::Iter<'a, (Atom, Atom)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_sorted_and_has_no_duplicates() {
        let mut set: AtomSet = [3, 1, 3, 2].map(Atom::Integer).into_iter().collect();
        assert_eq!(set.as_slice(), [1, 2, 3].map(Atom::Integer));
        assert!(!set.insert(Atom::Integer(2)));
        assert!(set.remove(&Atom::Integer(2)) && !set.contains(&Atom::Integer(2)));
    }

    #[test]
    fn sets_are_equal_however_they_came_about() {
        let one = AtomSet::from(Atom::Integer(1));
        let mut grown = AtomSet::new();
        assert!(grown.is_empty() && grown.insert(Atom::Integer(1)) && grown == one);
        assert!(grown.insert(Atom::Integer(0)) && grown > AtomSet::new() && grown < one);
        assert!(grown.remove(&Atom::Integer(0)) && grown == one);
        assert!(grown.remove(&Atom::Integer(1)) && grown == AtomSet::default());
        let hash = |set: &AtomSet| std::hash::BuildHasher::hash_one(&Fixed::default(), set);
        let mut kept: AtomSet = [1, 2].map(Atom::Integer).into_iter().collect();
        kept.retain(|atom| *atom == Atom::Integer(1));
        assert_eq!((hash(&kept), &kept), (hash(&one), &one));
    }

    type Fixed = std::hash::BuildHasherDefault<std::hash::DefaultHasher>;

    #[test]
    fn a_map_keeps_the_first_of_equal_keys_and_replaces_on_insert() {
        let pair = |k: &str, v: &str| (Atom::from(k), Atom::from(v));
        let mut map: AtomMap = [pair("b", "1"), pair("a", "2"), pair("b", "3")]
            .into_iter()
            .collect();
        assert_eq!(map.get(&"b".into()), Some(&"1".into()));
        map.insert("b".into(), "4".into());
        assert_eq!((map.len(), map.get(&"b".into())), (2, Some(&"4".into())));
    }
}
