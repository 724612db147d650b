//! Serving clients, whichever side connects.
mod connection;
mod reading;
mod writing;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aorta_stream::{Admission, Peer, Service, Stream, describe, plain};
use tokio::sync::{Semaphore, mpsc};

use crate::engine::{Command, SessionId};
use connection::{End, serve};

/// At most so many clients are served at a time, over all remotes.
pub const MAX_CLIENTS: usize = 20_000;

/// What messages may take together before they are complete, over all clients, in kB.
const UNFINISHED_KB: usize = 256 << 10;

/// The way to the engine, for the clients of all remotes.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    engine: mpsc::Sender<Command>,
    sessions: Arc<AtomicU64>,
    places: Arc<Semaphore>,
    /// Room for messages under way, in kB.
    unfinished: Arc<Semaphore>,
}

impl Access {
    pub(crate) fn new(engine: mpsc::Sender<Command>) -> Self {
        Self {
            engine,
            sessions: Arc::new(AtomicU64::new(1)),
            places: Arc::new(Semaphore::new(MAX_CLIENTS)),
            unfinished: Arc::new(Semaphore::new(UNFINISHED_KB)),
        }
    }

    /// A number that no other client has.
    pub(crate) fn session(&self) -> SessionId {
        self.sessions.fetch_add(1, Ordering::Relaxed)
    }
}

impl Service for Access {
    fn admit(&self) -> Result<Admission, String> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| format!("there are {MAX_CLIENTS} already"))?;
        Ok(Admission {
            id: self.session(),
            place: Some(place),
        })
    }

    async fn serve<S: Stream>(&self, stream: S, peer: Peer) -> Result<(), String> {
        let unfinished = Arc::clone(&self.unfinished);
        let served = serve(stream, self.engine.clone(), peer, unfinished).await;
        served.map_err(|end| match end {
            End::Io(error) => plain(&error),
            end => describe(&end),
        })
    }
}
