//! One connection: what it reads goes to the switch's task, what that answers is sent.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use aorta_openflow::message::Role;
use aorta_openflow::session::{Input, Session};
use aorta_openflow::{Message, Version};
use aorta_stream::{Admission, Peer, Service, Stream, plain};
use tokio::io::{AsyncReadExt, ReadHalf, WriteHalf};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, info};

use super::hub::{Endpoint, MAX_CONNECTIONS, Side};
use super::sending::Sending;
use super::watcher;
use crate::coverage;
use crate::openflow::{Batch, ConnId, Connected, Incoming, Kind, Order, Outbox};

/// How long a controller may leave all of what waits for it unread.
pub const STUCK: Duration = Duration::from_secs(30);
/// The same for a client of `BRIDGE.mgmt`: a person may be reading there, page by page.
const STUCK_CLIENT: Duration = Duration::from_secs(600);
/// How long a connection that is to be closed may take to accept the last bytes.
const FAREWELL: Duration = Duration::from_secs(1);
/// Room for what is read at a time from one that says little, in bytes.
const SMALL: usize = 4 << 10;
/// The same for one that says much.
const LARGE: usize = 64 << 10;
/// How much work a batch may be: the next one of another connection waits for its end.
const BATCH: usize = 512;
/// How much work a message is that changes no flow, and asks for nothing long.
const OTHER: usize = 16;

impl Service for Endpoint {
    fn admit(&self) -> Result<Admission, String> {
        let place = Arc::clone(&self.hub.places).try_acquire_owned();
        let place = place.map_err(|_| format!("there are {MAX_CONNECTIONS} already"))?;
        Ok(Admission {
            id: self.hub.number(),
            place: Some(place),
        })
    }

    async fn serve<S: Stream>(&self, stream: S, peer: Peer) -> Result<(), String> {
        let name = peer.name.clone();
        let end = if self.side == Side::Watcher {
            watcher::serve(self, stream, peer).await
        } else {
            Connection::new(self, peer).run(stream).await
        };
        if let Err(why) = &end {
            info!("{name}: the connection is closed: {why}");
        }
        end
    }
}

/// A connection for as long as it is there.
struct Connection<'a> {
    endpoint: &'a Endpoint,
    peer: Peer,
    session: Session,
    begun: Instant,
    outbox: Outbox,
    /// What was read and the switch hasn't got yet.
    incoming: VecDeque<Incoming>,
    /// Ends when the switch has done the last batch.
    under_way: Option<oneshot::Receiver<()>>,
    sending: Sending,
    /// The switch knows of it; tells it of the end.
    known: Option<Farewell>,
    /// The other side says no more.
    ended: bool,
    /// Nothing was read for want of room.
    paused: bool,
}

impl<'a> Connection<'a> {
    fn new(endpoint: &'a Endpoint, peer: Peer) -> Self {
        let probe = peer.options.borrow().probe;
        Connection {
            session: Session::new(endpoint.bridge.versions, probe, Duration::ZERO),
            endpoint,
            peer,
            begun: Instant::now(),
            outbox: Outbox::new(),
            incoming: VecDeque::new(),
            under_way: None,
            sending: Sending::new(Duration::ZERO),
            known: None,
            ended: false,
            paused: false,
        }
    }

    async fn run(mut self, stream: impl Stream) -> Result<(), String> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let end = self.talk(&mut reader, &mut writer).await;
        if end.is_err() {
            // What led to the end is still said, if the other side takes it.
            self.sending.push(&self.session.take_output());
            let _ = timeout(FAREWELL, finish(&mut self.sending, &mut writer)).await;
        }
        end
    }

    async fn talk<S: Stream>(
        &mut self,
        reader: &mut ReadHalf<S>,
        writer: &mut WriteHalf<S>,
    ) -> Result<(), String> {
        let mut buffer = vec![0; SMALL];
        let mut options = self.peer.options.clone();
        let mut told = true;
        let mut sleep = pin!(sleep_until(far()));
        loop {
            self.prepare().await?;
            let sent = self.sending.send_now(writer).await;
            sent.map_err(|e| plain(&e))?;
            if self.is_over() {
                return Ok(());
            }
            let (reading, room) = (self.may_read(), self.sending.has_room());
            let due = self.due(reading);
            // What is due moves on with each message; the timer does so when it has ended.
            if let Some(sooner) = due.filter(|due| *due < sleep.deadline()) {
                sleep.as_mut().reset(sooner);
            }
            tokio::select! {
                read = reader.read(&mut buffer), if reading => {
                    let count = read.map_err(|e| plain(&e))?;
                    self.take(&buffer[..count])?;
                    if count == buffer.len() && count < LARGE {
                        buffer.resize(LARGE, 0);
                    }
                }
                done = self.sending.advance(writer), if self.sending.is_busy() => {
                    done.map_err(|e| plain(&e))?;
                    if self.sending.waiting() > 0 {
                        // It reads, though what it was asked may be behind all of this.
                        self.session.alive(self.now());
                    }
                }
                () = ended(&mut self.under_way), if self.under_way.is_some() => {
                    self.under_way = None;
                }
                () = self.outbox.filled(), if room => {}
                changed = options.changed(), if told => {
                    told = changed.is_ok();
                    self.session.set_probe(options.borrow().probe);
                }
                () = &mut sleep => {
                    sleep.as_mut().reset(due.unwrap_or_else(far));
                    if due.is_some_and(|due| due <= Instant::now()) {
                        self.on_time(reading)?;
                    }
                }
            }
        }
    }

    /// Does all that needn't wait: makes bytes of answers, gives the switch what was read.
    async fn prepare(&mut self) -> Result<(), String> {
        let now = self.now();
        self.sending.push(&self.session.take_output());
        self.sending.fill(&self.outbox, self.endpoint, now);
        if let Some(options) = self.sending.options() {
            self.session.set_options(options);
        }
        if let Some(role) = self.sending.take_role() {
            self.endpoint.peers.set(self.peer.id, role);
        }
        if let Some(why) = self.sending.closing() {
            return Err(why.to_owned());
        }
        self.peer.set_asked(self.session.is_asked());
        self.introduce().await?;
        if self.under_way.is_none() && !self.incoming.is_empty() && self.sending.has_room() {
            self.submit().await?;
        }
        Ok(())
    }

    /// Whether the other side has gone and everything it asked for is done.
    fn is_over(&self) -> bool {
        let idle = self.under_way.is_none() && self.incoming.is_empty();
        self.ended && idle && !self.sending.is_busy() && self.sending.has_room()
    }

    fn may_read(&mut self) -> bool {
        let may = !self.ended && self.incoming.is_empty() && self.sending.has_room();
        if may && self.paused {
            // What it said meanwhile wasn't heard.
            self.session.alive(self.now());
        }
        self.paused = !may;
        may
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn due(&self, reading: bool) -> Option<Instant> {
        let session = self.session.next_wake().filter(|_| reading);
        let packets = self.sending.next_wake(self.endpoint);
        let wakes = session.into_iter().chain(packets).map(|at| self.begun + at);
        let stuck = self
            .sending
            .stuck_since()
            .map(|since| since + self.patience());
        wakes.chain(stuck).min()
    }

    fn patience(&self) -> Duration {
        match self.endpoint.side {
            Side::Controller(_) => STUCK,
            Side::Client | Side::Watcher => STUCK_CLIENT,
        }
    }

    fn on_time(&mut self, reading: bool) -> Result<(), String> {
        let stuck = self.sending.stuck_since();
        if stuck.is_some_and(|since| Instant::now() >= since + self.patience()) {
            let (bytes, seconds) = (self.sending.waiting(), self.patience().as_secs());
            return Err(format!(
                "{bytes} bytes wait, and it has read nothing for {seconds} s"
            ));
        }
        if !reading {
            return Ok(());
        }
        let now = self.now();
        self.session.on_time(now).map_err(|end| end.to_string())
    }

    /// Takes what was read; nothing is the end.
    fn take(&mut self, bytes: &[u8]) -> Result<(), String> {
        if bytes.is_empty() {
            self.ended = true;
            return Ok(());
        }
        let (watched, now) = (self.endpoint.is_watched(), self.now());
        let (incoming, mut agreed) = (&mut self.incoming, None);
        let bridge = &self.endpoint.bridge;
        let done = self.session.receive(bytes, now, &mut |input| {
            let bytes = match input {
                Input::Agreed(version) => {
                    agreed = Some(version);
                    return;
                }
                Input::Message { envelope, bytes } => {
                    let quote = bytes[..bytes.len().min(aorta_openflow::QUOTE_LEN)].into();
                    incoming.push_back(Incoming::Message(envelope, quote));
                    bytes
                }
                Input::Unreadable { reply, bytes } => {
                    debug!("{}: a message can't be understood: {reply:?}", bridge.name);
                    incoming.push_back(Incoming::Unreadable(reply));
                    bytes
                }
                Input::Handled { bytes } => bytes,
            };
            if watched {
                // Nobody may be there any more.
                let _ = bridge.watched.send(bytes.into());
            }
        });
        if let Some(version) = agreed {
            self.agreed(version);
        }
        done.map_err(|end| end.to_string())
    }

    fn agreed(&mut self, version: Version) {
        let id = ConnId(self.peer.id);
        debug!("{}: OpenFlow {version} is agreed on", self.peer.name);
        self.endpoint.peers.set(id.0, Role::Equal);
        let connected = Connected {
            id,
            bridge: self.endpoint.bridge.name.clone(),
            version,
            kind: match self.endpoint.side {
                Side::Controller(settings) if settings.primary && !settings.silent => {
                    Kind::Controller
                }
                _ => Kind::Service,
            },
            name: self.peer.name.clone(),
            outbox: self.outbox.clone(),
        };
        self.known = Some(Farewell {
            endpoint: self.endpoint.clone(),
            id,
            connected: Some(Box::new(connected)),
        });
    }

    /// Gives the switch the next batch.
    async fn submit(&mut self) -> Result<(), String> {
        let (done, receiver) = oneshot::channel();
        let batch = Batch {
            conn: ConnId(self.peer.id),
            messages: next_batch(&mut self.incoming),
            done,
        };
        coverage::OPENFLOW_RECEIVED.add(batch.messages.len() as u64);
        let sent = self.endpoint.hub.control.order(Order::Messages(batch));
        sent.await.map_err(|gone| gone.to_string())?;
        self.under_way = Some(receiver);
        Ok(())
    }

    /// Tells the switch of the connection, once.
    async fn introduce(&mut self) -> Result<(), String> {
        let connected = self.known.as_mut().and_then(|known| known.connected.take());
        if let Some(connected) = connected {
            let sent = self.endpoint.hub.control.order(Order::Connected(connected));
            sent.await.map_err(|gone| gone.to_string())?;
        }
        Ok(())
    }
}

/// As many messages as one batch may have.
fn next_batch(incoming: &mut VecDeque<Incoming>) -> Vec<Incoming> {
    let mut work = 0;
    let fitting = incoming.iter().take_while(|message| {
        let before = work;
        work += match message {
            Incoming::Message(envelope, _) => match envelope.message {
                Message::FlowMod(_) | Message::BundleAdd(_) | Message::PacketOut(_) => 1,
                Message::Request(_) => BATCH,
                _ => OTHER,
            },
            Incoming::Unreadable(_) => OTHER,
        };
        before < BATCH
    });
    let count = fitting.count();
    incoming.drain(..count).collect()
}

async fn ended(under_way: &mut Option<oneshot::Receiver<()>>) {
    if let Some(done) = under_way {
        // It is dropped rather than sent to.
        let _ = done.await;
    }
}

async fn finish(
    sending: &mut Sending,
    writer: &mut (impl tokio::io::AsyncWrite + Unpin),
) -> std::io::Result<()> {
    while sending.is_busy() {
        sending.advance(writer).await?;
    }
    Ok(())
}

/// A moment that doesn't come.
fn far() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

/// Tells the switch that a connection has gone, however that comes.
struct Farewell {
    endpoint: Endpoint,
    id: ConnId,
    /// The switch hasn't been told of the connection yet.
    connected: Option<Box<Connected>>,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        self.endpoint.peers.remove(self.id.0);
        if self.connected.is_none() {
            let control = &self.endpoint.hub.control;
            control.order_later(Order::Disconnected(self.id));
        }
    }
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
