//! What a machine needs for building, testing and the demonstration.

use std::path::{Path, PathBuf};
use std::process::Command;

use aorta_integration::lab::{self, Guest};
use aorta_vm_images::{Image, cache_root, unpack_packages};

use crate::error::TaskError;
use crate::proc::{self, has_program, output, root, say};

/// Programs and the packages that bring them; but for bpftool's, the names are the same on
/// Debian 12, 13 and Ubuntu 24.04.
const PROGRAMS: [(&str, &str); 21] = [
    ("cc", "gcc"),
    ("make", "make"),
    ("dpkg-deb", "dpkg"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
    ("mmdebstrap", "mmdebstrap"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("sysctl", "procps"),
    ("ping", "iputils-ping"),
    ("ethtool", "ethtool"),
    ("tcpdump", "tcpdump"),
    ("bpftool", "bpftool"),
    ("/usr/bin/python3", "python3"),
    ("curl", "curl"),
    ("openssl", "openssl"),
    ("iperf3", "iperf3"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("ovsdb-client", "openvswitch-common"),
    ("libvirtd", "libvirt-daemon"),
    ("virsh", "libvirt-clients"),
];

/// Files that no program stands for, and the packages that bring them.
const FILES: [(&str, &str); 3] = [
    (
        "/usr/lib/python3/dist-packages/ovs/db/idl.py",
        "python3-openvswitch",
    ),
    (
        "/usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so",
        "libvirt-daemon-driver-qemu",
    ),
    (
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "debian-archive-keyring",
    ),
];

/// Ubuntu's packages of bpftool: the program, and the one for its kernel.
const UBUNTU_BPFTOOL: [&str; 2] = ["linux-tools-common", "linux-tools-generic"];

/// Package whose clients the tests use. Installed, it would start daemons of its own, so it is
/// only unpacked.
const OVS_PACKAGE: &str = "openvswitch-switch";

/// Where that package has its programs: clients, and the reference daemon.
const OVS_PROGRAMS: [&str; 2] = ["usr/bin", "usr/lib/openvswitch-switch"];

/// Capabilities that the switch can't do without: bit and name.
const CAPABILITIES: [(u32, &str); 2] = [(12, "CAP_NET_ADMIN"), (21, "CAP_SYS_ADMIN")];

/// First kernel that takes programs at tcx.
const TCX_KERNEL: (u32, u32) = (6, 6);

/// Checks the machine and installs what is missing.
pub fn run() -> Result<(), TaskError> {
    say("set-up");
    check_rust()?;
    install_missing()?;
    unpack_ovs_clients()?;
    check_kernel()?;
    println!("python:   {}", lab::python()?.display());
    Ok(())
}

/// The guest image, built now if the cache doesn't have it.
pub fn image() -> Result<&'static Image, TaskError> {
    say("guest image");
    let image = match Guest::image() {
        // Lists of packages that are missing or old name packages that can't be had.
        Err(error) if is_root() && has_program("apt-get") => {
            println!(
                "{}\ntrying again with fresh lists of packages",
                error.report()
            );
            apt(&["update", "-q"])?;
            Guest::image()?
        }
        other => other?,
    };
    println!(
        "kernel    {} ({})",
        image.kernel.display(),
        image.manifest.kernel_release
    );
    println!("initramfs {}", image.initramfs.display());
    Ok(image)
}

/// The PATH for tests: the user's, then root's programs, then the unpacked programs of Open vSwitch.
pub fn test_path() -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let unpacked = ovs_dir().map(|dir| OVS_PROGRAMS.map(|at| dir.join(at)));
    let dirs = std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .chain(unpacked.into_iter().flatten());
    std::env::join_paths(dirs).unwrap_or(path.clone())
}

fn check_rust() -> Result<(), TaskError> {
    let text = output(Command::new("rustc").arg("--version"))?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let manifest = root().join("Cargo.toml");
    let minimum = std::fs::read_to_string(&manifest).map_err(TaskError::file("read", manifest))?;
    let minimum = minimum
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .and_then(|v| two_numbers(v.trim_matches('"')))
        .unwrap_or((0, 0));
    let found = text
        .split_whitespace()
        .nth(1)
        .and_then(two_numbers)
        .unwrap_or((0, 0));
    if found < minimum {
        return Err(TaskError::Lacking(vec![format!(
            "Rust {}.{} or newer (found {}): rustup update stable",
            minimum.0,
            minimum.1,
            text.trim()
        )]));
    }
    Ok(())
}

fn two_numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn install_missing() -> Result<(), TaskError> {
    let programs = PROGRAMS
        .into_iter()
        .filter(|(program, _)| !has_program(program));
    let files = FILES
        .into_iter()
        .filter(|(file, _)| !Path::new(file).is_file());
    let venv = (!has_venv()).then_some(("python3 -m venv", "python3-venv"));
    let missing: Vec<(&str, &str)> = programs.chain(files).chain(venv).collect();
    if missing.is_empty() {
        println!("packages: all there");
        return Ok(());
    }
    let packages: Vec<&str> = missing
        .iter()
        .flat_map(|(_, package)| match *package {
            "bpftool" if is_ubuntu() => UBUNTU_BPFTOOL.to_vec(),
            package => vec![package],
        })
        .collect();
    if !has_program("apt-get") {
        let programs = missing
            .iter()
            .map(|(program, package)| format!("{program}, of the package {package}"));
        return Err(TaskError::Lacking(programs.collect()));
    }
    if !is_root() {
        return Err(TaskError::Lacking(vec![format!(
            "packages: sudo apt-get install {}",
            packages.join(" ")
        )]));
    }
    println!("packages: installing {}", packages.join(" "));
    apt(&["update", "-q"])?;
    let args = ["install", "-y", "-q", "--no-install-recommends"];
    apt(&[&args, packages.as_slice()].concat())
}

/// Whether environments for Python packages can be made; Debian has that apart from Python.
fn has_venv() -> bool {
    output(Command::new(lab::SYSTEM_PYTHON).args(["-c", "import ensurepip, venv"])).is_ok()
}

fn is_ubuntu() -> bool {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    release.lines().any(|line| line == "ID=ubuntu")
}

fn apt(args: &[&str]) -> Result<(), TaskError> {
    proc::run(
        Command::new("apt-get")
            .args(args)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}

/// Directory of the unpacked Open vSwitch package.
fn ovs_dir() -> Result<PathBuf, TaskError> {
    Ok(cache_root()?.join("clients"))
}

fn unpack_ovs_clients() -> Result<(), TaskError> {
    let dir = ovs_dir()?;
    let installed = has_program("ovs-vsctl") && has_program("ovs-vswitchd");
    if installed || dir.join("usr/bin/ovs-vsctl").is_file() {
        return Ok(());
    }
    println!("packages: unpacking the clients of {OVS_PACKAGE}");
    if !has_package_lists() && is_root() {
        apt(&["update", "-q"])?;
    }
    Ok(unpack_packages(&[OVS_PACKAGE], &cache_root()?, &dir)?)
}

/// Whether apt has ever been told which packages there are.
fn has_package_lists() -> bool {
    output(Command::new("apt-cache").args(["policy", OVS_PACKAGE]))
        .is_ok_and(|text| !text.is_empty())
}

fn check_kernel() -> Result<(), TaskError> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lacking = lacking_capabilities(&status);
    if !Path::new("/proc/sys/kernel/unprivileged_bpf_disabled").exists() {
        lacking.push("eBPF: this kernel is built without CONFIG_BPF_SYSCALL".to_owned());
    }
    if !Path::new("/dev/net/tun").exists() && !load_tun() {
        lacking.push("/dev/net/tun, which guests are attached by (modprobe tun)".to_owned());
    }
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    if two_numbers(&release).is_some_and(|found| found < TCX_KERNEL) {
        lacking.push(format!(
            "Linux {}.{} or newer, for the tcx hook; this is {} (Debian 12: bookworm-backports)",
            TCX_KERNEL.0,
            TCX_KERNEL.1,
            release.trim()
        ));
    }
    if !lacking.is_empty() {
        return Err(TaskError::Lacking(lacking));
    }
    println!("kernel:   {}", release.trim());
    Ok(())
}

fn load_tun() -> bool {
    proc::run(Command::new("modprobe").arg("tun")).is_ok() && Path::new("/dev/net/tun").exists()
}

/// Which capabilities the line `CapEff:` of /proc/PID/status lacks.
fn lacking_capabilities(status: &str) -> Vec<String> {
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    CAPABILITIES
        .into_iter()
        .filter(|(bit, _)| effective & (1 << bit) == 0)
        .map(|(_, name)| format!("{name}: run as root"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(two_numbers("1.95.0"), Some((1, 95)));
        assert_eq!(two_numbers("1.96.0-nightly"), Some((1, 96)));
        assert_eq!(two_numbers("6.18-rc1"), Some((6, 18)));
        assert_eq!(two_numbers("6"), None);
    }

    #[test]
    fn capabilities_of_root_and_others() {
        assert!(lacking_capabilities("Name: x\nCapEff:\t000001ffffffffff\n").is_empty());
        assert_eq!(lacking_capabilities("CapEff:\t0000000000001000\n").len(), 1);
        assert_eq!(lacking_capabilities("").len(), 2);
    }

    #[test]
    fn own_compiler_is_new_enough() {
        check_rust().unwrap();
    }

    #[test]
    fn test_path_has_the_clients() {
        let path = test_path();
        assert!(std::env::split_paths(&path).any(|dir| dir.ends_with("clients/usr/bin")));
    }
}
