//! Serving clients, whichever side connects.
mod backoff;
mod connection;
mod dialer;
mod listener;
mod reading;
mod socket;
mod writing;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};

use crate::engine::{Command, SessionId};
use crate::remote::Remote;
use crate::tls::Tls;

pub(crate) use dialer::dial;
pub use dialer::{DialState, Dialer, DialerStatus};
pub(crate) use listener::listen;
pub use listener::{Listener, ListenerStatus};
pub use socket::ListenError;

/// At most so many clients are served at a time, over all remotes.
pub const MAX_CLIENTS: usize = 20_000;

/// What messages may take together before they are complete, over all clients, in kB.
const UNFINISHED_KB: usize = 256 << 10;

/// How the clients of a remote are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteOptions {
    /// A client that is silent for so long is asked for a sign of life, and given as long again to
    /// answer; `None` for never.
    pub probe: Option<Duration>,
    /// The longest wait between two attempts to connect.
    pub max_backoff: Duration,
}

impl RemoteOptions {
    /// What Open vSwitch has by default: probes after 5 s, but not within the machine.
    pub fn usual(remote: &Remote) -> Self {
        Self {
            probe: (!remote.is_unix()).then_some(Duration::from_secs(5)),
            max_backoff: Duration::from_secs(8),
        }
    }
}

/// What a remote is opened with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// How its clients are treated.
    pub options: RemoteOptions,
    /// Key and certificates, for `pssl:` and `ssl:`.
    pub tls: Tls,
    /// Group whose members may connect to a socket in the file system, beside its owner.
    pub group: Option<u32>,
    /// Told when a client comes or goes.
    pub activity: Arc<Notify>,
}

impl Setup {
    /// The usual treatment, without TLS.
    pub fn usual(remote: &Remote) -> Self {
        Self {
            options: RemoteOptions::usual(remote),
            tls: Tls::default(),
            group: None,
            activity: Arc::default(),
        }
    }
}

/// The way to the engine, for the clients of all remotes.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    engine: mpsc::Sender<Command>,
    sessions: Arc<AtomicU64>,
    places: Arc<Semaphore>,
    /// Room for messages under way, in kB.
    unfinished: Arc<Semaphore>,
}

impl Access {
    pub(crate) fn new(engine: mpsc::Sender<Command>) -> Self {
        Self {
            engine,
            sessions: Arc::new(AtomicU64::new(1)),
            places: Arc::new(Semaphore::new(MAX_CLIENTS)),
            unfinished: Arc::new(Semaphore::new(UNFINISHED_KB)),
        }
    }

    /// A number that no other client has.
    pub(crate) fn session(&self) -> SessionId {
        self.sessions.fetch_add(1, Ordering::Relaxed)
    }

    /// Room for one more client, unless all is taken.
    fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }
}
