//! Replies that wait for the disk. One flush is under way at a time; all transactions that come
//! in the meantime share the next.
use std::time::Instant;

use serde_json::Value;
use tokio::sync::mpsc;

use super::Client;
use crate::log::{Log, LogError};
use crate::{coverage, histogram};

type Held = Vec<(Client, Vec<Value>)>;

pub(super) struct Flush {
    waiting: Held,
    under_way: Held,
    sender: mpsc::UnboundedSender<Result<(), LogError>>,
    receiver: mpsc::UnboundedReceiver<Result<(), LogError>>,
}

impl Flush {
    pub(super) fn new() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self {
            waiting: Vec::new(),
            under_way: Vec::new(),
            sender,
            receiver,
        }
    }

    /// Keeps a reply back until everything in the log so far is on stable storage.
    pub(super) fn hold(&mut self, client: Client, results: Vec<Value>) {
        self.waiting.push((client, results));
    }

    /// Starts a flush if one is wanted and none is under way.
    pub(super) fn start(&mut self, log: &Log) {
        if self.waiting.is_empty() || !self.under_way.is_empty() {
            return;
        }
        self.under_way = std::mem::take(&mut self.waiting);
        let (handle, sender) = (log.sync_handle(), self.sender.clone());
        tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            let flushed = handle.sync();
            histogram::FLUSH.add(began.elapsed());
            coverage::LOG_FLUSHED.hit();
            // The engine may have stopped; it flushes once more as it does.
            let _ = sender.send(flushed);
        });
    }

    /// The end of the flush under way.
    pub(super) async fn done(&mut self) -> Result<(), LogError> {
        match self.receiver.recv().await {
            Some(result) => result,
            // Not reached: a sender is kept here.
            None => std::future::pending().await,
        }
    }

    /// The flush just ended failed: its replies wait on.
    pub(super) fn put_back(&mut self) {
        let later = std::mem::take(&mut self.waiting);
        self.waiting = std::mem::take(&mut self.under_way);
        self.waiting.extend(later);
    }

    /// The replies for which no flush is under way.
    pub(super) fn take_waiting(&mut self) -> Held {
        std::mem::take(&mut self.waiting)
    }

    /// The replies that the flush just ended was for.
    pub(super) fn take_done(&mut self) -> Held {
        std::mem::take(&mut self.under_way)
    }
}
