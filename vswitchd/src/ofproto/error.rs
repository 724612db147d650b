//! Why flows, groups or meters can't be changed or told.

use aorta_flow::table::TableError;
use aorta_flow::text::TextError;

/// Why a request about flow tables is refused. Nothing has changed then, unless `changed` says so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlowError {
    /// There is no such bridge.
    #[error("no such bridge: {0}")]
    NoBridge(String),
    /// A text can't be read.
    #[error("entry {}, {error}", index + 1)]
    Text {
        /// Which of the texts, from 0.
        index: usize,
        /// The text.
        text: String,
        /// What is wrong with it.
        error: TextError,
    },
    /// A text of another kind, or a combination that can't be.
    #[error("entry {}: {why}", index + 1)]
    Form {
        /// Which of the texts, from 0.
        index: usize,
        /// What would be right.
        why: String,
    },
    /// The tables refuse a change.
    #[error("entry {}: {error}", index + 1)]
    Table {
        /// Which of the changes, from 0.
        index: usize,
        /// Why.
        error: TableError,
        /// Flows that changed before, of a request that isn't atomic.
        changed: u64,
    },
    /// The datapath refuses the result.
    #[error("{0}")]
    Datapath(String),
}
