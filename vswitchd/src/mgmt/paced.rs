//! Makes a client read its answers before it may ask for more.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use jsonrpsee::core::middleware::{Batch, Notification, RpcServiceT};
use jsonrpsee::types::Request;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep};

/// After a client was too slow, its requests are read again once nothing was sent for so long.
const PAUSE: Duration = Duration::from_millis(5);
/// Calls and batches of one connection that are under way at a time.
pub const MAX_CALLS: usize = 16;
/// So many bytes are read before others have their turn, the answers to them among those.
const TURN: usize = 4 << 10;

/// How much is under way for a connection.
#[derive(Debug, Clone, Default)]
pub struct Pace(Arc<Mutex<Calls>>);

#[derive(Debug, Default)]
struct Calls {
    count: usize,
    /// Who waits for fewer.
    waiting: Option<Waker>,
}

/// A call under way.
struct Call(Pace);

impl Pace {
    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) -> Call {
        self.calls().count += 1;
        Call(self.clone())
    }

    fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut calls = self.calls();
        if calls.count < MAX_CALLS {
            return Poll::Ready(());
        }
        calls.waiting = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut calls = self.0.calls();
        calls.count -= 1;
        if let Some(waker) = calls.waiting.take() {
            waker.wake();
        }
    }
}

/// Counts the calls of a connection.
#[derive(Debug, Clone)]
pub struct Counted<S> {
    inner: S,
    pace: Pace,
}

impl<S> Counted<S> {
    /// Counts what a service does.
    pub fn new(inner: S, pace: Pace) -> Counted<S> {
        Counted { inner, pace }
    }
}

impl<S: RpcServiceT> RpcServiceT for Counted<S> {
    type MethodResponse = S::MethodResponse;
    type NotificationResponse = S::NotificationResponse;
    type BatchResponse = S::BatchResponse;

    fn call<'a>(
        &self,
        request: Request<'a>,
    ) -> impl Future<Output = S::MethodResponse> + Send + 'a {
        let (call, answer) = (self.pace.begin(), self.inner.call(request));
        async move {
            let answer = answer.await;
            drop(call);
            answer
        }
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = S::BatchResponse> + Send + 'a {
        let (call, answer) = (self.pace.begin(), self.inner.batch(batch));
        async move {
            let answer = answer.await;
            drop(call);
            answer
        }
    }

    fn notification<'a>(
        &self,
        notification: Notification<'a>,
    ) -> impl Future<Output = S::NotificationResponse> + Send + 'a {
        self.inner.notification(notification)
    }
}

/// A connection. While the client doesn't take what is sent, or much is under way for it, nothing
/// more is read from it, so that neither requests nor answers pile up.
pub struct Paced<S> {
    stream: S,
    pace: Pace,
    _place: OwnedSemaphorePermit,
    /// Since when nothing is read, and who waits for that.
    stalled: Option<Option<Waker>>,
    /// Whether the last write had to wait.
    blocked: bool,
    /// Whether others have had their turn since the last read.
    rested: bool,
    last_write: Instant,
    check: Pin<Box<Sleep>>,
}

impl<S> Paced<S> {
    /// A connection that takes a place as long as it exists.
    pub fn new(stream: S, pace: Pace, place: OwnedSemaphorePermit) -> Paced<S> {
        Paced {
            stream,
            pace,
            _place: place,
            stalled: None,
            blocked: false,
            rested: true,
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
        if !self.rested {
            self.rested = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        ready!(self.poll_drained(context));
        ready!(self.pace.poll_room(context));
        let mut bytes = [0; TURN];
        let room = bytes.len().min(buffer.remaining());
        let mut part = ReadBuf::new(&mut bytes[..room]);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut part))?;
        buffer.put_slice(part.filled());
        self.rested = false;
        Poll::Ready(Ok(()))
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
        let (mut reader, mut writer) = split(Paced::new(server, Pace::default(), place));
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

    #[tokio::test(start_paused = true)]
    async fn nothing_is_read_while_much_is_under_way() {
        let (mut client, server) = duplex(100);
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let pace = Pace::default();
        let mut server = Paced::new(server, pace.clone(), place);
        let mut calls: Vec<Call> = (0..MAX_CALLS).map(|_| pace.begin()).collect();
        client.write_all(b"more").await.unwrap();
        let mut buffer = [0; 100];
        assert!(timeout(MOMENT, server.read(&mut buffer)).await.is_err());
        let read = async { timeout(MOMENT, server.read(&mut buffer)).await };
        let (read, ()) = tokio::join!(read, async { drop(calls.pop()) });
        assert_eq!(read.unwrap().unwrap(), 4);
        assert_eq!(&buffer[..4], b"more");
    }
}
