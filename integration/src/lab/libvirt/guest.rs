//! Commands in a guest that libvirt runs.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::super::agent::Agent;
use super::super::{LabError, Machine, Output, wait_for};
use super::place::agent_socket;

/// Time a guest may take to boot, emulated on a busy machine.
const BOOT_LIMIT: Duration = Duration::from_secs(120);
/// Time a command in a guest may take.
const RUN_LIMIT: Duration = Duration::from_secs(60);
/// Time until QEMU takes a connection to the guest's control port.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);

/// A connection to the agent of a guest. It ends with the QEMU that it was made to: after a
/// migration or a restore another is needed.
pub struct GuestAgent {
    name: String,
    agent: Mutex<Agent>,
}

impl GuestAgent {
    /// A connection to the agent of a running guest of a host's own libvirtd.
    ///
    /// # Errors
    /// When QEMU doesn't listen in time.
    pub fn on(host: &Machine, name: &str) -> Result<GuestAgent, LabError> {
        let socket = agent_socket(&host.path("/var/lib/libvirt"), name)?;
        GuestAgent::connect(name, &socket)
    }

    pub(super) fn connect(name: &str, path: &Path) -> Result<GuestAgent, LabError> {
        let stream = wait_for("QEMU takes a connection", CONNECT_LIMIT, || {
            UnixStream::connect(path).ok()
        })?;
        Ok(GuestAgent {
            name: name.to_owned(),
            agent: Mutex::new(Agent::new(stream)),
        })
    }

    /// Name of the guest.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits until the guest has booted. It says so once.
    ///
    /// # Errors
    /// When it hasn't within two minutes.
    pub fn wait_ready(&self) -> Result<(), LabError> {
        self.agent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .wait_ready(BOOT_LIMIT)
    }

    /// Runs a shell command (busybox) in the guest, for a minute at most. A bad status is the
    /// caller's to judge.
    ///
    /// # Errors
    /// When the guest is gone or doesn't answer.
    pub fn run(&self, command: &str) -> Result<Output, LabError> {
        self.agent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .run(command, RUN_LIMIT)
    }
}
