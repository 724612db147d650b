//! Flow tables compiled: a bridge's tables become one program, with the rules of its larger
//! tables in memory that programs read and the daemon writes.

pub mod choice;
pub mod commit;
mod compiled;
mod error;
pub mod layout;
pub mod leave;
pub mod maps;
pub mod memory;
pub mod meters;
pub mod record;
mod report;
pub mod template;
pub mod upcall;

pub use compiled::{Hook, Memories, Outcome, Pipeline, PipelineConfig, Retired, TableMemory};
pub use error::{PipelineError, Refusal};
pub use report::{Report, TableReport};
