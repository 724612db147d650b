//! What goes to a client.
use std::io;
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::connection::End;
use crate::engine::{Outgoing, SLOW};

/// How long a client with much to read may leave all of it unread.
pub(super) const STUCK: Duration = Duration::from_secs(60);
/// So many bytes of short messages are sent at a time.
const GATHERED: usize = 32 << 10;

/// Sends until there won't be more.
pub(super) async fn write(
    mut writer: impl AsyncWrite + Unpin,
    mut outgoing: Outgoing,
) -> Result<(), End> {
    while let Some(text) = outgoing.texts.recv().await {
        let room = text.len().min(GATHERED);
        let (mut gathered, mut length) = (Vec::with_capacity(room), 0);
        let mut next = Some(text);
        // What is short goes out together, what is long without being copied.
        while let Some(text) = next.take() {
            length += text.len();
            if text.len() > GATHERED {
                for part in text.parts() {
                    write_all(&mut writer, part.as_bytes(), &outgoing).await?;
                }
                break;
            }
            for part in text.parts() {
                gathered.extend_from_slice(part.as_bytes());
            }
            next = outgoing.texts.next_within(GATHERED - gathered.len());
        }
        write_all(&mut writer, &gathered, &outgoing).await?;
        while !progress(writer.flush(), &outgoing).await? {}
        outgoing.sent(length);
    }
    writer.shutdown().await?;
    Ok(())
}

/// Writes all bytes as long as the client takes some now and then.
async fn write_all(
    writer: &mut (impl AsyncWrite + Unpin),
    mut bytes: &[u8],
    outgoing: &Outgoing,
) -> Result<(), End> {
    while !bytes.is_empty() {
        let mut count = 0;
        let step = async {
            count = writer.write(bytes).await?;
            Ok(())
        };
        if progress(step, outgoing).await? {
            if count == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
            bytes = bytes.get(count..).unwrap_or_default();
        }
    }
    Ok(())
}

/// Waits for a step; false if it wasn't done in time, but little depends on it.
async fn progress(
    step: impl Future<Output = io::Result<()>>,
    outgoing: &Outgoing,
) -> Result<bool, End> {
    match tokio::time::timeout(STUCK, step).await {
        Ok(done) => Ok(done.map(|()| true)?),
        Err(_) if *outgoing.backlog.borrow() > SLOW => Err(End::Stuck),
        Err(_) => Ok(false),
    }
}
