//! Telling monitors and subscribers what has changed. A client that is told of many transactions
//! of others gets them a few at a time: each write costs more than what it says.
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::session::UpdateText;
use super::{Engine, MAIN, SessionId};
use crate::coverage;
use crate::db::Delta;
use crate::monitor::{Monitor, News};

/// For how long a client that has just been told of a transaction of others isn't told of the
/// next. Its own transactions, and all replies, end the wait.
const LINGER: Duration = Duration::from_millis(1);

/// Who has monitors, and who has yet to be told.
#[derive(Debug, Default)]
pub(super) struct Audience {
    /// All sessions with monitors, perhaps among others.
    watching: BTreeSet<SessionId>,
    lingering: Vec<SessionId>,
    /// When those that linger are told.
    pub(super) due: Option<Instant>,
}

/// What a transaction means to each monitor; made once for equal ones.
type Told = HashMap<*const Monitor, Option<UpdateText>>;

impl Engine {
    /// A monitor of what some client wants to see, shared with all that watch the same.
    pub(super) fn share_monitor(&mut self, session: SessionId, monitor: Monitor) -> Arc<Monitor> {
        let watching = self.audience.watching.iter();
        let mut monitors = watching
            .filter_map(|session| self.sessions.get(session))
            .flat_map(|state| &state.monitors);
        let known = monitors.find(|known| *known.monitor == monitor);
        let shared = known.map_or_else(|| Arc::new(monitor), |known| Arc::clone(&known.monitor));
        self.audience.watching.insert(session);
        shared
    }

    /// Tells monitors and subscribers of a transaction; `author` is the client that made it.
    pub(super) fn publish(
        &mut self,
        database: usize,
        delta: &Arc<Delta>,
        author: Option<SessionId>,
    ) {
        if database == MAIN {
            self.subscribers
                .retain(|s| s.send(Arc::clone(delta)).is_ok());
        }
        if self.audience.watching.is_empty() {
            return;
        }
        let (news, mut told) = (News::new(delta), Told::new());
        let (mut gone, mut count) = (Vec::new(), 0);
        let now = Instant::now();
        for session in &self.audience.watching {
            let state = self.sessions.get_mut(session);
            let Some(state) = state.filter(|state| !state.monitors.is_empty()) else {
                gone.push(*session);
                continue;
            };
            let mut updated = false;
            for watched in state.monitors.iter().filter(|m| m.database == database) {
                let key = Arc::as_ptr(&watched.monitor);
                let update = told
                    .entry(key)
                    .or_insert_with(|| watched.monitor.tell(&news).map(UpdateText::new));
                if let Some(update) = update {
                    updated = true;
                    count += 1;
                    if !state.outbox.hold(watched.notification(update)) {
                        gone.push(*session);
                        break;
                    }
                }
            }
            // The reply takes the author's own update with it.
            if !updated || state.lingers || author == Some(*session) {
                continue;
            }
            if state.told.is_none_or(|told| told + LINGER <= now) {
                state.told = Some(now);
                state.outbox.wake();
            } else {
                state.lingers = true;
                self.audience.lingering.push(*session);
                self.audience.due.get_or_insert(now + LINGER);
            }
        }
        if count > 0 {
            coverage::MONITOR_UPDATE.add(count);
        }
        for session in gone {
            self.audience.watching.remove(&session);
            let watches = |s: &super::Session| !s.monitors.is_empty();
            if self.sessions.get(&session).is_some_and(watches) {
                self.disconnect(session);
            }
        }
    }

    /// Tells those that lingered.
    pub(super) fn tell_lingering(&mut self) {
        self.audience.due = None;
        let now = Instant::now();
        for session in std::mem::take(&mut self.audience.lingering) {
            if let Some(state) = self.sessions.get_mut(&session) {
                state.lingers = false;
                state.told = Some(now);
                state.outbox.wake();
            }
        }
    }
}
