//! Replies that wait for the disk. One flush is under way at a time; all transactions that come
//! in the meantime share the next.
use std::io;

use serde_json::Value;
use tokio::sync::mpsc;

use super::Client;
use crate::coverage;
use crate::log::Log;

type Held = Vec<(Client, Vec<Value>)>;

pub(super) struct Flush {
    waiting: Held,
    under_way: Held,
    sender: mpsc::UnboundedSender<io::Result<()>>,
    receiver: mpsc::UnboundedReceiver<io::Result<()>>,
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
    pub(super) fn hold(&mut self, client: Client, results: Vec<Value>, log: &Log) {
        self.waiting.push((client, results));
        self.start(log);
    }

    /// Starts a flush if one is wanted and none is under way.
    pub(super) fn start(&mut self, log: &Log) {
        if self.waiting.is_empty() || !self.under_way.is_empty() {
            return;
        }
        self.under_way = std::mem::take(&mut self.waiting);
        let (file, sender) = (log.sync_handle(), self.sender.clone());
        tokio::task::spawn_blocking(move || {
            let result = file
                .map_err(io::Error::other)
                .and_then(|file| file.sync_data());
            coverage::LOG_FLUSHED.hit();
            // The engine may have stopped; it flushes once more as it does.
            let _ = sender.send(result);
        });
    }

    /// The end of the flush under way.
    pub(super) async fn done(&mut self) -> io::Result<()> {
        match self.receiver.recv().await {
            Some(result) => result,
            // Not reached: a sender is kept here.
            None => std::future::pending().await,
        }
    }

    /// The replies that the flush just ended was for.
    pub(super) fn take_done(&mut self) -> Held {
        std::mem::take(&mut self.under_way)
    }
}
