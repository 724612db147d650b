//! Makes a client read its answers before it may ask for more.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep};

/// After a client was too slow, its requests are read again once nothing was sent for so long.
const PAUSE: Duration = Duration::from_millis(20);

/// A connection. While the client doesn't take what is sent, nothing more is read from it, so that
/// answers don't pile up.
pub struct Paced<S> {
    stream: S,
    _place: OwnedSemaphorePermit,
    /// Since when nothing is read, and who waits for that.
    stalled: Option<Option<Waker>>,
    /// Whether the last write had to wait.
    blocked: bool,
    last_write: Instant,
    check: Pin<Box<Sleep>>,
}

impl<S> Paced<S> {
    /// A connection that takes a place as long as it exists.
    pub fn new(stream: S, place: OwnedSemaphorePermit) -> Paced<S> {
        Paced {
            stream,
            _place: place,
            stalled: None,
            blocked: false,
            last_write: Instant::now(),
            check: Box::pin(sleep(Duration::ZERO)),
        }
    }

    fn wrote<T>(&mut self, result: Poll<T>) -> Poll<T> {
        self.blocked = result.is_pending();
        self.last_write = Instant::now();
        if self.blocked && self.stalled.is_none() {
            self.stalled = Some(None);
        }
        if !self.blocked
            && let Some(waiting) = &mut self.stalled
            && let Some(waker) = waiting.take()
        {
            waker.wake();
        }
        result
    }

    /// Whether the client has taken all that was for it.
    fn poll_drained(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(waiting) = &mut self.stalled else {
                return Poll::Ready(());
            };
            if self.blocked {
                // The write that goes on will tell.
                *waiting = Some(context.waker().clone());
                return Poll::Pending;
            }
            let quiet = self.last_write + PAUSE;
            if Instant::now() >= quiet {
                self.stalled = None;
                return Poll::Ready(());
            }
            self.check.as_mut().reset(quiet);
            ready!(self.check.as_mut().poll(context));
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_drained(context));
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex, split};
    use tokio::sync::Semaphore;
    use tokio::time::timeout;

    use super::*;

    const MOMENT: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn nothing_is_read_from_who_reads_nothing() {
        let (mut client, server) = duplex(100);
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let (mut reader, mut writer) = split(Paced::new(server, place));
        client.write_all(b"first").await.unwrap();
        let mut buffer = [0; 100];
        assert_eq!(reader.read(&mut buffer).await.unwrap(), 5);

        let answers = tokio::spawn(async move { writer.write_all(&[7; 1000]).await });
        client.write_all(b"second").await.unwrap();
        tokio::task::yield_now().await;
        assert!(timeout(MOMENT, reader.read(&mut buffer)).await.is_err());

        let (read, taken) = tokio::join!(timeout(MOMENT, reader.read(&mut buffer)), async {
            let mut answers = [0; 1000];
            client.read_exact(&mut answers).await
        });
        assert_eq!((read.unwrap().unwrap(), taken.unwrap()), (6, 1000));
        answers.await.unwrap().unwrap();
    }
}
