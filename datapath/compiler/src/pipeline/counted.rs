//! Numbers of what is counted besides flows: groups and their buckets.
//!
//! They are counted as flows are, under numbers of the same kind. Who gives numbers is asked for
//! those of groups by [`FlowId`]s that no flow has.

use aorta_flow::Group;
use aorta_flow::table::FlowId;

/// Flows never get so high a number.
const GROUPS: u64 = 1 << 63;
/// Bits of a bucket's position, plus 1.
const POSITION_BITS: u32 = 31;

/// What stands for a group.
pub fn group_id(group: u32) -> FlowId {
    FlowId(GROUPS | u64::from(group) << POSITION_BITS)
}

/// What stands for the bucket at a position, from 0, of a group.
pub fn bucket_id(group: u32, position: usize) -> FlowId {
    FlowId(group_id(group).0 + position as u64 + 1)
}

/// The group that it stands for, or one of whose buckets; none if it is a flow.
pub fn group_of(id: FlowId) -> Option<u32> {
    (id.0 & GROUPS != 0).then_some((id.0 >> POSITION_BITS) as u32)
}

/// What stands for the buckets of a group.
pub fn bucket_ids(group: &Group) -> impl Iterator<Item = FlowId> {
    let id = group.id;
    (0..group.buckets.len()).map(move |position| bucket_id(id, position))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_buckets_have_numbers_of_their_own() {
        assert_eq!(group_of(FlowId(u64::from(u32::MAX))), None);
        for group in [0, 1, Group::MAX_ID] {
            assert_eq!(group_of(group_id(group)), Some(group));
            assert_eq!(group_of(bucket_id(group, 70_000)), Some(group));
            assert_ne!(bucket_id(group, 0), group_id(group));
            assert_ne!(bucket_id(group, 0), bucket_id(group, 1));
        }
    }
}
