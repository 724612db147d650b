//! What network cards do of the switch's flows: programming cards, and finding them.

pub mod discover;
pub mod ebpf;
pub mod flower;
