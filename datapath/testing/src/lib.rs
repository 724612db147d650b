//! What tests and benches are fed with: random flow tables and packets that belong together, rule
//! sets of realistic shape, and the reduction of a failing case to a small one that is kept.
//!
//! Everything follows from a seed, so that a case can be made again. Pure: values in, values out.
#![forbid(unsafe_code)]

mod acl;
mod case;
pub mod guards;
pub mod packet;
mod prefixes;
mod rng;
mod samples;
mod shrink;
pub mod tables;

pub use acl::{AclRule, PortRange, acl, acl_flows, acl_packet};
pub use case::{Case, CaseError, Frame, Offload};
pub use prefixes::{Prefix, output, prefix_flows, prefixes};
pub use rng::Rng;
pub use samples::{SAMPLES, frames_for, sample};
pub use shrink::{shrink, smallest_list};
