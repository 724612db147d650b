//! Which buckets of a group are done.

use super::{Env, Packet};
use crate::table::Tables;
use crate::{Bucket, Group, GroupKind};

/// Groups that watch groups, at most.
const MAX_WATCH_DEPTH: u32 = 16;

/// The buckets of a group that are done, in order.
pub(super) fn chosen<'a>(
    group: &'a Group,
    tables: &Tables,
    packet: &Packet,
    env: &mut dyn Env,
) -> Vec<&'a Bucket> {
    let live = |bucket: &&Bucket, env: &mut dyn Env| is_live(bucket, tables, env, 0);
    match group.kind {
        GroupKind::All => group.buckets.iter().collect(),
        GroupKind::Indirect => group.buckets.iter().take(1).collect(),
        GroupKind::FastFailover => {
            let first = group.buckets.iter().find(|bucket| live(bucket, env));
            first.into_iter().collect()
        }
        GroupKind::Select => {
            let candidates: Vec<&Bucket> = group
                .buckets
                .iter()
                .filter(|bucket| bucket.weight() > 0 && live(bucket, env))
                .collect();
            let hash = env.group_hash(group, packet);
            by_weight(&candidates, hash).into_iter().collect()
        }
    }
}

/// Whether what a bucket watches is up; a bucket that watches nothing is.
fn is_live(bucket: &Bucket, tables: &Tables, env: &mut dyn Env, depth: u32) -> bool {
    let port = bucket.watch_port.is_none_or(|port| env.is_live(port));
    let group = bucket.watch_group.is_none_or(|id| {
        let group = tables.group(id).filter(|_| depth < MAX_WATCH_DEPTH);
        group.is_some_and(|group| {
            let mut buckets = group.buckets.iter();
            buckets.any(|bucket| is_live(bucket, tables, env, depth + 1))
        })
    });
    port && group
}

/// The bucket that a hash selects: each gets as much of the hashes as its weight says.
fn by_weight<'a>(buckets: &[&'a Bucket], hash: u32) -> Option<&'a Bucket> {
    let total: u64 = buckets.iter().map(|b| u64::from(b.weight())).sum();
    let mut place = (u64::from(hash) * total) >> 32;
    buckets
        .iter()
        .find(|bucket| {
            let weight = u64::from(bucket.weight());
            let here = place < weight;
            place = place.saturating_sub(weight);
            here
        })
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_divide_the_hashes() {
        let bucket = |id, weight| Bucket {
            id,
            weight: Some(weight),
            watch_port: None,
            watch_group: None,
            actions: Vec::new(),
        };
        let buckets = [bucket(0, 1), bucket(1, 3)];
        let all: Vec<&Bucket> = buckets.iter().collect();
        let ids: Vec<u32> = (0..4u32)
            .map(|quarter| by_weight(&all, quarter << 30).unwrap().id)
            .collect();
        assert_eq!(ids, [0, 1, 1, 1]);
        assert_eq!(by_weight(&all, u32::MAX).unwrap().id, 1);
        assert_eq!(by_weight(&[], 5), None);
    }
}
