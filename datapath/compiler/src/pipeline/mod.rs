//! Flow tables compiled: a bridge's tables become one program, with the rules of its larger
//! tables in memory that programs read and the daemon writes.

mod change;
pub mod choice;
pub(crate) mod codegen;
pub mod commit;
pub(crate) mod compiled;
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
pub(crate) mod plan;
pub mod record;
mod report;
pub(crate) mod rules;
pub(crate) mod shape;
pub(crate) mod shapes;
pub mod template;
pub mod upcall;
mod usage;
mod ways;

pub(crate) use codegen::card;
pub use codegen::xdp::takes_flow as xdp_takes;
pub use compiled::{
    Hook, Memories, Outcome, Pipeline, PipelineConfig, Retired, RetiredRule, TableMemory,
};
pub use error::{PipelineError, Refusal};
pub use report::{Report, TableReport};
