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
    /// The kernel doesn't know bounded loops without a bound in the code (`may_goto`).
    #[error("flow tables need Linux 6.9 or newer; this kernel goes on with NORMAL only")]
    KernelTooOld,
    /// The kernel refused the program.
    #[error(transparent)]
    Load(LoadError),
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

/// How verifiers that don't know `may_goto` name it: by the whole code, or by its operation.
const UNKNOWN_MAY_GOTO: [&str; 2] = ["opcode e5", "opcode e0"];

impl From<LoadError> for FlowsError {
    fn from(error: LoadError) -> FlowsError {
        match &error {
            LoadError::Refused { reason, .. }
                if UNKNOWN_MAY_GOTO.iter().any(|name| reason.contains(name)) =>
            {
                FlowsError::KernelTooOld
            }
            _ => FlowsError::Load(error),
        }
    }
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
    /// There may be programs to be made for the tables as they are now, once nothing changes any
    /// more: [`Datapath::tailor_port`](crate::Datapath::tailor_port).
    pub untailored: bool,
    /// Why there is another program, if there is one.
    pub why_rebuilt: Option<String>,
    /// Time that the kernel took to load it.
    pub load_time: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_may_goto_is_told_as_such() {
        let refused = |reason: &str| {
            FlowsError::from(LoadError::Refused {
                program: "bridge_0".into(),
                reason: reason.into(),
                excerpt: String::new(),
            })
        };
        assert!(matches!(
            refused("unknown opcode e5"),
            FlowsError::KernelTooOld
        ));
        assert!(matches!(
            refused("BPF program is too large"),
            FlowsError::Load(_)
        ));
    }
}
