//! Where values come from.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use aorta_ovsdb::{StoreError, StoreHandle, histogram};

use super::{Durations, FLOW_CHANGE, RECONCILE, Values, render};
use crate::control::{Control, Gone, Request};
use crate::coverage;

/// The values can't be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The switch's task has ended.
    #[error(transparent)]
    Switch(#[from] Gone),
    /// The database's has.
    #[error(transparent)]
    Database(#[from] StoreError),
}

/// Whom to ask.
#[derive(Debug, Clone)]
pub struct Source {
    control: Control,
    store: StoreHandle,
    /// The database's file.
    file: PathBuf,
    datapath: &'static str,
    started_s: f64,
}

impl Source {
    /// What switches the frames: `kernel` or `sim`.
    pub fn datapath(&self) -> &'static str {
        self.datapath
    }

    /// Of a daemon that starts now.
    pub fn new(
        control: Control,
        store: StoreHandle,
        file: PathBuf,
        datapath: &'static str,
    ) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Source {
            control,
            store,
            file,
            datapath,
            started_s: since.unwrap_or_default().as_secs_f64(),
        }
    }

    /// All metrics as they are now.
    ///
    /// # Errors
    /// When the daemon ends.
    pub async fn text(&self) -> Result<String, SourceError> {
        let switch = self.control.ask(Request::Metrics).await?;
        let usage = self.store.usage().await?;
        let values = Values {
            datapath: self.datapath,
            switch: *switch,
            usage,
            file_bytes: std::fs::metadata(&self.file).map_or(0, |file| file.len()),
            readings: coverage::read(),
            durations: Durations {
                flow_change: FLOW_CHANGE.read(),
                reconcile: RECONCILE.read(),
                commit: histogram::COMMIT.read(),
                flush: histogram::FLUSH.read(),
            },
            started_s: self.started_s,
            resident_bytes: resident_bytes(),
        };
        Ok(render(&values))
    }
}

/// Memory of this process that is in use.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split_whitespace().nth(1).and_then(|n| n.parse().ok());
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}
