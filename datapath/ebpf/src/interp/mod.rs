//! Runs programs without a kernel, for tests: strict about what the verifier would refuse on the
//! path taken (registers never written, accesses outside of their region), deterministic, and
//! bounded by a budget.
//!
//! A [`Machine`] has memory, maps and the programs of its prog arrays; map helpers and tail calls
//! are built in, all other helpers come from an [`Env`].
//!
//! ```
//! use aorta_ebpf::interp::{Machine, NoHelpers};
//! use aorta_ebpf::Program;
//!
//! let program = Program::parse("program len\n r0 = *(u32 *)(r1 + 0)\n exit")?;
//! let mut machine = Machine::default();
//! let ctx = machine.skb(&[0; 60]);
//! assert_eq!(machine.run(&program, ctx, &mut NoHelpers)?.verdict, 60);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod alu;
mod cpu;
mod machine;
mod maps;
mod memory;

pub use machine::{Env, Fault, Machine, NoHelpers, Run, RunError};
pub use maps::{Errno, MapKind, MapSpec, Maps};
pub use memory::{Memory, MemoryError, Region, STACK_LEN};
