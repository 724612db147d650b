//! What can go wrong between the switch and the kernel.

use std::io;
use std::path::PathBuf;

use aorta_compiler::CompileError;
use aorta_flow::{BridgeName, PortName};

/// The datapath as a whole can't do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DatapathError {
    /// There is no BPF file system and none can be mounted.
    #[error("cannot mount a BPF file system at {path}: programs would end with the daemon")]
    Mount {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of the pin directory can't be read, made or removed.
    #[error("cannot {what} {path}")]
    Pin {
        /// What was tried.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A map can't be made.
    #[error("cannot create the map {name}")]
    CreateMap {
        /// Its name.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// A map can't be read or written.
    #[error("cannot {what} the map {name}")]
    Map {
        /// What was tried.
        what: &'static str,
        /// Its name.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// A program that all ports share can't be loaded.
    #[error("cannot load a program that all ports need")]
    Load(#[from] LoadError),
    /// The configuration can't be compiled.
    #[error("cannot compile the configuration")]
    Compile(#[from] CompileError),
    /// There are more bridges than the datapath has room for.
    #[error("bridge {name} does not fit: {limit} of {limit} bridges are in use")]
    TooManyBridges {
        /// The one too many.
        name: BridgeName,
        /// How many fit.
        limit: u32,
    },
    /// There are more ports than the datapath has room for.
    #[error("port {name} does not fit: {limit} of {limit} ports are in use")]
    TooManyPorts {
        /// The one too many.
        name: PortName,
        /// How many fit.
        limit: u32,
    },
    /// No bridge of this name.
    #[error("there is no bridge {0}")]
    NoBridge(BridgeName),
}

/// A program can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A map that it uses isn't there.
    #[error("program {program} could not be encoded")]
    Encode {
        /// Its name.
        program: String,
        /// Why.
        source: aorta_ebpf::EncodeError,
    },
    /// Its object file can't be made or read: a defect.
    #[error("program {program} could not be put into an object file: {reason}")]
    Object {
        /// Its name.
        program: String,
        /// Why.
        reason: String,
    },
    /// The kernel's verifier refused it.
    #[error("the kernel refused program {program}: {reason}\n{excerpt}")]
    Refused {
        /// Its name.
        program: String,
        /// The verifier's sentence.
        reason: String,
        /// The program's text around the refused instruction.
        excerpt: String,
    },
    /// The kernel was not done with checking it in time.
    #[error(
        "the kernel was not done with checking program {program} of {insns} instructions after \
         {seconds} s: flows with fewer different kinds of actions and matches make it easier"
    )]
    TooSlow {
        /// Its name.
        program: String,
        /// Its instructions.
        insns: usize,
        /// How long the kernel was given, in seconds.
        seconds: f32,
    },
    /// The kernel refused it for another reason than its text.
    #[error("the kernel did not load program {program}")]
    Kernel {
        /// Its name.
        program: String,
        /// Why.
        source: io::Error,
    },
}

/// One port can't be attached; the others are.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Its program can't be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The device's hook doesn't take the program.
    #[error(
        "cannot attach to tcx of device {ifindex} (it needs Linux 6.6 or newer, a device that \
         exists, and fewer than 63 programs there): {source}"
    )]
    Attach {
        /// The device.
        ifindex: u32,
        /// Why.
        source: io::Error,
    },
    /// The device doesn't take the XDP program.
    #[error(
        "cannot attach XDP to device {ifindex} (its driver must have it, its MTU must be small \
         enough, and no other XDP program may be there): {source}"
    )]
    AttachXdp {
        /// The device.
        ifindex: u32,
        /// Why.
        source: io::Error,
    },
    /// XDP programs of the device wouldn't see frames as they are.
    #[error("{reason}")]
    HidesFromXdp {
        /// How that is.
        reason: String,
    },
    /// Another switch has the device.
    #[error("device {ifindex} is already a port of another switch on this machine")]
    Taken {
        /// The device.
        ifindex: u32,
    },
    /// Its program can't be kept over a restart.
    #[error("its program could not be pinned")]
    Pin(#[source] Box<DatapathError>),
}

/// An error with all its causes on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let layer = error.to_string();
        if !text.contains(&layer) {
            text = format!("{text}: {layer}");
        }
        cause = error.source();
    }
    text
}
