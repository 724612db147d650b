//! Cards that run eBPF programs: XDP in hardware mode. A program and its maps are bound to the device of
//! a port; what its rules don't decide, it passes to whatever programs the kernel runs behind.

mod card;
mod link;
mod objects;
mod probe;

use std::fmt;
use std::io;

pub use card::{CardPort, EbpfCard, FoundPrograms};
pub use link::{CardMode, program_id};
pub use objects::{CardObjects, ObjectError};
pub use probe::{Probed, Prober};

/// What a card, its driver or the kernel refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The kernel's error number.
    pub errno: i32,
    /// What the kernel or the card's driver says about it, or what the number means.
    pub text: String,
}

impl Refusal {
    /// With the words that came along, if there were any.
    pub fn new(errno: i32, told: Option<String>) -> Refusal {
        let text = told.filter(|text| !text.is_empty());
        let text = text.unwrap_or_else(|| io::Error::from_raw_os_error(errno).to_string());
        Refusal { errno, text }
    }

    fn of(error: &io::Error) -> Refusal {
        let other = rustix::io::Errno::IO.raw_os_error();
        Refusal {
            errno: error.raw_os_error().unwrap_or(other),
            text: error.to_string(),
        }
    }

    fn of_error(error: &crate::DatapathError) -> Refusal {
        let errno = match error {
            crate::DatapathError::Map { source, .. } => source.raw_os_error(),
            _ => None,
        };
        let other = rustix::io::Errno::IO.raw_os_error();
        Refusal {
            errno: errno.unwrap_or(other),
            text: crate::error::chain(error),
        }
    }

    fn full(text: String) -> Refusal {
        let errno = rustix::io::Errno::NOSPC.raw_os_error();
        Refusal { errno, text }
    }

    /// Whether it is because there is no room.
    pub fn is_full(&self) -> bool {
        use rustix::io::Errno;
        let room = [Errno::TOOBIG, Errno::NOSPC, Errno::NOMEM].map(Errno::raw_os_error);
        room.contains(&self.errno)
    }

    /// Whether it is because the device isn't there.
    pub fn is_gone(&self) -> bool {
        self.errno == rustix::io::Errno::NODEV.raw_os_error()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Refusal {}

/// What packets did to a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HwCounters {
    /// Packets that the card decided by it.
    pub packets: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Nanoseconds since the last one; none if there was none.
    pub used_ns_ago: Option<u64>,
}
