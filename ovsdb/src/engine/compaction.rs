//! Compaction beside the work, asked for or due, and the same as the cure of a log that can't be
//! relied on after a failed flush.
use aorta_stream::describe;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::{Engine, MAIN, now_ms};
use crate::log::{CompactionJob, CompactionJobDone, CompactionStep, Log, LogError};

/// After how long a cure that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// After how long the same is said again in the log.
const COMPLAIN_AGAIN: Duration = Duration::from_secs(10);

/// Tells how a compaction ended; an error is in words.
pub(crate) type CompactReply = oneshot::Sender<Result<(), String>>;

/// What a task beside the engine has to say.
pub(super) enum Event {
    /// A job has been done.
    Done(CompactionJobDone),
    /// It is time to try the cure again.
    Retry,
}

/// Who waits for what is under way.
pub(super) struct Compactor {
    waiting: Vec<CompactReply>,
    /// The cure has failed and will be tried again.
    pauses: bool,
    /// What was last said of the disk, and when.
    complaint: Option<(String, Instant)>,
    sender: mpsc::UnboundedSender<Event>,
    receiver: mpsc::UnboundedReceiver<Event>,
}

impl Compactor {
    pub(super) fn new() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self {
            waiting: Vec::new(),
            pauses: false,
            complaint: None,
            sender,
            receiver,
        }
    }

    pub(super) async fn event(&mut self) -> Event {
        match self.receiver.recv().await {
            Some(event) => event,
            // Not reached: a sender is kept here.
            None => std::future::pending().await,
        }
    }

    fn run(&self, job: CompactionJob) {
        let sender = self.sender.clone();
        // The engine may have stopped; the log is as it was then.
        tokio::task::spawn_blocking(move || sender.send(Event::Done(job.run())));
    }

    fn retry_later(&mut self) {
        if std::mem::replace(&mut self.pauses, true) {
            return;
        }
        let sender = self.sender.clone();
        tokio::spawn(async move {
            tokio::time::sleep(RETRY).await;
            // The engine may have stopped.
            let _ = sender.send(Event::Retry);
        });
    }

    /// Says in the log what is wrong with the disk; not with each transaction, as the log may be
    /// on the same one.
    pub(super) fn complain(&mut self, words: String) {
        let said = self.complaint.as_ref();
        if said.is_none_or(|(last, at)| *last != words || at.elapsed() > COMPLAIN_AGAIN) {
            tracing::error!("{words}");
            self.complaint = Some((words, Instant::now()));
        }
    }

    /// Tells those who wait.
    pub(super) fn ended(&mut self, result: &Result<(), String>) {
        for reply in self.waiting.drain(..) {
            // Whoever asked may have gone.
            let _ = reply.send(result.clone());
        }
    }
}

impl Engine {
    /// The log of the main database, if it has one.
    pub(super) fn log(&self) -> Option<&Log> {
        self.databases.get(MAIN).and_then(|d| d.log.as_ref())
    }

    /// Starts a compaction, or joins the one under way.
    pub(super) fn compact(&mut self, reply: CompactReply) {
        self.compactor.waiting.push(reply);
        match self.begin_compaction() {
            Err(error) => self.compactor.ended(&Err(describe(&error))),
            Ok(()) if self.log().is_none() => self.compactor.ended(&Ok(())),
            Ok(()) => {}
        }
    }

    fn begin_compaction(&mut self) -> Result<(), LogError> {
        let Some(main) = self.databases.get_mut(MAIN) else {
            return Ok(());
        };
        let Some(log) = &mut main.log else {
            return Ok(());
        };
        if let Some(job) = log.begin_compaction(&main.db, now_ms())? {
            self.compactor.run(job);
        }
        Ok(())
    }

    /// Starts a compaction if there is much history.
    pub(super) fn compact_if_due(&mut self) {
        let log = self.databases.get_mut(MAIN).and_then(|d| d.log.as_mut());
        if log.is_some_and(|log| log.wants_compaction(now_ms()))
            && let Err(error) = self.begin_compaction()
        {
            self.not_compacted(&error);
        }
    }

    fn not_compacted(&mut self, error: &LogError) {
        // The log goes on as it is: nothing is lost but space.
        tracing::warn!("not compacted: {}", describe(error));
        if let Some(log) = self.databases.get_mut(MAIN).and_then(|d| d.log.as_mut()) {
            log.put_off_compaction(now_ms());
        }
        self.compactor.ended(&Err(describe(error)));
    }

    pub(super) fn compaction_event(&mut self, event: Event) {
        let log = self.databases.get_mut(MAIN).and_then(|d| d.log.as_mut());
        self.compactor.pauses &= !matches!(event, Event::Retry);
        if let (Event::Done(done), Some(log)) = (event, log) {
            let was_trusted = log.check().is_ok();
            match log.compaction_step(done) {
                Ok(CompactionStep::Run(job)) => self.compactor.run(job),
                Ok(CompactionStep::Done) => {
                    tracing::info!("{}: compacted", log.path().display());
                    self.compactor.ended(&Ok(()));
                }
                // Who waits is told by the one that came after it.
                Ok(CompactionStep::Stale) if log.is_compacting() => {}
                Ok(CompactionStep::Stale) => {
                    let words = "the compaction was given up; the log tells why";
                    self.compactor.ended(&Err(words.to_owned()));
                }
                Err(error) if was_trusted => self.not_compacted(&error),
                Err(error) => return self.not_cured(&error),
            }
        }
        self.flush_or_cure();
    }

    /// Starts a flush if replies wait for one, or has the log written anew if it can't be relied
    /// on.
    pub(super) fn flush_or_cure(&mut self) {
        let Some(log) = self.databases.get(MAIN).and_then(|d| d.log.as_ref()) else {
            return;
        };
        if log.check().is_ok() {
            return self.flush.start(log);
        }
        if self.compactor.pauses {
            return;
        }
        if let Err(error) = self.begin_compaction() {
            self.not_cured(&error);
        }
    }

    /// Nobody is left waiting for a disk that may never come back.
    fn not_cured(&mut self, error: &LogError) {
        let why = describe(error);
        self.compactor
            .complain(format!("the log could not be written anew: {why}"));
        self.compactor.ended(&Err(why.clone()));
        self.refuse_held(&why);
        self.compactor.retry_later();
    }
}
