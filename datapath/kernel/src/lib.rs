//! The switch's hands in the kernel: eBPF maps, programs and links, and network devices.
//!
//! The only crate with `unsafe` code, all of it in the module `sys` with a reason at each place.
#![deny(unsafe_code)]

#[cfg(test)]
extern crate self as aorta_kernel;

mod clock;
mod datapath;
mod error;
mod flow_tables;
mod flows;
mod frames;
mod generation;
mod grace;
mod link;
mod loader;
mod map;
mod marking;
mod memory;
pub mod netdev;
pub mod offload;
mod patience;
mod pins;
mod port_program;
mod state;
mod sys;
mod tailored;
mod view;
mod xdp;

pub use datapath::{Applied, Config, Datapath};
pub use error::{DatapathError, LoadError, PortError, chain};
pub use flows::{
    Asked, Explained, FlowCounters, FlowsApplied, FlowsError, GroupCounters, RuleCounters, Upcall,
    Upcalls, XdpForm,
};
pub use frames::FrameSender;
pub use grace::{Grace, Moment};
pub use loader::{Loaded, Loader};
pub use map::Map;
pub use memory::MappedMemory;
pub use sys::{TestRun, give_back_heap, keep_heap_small};
pub use view::{FdbEntry, PortCounters};
pub use xdp::HookInUse;
