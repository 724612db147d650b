//! The least that can be between two ports: a program of three instructions on each that sends every
//! frame out of the other. No switch can be faster on the same devices.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::thread;

use aorta_ebpf::Reg::{R1, R2};
use aorta_ebpf::{Assembler, Helper, Program};
use aorta_integration::lab::Netns;
use aorta_kernel::Loader;
use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, SocketType, socket};

use crate::error::TaskError;

/// A network namespace of two ports that are joined.
pub struct Wire {
    netns: Netns,
    links: RefCell<Vec<OwnedFd>>,
}

impl Wire {
    /// A namespace without ports.
    pub fn new(netns: Netns) -> Wire {
        let links = RefCell::default();
        Wire { netns, links }
    }

    /// Where the ports have to be.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Joins two devices of the namespace.
    ///
    /// # Errors
    /// When one isn't there, or the kernel refuses a program.
    pub fn join(&self, ports: [&str; 2]) -> Result<(), TaskError> {
        let netns = &self.netns;
        let joined = thread::scope(|scope| scope.spawn(|| join(netns, ports)).join());
        let links = joined.map_err(|_| TaskError::wire("the thread ended"))??;
        self.links.replace(links);
        Ok(())
    }

    /// Parts them.
    pub fn part(&self) {
        self.links.borrow_mut().clear();
    }
}

fn join(netns: &Netns, [one, other]: [&str; 2]) -> Result<Vec<OwnedFd>, TaskError> {
    netns.enter()?;
    let (one, other) = (ifindex(one)?, ifindex(other)?);
    let mut loader = Loader::new();
    [(one, other), (other, one)]
        .into_iter()
        .map(|(from, to)| {
            let program = redirect(to).map_err(TaskError::wire)?;
            let loaded = loader.load(&program, |_| None).map_err(TaskError::wire)?;
            loaded.attach(from).map_err(TaskError::wire)
        })
        .collect()
}

fn ifindex(device: &str) -> Result<u32, TaskError> {
    let index = socket(AddressFamily::UNIX, SocketType::DGRAM, None)
        .and_then(|socket| name_to_index(socket, device));
    index.map_err(|errno| TaskError::wire(format!("{device}: {}", io::Error::from(errno))))
}

fn redirect(ifindex: u32) -> Result<Program, aorta_ebpf::AssembleError> {
    let mut a = Assembler::new("wire");
    a.mov(R1, ifindex.cast_signed());
    a.mov(R2, 0);
    a.call(Helper::Redirect);
    a.exit();
    a.finish()
}
