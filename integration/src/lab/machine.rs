//! A whole Debian host in namespaces of its own: a clean root directory in which systemd runs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aorta_vm_images::cache_root;
use rustix::fs::{FlockOperation, flock};

use super::exec::command_line;
use super::{LabError, Netns, Output, run, run_within, wait_for};

/// What a host has besides the packages that every host has.
const PACKAGES: [&str; 7] = [
    "systemd",
    "systemd-sysv",
    "dbus",
    "iproute2",
    "iputils-ping",
    "logrotate",
    "procps",
];
/// Time to make the root directory of the distribution's packages, once.
const ROOT_LIMIT: Duration = Duration::from_secs(900);
/// Time to boot, and to end.
const LIMIT: Duration = Duration::from_secs(60);

/// Enters control groups of the host's own, so that what it makes can be found again, and then
/// namespaces. The arguments are the group's name, and what is to run.
const ENTER: &str = r#"
group=$1
shift
for tree in /sys/fs/cgroup /sys/fs/cgroup/*; do
    if [ -e "$tree/cgroup.procs" ]; then
        mkdir "$tree/$group" && echo $$ > "$tree/$group/cgroup.procs"
    fi
done 2> /dev/null
exec unshare --mount --pid --fork --kill-child --net --uts --ipc --cgroup "$@"
"#;

/// Makes the mounts of a host on a copy of a root directory, and becomes its systemd. The
/// arguments are the root directory, and a directory for the copy.
const BOOT: &str = r#"
set -e
mount --make-rprivate /
mkdir "$2/upper" "$2/work" "$2/root"
mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" overlay "$2/root"
cd "$2/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs dev
mount -t bpf bpf sys/fs/bpf
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mount -t cgroup2 cgroup2 sys/fs/cgroup
else
    mount -t tmpfs tmpfs sys/fs/cgroup
    mkdir sys/fs/cgroup/unified sys/fs/cgroup/systemd
    mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
    mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
fi
mkdir dev/net dev/pts dev/shm
for device in null zero full random urandom tty net/tun; do
    touch "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
ln -s /proc/self/fd dev/fd
exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot . /lib/systemd/systemd
"#;

/// A running host. Dropped, it ends with all that runs on it, and its files are removed.
#[derive(Debug)]
pub struct Machine {
    unshare: Child,
    /// Process id of its systemd.
    init: u32,
    dir: tempfile::TempDir,
}

impl Machine {
    /// Boots a clean host, without network.
    ///
    /// # Errors
    /// When its root directory can't be made of the distribution's packages, or systemd doesn't
    /// come up.
    pub fn boot() -> Result<Machine, LabError> {
        Machine::boot_with(&[])
    }

    /// [`Machine::boot`] of a host that has more of the distribution's packages, with what they
    /// depend on and no more.
    ///
    /// # Errors
    /// As [`Machine::boot`].
    pub fn boot_with(packages: &[&str]) -> Result<Machine, LabError> {
        let root = root_directory(packages)?;
        let dir = tempfile::Builder::new().prefix("aorta-host-").tempdir();
        let dir = dir.map_err(LabError::system("make a directory for a host"))?;
        let mut command = Command::new("sh");
        command
            .args(["-c", ENTER, "enter", &group(dir.path())])
            .args(["sh", "-c", BOOT, "boot"])
            .args([root.as_path(), dir.path()])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let unshare = command.spawn().map_err(|source| LabError::Start {
            command: command_line(&command),
            source,
        })?;
        let mut machine = Machine {
            unshare,
            init: 0,
            dir,
        };
        machine.init = wait_for("systemd starts", LIMIT, || machine.find_init())?;
        machine.wait_booted()?;
        Ok(machine)
    }

    /// Process id of its first process, by which `ip link set … netns` names it, too.
    pub fn pid(&self) -> u32 {
        self.init
    }

    /// A file of its root directory, as it is reached from outside.
    pub fn path(&self, path: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.init));
        root.join(path.trim_start_matches('/'))
    }

    /// A command that will run on it.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--target={}", self.init))
            .args(["--all", "--root", "--wdns=/", "--", program])
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("LC_ALL", "C.UTF-8")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    /// Runs a line of shell on it, for a few minutes at most; a bad status is the caller's to judge.
    ///
    /// # Errors
    /// When it can't be started or takes longer.
    pub fn sh(&self, line: &str) -> Result<Output, LabError> {
        run_within(self.command("sh").args(["-c", line]), LIMIT * 3)
    }

    /// Puts a file of this machine onto it.
    ///
    /// # Errors
    /// When it can't be copied.
    pub fn put(&self, from: &Path, to: &str) -> Result<(), LabError> {
        let to = self.path(to);
        if let Some(dir) = to.parent() {
            fs::create_dir_all(dir).map_err(LabError::file("make", dir))?;
        }
        fs::copy(from, &to).map_err(LabError::file("copy to", to))?;
        Ok(())
    }

    /// Connects a namespace's `eth0` with its device `name`, both up.
    ///
    /// # Errors
    /// When ip(8) refuses.
    pub fn connect(&self, station: &Netns, name: &str) -> Result<(), LabError> {
        let pid = self.init.to_string();
        let pair = ["link", "add", "name", "eth0", "type", "veth"];
        let peer = ["peer", "name", name, "netns", &pid];
        station.ip(&[&pair[..], &peer[..]].concat())?;
        station.ip(&["link", "set", "dev", "eth0", "up"])?;
        run(self.command("ip").args(["link", "set", "dev", name, "up"]))?.ok()?;
        Ok(())
    }

    /// The child of `unshare`, once it has become systemd.
    fn find_init(&self) -> Option<u32> {
        let pid = self.unshare.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        let child: u32 = children.split_whitespace().next()?.parse().ok()?;
        let program = fs::read_to_string(format!("/proc/{child}/comm")).ok()?;
        (program.trim() == "systemd").then_some(child)
    }

    fn wait_booted(&self) -> Result<(), LabError> {
        let mut state = String::new();
        let booted = wait_for("the host boots", LIMIT, || {
            let asked = self.sh("systemctl is-system-running");
            state = asked.map_or_else(|error| error.report(), |output| output.stdout);
            ["running", "degraded"]
                .contains(&state.trim())
                .then_some(())
        });
        booted.map_err(|_| LabError::Timeout {
            what: "the host boots".to_owned(),
            limit: LIMIT,
            detail: format!("\n{state}\n{}", self.dir.path().display()),
        })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Its processes end with the first of them, its mounts with its namespaces.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
        let gone = || (!Path::new(&format!("/proc/{}", self.init)).exists()).then_some(());
        if let Err(error) = wait_for("the host ends", LIMIT, gone) {
            eprintln!("lab: {error}");
        }
        let ours = format!("/sys/fs/cgroup*/{}*", group(self.dir.path()));
        let mut find = Command::new("find");
        find.args(["/sys/fs/cgroup", "-depth", "-type", "d", "-path", &ours]);
        if let Err(error) = run(find.args(["-exec", "rmdir", "{}", ";"])) {
            eprintln!("lab: {}", error.report());
        }
    }
}

/// Name of a host's control group.
fn group(dir: &Path) -> String {
    let name = dir.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The root directory of a host, made of the distribution's packages unless it is in the cache.
fn root_directory(more: &[&str]) -> Result<PathBuf, LabError> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let suite = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .unwrap_or("bookworm");
    let packages = [&PACKAGES[..], more].concat();
    let dir = cache_root()?.join("hosts");
    fs::create_dir_all(&dir).map_err(LabError::file("make", &dir))?;
    let name = format!("{suite}-{}", packages.join("-"));
    let root = dir.join(&name);
    let lock = dir.join(format!("{name}.lock"));
    let lock = File::create(&lock).map_err(LabError::file("create", lock))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(LabError::system("flock"))?;
    if root.is_dir() {
        return Ok(root);
    }
    let unfinished = dir.join(format!("{name}.unfinished"));
    run(Command::new("rm").arg("-rf").arg(&unfinished))?.ok()?;
    let mut make = Command::new("mmdebstrap");
    make.args(["--variant=minbase", "--format=directory", "--quiet"])
        .arg(format!("--include={}", packages.join(",")))
        .arg(suite)
        .arg(&unfinished);
    run_within(&mut make, ROOT_LIMIT)?.ok()?;
    fs::rename(&unfinished, &root).map_err(LabError::file("rename", unfinished))?;
    Ok(root)
}
