//! Locks that clients agree on (RFC 7047 §4.1.8 to §4.1.10). Pure.
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::SessionId;

/// Who has each lock, and who waits for it.
#[derive(Debug, Default)]
pub(super) struct Locks(
    BTreeMap<String, VecDeque<SessionId>>,
    /// Who has asked for a lock by stealing it.
    BTreeSet<(SessionId, String)>,
);

/// The locks that a client has asked for, in alphabetical order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockStatus {
    /// It has these.
    pub held: Vec<String>,
    /// It waits for these.
    pub waiting: Vec<String>,
    /// It stole these, and another client stole them from it.
    pub lost: Vec<String>,
}

impl Locks {
    pub(super) fn holds(&self, name: &str, session: SessionId) -> bool {
        self.0.get(name).and_then(VecDeque::front) == Some(&session)
    }

    /// Whether the session has asked for the lock, successfully or not.
    pub(super) fn asked(&self, name: &str, session: SessionId) -> bool {
        let queue = self.0.get(name);
        queue.is_some_and(|queue| queue.contains(&session))
            || self.1.contains(&(session, name.to_owned()))
    }

    /// Takes the lock, or waits for it; true if it was free.
    pub(super) fn lock(&mut self, name: &str, session: SessionId) -> bool {
        let queue = self.0.entry(name.to_owned()).or_default();
        queue.push_back(session);
        queue.len() == 1
    }

    /// Takes the lock from whoever has it, and returns that session. It goes on waiting, unless
    /// it had stolen the lock itself.
    pub(super) fn steal(&mut self, name: &str, session: SessionId) -> Option<SessionId> {
        let queue = self.0.entry(name.to_owned()).or_default();
        let victim = queue.front().copied();
        if victim.is_some_and(|victim| self.1.contains(&(victim, name.to_owned()))) {
            queue.pop_front();
        }
        queue.push_front(session);
        self.1.insert((session, name.to_owned()));
        victim
    }

    /// Gives up the lock, and returns the session that has it now: to be told, as ovsdb-server
    /// does, though it may have had it before.
    pub(super) fn unlock(&mut self, name: &str, session: SessionId) -> Option<SessionId> {
        self.1.remove(&(session, name.to_owned()));
        let queue = self.0.get_mut(name)?;
        let was_there = queue.contains(&session);
        queue.retain(|waiting| *waiting != session);
        let next = queue.front().copied().filter(|_| was_there);
        if queue.is_empty() {
            self.0.remove(name);
        }
        next
    }

    /// How a session's locks stand.
    pub(super) fn status(&self, session: SessionId) -> LockStatus {
        let mut status = LockStatus::default();
        for name in self.of(session) {
            let thief = self.1.contains(&(session, name.clone()));
            if self.holds(&name, session) {
                status.held.push(name);
            } else if thief {
                status.lost.push(name);
            } else {
                status.waiting.push(name);
            }
        }
        status
    }

    /// Every lock that a session has asked for.
    pub(super) fn of(&self, session: SessionId) -> Vec<String> {
        let queued = self.0.iter().filter(|(_, queue)| queue.contains(&session));
        let stolen = self.1.iter().filter(|(thief, _)| *thief == session);
        let names: BTreeSet<&String> = queued
            .map(|(name, _)| name)
            .chain(stolen.map(|(_, name)| name))
            .collect();
        names.into_iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_passes_in_order_and_can_be_stolen() {
        let mut locks = Locks::default();
        assert!(locks.lock("l", 1) && !locks.lock("l", 2) && !locks.lock("l", 3));
        assert_eq!(locks.unlock("l", 1), Some(2));
        assert_eq!(locks.unlock("l", 3), Some(2));
        assert_eq!(locks.steal("l", 4), Some(2));
        assert!(locks.holds("l", 4) && locks.asked("l", 2));
        assert_eq!(locks.unlock("l", 4), Some(2));
        assert_eq!((locks.unlock("l", 2), locks.holds("l", 2)), (None, false));
        assert!(locks.of(2).is_empty());
    }

    #[test]
    fn what_was_stolen_from_a_thief_is_lost() {
        let mut locks = Locks::default();
        locks.lock("a", 1);
        locks.steal("b", 1);
        assert_eq!(locks.status(1).held, ["a", "b"]);
        locks.steal("a", 2);
        locks.steal("b", 2);
        let status = locks.status(1);
        assert_eq!(
            (&*status.waiting, &*status.lost),
            (&["a".to_owned()][..], &["b".to_owned()][..])
        );
        assert_eq!(locks.unlock("b", 1), None);
        assert!(locks.status(1).lost.is_empty() && !locks.lock("b", 1));
        assert_eq!(locks.status(1).waiting, ["a", "b"]);
    }
}
