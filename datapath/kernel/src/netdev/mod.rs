//! Network devices through rtnetlink: what there is, what changes, and the few changes that the
//! switch makes.
//!
//! Every socket belongs to the network namespace of the thread that opened it.

pub(crate) mod attributes;
mod driver;
mod dump;
mod events;
mod handle;
mod link;
mod openvswitch;
pub mod qdisc;
mod request;
#[cfg(test)]
mod tests;

pub use driver::{Duplex, HardwareInfo, hardware_info};
pub use events::{LinkBatch, LinkEvent, LinkEvents};
pub use handle::{Netdevs, VethPair};
pub use link::{Link, LinkStats, OperState};

use std::io;

use aorta_flow::IfIndex;

/// Longest name that the kernel gives to a device, in bytes (IFNAMSIZ less the terminator).
pub const MAX_NAME_LEN: usize = 15;

/// What the kernel's list of devices could not do.
#[derive(Debug, thiserror::Error)]
pub enum NetdevError {
    /// No rtnetlink socket.
    #[error("cannot open a netlink socket")]
    Open(#[source] io::Error),
    /// The socket that tells about changes broke.
    #[error("cannot read link events")]
    Events(#[source] io::Error),
    /// The list of devices could not be read.
    #[error("cannot list the network devices")]
    Dump(#[source] io::Error),
    /// The queueing disciplines could not be read.
    #[error("cannot list the queueing disciplines")]
    Qdiscs(#[source] io::Error),
    /// The datapaths of Open vSwitch could not be read or deleted.
    #[error("cannot {action}")]
    Datapaths {
        /// What was tried, as in "delete Open vSwitch's datapath ovs-system".
        action: String,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// The kernel doesn't have a queueing discipline.
    #[error("{device}: the kernel has no queueing discipline {kind} (module sch_{kind})")]
    NoQdisc {
        /// Name of the device.
        device: String,
        /// Name of the discipline.
        kind: &'static str,
    },
    /// One device could not be read or changed.
    #[error("{device}: cannot {action}")]
    Device {
        /// Name of the device, or its index where only that is known.
        device: String,
        /// What was tried, as in "set the MTU to 9000".
        action: String,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
}

impl NetdevError {
    /// Whether the kernel said that there is no such device (ENODEV).
    pub fn is_no_device(&self) -> bool {
        let Self::Device { source, .. } = self else {
            return false;
        };
        source.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
    }

    /// Whether the kernel said that the name is taken (EEXIST).
    pub fn is_name_taken(&self) -> bool {
        let Self::Device { source, .. } = self else {
            return false;
        };
        source.raw_os_error() == Some(rustix::io::Errno::EXIST.raw_os_error())
    }
}

/// How a device is named in a request: by index where it is known, and the name for messages.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceRef {
    /// Its index.
    pub ifindex: IfIndex,
    /// Its name, for messages.
    pub name: String,
}

impl From<&Link> for DeviceRef {
    fn from(link: &Link) -> Self {
        DeviceRef {
            ifindex: link.ifindex,
            name: link.name.clone(),
        }
    }
}
