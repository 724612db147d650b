//! Looking at what filters have counted.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::super::account::devices;
use super::super::{Cookie, Filter, OwnListed, Place, Side, TcSocket};
use super::{CardError, FlowerCard};

/// What a filter had counted, and when the last of these packets came.
pub struct Seen {
    cookie: Cookie,
    packets: u64,
    used: Instant,
}

impl<S: TcSocket> FlowerCard<S> {
    /// The switch's filters that are there, with what they have counted.
    ///
    /// # Errors
    /// [`CardError::Lost`] if not all are there.
    pub(super) fn look(&mut self) -> Result<HashMap<Place, OwnListed>, CardError> {
        // A brief list doesn't tell whose bucket is whose, nor when the first packets came.
        let brief = !self.seen.is_empty() && !self.account.has_buckets();
        let mut there = self.there(brief)?;
        let (mut missing, all) = self.missing(&there);
        if missing > 0 && brief {
            // Others' filters can have ended the list.
            there = self.there(false)?;
            missing = self.missing(&there).0;
        }
        if missing > 0 {
            return Err(CardError::Lost { missing, all });
        }
        self.date(&mut there);
        Ok(there)
    }

    fn there(&mut self, brief: bool) -> Result<HashMap<Place, OwnListed>, CardError> {
        let mut there = HashMap::new();
        for device in devices(&self.lowering) {
            let briefly = brief.then(|| self.socket.list_counters(device));
            let listed = match briefly {
                Some(Ok(listed)) => listed,
                // Kinds of filters that can't be told briefly are an error.
                Some(Err(_)) | None => self.socket.list(device, Side::Ingress)?,
            };
            let own = listed.into_iter();
            there.extend(own.filter_map(|one| Some((one.place, one.own?))));
        }
        Ok(there)
    }

    /// How many filters aren't there, of how many.
    fn missing(&self, there: &HashMap<Place, OwnListed>) -> (usize, usize) {
        let in_hardware = self.lowering.is_in_hardware();
        let is_there = |filter: &Filter| {
            let listed = there.get(&filter.place);
            listed
                .is_some_and(|own| own.cookie == filter.cookie && (own.in_hardware || !in_hardware))
        };
        let guards = self.guards.iter().flat_map(|guards| &guards.filters);
        let expected = self.account.filters().chain(guards);
        let (mut missing, mut all) = (0, 0);
        for filter in expected {
            all += 1;
            missing += usize::from(!is_there(filter));
        }
        (missing, all)
    }

    /// Says when filters were last used where the kernel didn't: at the earliest look that told as many
    /// packets.
    fn date(&mut self, there: &mut HashMap<Place, OwnListed>) {
        let now = Instant::now();
        let mut seen = HashMap::with_capacity(there.len());
        for (place, own) in there {
            let packets = own.counters.packets;
            let same = |seen: &&Seen| seen.packets == packets && seen.cookie == own.cookie;
            let before = self.seen.get(place).filter(same);
            let ago = own.counters.used_ns_ago.map(Duration::from_nanos);
            let told = ago.and_then(|ago| now.checked_sub(ago));
            let used = told.or(before.map(|seen| seen.used)).unwrap_or(now);
            let ago = now.saturating_duration_since(used).as_nanos();
            own.counters.used_ns_ago = Some(u64::try_from(ago).unwrap_or(u64::MAX));
            let cookie = own.cookie;
            let counted = Seen {
                cookie,
                packets,
                used,
            };
            seen.insert(*place, counted);
        }
        self.seen = seen;
    }
}
