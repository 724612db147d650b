//! A client of `BRIDGE.snoop`: it hears what the bridge's controllers say and hear.

use std::sync::Arc;
use std::time::Duration;

use aorta_openflow::session::Session;
use aorta_stream::{Peer, Stream, plain};
use tokio::io::AsyncReadExt;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};
use tracing::info;

use super::hub::Endpoint;
use super::sending::Sending;

/// Serves one until it goes.
pub async fn serve(endpoint: &Endpoint, stream: impl Stream, peer: Peer) -> Result<(), String> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let begun = Instant::now();
    // It is asked for nothing: it may be stopped for as long as somebody reads.
    let mut session = Session::new(endpoint.bridge.versions, None, Duration::ZERO);
    let mut sending = Sending::new(Duration::ZERO);
    let mut copies = None::<broadcast::Receiver<Arc<[u8]>>>;
    let mut buffer = [0; 1024];
    loop {
        sending.push(&session.take_output());
        if session.version().is_some() && copies.is_none() {
            copies = Some(endpoint.bridge.watched.subscribe());
        }
        let due = session.next_wake().map(|at| begun + at);
        let room = sending.has_room();
        tokio::select! {
            read = reader.read(&mut buffer) => {
                let count = read.map_err(|e| plain(&e))?;
                if count == 0 {
                    return Ok(());
                }
                let done = session.receive(&buffer[..count], begun.elapsed(), &mut |_| {});
                done.map_err(|end| end.to_string())?;
            }
            done = sending.advance(&mut writer), if sending.is_busy() => {
                done.map_err(|e| plain(&e))?;
            }
            copy = next(&mut copies), if room && copies.is_some() => match copy {
                Ok(copy) => sending.push(&copy),
                Err(RecvError::Lagged(count)) => {
                    info!("{}: {count} messages were too many for it", peer.name);
                }
                Err(RecvError::Closed) => return Ok(()),
            },
            () = sleep_until(due.unwrap_or(begun)), if due.is_some() => {
                session.on_time(begun.elapsed()).map_err(|end| end.to_string())?;
            }
        }
    }
}

async fn next(copies: &mut Option<broadcast::Receiver<Arc<[u8]>>>) -> Result<Arc<[u8]>, RecvError> {
    match copies {
        Some(copies) => copies.recv().await,
        None => std::future::pending().await,
    }
}
