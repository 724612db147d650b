//! Where stations are: what a learning bridge remembers.

use std::collections::HashMap;

use aorta_packet::{MacAddr, Vid};

use crate::OfPort;

/// Where a station was seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Station {
    /// By which port.
    pub ofport: OfPort,
    /// When last, in seconds.
    pub seen_s: u64,
    /// Put there by an administrator: never forgotten, and not learned elsewhere.
    pub fixed: bool,
    /// Higher than that of all that were seen before it.
    pub turn: u64,
}

/// What became of a bridge's addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StationCounts {
    /// Addresses that were learned.
    pub learned: u64,
    /// Addresses that were forgotten because they were unused for too long.
    pub expired: u64,
    /// Addresses that made room for others.
    pub evicted: u64,
    /// Addresses that were seen at another port than before.
    pub moved: u64,
}

/// The stations of a bridge.
#[derive(Clone, Debug, Default)]
pub(super) struct Stations {
    entries: HashMap<(Vid, MacAddr), Station>,
    turns: u64,
    pub counts: StationCounts,
}

impl Stations {
    /// One that was seen no longer than `aging_s` ago.
    pub fn fresh(&self, key: (Vid, MacAddr), now_s: u64, aging_s: u32) -> Option<&Station> {
        let station = self.entries.get(&key)?;
        is_fresh(station, now_s, aging_s).then_some(station)
    }

    /// Takes notice of a frame from a station.
    pub fn learn(&mut self, key: (Vid, MacAddr), ofport: OfPort, now_s: u64) {
        self.turns += 1;
        let seen = Station {
            ofport,
            seen_s: now_s,
            fixed: false,
            turn: self.turns,
        };
        match self.entries.insert(key, seen) {
            None => self.counts.learned += 1,
            Some(old) if old.fixed => drop(self.entries.insert(key, old)),
            Some(old) if old.ofport != ofport => self.counts.moved += 1,
            Some(_) => {}
        }
    }

    /// Puts one there.
    pub fn put(&mut self, key: (Vid, MacAddr), ofport: OfPort, seen_s: u64, fixed: bool) {
        self.turns += 1;
        let station = Station {
            ofport,
            seen_s,
            fixed,
            turn: self.turns,
        };
        self.entries.insert(key, station);
    }

    /// Takes one away that an administrator put there. False if there is none.
    pub fn take_fixed(&mut self, key: (Vid, MacAddr)) -> bool {
        let fixed = self.entries.get(&key).is_some_and(|station| station.fixed);
        if fixed {
            self.entries.remove(&key);
        }
        fixed
    }

    /// All, in no order.
    pub fn all(&self) -> impl Iterator<Item = (Vid, MacAddr, Station)> {
        let entries = self.entries.iter();
        entries.map(|(&(vid, mac), &station)| (vid, mac, station))
    }

    /// Forgets those that are no longer wanted.
    pub fn retain(&mut self, keeps: impl Fn(&Station) -> bool) {
        self.entries.retain(|_, station| keeps(station));
    }

    /// Forgets those that were not seen for more than `aging_s`, and the oldest of the others as
    /// long as there are more than `most`.
    pub fn tidy(&mut self, now_s: u64, aging_s: u32, most: usize) {
        let before = self.entries.len();
        self.retain(|station| station.fixed || is_fresh(station, now_s, aging_s));
        self.counts.expired += (before - self.entries.len()) as u64;
        while self.entries.len() > most {
            let learned = self.entries.iter().filter(|(_, station)| !station.fixed);
            let oldest = learned.min_by_key(|(_, station)| station.turn);
            let Some((&oldest, _)) = oldest else { return };
            self.entries.remove(&oldest);
            self.counts.evicted += 1;
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

fn is_fresh(station: &Station, now_s: u64, aging_s: u32) -> bool {
    station.fixed || now_s.saturating_sub(station.seen_s) <= u64::from(aging_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> (Vid, MacAddr) {
        (Vid::new(0).unwrap(), MacAddr([2, 0, 0, 0, 0, n]))
    }

    #[test]
    fn the_oldest_makes_room_and_the_old_is_forgotten() {
        let mut stations = Stations::default();
        for n in 0..4 {
            stations.learn(key(n), OfPort(1), u64::from(n));
        }
        stations.learn(key(0), OfPort(2), 5);
        stations.tidy(5, 300, 3);
        assert!(stations.fresh(key(1), 5, 300).is_none());
        assert_eq!(stations.fresh(key(0), 5, 300).unwrap().ofport, OfPort(2));
        stations.tidy(303, 300, 3);
        let counts = StationCounts {
            learned: 4,
            expired: 1,
            evicted: 1,
            moved: 1,
        };
        assert_eq!((stations.len(), stations.counts), (2, counts));
    }

    #[test]
    fn what_an_administrator_says_stays() {
        let mut stations = Stations::default();
        stations.put(key(0), OfPort(7), 0, true);
        stations.learn(key(0), OfPort(1), 1);
        stations.learn(key(1), OfPort(1), 1);
        stations.tidy(10_000, 300, 0);
        let station = stations.fresh(key(0), 10_000, 300).unwrap();
        assert_eq!((station.ofport, station.fixed), (OfPort(7), true));
        assert_eq!(stations.len(), 1);
        assert!(stations.take_fixed(key(0)) && !stations.take_fixed(key(0)));
    }
}
