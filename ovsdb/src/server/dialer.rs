//! Connections that the server makes, to serve whoever answers.
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::connection::{End, Terms, serve};
use super::{Access, RemoteOptions, Setup};
use crate::engine::{SessionId, describe};
use crate::remote::Remote;
use crate::tls::Tls;

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
    /// The word for it in the `status` column of table Manager.
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
    session: Option<SessionId>,
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

    /// Its number among the clients while it is connected.
    pub(crate) fn session(&self) -> Option<SessionId> {
        self.shared.status.borrow().session
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

/// Starts to connect.
pub(crate) fn dial(remote: &Remote, access: Access, setup: Setup) -> Dialer {
    let (options, receiver) = watch::channel(setup.options);
    let status = DialerStatus {
        state: DialState::Connecting,
        connected: None,
        disconnected: None,
        problem: None,
    };
    let shared = Arc::new(Shared {
        status: watch::Sender::new(Progress {
            status,
            session: None,
        }),
        asked: Arc::default(),
        restart: Notify::new(),
        activity: setup.activity,
    });
    let work = Work {
        remote: remote.clone(),
        access,
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

struct Work {
    remote: Remote,
    access: Access,
    shared: Arc<Shared>,
    options: watch::Receiver<RemoteOptions>,
    tls: Tls,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Work {
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
                    tracing::info!("{}: connected", self.remote);
                    let begun = Instant::now();
                    let why = self.serve(stream).await;
                    self.failed(&why);
                    let wait = backoff.ended(begun.elapsed(), max);
                    tracing::info!("{}: the connection ended: {why}", self.remote);
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
        let (remote, wait_s) = (&self.remote, wait.as_secs());
        tracing::warn!("{remote}: can't connect ({why}); next attempt in {wait_s} s{hint}");
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, String> {
        match &self.remote {
            Remote::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(plain)?;
                Ok(Box::new(stream))
            }
            Remote::Tcp(endpoint) => Ok(Box::new(endpoint.dial().await.map_err(plain)?)),
            Remote::Tls(endpoint) => {
                // What is wrong with our own files needs no peer.
                self.tls.check_client().map_err(|e| describe(&*e))?;
                let stream = endpoint.dial().await.map_err(plain)?;
                let stream = self.tls.connect(stream).await;
                Ok(Box::new(stream.map_err(|e| describe(&*e))?))
            }
            _ => Err("not a remote to connect to".to_owned()),
        }
    }

    /// Serves the peer to the end, and says why that came.
    async fn serve(&self, stream: Box<dyn Stream>) -> String {
        let Some(_place) = self.access.place() else {
            return "there are too many clients already".to_owned();
        };
        let session = self.access.session();
        self.shared.asked.store(false, Ordering::Relaxed);
        self.note(|progress| {
            progress.session = Some(session);
            progress.status.state = DialState::Active;
            progress.status.connected = Some(Instant::now());
        });
        let terms = Terms {
            name: self.remote.to_string(),
            options: self.options.clone(),
            asked: Arc::clone(&self.shared.asked),
            unfinished: Arc::clone(&self.access.unfinished),
        };
        let served = serve(stream, session, self.access.engine.clone(), terms);
        let why = tokio::select! {
            end = served => match end {
                Ok(()) => "End of file".to_owned(),
                Err(End::Io(error)) => plain(error),
                Err(end) => describe(&end),
            },
            () = self.shared.restart.notified() => "reconnect was asked for".to_owned(),
        };
        self.note(|progress| {
            progress.session = None;
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

/// An error of the system as other programs have it: without its number.
fn plain(error: io::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" (os error ") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}
