//! What came of bringing flow tables into the kernel.

use std::time::Duration;

use aorta_compiler::CompileError;
use aorta_compiler::pipeline::PipelineError;
use aorta_flow::PortName;

use crate::error::{DatapathError, LoadError, PortError};

/// Why flow tables can't be brought into the kernel. Those that it had go on.
#[derive(Debug, thiserror::Error)]
pub enum FlowsError {
    /// They can't be compiled.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// The kernel refused the program.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The program of a port can't be exchanged.
    #[error("the program of port {port} can't be exchanged")]
    Port {
        /// The port.
        port: PortName,
        /// Why.
        source: PortError,
    },
    /// A map can't be made or written, or there is no such bridge.
    #[error(transparent)]
    Datapath(#[from] DatapathError),
}

impl From<CompileError> for FlowsError {
    fn from(error: CompileError) -> FlowsError {
        FlowsError::Datapath(error.into())
    }
}

/// What bringing flow tables into the kernel took.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FlowsApplied {
    /// The running program took them over.
    pub in_place: bool,
    /// Why there is another program, if there is one.
    pub why_rebuilt: Option<String>,
    /// Time that the kernel took to load it.
    pub load_time: Duration,
}
