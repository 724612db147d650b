//! What a remote's peers are served by, and how.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, OwnedSemaphorePermit, watch};

use crate::remote::Remote;
use crate::tls::Tls;

/// A connection, whatever it goes over.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

/// Talks to the peers of a remote.
pub trait Service: Clone + Send + Sync + 'static {
    /// Lets one more peer in.
    ///
    /// # Errors
    /// With why there is no room for it.
    fn admit(&self) -> Result<Admission, String>;

    /// Talks to a peer until it goes. What ends it otherwise is logged here.
    ///
    /// # Errors
    /// With why the connection ended, if that is not that the peer closed it.
    fn serve<S: Stream>(
        &self,
        stream: S,
        peer: Peer,
    ) -> impl Future<Output = Result<(), String>> + Send;
}

/// Room for a peer; it is free again when this is dropped.
#[derive(Debug)]
pub struct Admission {
    /// The peer's number among all that the service has.
    pub id: u64,
    /// Its place, if they are counted.
    pub place: Option<OwnedSemaphorePermit>,
}

/// One that is connected.
#[derive(Debug)]
pub struct Peer {
    /// Its number among all that the service has.
    pub id: u64,
    /// Who it is, for the log.
    pub name: String,
    /// How it is treated.
    pub options: watch::Receiver<RemoteOptions>,
    /// Set while it owes a sign of life.
    pub asked: Arc<AtomicBool>,
}

impl Peer {
    /// Takes note of whether it owes a sign of life.
    pub fn set_asked(&self, asked: bool) {
        self.asked.store(asked, Ordering::Relaxed);
    }
}

/// How the peers of a remote are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteOptions {
    /// A peer that is silent for so long is asked for a sign of life, and given as long again to
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
    /// How its peers are treated.
    pub options: RemoteOptions,
    /// Key and certificates, for `pssl:` and `ssl:`.
    pub tls: Tls,
    /// Group whose members may connect to a socket in the file system, beside its owner.
    pub group: Option<u32>,
    /// Told when a peer comes or goes.
    pub activity: Arc<Notify>,
    /// What lines of the log call the remote; otherwise by its own words.
    pub name: Option<String>,
}

impl Setup {
    /// The usual treatment, without TLS.
    pub fn usual(remote: &Remote) -> Self {
        Self {
            options: RemoteOptions::usual(remote),
            tls: Tls::default(),
            group: None,
            activity: Arc::default(),
            name: None,
        }
    }

    pub(crate) fn name(&self, remote: &Remote) -> String {
        self.name.clone().unwrap_or_else(|| remote.to_string())
    }
}
