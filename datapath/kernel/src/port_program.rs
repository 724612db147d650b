//! Which program a port runs: NORMAL made for it alone, or an entry into its bridge's flows.

use aorta_compiler::{
    CompileError, EntryFacts, FlowEntryFacts, Origin, PortModule, compile_entry, compile_flow_entry,
};
use aorta_ebpf::Program;

/// What the programs of a port are made from: equal ones are equal programs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PortProgram {
    /// The bridge has no flows but NORMAL.
    Normal(EntryFacts),
    /// The bridge has flows.
    Flows {
        /// Where frames enter.
        entry: FlowEntryFacts,
        /// What flows do that say NORMAL.
        normal: EntryFacts,
    },
}

impl PortProgram {
    /// Of the port in `slot`, whose bridge has flows or not; `None` if no frame can come from it.
    pub fn new(slot: u32, port: &PortModule, flows: bool) -> Option<PortProgram> {
        let facts = port.entry.clone()?;
        if !flows {
            return Some(PortProgram::Normal(facts));
        }
        let entry = FlowEntryFacts {
            port_slot: slot,
            ofport: port.ofport,
            bridge_slot: port.bridge_slot,
            origin: facts.origin,
            refuses: facts.refuses,
            guard: facts.guard.clone(),
        };
        let normal = EntryFacts {
            origin: Origin::Pipeline,
            guard: None,
            ..facts
        };
        Some(PortProgram::Flows { entry, normal })
    }

    /// How frames get to it.
    pub fn origin(&self) -> Origin {
        match self {
            PortProgram::Normal(facts) => facts.origin,
            PortProgram::Flows { entry, .. } => entry.origin,
        }
    }

    /// The program where frames enter.
    pub fn entry(&self) -> Result<Program, CompileError> {
        match self {
            PortProgram::Normal(facts) => compile_entry(facts),
            PortProgram::Flows { entry, .. } => compile_flow_entry(entry),
        }
    }

    /// The program that does NORMAL for flows, if the bridge has some.
    pub fn normal(&self) -> Result<Option<Program>, CompileError> {
        match self {
            PortProgram::Normal(_) => Ok(None),
            PortProgram::Flows { normal, .. } => compile_entry(normal).map(Some),
        }
    }
}
