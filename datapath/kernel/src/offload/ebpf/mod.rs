//! Cards that run eBPF programs: XDP in hardware mode. A program and its maps are bound to the device of
//! a port; what its rules don't decide, it passes to whatever programs the kernel runs behind.

mod card;
mod left;
mod link;
mod objects;
mod probe;
mod steps;

use std::io;

use rustix::io::Errno;

use super::flower::{HwCounters, Refusal};
use crate::error::{DatapathError, chain};

pub use card::{CardPort, EbpfCard, FoundPrograms};
pub use link::{CardMode, program_id};
pub use objects::{CardObjects, ObjectError};
pub use probe::{Probed, Prober};

/// What an error refuses.
fn refusal_of(error: &io::Error) -> Refusal {
    let errno = error.raw_os_error();
    let errno = errno.unwrap_or(Errno::IO.raw_os_error());
    Refusal::new(errno, Some(error.to_string()))
}

/// What a map refuses.
fn refusal_of_map(error: &DatapathError) -> Refusal {
    let errno = match error {
        DatapathError::Map { source, .. } => source.raw_os_error(),
        _ => None,
    };
    let errno = errno.unwrap_or(Errno::IO.raw_os_error());
    Refusal::new(errno, Some(chain(error)))
}

/// There is no room.
fn no_room(text: String) -> Refusal {
    Refusal::new(Errno::NOSPC.raw_os_error(), Some(text))
}
