//! Random uuids, many for one request to the kernel.
use rustix::rand::{GetRandomFlags, getrandom};
use uuid::{Builder, Uuid};

/// How many are made at a time.
const STOCK: usize = 256;

/// Makes uuids of version 4.
#[derive(Debug, Default)]
pub(super) struct Uuids {
    random: Vec<[u8; 16]>,
}

impl Uuids {
    /// One that was never used.
    pub(super) fn next(&mut self) -> Uuid {
        if self.random.is_empty() {
            let mut bytes = [0; 16 * STOCK];
            let filled = getrandom(&mut bytes[..], GetRandomFlags::empty()).unwrap_or(0);
            let (whole, _) = bytes[..filled.min(16 * STOCK)].as_chunks();
            self.random.extend_from_slice(whole);
        }
        let random = self.random.pop();
        random.map_or_else(Uuid::new_v4, |bytes| {
            Builder::from_random_bytes(bytes).into_uuid()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_comes_twice() {
        let mut uuids = Uuids::default();
        let made: std::collections::HashSet<Uuid> = (0..3 * STOCK).map(|_| uuids.next()).collect();
        assert_eq!(made.len(), 3 * STOCK);
        assert!(made.iter().all(|uuid| uuid.get_version_num() == 4));
    }
}
