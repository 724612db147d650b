//! Connections that are made, and made again whenever they end, to serve whoever answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::remote::Remote;
use crate::service::{Peer, RemoteOptions, Service, Setup, Stream};
use crate::tls::Tls;
use crate::{describe, plain};

/// Where a connection is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialState {
    /// Waiting before the next attempt.
    Backoff,
    /// An attempt is under way.
    Connecting,
    /// Connected.
    Active,
    /// Connected, but the peer owes a sign of life.
    Idle,
}

impl DialState {
    /// The word for it in the `status` columns of tables Manager and Controller.
    pub fn name(self) -> &'static str {
        match self {
            Self::Backoff => "BACKOFF",
            Self::Connecting => "CONNECTING",
            Self::Active => "ACTIVE",
            Self::Idle => "IDLE",
        }
    }
}

/// How a connection does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialerStatus {
    /// Where it is.
    pub state: DialState,
    /// When it was last established.
    pub connected: Option<Instant>,
    /// When it last ended.
    pub disconnected: Option<Instant>,
    /// Why the last attempt failed or the last connection ended.
    pub problem: Option<String>,
}

impl DialerStatus {
    /// As column `status` of table Manager or Controller tells it.
    pub fn told(&self, now: Instant) -> BTreeMap<&'static str, String> {
        let mut told = BTreeMap::from([("state", self.state.name().to_owned())]);
        let times = [
            ("sec_since_connect", self.connected),
            ("sec_since_disconnect", self.disconnected),
        ];
        for (key, since) in times {
            if let Some(since) = since {
                let seconds = now.saturating_duration_since(since).as_secs();
                told.insert(key, seconds.to_string());
            }
        }
        if let Some(problem) = &self.problem {
            told.insert("last_error", problem.clone());
        }
        told
    }
}

/// A connection that is made, and made again whenever it ends; dropping it ends it for good.
#[derive(Debug)]
pub struct Dialer {
    task: JoinHandle<()>,
    shared: Arc<Shared>,
    options: watch::Sender<RemoteOptions>,
}

#[derive(Debug)]
struct Shared {
    status: watch::Sender<Progress>,
    /// The peer owes a sign of life.
    asked: Arc<AtomicBool>,
    restart: Notify,
    activity: Arc<Notify>,
}

#[derive(Debug, Clone)]
struct Progress {
    status: DialerStatus,
    peer: Option<u64>,
}

impl Dialer {
    /// How it does.
    pub fn status(&self) -> DialerStatus {
        let mut status = self.shared.status.borrow().status.clone();
        if status.state == DialState::Active && self.shared.asked.load(Ordering::Relaxed) {
            status.state = DialState::Idle;
        }
        status
    }

    /// The number that the service gave to the peer, while it is connected.
    pub fn peer(&self) -> Option<u64> {
        self.shared.status.borrow().peer
    }

    /// Treats the peer otherwise from now on.
    pub fn set_options(&self, options: RemoteOptions) {
        self.options.send_if_modified(|known| {
            let changed = *known != options;
            *known = options;
            changed
        });
    }

    /// Ends the connection there is, and makes another.
    pub fn disconnect(&self) {
        // Only what is there now ends: an attempt under way goes on.
        self.shared.restart.notify_waiters();
    }
}

impl Drop for Dialer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts to connect, and has the service talk to whoever answers until the dialer is dropped.
pub fn dial(remote: &Remote, service: impl Service, setup: Setup) -> Dialer {
    let name = setup.name(remote);
    let (options, receiver) = watch::channel(setup.options);
    let status = DialerStatus {
        state: DialState::Connecting,
        connected: None,
        disconnected: None,
        problem: None,
    };
    let shared = Arc::new(Shared {
        status: watch::Sender::new(Progress { status, peer: None }),
        asked: Arc::default(),
        restart: Notify::new(),
        activity: setup.activity,
    });
    let work = Work {
        name,
        remote: remote.clone(),
        service,
        shared: Arc::clone(&shared),
        options: receiver,
        tls: setup.tls,
    };
    Dialer {
        task: tokio::spawn(work.run()),
        shared,
        options,
    }
}

struct Work<V> {
    name: String,
    remote: Remote,
    service: V,
    shared: Arc<Shared>,
    options: watch::Receiver<RemoteOptions>,
    tls: Tls,
}

/// A stream of any kind.
enum Way {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl<V: Service> Work<V> {
    async fn run(self) {
        let mut backoff = Backoff::default();
        loop {
            self.note(|p| p.status.state = DialState::Connecting);
            let max = self.options.borrow().max_backoff;
            let attempt = tokio::time::timeout(backoff.patience(), self.connect());
            let wait = match attempt
                .await
                .unwrap_or_else(|_| Err("timed out".to_owned()))
            {
                Ok(stream) => {
                    tracing::info!("{}: connected", self.name);
                    let begun = Instant::now();
                    let why = self.serve(stream).await;
                    self.failed(&why);
                    let wait = backoff.ended(begun.elapsed(), max);
                    tracing::info!("{}: the connection ended: {why}", self.name);
                    wait
                }
                Err(why) => {
                    let loud = !backoff.is_longest(max);
                    let wait = backoff.failed(max);
                    self.failed(&why);
                    if loud {
                        self.complain(&why, wait, backoff.is_longest(max));
                    }
                    wait
                }
            };
            self.note(|p| p.status.state = DialState::Backoff);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.shared.restart.notified() => {}
            }
        }
    }

    fn complain(&self, why: &str, wait: Duration, last: bool) {
        let hint = if last {
            "; further failures are not logged"
        } else {
            ""
        };
        let (name, wait_s) = (&self.name, wait.as_secs());
        tracing::warn!("{name}: can't connect ({why}); next attempt in {wait_s} s{hint}");
    }

    async fn connect(&self) -> Result<Way, String> {
        match &self.remote {
            Remote::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(|e| plain(&e))?;
                Ok(Way::Unix(stream))
            }
            Remote::Tcp(endpoint) => {
                let stream = endpoint.dial().await.map_err(|e| plain(&e))?;
                Ok(Way::Tcp(stream))
            }
            Remote::Tls(endpoint) => {
                // What is wrong with our own files needs no peer.
                self.tls.check_client().map_err(|e| describe(&*e))?;
                let stream = endpoint.dial().await.map_err(|e| plain(&e))?;
                let stream = self.tls.connect(stream).await;
                Ok(Way::Tls(Box::new(stream.map_err(|e| describe(&*e))?)))
            }
            _ => Err("not a remote to connect to".to_owned()),
        }
    }

    /// Serves the peer to the end, and says why that came.
    async fn serve(&self, way: Way) -> String {
        match way {
            Way::Unix(stream) => self.serve_stream(stream).await,
            Way::Tcp(stream) => self.serve_stream(stream).await,
            Way::Tls(stream) => self.serve_stream(stream).await,
        }
    }

    async fn serve_stream<S: Stream>(&self, stream: S) -> String {
        let admission = match self.service.admit() {
            Ok(admission) => admission,
            Err(why) => return why,
        };
        self.shared.asked.store(false, Ordering::Relaxed);
        self.note(|progress| {
            progress.peer = Some(admission.id);
            progress.status.state = DialState::Active;
            progress.status.connected = Some(Instant::now());
        });
        let peer = Peer {
            id: admission.id,
            name: self.name.clone(),
            options: self.options.clone(),
            asked: Arc::clone(&self.shared.asked),
        };
        let why = tokio::select! {
            end = self.service.serve(stream, peer) => match end {
                Ok(()) => "End of file".to_owned(),
                Err(why) => why,
            },
            () = self.shared.restart.notified() => "reconnect was asked for".to_owned(),
        };
        self.note(|progress| {
            progress.peer = None;
            progress.status.disconnected = Some(Instant::now());
        });
        why
    }

    fn failed(&self, why: &str) {
        self.note(|progress| progress.status.problem = Some(why.to_owned()));
    }

    fn note(&self, change: impl FnOnce(&mut Progress)) {
        self.shared.status.send_modify(change);
        self.shared.activity.notify_one();
    }
}
