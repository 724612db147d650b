//! What comes from a client.
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aorta_stream::Peer;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use super::connection::{End, Farewell};
use crate::engine::{Command, Outbox, SLOW};
use crate::jsonrpc::{Framer, Message};

/// How long a message may take from its first byte to its last.
pub(super) const STALLED: Duration = Duration::from_secs(120);
/// Room for what is read at a time from a client that says little, in bytes.
const SMALL: usize = 1 << 10;
/// The same for one that says much.
const LARGE: usize = 64 << 10;

/// What comes from a client.
pub(super) struct Reading<'a> {
    to: &'a Farewell,
    probes: Outbox,
    backlog: watch::Receiver<usize>,
    peer: Peer,
    /// Room that messages under way share, in kB.
    unfinished: Arc<Semaphore>,
    framer: Framer,
    heard: Instant,
    /// When the message under way began.
    begun: Option<Instant>,
    /// Room for that message, in kB.
    room: Option<OwnedSemaphorePermit>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(
        to: &'a Farewell,
        probes: Outbox,
        backlog: watch::Receiver<usize>,
        peer: Peer,
        unfinished: Arc<Semaphore>,
    ) -> Self {
        Self {
            to,
            probes,
            backlog,
            peer,
            unfinished,
            framer: Framer::default(),
            heard: Instant::now(),
            begun: None,
            room: None,
        }
    }

    /// Reads until the client goes or must.
    pub(super) async fn run(mut self, mut reader: impl AsyncRead + Unpin) -> Result<(), End> {
        let mut buffer = vec![0; SMALL];
        let mut told = true;
        loop {
            let due = self.due();
            let count = tokio::select! {
                count = reader.read(&mut buffer) => count,
                changed = self.peer.options.changed(), if told => {
                    told = changed.is_ok();
                    continue;
                }
                () = sleep_until(due), if due.is_some() => {
                    self.late()?;
                    continue;
                }
            };
            let count = match count {
                // Many peers end TLS connections without saying so; a message is whole or not.
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => 0,
                count => count?,
            };
            if count == 0 {
                return Ok(());
            }
            self.heard = Instant::now();
            self.peer.asked.store(false, Ordering::Relaxed);
            if !self.take(buffer.get(..count).unwrap_or_default()).await? {
                return Ok(());
            }
            if count == buffer.len() && count < LARGE {
                buffer = vec![0; LARGE];
            } else if buffer.len() > SMALL && self.begun.is_none() {
                buffer = vec![0; SMALL];
            }
        }
    }

    /// Hands on what is complete; false if the engine has stopped.
    async fn take(&mut self, bytes: &[u8]) -> Result<bool, End> {
        self.framer.push(bytes);
        while let Some(message) = self.framer.next_message()? {
            self.begun = None;
            // What a client asks for it must read before it may ask for more.
            if self
                .backlog
                .wait_for(|backlog| *backlog <= SLOW)
                .await
                .is_err()
            {
                return Ok(false);
            }
            let session = self.to.session;
            let command = Command::Message { session, message };
            if self.to.engine.send(command).await.is_err() {
                return Ok(false);
            }
            self.room = None;
        }
        if self.framer.is_empty() {
            self.begun = None;
        } else {
            self.begun.get_or_insert(self.heard);
            self.take_room()?;
        }
        Ok(true)
    }

    /// Sees to it that there is room for what has come of a message.
    fn take_room(&mut self) -> Result<(), End> {
        let taken_kb = self.room.as_ref().map_or(0, |room| room.num_permits());
        let more_kb = self.framer.len().div_ceil(1 << 10).saturating_sub(taken_kb);
        let more_kb = u32::try_from(more_kb).map_err(|_| End::Full)?;
        let unfinished = Arc::clone(&self.unfinished);
        let more = unfinished.try_acquire_many_owned(more_kb);
        let more = more.map_err(|_| End::Full)?;
        match &mut self.room {
            Some(room) => room.merge(more),
            room => *room = Some(more),
        }
        Ok(())
    }

    /// When patience ends.
    fn due(&self) -> Option<Instant> {
        let probe = self.peer.options.borrow().probe;
        let turns = 1 + u32::from(self.peer.asked.load(Ordering::Relaxed));
        let silent = probe.map(|probe| self.heard + probe * turns);
        let stalled = self.begun.map(|begun| begun + STALLED);
        silent.into_iter().chain(stalled).min()
    }

    /// Patience has ended.
    fn late(&self) -> Result<(), End> {
        let now = Instant::now();
        if self.begun.is_some_and(|begun| begun + STALLED <= now) {
            return Err(End::Stalled);
        }
        if self.peer.asked.swap(true, Ordering::Relaxed) {
            return Err(End::Silent);
        }
        let probe = Message::Request {
            method: "echo".to_owned(),
            params: Vec::new(),
            id: "echo".into(),
        };
        self.probes.send(probe.to_text());
        Ok(())
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Reads on, to no use.
pub(super) async fn discard(mut reader: impl AsyncRead + Unpin) -> io::Result<()> {
    let mut buffer = vec![0; LARGE];
    while reader.read(&mut buffer).await? > 0 {}
    Ok(())
}
