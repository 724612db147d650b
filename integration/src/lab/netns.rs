//! Network namespaces and the links in them.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{LabError, Output, run};

/// Start of every namespace's name; the process id of its owner follows.
const PREFIX: &str = "aorta-";
/// Where ip(8) keeps names of namespaces.
const NETNS_DIR: &str = "/run/netns";

static NEXT: AtomicU32 = AtomicU32::new(0);
static SWEEP: Once = Once::new();

/// A network namespace. On drop its processes are killed and it is deleted, links included.
#[derive(Debug)]
pub struct Netns {
    name: String,
}

impl Netns {
    /// Makes a namespace with its loopback up. `label` is for people; names stay unique.
    ///
    /// # Errors
    /// When `ip netns add` fails, without root for instance.
    pub fn new(label: &str) -> Result<Netns, LabError> {
        SWEEP.call_once(sweep_stale);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let ns = Netns {
            name: format!("{PREFIX}{}-{number}-{label}", std::process::id()),
        };
        run(Command::new("ip").args(["netns", "add", &ns.name]))?.ok()?;
        ns.ip(&["link", "set", "lo", "up"])?;
        Ok(ns)
    }

    /// The name that `ip netns` lists.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// File that stands for the namespace.
    pub fn path(&self) -> PathBuf {
        Path::new(NETNS_DIR).join(&self.name)
    }

    /// A command that will run inside. Only the network changes: mounts, bpffs among them,
    /// stay the host's.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.path().display()))
            .arg("--")
            .arg(program);
        command
    }

    /// Runs `argv` inside to its end; a bad status is the caller's to judge.
    ///
    /// # Errors
    /// When it can't be started or takes over a minute.
    pub fn run(&self, argv: &[&str]) -> Result<Output, LabError> {
        let (program, args) = argv.split_first().unwrap_or((&"true", &[]));
        run(self.command(program).args(args))
    }

    /// Runs ip(8) on the namespace, which must succeed.
    ///
    /// # Errors
    /// When it doesn't.
    pub fn ip(&self, args: &[&str]) -> Result<Output, LabError> {
        run(Command::new("ip").args(["-n", &self.name]).args(args))?.ok()
    }

    /// Moves the calling thread into the namespace for the rest of its life.
    ///
    /// # Errors
    /// Without root, or when the namespace is gone.
    pub fn enter(&self) -> Result<(), LabError> {
        let path = self.path();
        let file = File::open(&path).map_err(LabError::file("open", &path))?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(LabError::system("setns"))
    }

    /// Makes a veth pair, both ends up: `name` here, `peer_name` in `peer` (which may be this
    /// same namespace).
    ///
    /// # Errors
    /// When ip(8) refuses.
    pub fn veth(&self, name: &str, peer: &Netns, peer_name: &str) -> Result<(), LabError> {
        let peer_args = ["peer", "name", peer_name, "netns", &peer.name];
        self.ip(&[
            ["link", "add", "name", name, "type", "veth"].as_slice(),
            &peer_args,
        ]
        .concat())?;
        self.ip(&["link", "set", "dev", name, "up"])?;
        peer.ip(&["link", "set", "dev", peer_name, "up"]).map(drop)
    }

    /// Makes a tap that a guest can be attached to, up, with offloads (virtio-net header).
    ///
    /// # Errors
    /// When ip(8) refuses.
    pub fn tap(&self, name: &str) -> Result<(), LabError> {
        self.ip(&["tuntap", "add", "dev", name, "mode", "tap", "vnet_hdr"])?;
        self.ip(&["link", "set", "dev", name, "up"]).map(drop)
    }

    /// Makes a Linux bridge, up, with these devices in it.
    ///
    /// # Errors
    /// When ip(8) refuses.
    pub fn linux_bridge(&self, name: &str, devices: &[&str]) -> Result<(), LabError> {
        self.ip(&["link", "add", "name", name, "type", "bridge"])?;
        for device in devices {
            self.ip(&["link", "set", "dev", device, "master", name])?;
        }
        self.ip(&["link", "set", "dev", name, "up"]).map(drop)
    }

    /// Gives a device an address, `192.0.2.1/24`.
    ///
    /// # Errors
    /// When ip(8) refuses.
    pub fn address(&self, device: &str, address: &str) -> Result<(), LabError> {
        self.ip(&["addr", "add", address, "dev", device]).map(drop)
    }

    /// Turns IPv6 off, so that only the test's own packets are seen.
    ///
    /// # Errors
    /// When sysctl(8) refuses.
    pub fn disable_ipv6(&self) -> Result<(), LabError> {
        for which in ["all", "default"] {
            let setting = format!("net.ipv6.conf.{which}.disable_ipv6=1");
            self.run(&["sysctl", "-q", "-w", &setting])?.ok()?;
        }
        Ok(())
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        delete(&self.name);
    }
}

/// Ends the processes in a namespace and deletes it.
fn delete(name: &str) {
    if let Ok(pids) = run(Command::new("ip").args(["netns", "pids", name])) {
        let pids = pids
            .stdout
            .lines()
            .filter_map(|line| line.trim().parse().ok());
        for pid in pids.filter_map(Pid::from_raw) {
            // It may have ended meanwhile.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    if let Err(error) = run(Command::new("ip").args(["netns", "del", name])).and_then(Output::ok) {
        eprintln!("lab: {}", error.report());
    }
}

/// Deletes the namespaces of lab processes that no longer exist, and what still runs in them.
/// The first [`Netns::new`] of a process does it by itself.
pub fn sweep_stale() {
    let names = std::fs::read_dir(NETNS_DIR).into_iter().flatten().flatten();
    let names = names
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    for name in stale(names, |pid| Path::new(&format!("/proc/{pid}")).exists()) {
        delete(&name);
    }
}

fn stale(names: BTreeSet<String>, is_alive: impl Fn(u32) -> bool) -> Vec<String> {
    let owner =
        |name: &str| -> Option<u32> { name.strip_prefix(PREFIX)?.split_once('-')?.0.parse().ok() };
    names
        .into_iter()
        .filter(|name| owner(name).is_some_and(|pid| !is_alive(pid)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_names_of_dead_owners_are_stale() {
        let names = [
            "aorta-10-0-a",
            "aorta-11-0-b",
            "aorta-x-0-c",
            "other-10-0-d",
            "aorta-10",
        ];
        let names = names.map(str::to_owned).into_iter().collect();
        assert_eq!(stale(names, |pid| pid == 11), ["aorta-10-0-a"]);
    }
}
