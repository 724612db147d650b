//! What can't be compiled.

use aorta_ebpf::AssembleError;
use aorta_flow::{BridgeName, PortName};

/// Why a snapshot could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// A program could not be assembled: a defect of the compiler, not of the configuration.
    #[error("program {program} could not be assembled")]
    Assemble {
        /// Name of the program.
        program: String,
        /// What the assembler refused.
        source: Box<AssembleError>,
    },
    /// A port has no slot: the caller allocates one for each port first.
    #[error("port {0} has no slot in the datapath")]
    PortWithoutSlot(PortName),
    /// A bridge has no slot: the caller allocates one for each bridge first.
    #[error("bridge {0} has no slot in the datapath")]
    BridgeWithoutSlot(BridgeName),
    /// The flood lists of all VLANs together don't fit.
    #[error("flood lists need {needed} places, there are {limit}: give trunk ports fewer VLANs")]
    FloodTooLarge {
        /// Places that the configuration needs.
        needed: usize,
        /// Places that there are.
        limit: usize,
    },
}

impl CompileError {
    pub(crate) fn assemble(program: &str, source: AssembleError) -> CompileError {
        CompileError::Assemble {
            program: program.to_owned(),
            source: Box::new(source),
        }
    }
}
