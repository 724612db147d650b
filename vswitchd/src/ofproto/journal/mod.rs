//! What flow tables a restarted daemon has again: every change is written to a file in the rundir
//! before it is answered. The file ends with the machine's boot, as the tables of Open vSwitch do.
//!
//! A line at the start names the form and the boot. Behind it stands one block for each change
//! that was atomic: `@ LENGTH SHA-1` and as many bytes of lines (see [`text`]).

mod block;
mod file;
mod text;

pub use block::{Contents, block, contents, head};
pub use file::{Journal, JournalError, lines};
pub use text::{Event, Restored, RestoredBridge, read};
