//! The switch's hands in the kernel: eBPF maps, programs and links, and network devices.
//!
//! The only crate with `unsafe` code, all of it in one module with a reason at each place.

pub mod netdev;
