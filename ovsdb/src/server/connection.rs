//! One client's connection.
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::engine::{Command, Outgoing, SLOW, SessionId, outbox};
use crate::jsonrpc::{Framer, Message, StreamError};

/// Why a connection ended, other than by the client's will.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("no sign of life")]
    Silent,
    #[error("the client doesn't read what it asked for")]
    Cut,
}

/// How long a client that has finished may take to read its last replies.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves a client until it goes or has to be sent away. With `probe`, a client that is silent
/// for so long is asked for a sign of life, and given as long again to answer.
pub(super) async fn serve<S: AsyncRead + AsyncWrite>(
    stream: S,
    session: SessionId,
    engine: mpsc::Sender<Command>,
    probe: Option<Duration>,
) {
    let (reader, writer) = tokio::io::split(stream);
    let (outbox, outgoing) = outbox();
    let mut backlog = outgoing.backlog.subscribe();
    let probes = outbox.clone();
    if engine
        .send(Command::Connect { session, outbox })
        .await
        .is_err()
    {
        return;
    }
    let unsent = outgoing.backlog.subscribe();
    let ask = || {
        let (method, id) = ("echo".to_owned(), "echo".into());
        probes.send(
            Message::Request {
                method,
                params: Vec::new(),
                id,
            }
            .to_text(),
        );
    };
    let write = write(writer, outgoing);
    tokio::pin!(write);
    let (end, unsent) = tokio::select! {
        end = read(reader, session, &engine, unsent, probe, ask) => (end, true),
        end = &mut write => (end, false),
        _ = backlog.wait_for(|backlog| *backlog == usize::MAX) => (Err(End::Cut), false),
    };
    if let Err(end) = end {
        tracing::info!("OVSDB client {session} is cut off: {end}");
    }
    // The engine may have stopped.
    let _ = engine.send(Command::Disconnect { session }).await;
    drop(probes);
    if unsent {
        // What was asked for before the end is still answered, if the client takes it.
        let _ = tokio::time::timeout(FAREWELL, write).await;
    }
}

async fn read(
    mut reader: impl AsyncRead + Unpin,
    session: SessionId,
    engine: &mpsc::Sender<Command>,
    mut backlog: tokio::sync::watch::Receiver<usize>,
    probe: Option<Duration>,
    ask: impl Fn(),
) -> Result<(), End> {
    let (mut framer, mut buffer) = (Framer::default(), vec![0; 64 << 10]);
    let mut asked = false;
    loop {
        let read = reader.read(&mut buffer);
        let count = match probe {
            None => read.await?,
            Some(limit) => match tokio::time::timeout(limit, read).await {
                Ok(count) => count?,
                Err(_) if asked => return Err(End::Silent),
                Err(_) => {
                    ask();
                    asked = true;
                    continue;
                }
            },
        };
        asked = false;
        if count == 0 {
            return Ok(());
        }
        framer.push(buffer.get(..count).unwrap_or_default());
        while let Some(message) = framer.next_message()? {
            // What a client asks for it must read before it may ask for more.
            if backlog.wait_for(|backlog| *backlog <= SLOW).await.is_err() {
                return Ok(());
            }
            if engine
                .send(Command::Message { session, message })
                .await
                .is_err()
            {
                return Ok(());
            }
        }
    }
}

async fn write(mut writer: impl AsyncWrite + Unpin, mut outgoing: Outgoing) -> Result<(), End> {
    while let Some(text) = outgoing.texts.recv().await {
        writer.write_all(text.as_bytes()).await?;
        writer.flush().await?;
        outgoing.sent(text.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::DuplexStream;
    use tokio::time::{Instant, advance};

    /// A served connection, without an engine that answers.
    fn connect(probe: Option<Duration>) -> (DuplexStream, mpsc::Receiver<Command>) {
        let (client, server) = tokio::io::duplex(1 << 16);
        let (sender, receiver) = mpsc::channel(16);
        tokio::spawn(serve(server, 1, sender, probe));
        (client, receiver)
    }

    async fn read_some(client: &mut DuplexStream) -> String {
        let mut buffer = [0; 1024];
        let count = client.read(&mut buffer).await.unwrap();
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_is_asked_and_then_sent_away() {
        let start = Instant::now();
        let (mut client, _engine) = connect(Some(Duration::from_secs(5)));
        let probe = r#"{"method":"echo","params":[],"id":"echo"}"#;
        assert_eq!(read_some(&mut client).await, probe);
        assert_eq!(start.elapsed().as_secs(), 5);
        client
            .write_all(br#"{"id":"echo","result":[],"error":null}"#)
            .await
            .unwrap();
        assert_eq!(read_some(&mut client).await, probe);
        assert_eq!(read_some(&mut client).await, "");
        assert_eq!(start.elapsed(), Duration::from_secs(15) + FAREWELL);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_asked_where_no_probe_is_wanted() {
        let (mut client, mut engine) = connect(None);
        assert!(matches!(engine.recv().await, Some(Command::Connect { .. })));
        advance(Duration::from_secs(1000)).await;
        client
            .write_all(br#"{"method":"echo","params":[],"id":1}"#)
            .await
            .unwrap();
        assert!(matches!(engine.recv().await, Some(Command::Message { .. })));
    }

    #[tokio::test]
    async fn a_client_that_is_given_up_is_cut_off_though_it_reads_nothing() {
        let (mut client, mut engine) = connect(None);
        let Some(Command::Connect { outbox, .. }) = engine.recv().await else {
            panic!("silent")
        };
        let megabyte = "x".repeat(1 << 20);
        while outbox.send(megabyte.clone()) {}
        outbox.cut();
        assert!(matches!(
            engine.recv().await,
            Some(Command::Disconnect { session: 1 })
        ));
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert!(rest.len() < 1 << 20, "what was unsent is dropped");
    }
}
