//! A real libvirtd, alone with a network namespace, that attaches its guests to the switch.
//!
//! It runs without systemd and D-Bus: in a mount namespace of its own the directories it keeps
//! its state in are directories of the lab's. The `ovs-vsctl` that it finds is `vsctl`, behind a
//! script that writes down what it was asked.

mod call;
mod domain;
mod guest;
mod place;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::exec::{command_line, wait_child};
use super::qemu::tail;
use super::{LabError, Netns, Output, Switch, run_within, wait_for};

pub use call::Call;
pub use domain::{Card, Domain};
pub use guest::GuestAgent;

use call::Recorder;
use place::Place;

/// Time libvirtd may take until it answers: at first it runs QEMU to learn what that can do.
const READY_LIMIT: Duration = Duration::from_secs(90);
/// Time libvirtd may take to end after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// Time a command of virsh may take.
const VIRSH_LIMIT: Duration = Duration::from_secs(120);

/// A running libvirtd whose guests are attached to one switch. Dropped, it is ended together
/// with its guests.
pub struct Libvirt {
    netns: PathBuf,
    place: Place,
    recorder: Recorder,
    child: Option<Child>,
}

impl Libvirt {
    /// Starts libvirtd in a namespace and waits until it answers. Its `ovs-vsctl` talks to
    /// `switch`.
    ///
    /// # Errors
    /// When it isn't installed or doesn't answer; the error shows the end of its log.
    pub fn start(netns: &Netns, switch: &Switch) -> Result<Libvirt, LabError> {
        let place = Place::new()?;
        let recorder = Recorder::new(place.root(), switch)?;
        let mut libvirt = Libvirt {
            netns: netns.path(),
            place,
            recorder,
            child: None,
        };
        libvirt.launch()?;
        Ok(libvirt)
    }

    /// Runs virsh; a bad status is the caller's to judge.
    ///
    /// # Errors
    /// When it can't be started or takes over two minutes.
    pub fn virsh(&self, args: &[&str]) -> Result<Output, LabError> {
        run_within(&mut self.virsh_command(args), VIRSH_LIMIT)
    }

    /// A command that will run virsh.
    pub fn virsh_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("virsh");
        command.args(["-c", &self.uri()]).args(args);
        command
    }

    /// The URI at which it is reached.
    pub fn uri(&self) -> String {
        format!(
            "qemu+unix:///system?socket={}",
            self.place.socket().display()
        )
    }

    /// Writes a text into a file for virsh and returns its path.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn file(&self, name: &str, text: &str) -> Result<String, LabError> {
        let path = self.place.root().join(name);
        std::fs::write(&path, text).map_err(LabError::file("write", &path))?;
        Ok(path.display().to_string())
    }

    /// Defines a domain.
    ///
    /// # Errors
    /// When libvirt refuses it.
    pub fn define(&self, domain: &Domain) -> Result<(), LabError> {
        let xml = self.file(&format!("{}.xml", domain.name), &domain.xml()?)?;
        self.virsh(&["define", &xml])?.ok().map(drop)
    }

    /// The calls of `ovs-vsctl` since they were taken, in the order in which they began.
    ///
    /// # Errors
    /// When the records can't be read.
    pub fn calls(&self) -> Result<Vec<Call>, LabError> {
        self.recorder.new_calls()
    }

    /// [`Libvirt::calls`], which won't be told again.
    ///
    /// # Errors
    /// When the records can't be read.
    pub fn take_calls(&mut self) -> Result<Vec<Call>, LabError> {
        self.recorder.take()
    }

    /// Has calls of `ovs-vsctl` wait, recorded but not begun, until [`Libvirt::release`].
    ///
    /// # Errors
    /// When the file that says so can't be made.
    pub fn hold(&self) -> Result<(), LabError> {
        self.recorder.hold()
    }

    /// Lets the calls that wait go on.
    ///
    /// # Errors
    /// When the file can't be removed.
    pub fn release(&self) -> Result<(), LabError> {
        self.recorder.release()
    }

    /// A connection to the agent of a running guest.
    ///
    /// # Errors
    /// When QEMU doesn't listen in time.
    pub fn agent(&self, domain: &str) -> Result<GuestAgent, LabError> {
        let path = self.place.agent_socket(domain)?;
        GuestAgent::connect(domain, &path)
    }

    /// Ends libvirtd by SIGKILL. Its guests go on.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn kill(&mut self) -> Result<(), LabError> {
        self.end(Signal::KILL)
    }

    /// Ends libvirtd, if it runs, and starts it again. Its guests go on.
    ///
    /// # Errors
    /// As [`Libvirt::start`].
    pub fn restart(&mut self) -> Result<(), LabError> {
        self.end(Signal::TERM)?;
        self.launch()
    }

    /// What libvirtd complained about so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.place.log()).unwrap_or_default()
    }

    fn launch(&mut self) -> Result<(), LabError> {
        let mut command = self
            .place
            .command(&self.netns, &self.recorder.search_path()?);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|source| LabError::Start {
                command: command_line(&command),
                source,
            })?;
        self.child = Some(child);
        let answered = wait_for("libvirtd answers", READY_LIMIT, || {
            if self.has_ended() {
                return Some(false);
            }
            let output = self.virsh(&["version"]).ok()?;
            (output.status == 0).then_some(true)
        });
        match answered {
            Ok(true) => Ok(()),
            Ok(false) => Err(LabError::NotReady {
                program: "libvirtd",
                log: tail(&self.log()),
            }),
            Err(LabError::Timeout { what, limit, .. }) => Err(LabError::Timeout {
                what,
                limit,
                detail: format!("\n{}", tail(&self.log())),
            }),
            Err(other) => Err(other),
        }
    }

    fn has_ended(&mut self) -> bool {
        let child = self.child.as_mut();
        child.is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    fn end(&mut self, signal: Signal) -> Result<(), LabError> {
        let ended = self.has_ended();
        let Some(mut child) = self.child.take().filter(|_| !ended) else {
            return Ok(());
        };
        send(child.id(), signal).map_err(LabError::system("end libvirtd"))?;
        wait_child(&mut child, "libvirtd ends", STOP_LIMIT).map(drop)
    }
}

impl Drop for Libvirt {
    fn drop(&mut self) {
        // Calls that wait would outlive everything else.
        let _ = self.release();
        if let Err(error) = self.end(Signal::TERM) {
            eprintln!("lab: {}", error.report());
        }
        for pid in self.place.qemu_pids() {
            // It may have ended meanwhile.
            let _ = send(pid, Signal::KILL);
        }
        if std::thread::panicking() {
            eprintln!(
                "lab: libvirt's files kept in {}",
                self.place.keep().display()
            );
        }
    }
}

fn send(pid: u32, signal: Signal) -> Result<(), rustix::io::Errno> {
    match i32::try_from(pid).ok().and_then(Pid::from_raw) {
        Some(pid) => kill_process(pid, signal),
        None => Ok(()),
    }
}

/// Makes a directory and those above it.
fn make_dir(path: &Path) -> Result<(), LabError> {
    std::fs::create_dir_all(path).map_err(LabError::file("make", path))
}

fn write(path: &Path, text: &str) -> Result<(), LabError> {
    std::fs::write(path, text).map_err(LabError::file("write", path))
}
