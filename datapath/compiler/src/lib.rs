//! From a snapshot of the switch to programs and tables: the compiler.
//!
//! Pure: it never sees a file descriptor, a device name lookup or a clock. Programs come out as
//! values with symbolic maps; the loader resolves those.
#![forbid(unsafe_code)]

pub mod abi;
mod emit;
mod entry;
mod error;
mod facts;
mod finish;
mod flood;
mod flow_entry;
mod guard;
mod marking;
mod module;
pub mod offload;
pub mod pipeline;
mod skb;
mod xdp;
mod xdp_entry;

pub use entry::{ENTRY_PREFIX, compile_entry};
pub use error::CompileError;
pub use facts::{EntryFacts, Ingress, Origin, Refuses, VidCheck};
pub use finish::{compile_finish, compile_stub};
pub use flood::compile_flood;
pub use flow_entry::{FlowEntryFacts, begin_handed, compile_flow_entry};
pub use guard::IngressGuard;
pub use marking::compile_marking;
pub use module::{BridgeModule, Module, PortModule, Slots, compile};
pub use xdp_entry::{XdpEntryFacts, XdpMode, compile_xdp_entry};
