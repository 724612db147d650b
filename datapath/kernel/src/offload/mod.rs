//! Flows on network cards.

pub mod ebpf;
