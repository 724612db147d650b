//! Transactions that have been executed and not been written. They are written together, and
//! only then is anybody told of them: what comes from many clients at a time costs one write.
use aorta_stream::describe;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::mpsc;

use super::{Client, Command, Engine, MAIN, now_ms};
use crate::db::{Delta, Outcome};
use crate::error::{ErrorKind, OpError};
use crate::log::{LogError, append_transaction};
use crate::{coverage, histogram};

/// How many commands are taken at a time. The first of them waits for the last.
const COMMANDS: usize = 64;
/// How much room for records is kept, in bytes, when there are none.
const KEEP: usize = 256 << 10;

/// An executed transaction.
pub(super) struct Executed {
    client: Client,
    database: usize,
    results: Vec<Value>,
    delta: Arc<Delta>,
    durable: bool,
}

/// Adds the commands that have come, behind the one that was waited for.
pub(super) async fn gather(gathered: &mut Vec<Command>, commands: &mut mpsc::Receiver<Command>) {
    // Other connections that have something to say get the time to say it.
    tokio::task::yield_now().await;
    while gathered.len() < COMMANDS
        && let Ok(command) = commands.try_recv()
    {
        gathered.push(command);
    }
}

impl Engine {
    /// Adds a transaction that was executed.
    pub(super) fn executed(&mut self, client: Client, database: usize, outcome: Outcome) {
        let Outcome {
            results,
            delta,
            durable,
        } = outcome;
        self.batch.push(Executed {
            client,
            database,
            results,
            delta: Arc::new(delta),
            durable,
        });
    }

    /// Writes what was executed; then tells of it and answers.
    pub(super) fn settle(&mut self) {
        let began = self.batch_began.take();
        if self.batch.is_empty() {
            return;
        }
        let mut batch = std::mem::take(&mut self.batch);
        let failed = batch.iter().filter(|done| has_failed(&done.results));
        let failed = failed.count() as u64;
        coverage::TXN_FAILED.add(failed);
        coverage::TXN_COMMITTED.add(batch.len() as u64 - failed);
        if let Err(error) = self.write(&batch) {
            return self.refuse(batch, &error);
        }
        let count = batch.len() as u64;
        for done in batch.drain(..) {
            if !done.delta.is_empty() {
                self.changed = true;
                self.publish(done.database, &done.delta, done.client.session());
            }
            let database = self.databases.get(done.database);
            if done.durable && database.is_some_and(|d| d.log.is_some()) {
                self.flush.hold(done.client, done.results);
            } else {
                self.reply(done.client, done.results);
            }
        }
        if let Some(began) = began {
            histogram::COMMIT.add_all(began.elapsed(), count);
        }
        self.batch = batch;
        self.flush_or_cure();
    }

    fn write(&mut self, batch: &[Executed]) -> Result<(), LogError> {
        // Only this database has a log.
        let log = self.databases.get_mut(MAIN).and_then(|d| d.log.as_mut());
        let Some(log) = log else {
            return Ok(());
        };
        let (mut records, now_ms) = (0, now_ms());
        self.records.clear();
        for done in batch.iter().filter(|done| done.database == MAIN) {
            records += u64::from(append_transaction(&done.delta, now_ms, &mut self.records));
        }
        if records > 0 {
            log.append_records(&self.records, records)?;
            self.compact_if_due();
        }
        if self.records.capacity() > KEEP {
            self.records = Vec::new();
        }
        Ok(())
    }

    /// Takes back all from the first change on: what came after it has seen it.
    fn refuse(&mut self, executed: Vec<Executed>, error: &LogError) {
        let why = describe(error);
        self.compactor
            .complain(format!("transaction refused: {why}"));
        for done in executed.iter().rev() {
            if let Some(database) = self.databases.get_mut(done.database) {
                database.db.revert(&done.delta);
            }
        }
        self.flush_or_cure();
        let mut refused = false;
        for mut done in executed {
            refused |= !done.delta.is_empty();
            if refused && !has_failed(&done.results) {
                let error = OpError::new(ErrorKind::Io, why.clone());
                done.results.push(error.to_json());
            }
            self.reply(done.client, done.results);
        }
    }
}

fn has_failed(results: &[Value]) -> bool {
    results.iter().any(|result| result.get("error").is_some())
}
