//! A laboratory on one machine: namespaces, links, guests and switches as values that clean up
//! after themselves.
//!
//! Everything lives in network namespaces that the lab makes; the host's own interfaces are
//! never touched. Needs root. What a killed run left behind is removed by the next one.

mod accel;
mod agent;
mod binaries;
mod error;
mod exec;
mod guest;
mod guest_config;
mod initramfs;
mod job;
mod libvirt;
mod machine;
mod netns;
mod probe;
mod python;
mod qemu;
mod rate;
mod stolen;
mod switch;
mod wait;
mod wire;

pub use accel::Accel;
pub use binaries::{binary, own_bin_dir};
pub use error::LabError;
pub use exec::{Output, command_line, run, run_within};
pub use guest::Guest;
pub use guest_config::{GuestConfig, Nic};
pub use job::{Job, lab_image};
pub use libvirt::{Call, Card, Domain, GuestAgent, Libvirt};
pub use machine::Machine;
pub use netns::{Netns, sweep_stale};
pub use probe::{ProbeReport, UdpProbe};
pub use python::{SYSTEM_PYTHON, python};
pub use rate::{Load, Protocol, RateMeter, rate_within};
pub use stolen::Stolen;
pub use switch::{Switch, SwitchOptions};
pub use wait::{wait_for, wait_until};
pub use wire::Wire;
