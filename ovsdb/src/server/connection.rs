//! One client's connection.
use std::io;
use std::sync::Arc;
use std::time::Duration;

use aorta_stream::Peer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, mpsc};

use super::UNFINISHED_KB;
use super::reading::{Reading, STALLED, discard};
use super::writing::{STUCK, write};
use crate::engine::{Command, SessionId, outbox};
use crate::jsonrpc::StreamError;

/// Why a connection ended, other than by the client's will.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("no sign of life")]
    Silent,
    #[error("the rest of a message did not come within {} s", STALLED.as_secs())]
    Stalled,
    #[error("there is no room for its message: unfinished ones take {} MiB", UNFINISHED_KB >> 10)]
    Full,
    #[error("the client doesn't read what it asked for")]
    Cut,
    #[error("the client has read nothing of what it asked for for {} s", STUCK.as_secs())]
    Stuck,
}

/// How long a client that has finished may take to read its last replies.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves a client until it goes or has to be sent away, which is logged.
pub(super) async fn serve<S: AsyncRead + AsyncWrite>(
    stream: S,
    engine: mpsc::Sender<Command>,
    peer: Peer,
    unfinished: Arc<Semaphore>,
) -> Result<(), End> {
    let session = peer.id;
    let (mut reader, writer) = tokio::io::split(stream);
    let (outbox, outgoing) = outbox();
    let mut backlog = outgoing.backlog.subscribe();
    let unsent = outgoing.backlog.subscribe();
    let probes = outbox.clone();
    if engine
        .send(Command::Connect { session, outbox })
        .await
        .is_err()
    {
        return Ok(());
    }
    let farewell = Farewell {
        engine,
        session,
        said: false,
    };
    let name = peer.name.clone();
    let write = write(writer, outgoing);
    tokio::pin!(write);
    let listening = Reading::new(&farewell, probes, unsent, peer, unfinished);
    let (end, unsent) = tokio::select! {
        end = listening.run(&mut reader) => (end, true),
        end = &mut write => (end, false),
        _ = backlog.wait_for(|backlog| *backlog == usize::MAX) => (Err(End::Cut), false),
    };
    if let Err(end) = &end {
        tracing::info!("OVSDB client {name} is cut off: {end}");
    }
    farewell.say().await;
    if unsent {
        // What was asked for before the end is still answered, if the client takes it.
        let _ = tokio::time::timeout(FAREWELL, write).await;
    }
    if matches!(end, Err(End::Stream(_))) {
        // Closing on something unread would take these answers away from the client.
        let _ = tokio::time::timeout(FAREWELL, discard(reader)).await;
    }
    end
}

/// Tells the engine that a client has gone, however that comes.
pub(super) struct Farewell {
    pub(super) engine: mpsc::Sender<Command>,
    pub(super) session: SessionId,
    said: bool,
}

impl Farewell {
    async fn say(mut self) {
        let session = self.session;
        // The engine may have stopped.
        let _ = self.engine.send(Command::Disconnect { session }).await;
        self.said = true;
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        if self.said {
            return;
        }
        let (engine, session) = (self.engine.clone(), self.session);
        let sent = engine.try_send(Command::Disconnect { session });
        if let Err(mpsc::error::TrySendError::Full(command)) = sent
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move { engine.send(command).await.is_ok() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::SLOW;
    use aorta_stream::RemoteOptions;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::sync::watch;
    use tokio::time::{Instant, advance};

    struct Client {
        client: DuplexStream,
        engine: mpsc::Receiver<Command>,
        options: watch::Sender<RemoteOptions>,
    }

    /// A served connection, without an engine that answers.
    fn connect(probe: Option<Duration>) -> Client {
        let (client, server) = tokio::io::duplex(1 << 16);
        let (sender, engine) = mpsc::channel(16);
        let (options, receiver) = watch::channel(RemoteOptions {
            probe,
            max_backoff: Duration::from_secs(8),
        });
        let peer = Peer {
            id: 1,
            name: "x".to_owned(),
            options: receiver,
            asked: Arc::default(),
        };
        let unfinished = Arc::new(Semaphore::new(64));
        tokio::spawn(async move { serve(server, sender, peer, unfinished).await.is_ok() });
        Client {
            client,
            engine,
            options,
        }
    }

    async fn read_some(client: &mut DuplexStream) -> String {
        let mut buffer = [0; 1024];
        let count = client.read(&mut buffer).await.unwrap();
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    }

    const PROBE: &str = r#"{"method":"echo","params":[],"id":"echo"}"#;

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_is_asked_and_then_sent_away() {
        let start = Instant::now();
        let mut peer = connect(Some(Duration::from_secs(5)));
        assert_eq!(read_some(&mut peer.client).await, PROBE);
        assert_eq!(start.elapsed().as_secs(), 5);
        let answer = br#"{"id":"echo","result":[],"error":null}"#;
        peer.client.write_all(answer).await.unwrap();
        assert_eq!(read_some(&mut peer.client).await, PROBE);
        assert_eq!(read_some(&mut peer.client).await, "");
        assert_eq!(start.elapsed(), Duration::from_secs(15) + FAREWELL);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_asked_where_no_probe_is_wanted_until_it_is() {
        let mut peer = connect(None);
        let connected = peer.engine.recv().await;
        assert!(matches!(connected, Some(Command::Connect { .. })));
        advance(Duration::from_secs(1000)).await;
        let echo = br#"{"method":"echo","params":[],"id":1}"#;
        peer.client.write_all(echo).await.unwrap();
        let message = peer.engine.recv().await;
        assert!(matches!(message, Some(Command::Message { .. })));
        let start = Instant::now();
        peer.options
            .send_modify(|o| o.probe = Some(Duration::from_secs(7)));
        assert_eq!(read_some(&mut peer.client).await, PROBE);
        assert_eq!(start.elapsed().as_secs(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_message_is_not_waited_for_without_end() {
        let mut peer = connect(None);
        let start = Instant::now();
        let echo = br#"{"method":"echo","params":[],"id":1}{"meth"#;
        peer.client.write_all(echo).await.unwrap();
        let trickle = async {
            loop {
                tokio::time::sleep(Duration::from_secs(50)).await;
                if peer.client.write_all(b" ").await.is_err() {
                    break;
                }
            }
        };
        trickle.await;
        assert!(start.elapsed() >= STALLED);
        assert!(start.elapsed() <= STALLED + Duration::from_secs(50) + FAREWELL);
    }

    #[tokio::test]
    async fn unfinished_messages_have_so_much_room_and_no_more() {
        let mut peer = connect(None);
        let long = |length| format!("{{\"id\":\"{}", "x".repeat(length));
        let rest = "\",\"method\":\"echo\",\"params\":[]}";
        assert!(matches!(
            peer.engine.recv().await,
            Some(Command::Connect { .. })
        ));
        // What is complete leaves its room to the next.
        for _ in 0..3 {
            let message = long(60 << 10) + rest;
            peer.client.write_all(message.as_bytes()).await.unwrap();
            let message = peer.engine.recv().await;
            assert!(matches!(message, Some(Command::Message { .. })));
        }
        let message = long(70 << 10);
        peer.client.write_all(message.as_bytes()).await.unwrap();
        let gone = peer.engine.recv().await;
        assert!(matches!(gone, Some(Command::Disconnect { session: 1 })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_with_much_to_read_must_read_some_of_it() {
        let mut peer = connect(None);
        let Some(Command::Connect { outbox, .. }) = peer.engine.recv().await else {
            panic!("silent")
        };
        let half = "x".repeat(SLOW / 2 + 1);
        outbox.send(half.clone());
        advance(STUCK * 3).await;
        assert!(outbox.send(half.clone()), "little may wait");
        outbox.send(half);
        for _ in 0..3 {
            tokio::time::sleep(STUCK / 2).await;
            let mut some = vec![0; 1 << 16];
            assert!(peer.client.read(&mut some).await.unwrap() > 0);
        }
        let start = Instant::now();
        let gone = peer.engine.recv().await;
        assert!(matches!(gone, Some(Command::Disconnect { session: 1 })));
        assert_eq!(start.elapsed(), STUCK);
    }

    #[tokio::test]
    async fn a_client_that_is_given_up_is_cut_off_though_it_reads_nothing() {
        let mut peer = connect(None);
        let Some(Command::Connect { outbox, .. }) = peer.engine.recv().await else {
            panic!("silent")
        };
        let megabyte = "x".repeat(1 << 20);
        while outbox.send(megabyte.clone()) {}
        outbox.cut();
        let gone = peer.engine.recv().await;
        assert!(matches!(gone, Some(Command::Disconnect { session: 1 })));
        let mut rest = Vec::new();
        peer.client.read_to_end(&mut rest).await.unwrap();
        assert!(rest.len() < 1 << 20, "what was unsent is dropped");
    }
}
