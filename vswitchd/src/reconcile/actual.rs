//! The devices that there are, and what the switch did to them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aorta_flow::{BridgeName, IfIndex};
use aorta_kernel::netdev::qdisc::RootQdiscs;
use aorta_kernel::netdev::{Link, LinkEvent, LinkStats};

use super::Effect;
use crate::config::Dummy;
use crate::devices::{Owner, owner};

/// Devices by index and name, kept current by events.
#[derive(Debug, Default)]
pub struct Actual {
    links: HashMap<IfIndex, Link>,
    names: HashMap<String, IfIndex>,
    /// Name of this instance, as in the aliases of its devices.
    pub instance: String,
    /// Names of the NICs that the switch made promiscuous.
    pub promisc: BTreeSet<String>,
    /// The devices in memory, by name.
    pub dummies: BTreeMap<String, Dummy>,
    /// Smallest MTU of each bridge's system ports at the last look, `None` if it had none. A
    /// bridge that was never looked at is missing.
    pub followed_mtu: BTreeMap<BridgeName, Option<u32>>,
    /// Queueing disciplines at the last look, without those that the kernel put there.
    pub qdiscs: RootQdiscs,
    /// Bits a second of devices that are shaped, if they tell.
    pub speeds_bps: BTreeMap<IfIndex, u64>,
    /// What failed, and why: not tried again before something changes.
    pub failed: BTreeMap<Effect, String>,
}

impl Actual {
    /// No devices yet.
    pub fn new(instance: String) -> Actual {
        Actual {
            instance,
            ..Actual::default()
        }
    }

    /// The device of that name.
    pub fn by_name(&self, name: &str) -> Option<&Link> {
        self.links.get(self.names.get(name)?)
    }

    /// The device of that index.
    pub fn get(&self, ifindex: IfIndex) -> Option<&Link> {
        self.links.get(&ifindex)
    }

    /// Hidden ends that this instance made, with the names of their ports.
    pub fn own_hidden(&self) -> impl Iterator<Item = (&Link, &str)> {
        self.links
            .values()
            .filter_map(|link| match owner(link, &self.instance) {
                Owner::Us(port) => Some((link, port)),
                _ => None,
            })
    }

    /// Takes the newest state of a device. True if more than its counters changed.
    pub fn insert(&mut self, link: Link) -> bool {
        let old = self.links.get(&link.ifindex);
        let quiet = |l: &Link| Link {
            stats: LinkStats::default(),
            ..l.clone()
        };
        let changed = old.is_none_or(|old| quiet(old) != quiet(&link));
        if let Some(old) = old.filter(|old| old.name != link.name)
            && self.names.get(&old.name) == Some(&link.ifindex)
        {
            let name = old.name.clone();
            self.names.remove(&name);
        }
        if changed {
            self.forget_failures(link.ifindex, &link.name);
        }
        self.names.insert(link.name.clone(), link.ifindex);
        self.links.insert(link.ifindex, link);
        changed
    }

    /// Forgets a device.
    pub fn remove(&mut self, ifindex: IfIndex) -> Option<Link> {
        self.qdiscs.remove(&ifindex);
        let link = self.links.remove(&ifindex)?;
        if self.names.get(&link.name) == Some(&ifindex) {
            self.names.remove(&link.name);
        }
        self.forget_failures(ifindex, &link.name);
        Some(link)
    }

    /// Takes an event; the names that it is about if something other than counters changed.
    pub fn take(&mut self, event: LinkEvent) -> Vec<String> {
        match event {
            LinkEvent::Changed(link) => {
                let mut names = vec![link.name.clone()];
                names.extend(self.get(link.ifindex).map(|old| old.name.clone()));
                if self.insert(*link) {
                    names
                } else {
                    Vec::new()
                }
            }
            LinkEvent::Gone(ifindex) => self.remove(ifindex).map(|l| l.name).into_iter().collect(),
        }
    }

    /// Takes a complete list.
    pub fn replace(&mut self, links: Vec<Link>) {
        self.links.clear();
        self.names.clear();
        self.failed.clear();
        for link in links {
            self.insert(link);
        }
    }

    fn forget_failures(&mut self, ifindex: IfIndex, name: &str) {
        self.failed
            .retain(|effect, _| !effect.is_about(ifindex, name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::link;

    #[test]
    fn renames_and_reused_names() {
        let mut actual = Actual::default();
        assert!(actual.insert(link(1, "a")));
        assert!(!actual.insert(link(1, "a")), "nothing changed");
        let mut counted = link(1, "a");
        counted.stats.rx_packets = 1;
        assert!(!actual.insert(counted), "only a counter changed");
        let renamed = actual.take(LinkEvent::Changed(Box::new(link(1, "b"))));
        assert_eq!(renamed, ["b", "a"]);
        assert_eq!(actual.by_name("a"), None);
        assert!(actual.insert(link(2, "a")));
        // A late event about the old holder of a name doesn't take it from the new one.
        assert!(actual.insert(link(3, "a")));
        actual.remove(IfIndex::new(2).unwrap());
        assert_eq!(actual.by_name("a").map(|l| l.ifindex.get()), Some(3));
    }
}
