//! Flow tables compiled: a bridge's tables become one program, with the rules of its larger
//! tables in memory that programs read and the daemon writes.

mod change;
pub mod choice;
mod codegen;
pub mod commit;
mod compiled;
pub mod counted;
mod error;
mod extras;
mod follow;
pub mod layout;
pub mod leave;
mod limits;
pub mod maps;
pub mod memory;
pub mod meters;
mod plan;
pub mod record;
mod report;
mod rules;
mod shape;
mod shapes;
pub mod template;
pub mod upcall;
mod usage;
mod ways;

pub use compiled::{
    Hook, Memories, Outcome, Pipeline, PipelineConfig, Retired, RetiredRule, TableMemory,
};
pub use error::{PipelineError, Refusal};
pub use report::{Report, TableReport};
