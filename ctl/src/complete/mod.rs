//! Completion of command lines: what may stand at the cursor.
//!
//! The scripts for the shells (`vsctl completion SHELL`) ask the program itself, which knows its
//! commands and the database.

mod candidates;
mod flow;
mod place;

pub use candidates::{Names, candidates};
pub use place::{Place, place};

/// Name of the hidden command that the scripts call with the words before the cursor; the last
/// is the one at the cursor, perhaps empty.
pub const ASK: &str = "__complete";
/// Name of the command that prints a script.
pub const COMPLETION: &str = "completion";

/// The script for a shell, by the shell's name.
pub fn script(shell: &str) -> Option<&'static str> {
    match shell {
        "bash" => Some(include_str!("vsctl.bash")),
        "zsh" => Some(include_str!("vsctl.zsh")),
        "fish" => Some(include_str!("vsctl.fish")),
        _ => None,
    }
}
