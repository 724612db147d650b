//! What is to be sent over a connection, from messages to bytes.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use aorta_openflow::message::Role;
use aorta_openflow::{Context, Envelope, OptionLengths, encode_into};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;
use tracing::warn;

use super::hub::Endpoint;
use super::limit::Limiter;
use crate::coverage;
use crate::openflow::{Cause, Outbox, Outgoing};

/// From so many bytes on that wait to be sent, no more are made.
const HIGH: usize = 256 << 10;
/// What is kept for bytes while none wait.
const IDLE: usize = 16 << 10;
/// So many things are taken from the outbox at a time.
const TAKEN: usize = 64;

/// Bytes and messages on their way out.
#[derive(Debug)]
pub struct Sending {
    bytes: Vec<u8>,
    /// How many of them are sent.
    sent: usize,
    /// Bytes were given to the stream, which may have kept some.
    unflushed: bool,
    /// When bytes were last sent, or began to wait.
    moved: Instant,
    queue: VecDeque<Outgoing>,
    /// Packets that wait for their time, by [`Cause`].
    limiters: [Limiter<Envelope>; 2],
    /// Role to be told, if it changed.
    role: Option<Role>,
    /// How long the values of tunnel options are.
    options: Option<OptionLengths>,
    close: Option<String>,
    watched: bool,
}

impl Sending {
    /// Nothing yet.
    pub fn new(now: Duration) -> Sending {
        Sending {
            bytes: Vec::new(),
            sent: 0,
            unflushed: false,
            moved: Instant::now(),
            queue: VecDeque::new(),
            limiters: [Limiter::new(now), Limiter::new(now)],
            role: None,
            options: None,
            close: None,
            watched: false,
        }
    }

    /// Bytes that wait.
    pub fn waiting(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Whether there is something for the stream to do.
    pub fn is_busy(&self) -> bool {
        self.waiting() > 0 || self.unflushed
    }

    /// Whether more can be made.
    pub fn has_room(&self) -> bool {
        self.waiting() < HIGH && self.close.is_none()
    }

    /// Since when nothing that waits was sent.
    pub fn stuck_since(&self) -> Option<Instant> {
        self.is_busy().then_some(self.moved)
    }

    /// How long the values of tunnel options are, if anybody has said it.
    pub fn options(&self) -> Option<OptionLengths> {
        self.options
    }

    /// The newest role, once.
    pub fn take_role(&mut self) -> Option<Role> {
        self.role.take()
    }

    /// Why the connection is to be closed, once everything before that is sent.
    pub fn closing(&self) -> Option<&str> {
        let all_sent = self.waiting() == 0;
        self.close.as_deref().filter(|_| all_sent)
    }

    /// Adds bytes of whole messages.
    pub fn push(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if !self.is_busy() {
            self.moved = Instant::now();
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Makes bytes of what waits in the outbox, as far as there is room.
    pub fn fill(&mut self, outbox: &Outbox, endpoint: &Endpoint, now: Duration) {
        self.watched = endpoint.is_watched();
        let limit = *endpoint.limit.borrow();
        for at in 0..self.limiters.len() {
            for packet in self.limiters[at].due(limit, now) {
                self.write(&packet, endpoint);
            }
        }
        while self.waiting() < HIGH && self.close.is_none() {
            if self.queue.is_empty() {
                self.queue.extend(outbox.take(TAKEN));
            }
            match self.queue.pop_front() {
                None => return,
                Some(Outgoing::Message(envelope)) => self.write(&envelope, endpoint),
                Some(Outgoing::PacketIn(envelope, cause)) => {
                    let limiter = &mut self.limiters[usize::from(cause == Cause::Action)];
                    let due = limiter.take(envelope, limit, now);
                    coverage::PACKET_IN_LIMITED.add(limiter.take_dropped());
                    if let Some(envelope) = due {
                        self.write(&envelope, endpoint);
                    }
                }
                Some(Outgoing::Role(role)) => self.role = Some(role),
                Some(Outgoing::TunnelOptions(options)) => self.options = Some(*options),
                Some(Outgoing::Close(why)) => self.close = Some(why),
            }
        }
    }

    /// When the next packet that waits may be sent.
    pub fn next_wake(&self, endpoint: &Endpoint) -> Option<Duration> {
        let limit = *endpoint.limit.borrow();
        let wakes = self.limiters.iter().filter_map(|l| l.next_wake(limit));
        wakes.min().filter(|_| self.has_room())
    }

    fn write(&mut self, envelope: &Envelope, endpoint: &Endpoint) {
        if !self.is_busy() {
            self.moved = Instant::now();
        }
        let before = self.bytes.len();
        coverage::OPENFLOW_SENT.hit();
        // What a switch sends has no commands of flow changes.
        let context = Context {
            options: self.options.as_ref(),
            ..Context::default()
        };
        if let Err(error) = encode_into(&mut self.bytes, envelope, context) {
            // What asked for it can't be answered in its version.
            warn!("{}: a message can't be sent: {error}", endpoint.bridge.name);
            return;
        }
        if self.watched {
            // Nobody may be there any more.
            let copy: Arc<[u8]> = self.bytes[before..].into();
            let _ = endpoint.bridge.watched.send(copy);
        }
    }

    /// Sends what the other side takes at once, as far as that is all there is: no timer is needed
    /// then for one that takes nothing.
    pub async fn send_now(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        while self.is_busy() && self.has_room() {
            let mut advance = pin!(self.advance(writer));
            let once = poll_fn(|context| Poll::Ready(advance.as_mut().poll(context)));
            match once.await {
                Poll::Ready(done) => done?,
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    /// Sends some of what waits. Dropped half-way, it goes on where it was.
    pub async fn advance(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        if self.waiting() == 0 {
            writer.flush().await?;
            self.unflushed = false;
            return Ok(());
        }
        let count = writer.write(&self.bytes[self.sent..]).await?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.moved = Instant::now();
        self.unflushed = true;
        self.sent += count;
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(IDLE);
            self.sent = 0;
        } else if self.sent >= HIGH {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        Ok(())
    }
}
