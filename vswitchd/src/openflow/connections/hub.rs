//! What connections have in common: all of them, those of a bridge, those of a remote.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aorta_openflow::Versions;
use aorta_openflow::message::Role;
use tokio::sync::{Notify, Semaphore, broadcast, watch};

use super::desired::Settings;
use super::limit::RateLimit;
use crate::control::Control;

/// At most so many connections are served at a time, over all bridges.
pub const MAX_CONNECTIONS: usize = 4096;
/// Messages that may wait for a client that watches them; it misses what is too much.
const WATCHED: usize = 4096;

/// What all connections have in common.
#[derive(Debug)]
pub struct Hub {
    /// The way to the switch's task.
    pub control: Control,
    next: AtomicU64,
    /// Room for connections.
    pub places: Arc<Semaphore>,
}

impl Hub {
    /// Without connections.
    pub fn new(control: Control) -> Hub {
        Hub {
            control,
            next: AtomicU64::new(1),
            places: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        }
    }

    /// A number that no other connection has.
    pub fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

/// What the connections of a bridge have in common.
#[derive(Debug)]
pub struct BridgeHub {
    /// The bridge's name.
    pub name: String,
    /// What it speaks.
    pub versions: Versions,
    /// Copies of what its controllers say and hear, for those who watch.
    pub watched: broadcast::Sender<Arc<[u8]>>,
}

impl BridgeHub {
    /// Without connections.
    pub fn new(name: &str, versions: Versions) -> BridgeHub {
        BridgeHub {
            name: name.to_owned(),
            versions,
            watched: broadcast::Sender::new(WATCHED),
        }
    }
}

/// What is on the other side of a remote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// A controller of the database.
    Controller(Settings),
    /// A client of `BRIDGE.mgmt`.
    Client,
    /// One that watches what controllers say and hear.
    Watcher,
}

/// One remote: those who connect to it, or the one that the switch connects to.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// What all connections have in common.
    pub hub: Arc<Hub>,
    /// What those of the bridge have in common.
    pub bridge: Arc<BridgeHub>,
    /// Who connects.
    pub side: Side,
    /// How many packets each gets.
    pub limit: watch::Receiver<Option<RateLimit>>,
    /// Who is there.
    pub peers: Peers,
}

impl Endpoint {
    /// Whether what goes over its connections is copied for those who watch.
    pub fn is_watched(&self) -> bool {
        let primary = matches!(self.side, Side::Controller(Settings { primary: true, .. }));
        primary && self.bridge.watched.receiver_count() > 0
    }
}

/// Peers that have agreed on a version, and their roles; clones are the same.
#[derive(Debug, Clone)]
pub struct Peers {
    known: Arc<Mutex<BTreeMap<u64, Role>>>,
    /// Told of every change.
    activity: Arc<Notify>,
}

impl Peers {
    /// Nobody yet.
    pub fn new(activity: Arc<Notify>) -> Peers {
        Peers {
            known: Arc::default(),
            activity,
        }
    }

    /// One is there, or its role is another.
    pub fn set(&self, peer: u64, role: Role) {
        self.lock().insert(peer, role);
        self.activity.notify_one();
    }

    /// One has gone.
    pub fn remove(&self, peer: u64) {
        self.lock().remove(&peer);
        self.activity.notify_one();
    }

    /// How many are there.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// The role of the first.
    pub fn role(&self) -> Option<Role> {
        self.lock().values().next().copied()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Role>> {
        // It is whole between any two statements that change it.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
