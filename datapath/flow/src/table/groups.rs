//! Changes of groups and meters.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Change, GroupMod, MeterMod, RemovedReason, TableError, TableFlow, Tables};
use crate::action::{Action, Instructions};
use crate::{Bucket, Group, GroupKind, Meter, MeterId};

impl Tables {
    pub(super) fn group_mod(&mut self, group_mod: &GroupMod) -> Result<Vec<Change>, TableError> {
        match group_mod {
            GroupMod::Add(group) if self.groups.contains_key(&group.id) => {
                Err(TableError::GroupExists(group.id))
            }
            GroupMod::Add(group) | GroupMod::AddOrModify(group) => self.set_group(group.clone()),
            GroupMod::Modify(group) => {
                self.known_group(group.id)?;
                self.set_group(group.clone())
            }
            GroupMod::Delete(None) => Ok(self.delete_groups(None)),
            GroupMod::Delete(Some(id)) => {
                self.check_unchained(*id)?;
                Ok(self.delete_groups(Some(*id)))
            }
            GroupMod::InsertBuckets {
                group,
                after,
                buckets,
            } => {
                let mut changed = self.known_group(*group)?.clone();
                let at = match after {
                    None => 0,
                    Some(Bucket::LAST) => changed.buckets.len(),
                    Some(bucket) => position(&changed, *bucket)? + 1,
                };
                changed.buckets.splice(at..at, buckets.iter().cloned());
                self.set_group(changed)
            }
            GroupMod::RemoveBuckets { group, bucket } => {
                let mut changed = self.known_group(*group)?.clone();
                match bucket {
                    None => changed.buckets.clear(),
                    Some(bucket) => {
                        let at = position(&changed, *bucket)?;
                        changed.buckets.remove(at);
                    }
                }
                self.set_group(changed)
            }
        }
    }

    fn known_group(&self, id: u32) -> Result<&Group, TableError> {
        match self.groups.get(&id) {
            Some(group) => Ok(group),
            None => Err(TableError::UnknownGroup(id)),
        }
    }

    fn set_group(&mut self, group: Group) -> Result<Vec<Change>, TableError> {
        self.check_group(&group)?;
        let (id, new) = (group.id, Some(Arc::new(group)));
        let old = self.groups.get(&id).cloned();
        super::set(&mut self.groups, id, new.clone());
        Ok(vec![Change::Group { id, old, new }])
    }

    fn check_group(&self, group: &Group) -> Result<(), TableError> {
        if group.kind == GroupKind::Indirect && group.buckets.len() != 1 {
            return Err(TableError::IndirectBuckets(group.id));
        }
        let mut seen = BTreeSet::new();
        for bucket in &group.buckets {
            if !seen.insert(bucket.id) {
                return Err(TableError::BucketExists {
                    group: group.id,
                    bucket: bucket.id,
                });
            }
            let watches = bucket.watch_port.is_some() || bucket.watch_group.is_some();
            if group.kind == GroupKind::FastFailover && !watches {
                return Err(TableError::WatchesNothing {
                    group: group.id,
                    bucket: bucket.id,
                });
            }
        }
        self.check_group_loop(group)
    }

    /// Follows the groups that a group leads to.
    fn check_group_loop(&self, group: &Group) -> Result<(), TableError> {
        let mut seen = BTreeSet::new();
        let mut next = groups_in(group);
        while let Some(id) = next.pop() {
            if id == group.id {
                return Err(TableError::GroupLoop(id));
            }
            if seen.insert(id) {
                let group = self.groups.get(&id).ok_or(TableError::NoGroup(id))?;
                next.extend(groups_in(group));
            }
        }
        Ok(())
    }

    /// Refuses to delete a group that another leads to.
    fn check_unchained(&self, id: u32) -> Result<(), TableError> {
        let other = self.groups.values().find(|g| groups_in(g).contains(&id));
        match other {
            None => Ok(()),
            Some(group) => Err(TableError::ChainedGroup {
                group: group.id,
                deleted: id,
            }),
        }
    }

    /// Deletes groups, and the flows that go on in them.
    fn delete_groups(&mut self, id: Option<u32>) -> Vec<Change> {
        let ids: Vec<u32> = self
            .groups
            .keys()
            .filter(|group| id.is_none_or(|id| id == **group))
            .copied()
            .collect();
        let mut changes = Vec::new();
        for id in ids {
            let users = self.users(|action| *action == Action::Group(id));
            changes.extend(self.remove(users, RemovedReason::GroupDeleted));
            let old = self.groups.remove(&id);
            changes.push(Change::Group { id, old, new: None });
        }
        changes
    }

    pub(super) fn meter_mod(&mut self, meter_mod: &MeterMod) -> Result<Vec<Change>, TableError> {
        match meter_mod {
            MeterMod::Add(meter) if self.meters.contains_key(&meter.id) => {
                Err(TableError::MeterExists(meter.id))
            }
            MeterMod::Modify(meter) if !self.meters.contains_key(&meter.id) => {
                Err(TableError::UnknownMeter(meter.id))
            }
            MeterMod::Add(meter) | MeterMod::Modify(meter) => Ok(vec![self.set_meter(meter)]),
            MeterMod::Delete(id) => Ok(self.delete_meters(*id)),
        }
    }

    fn set_meter(&mut self, meter: &Meter) -> Change {
        let (id, new) = (meter.id, Some(Arc::new(meter.clone())));
        let old = self.meters.get(&id).cloned();
        super::set(&mut self.meters, id, new.clone());
        Change::Meter { id, old, new }
    }

    fn delete_meters(&mut self, id: Option<MeterId>) -> Vec<Change> {
        let ids: Vec<MeterId> = self
            .meters
            .keys()
            .filter(|meter| id.is_none_or(|id| id == **meter))
            .copied()
            .collect();
        let mut changes = Vec::new();
        for id in ids {
            let uses = |action: &Action| match action {
                Action::Meter(number) => id == MeterId::Number(*number),
                _ => false,
            };
            let users = self.users(uses);
            changes.extend(self.remove(users, RemovedReason::MeterDeleted));
            let old = self.meters.remove(&id);
            changes.push(Change::Meter { id, old, new: None });
        }
        changes
    }

    /// Flows with an action of a kind.
    fn users(&self, wanted: impl Fn(&Action) -> bool) -> Vec<TableFlow> {
        let uses = |instructions: &Instructions| {
            let actions = instructions.all_actions();
            actions.into_iter().any(&wanted)
        };
        self.flows()
            .filter(|entry| uses(&entry.flow.instructions))
            .cloned()
            .collect()
    }
}

fn position(group: &Group, bucket: u32) -> Result<usize, TableError> {
    let mut buckets = group.buckets.iter();
    let found = match bucket {
        Bucket::FIRST => buckets.next().map(|_| 0),
        Bucket::LAST => group.buckets.len().checked_sub(1),
        _ => buckets.position(|other| other.id == bucket),
    };
    found.ok_or(TableError::NoBucket {
        group: group.id,
        bucket,
    })
}

/// The groups that a group leads to.
fn groups_in(group: &Group) -> Vec<u32> {
    let actions = group.buckets.iter().flat_map(|bucket| {
        Instructions::apply(bucket.actions.clone())
            .all_actions()
            .into_iter()
            .filter_map(|action| match action {
                Action::Group(id) => Some(*id),
                _ => None,
            })
            .collect::<Vec<u32>>()
    });
    actions.collect()
}
