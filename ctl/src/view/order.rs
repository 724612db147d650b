//! The order in which Open vSwitch's tool comes upon rows.
//!
//! It keeps them in hash tables, so the order depends on the rows' ids and on the order in which
//! the server told of them. Scripts that compare outputs see it; this module works it out again.

use aorta_ovsdb::Uuid;
use serde_json::{Map, Value};

/// A hash table that is only asked for its order: chains of buckets, new nodes first, twice as
/// many buckets as soon as there are more than two nodes for each.
#[derive(Debug, Clone)]
struct Buckets<T> {
    chains: Vec<Vec<(u32, T)>>,
    len: usize,
}

impl<T> Default for Buckets<T> {
    fn default() -> Self {
        Buckets {
            chains: vec![Vec::new()],
            len: 0,
        }
    }
}

impl<T> Buckets<T> {
    fn insert(&mut self, hash: u32, value: T) {
        self.put(hash, value);
        self.len += 1;
        if self.len / 2 > self.chains.len() - 1 {
            self.grow();
        }
    }

    /// A chain's first node is the last of its vector.
    fn put(&mut self, hash: u32, value: T) {
        let bucket = hash as usize & (self.chains.len() - 1);
        self.chains[bucket].push((hash, value));
    }

    fn grow(&mut self) {
        let wanted = (self.len / 2 + 1).next_power_of_two();
        // There are at least four buckets once there are several.
        let buckets = if wanted == 2 { 4 } else { wanted };
        let empty = std::iter::repeat_with(Vec::new).take(buckets).collect();
        for chain in std::mem::replace(&mut self.chains, empty) {
            for (hash, value) in chain.into_iter().rev() {
                self.put(hash, value);
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = &T> {
        let nodes = self.chains.iter().flat_map(|chain| chain.iter().rev());
        nodes.map(|(_, value)| value)
    }

    fn remove(&mut self, hash: u32, is_meant: impl Fn(&T) -> bool) {
        let bucket = hash as usize & (self.chains.len() - 1);
        let chain = &mut self.chains[bucket];
        if let Some(at) = chain.iter().position(|(_, value)| is_meant(value)) {
            chain.remove(at);
            self.len -= 1;
        }
    }
}

/// The names of an object's members in the order in which they are gone through.
pub(super) fn member_order(members: &Map<String, Value>) -> Vec<&String> {
    let mut order = Buckets::default();
    for name in members.keys() {
        order.insert(hash_of(name.as_bytes()), name);
    }
    order.iter().copied().collect()
}

/// The rows of a table in order.
#[derive(Debug, Clone, Default)]
pub struct RowOrder(Buckets<Uuid>);

impl RowOrder {
    /// Takes in a row that has appeared.
    pub fn insert(&mut self, row: Uuid) {
        self.0.insert(row_hash(row), row);
    }

    /// Forgets a row.
    pub fn remove(&mut self, row: Uuid) {
        self.0.remove(row_hash(row), |known| *known == row);
    }

    /// All rows.
    pub fn iter(&self) -> impl Iterator<Item = Uuid> {
        self.0.iter().copied()
    }
}

/// A row's hash is the first quarter of its id.
fn row_hash(row: Uuid) -> u32 {
    row.as_fields().0
}

/// MurmurHash3, x86, 32 bits, with the seed 0, except that the last bytes are taken like a whole
/// word.
fn hash_of(bytes: &[u8]) -> u32 {
    let mut hash: u32 = 0;
    for chunk in bytes.chunks(4) {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        let word = u32::from_le_bytes(word).wrapping_mul(0xcc9e_2d51);
        let word = word.rotate_left(15).wrapping_mul(0x1b87_3593);
        hash = (hash ^ word).rotate_left(13);
        hash = hash.wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    hash ^= u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85eb_ca6b);
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_few_buckets_come_by_their_first_digits() {
        let mut order = RowOrder::default();
        let row = |n: u128| Uuid::from_u128(n << 96);
        (0..8).for_each(|n| order.insert(row(n)));
        let rows: Vec<u128> = order.iter().map(|row| row.as_u128() >> 96).collect();
        assert_eq!(rows.len(), 8);
        order.remove(row(3));
        assert!(order.iter().all(|known| known != row(3)));
    }

    #[test]
    fn the_table_grows_with_its_nodes() {
        let mut buckets = Buckets::default();
        let sizes: Vec<usize> = (0..20)
            .map(|n| {
                buckets.insert(n, n);
                buckets.chains.len()
            })
            .collect();
        assert_eq!(sizes[..4], [1, 4, 4, 4]);
        assert_eq!(sizes[7..10], [8, 8, 8]);
        assert_eq!(buckets.iter().count(), 20);
    }
}
