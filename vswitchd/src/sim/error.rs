//! What can go wrong with devices in memory.

use std::io;
use std::path::PathBuf;

/// A device in memory can't be had, or can't do what is asked.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The host's devices are in use.
    #[error("{0}: devices in memory need `vswitchd --datapath sim`")]
    Host(String),
    /// A capture file can't be written.
    #[error("{device}: cannot write the capture file {path}")]
    Capture {
        /// The device.
        device: String,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// More devices than there are numbers for.
    #[error("{0}: there are too many devices in memory")]
    TooMany(String),
    /// What only the host's devices can do.
    #[error("{0}: not possible with devices in memory")]
    Unsupported(String),
}
