//! What is wrong with a program under construction, and where.

use std::fmt;

/// A place in a program, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Name of the program.
    pub program: String,
    /// Index of the instruction.
    pub insn: usize,
    /// The instruction's text.
    pub text: String,
    /// The last label before it.
    pub label: Option<String>,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: instruction {} ({}",
            self.program, self.insn, self.text
        )?;
        match &self.label {
            Some(label) => write!(f, ", after label {label})"),
            None => f.write_str(")"),
        }
    }
}

/// Why the instructions don't make a program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssembleError {
    /// No instruction at all.
    #[error("{program}: no instructions")]
    Empty {
        /// Name of the program.
        program: String,
    },
    /// A jump to a label that was never bound, or that another assembler made.
    #[error("{at} jumps to label {label}, which is not bound")]
    Unbound {
        /// The jump.
        at: Location,
        /// Name of the label.
        label: String,
    },
    /// A label with two places.
    #[error("{program}: label {label} is bound again before instruction {insn}")]
    BoundTwice {
        /// Name of the program.
        program: String,
        /// Name of the label.
        label: String,
        /// Index of the instruction after the second place.
        insn: usize,
    },
    /// A jump farther than 32 bits.
    #[error("{at} jumps to label {label}, {distance} instructions away: out of range")]
    TooFar {
        /// The jump.
        at: Location,
        /// Name of the label.
        label: String,
        /// Distance in slots.
        distance: i64,
    },
    /// No path leads to the instruction.
    #[error("{at} can't be reached")]
    Unreachable {
        /// The instruction.
        at: Location,
    },
    /// The program goes on after its last instruction.
    #[error("{at} leads past the end")]
    FallsOffEnd {
        /// The instruction.
        at: Location,
    },
    /// An instruction that is never valid.
    #[error("{at}: {reason}")]
    Invalid {
        /// The instruction.
        at: Location,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl AssembleError {
    /// Index of the instruction that the error is about.
    pub fn insn(&self) -> Option<usize> {
        match self {
            AssembleError::Empty { .. } => None,
            AssembleError::BoundTwice { insn, .. } => Some(*insn),
            AssembleError::Unbound { at, .. }
            | AssembleError::TooFar { at, .. }
            | AssembleError::Unreachable { at }
            | AssembleError::FallsOffEnd { at }
            | AssembleError::Invalid { at, .. } => Some(at.insn),
        }
    }
}
