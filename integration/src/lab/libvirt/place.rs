//! The directories of a libvirtd that shares nothing with the host's.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aorta_vm_images::cache_root;

use super::super::{LabError, wait_for};
use super::{make_dir, write};

/// Where libvirt keeps things, and the directory below the root that is mounted there.
const MOUNTS: [(&str, &str); 4] = [
    ("/run/libvirt", "run"),
    ("/var/lib/libvirt", "lib"),
    ("/var/log/libvirt", "log"),
    ("/etc/libvirt", "etc"),
];

/// No isolation of guests by cgroups, namespaces, users or labels: the lab has none to give.
const QEMU_CONF: &str = r#"stdio_handler = "file"
security_driver = "none"
cgroup_controllers = []
namespaces = []
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
"#;

/// The user that Debian's libvirt looks up before it reads its configuration, and its group.
const USER: &str = "libvirt-qemu:x:64055:64055:::/usr/sbin/nologin\n";
const GROUPS: &str = "libvirt-qemu:x:64055:\nkvm:x:64056:\n";

/// Makes the mounts and becomes libvirtd. The first argument is the root; the second is the
/// directory in which libvirt remembers what QEMU can do, which outlives it: libvirt finds out
/// by itself when that is out of date.
const ENTER: &str = r#"set -e
root=$1; cache=$2; shift 2
while [ $# -gt 0 ]; do
    mkdir -p "$1"
    mount --bind "$root/$2" "$1"
    shift 2
done
mkdir -p /var/cache/libvirt
mount --bind "$cache" /var/cache/libvirt
mount --bind "$root/passwd" /etc/passwd
mount --bind "$root/group" /etc/group
mount -t sysfs sys /sys
exec libvirtd --pid-file /run/libvirt/libvirtd.pid
"#;

static NEXT: AtomicU32 = AtomicU32::new(1);

/// The root of one libvirtd's directories; removed when dropped.
pub(super) struct Place {
    dir: Option<tempfile::TempDir>,
    root: PathBuf,
    cache: PathBuf,
}

impl Place {
    /// Makes the directories and configuration files.
    pub(super) fn new() -> Result<Place, LabError> {
        let dir = tempfile::Builder::new()
            .prefix("aorta-lv-")
            .tempdir()
            .map_err(LabError::system("make a directory for libvirt"))?;
        let root = dir.path().to_owned();
        let cache = cache_root().map_err(LabError::Image)?.join("libvirt");
        for (_, name) in MOUNTS {
            make_dir(&root.join(name))?;
        }
        make_dir(&cache)?;
        write(&root.join("etc/qemu.conf"), QEMU_CONF)?;
        write(&root.join("etc/libvirtd.conf"), &daemon_conf())?;
        for (file, more) in [("passwd", USER), ("group", GROUPS)] {
            let known = Path::new("/etc").join(file);
            let text = std::fs::read_to_string(&known).map_err(LabError::file("read", &known))?;
            write(&root.join(file), &(text + more))?;
        }
        Ok(Place {
            dir: Some(dir),
            root,
            cache,
        })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.root.join("run/libvirt-sock")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.root.join("log/libvirtd.log")
    }

    /// The command that becomes libvirtd.
    pub(super) fn command(&self, netns: &Path, search_path: &OsStr) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", netns.display()))
            .args(["--", "unshare", "--mount", "--propagation", "private"])
            .args(["--", "sh", "-c", ENTER, "sh"])
            .args([&self.root, &self.cache]);
        for (at, name) in MOUNTS {
            command.args([at, name]);
        }
        command.env("PATH", search_path);
        command
    }

    /// The socket of a guest's control port, once QEMU has made it.
    pub(super) fn agent_socket(&self, domain: &str) -> Result<PathBuf, LabError> {
        agent_socket(&self.root.join("lib"), domain)
    }

    /// Process ids of the guests' QEMUs.
    pub(super) fn qemu_pids(&self) -> Vec<u32> {
        std::fs::read_dir(self.root.join("run/qemu"))
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.path().extension() == Some(OsStr::new("pid")))
            .filter_map(|entry| {
                let text = std::fs::read_to_string(entry.path()).ok()?;
                text.trim().parse().ok()
            })
            .collect()
    }

    /// Lets the directories outlive the test.
    pub(super) fn keep(&mut self) -> &Path {
        if let Some(dir) = self.dir.take() {
            // The path stays as it is.
            let _ = dir.keep();
        }
        &self.root
    }
}

/// The socket of a guest's control port, once QEMU has made it. `lib` is what libvirtd sees as
/// `/var/lib/libvirt`.
pub(super) fn agent_socket(lib: &Path, domain: &str) -> Result<PathBuf, LabError> {
    let targets = lib.join("qemu/channel/target");
    let end = format!("-{domain}");
    wait_for("QEMU listens", Duration::from_secs(20), || {
        // The directory is named domain-ID-NAME; the guest that runs has the highest number.
        let mut found: Vec<(u64, PathBuf)> = std::fs::read_dir(&targets)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let id = name.strip_prefix("domain-")?.strip_suffix(&end)?;
                let socket = entry.path().join(super::domain::AGENT_PORT);
                socket.exists().then_some((id.parse().ok()?, socket))
            })
            .collect();
        found.sort();
        found.pop().map(|(_, socket)| socket)
    })
}

/// Each libvirtd is another host: it refuses to migrate to one with its own identity.
fn daemon_conf() -> String {
    let host =
        u64::from(std::process::id()) << 16 | u64::from(NEXT.fetch_add(1, Ordering::Relaxed));
    format!(
        "auth_unix_rw = \"none\"\n\
         host_uuid = \"6c696276-6972-4740-8000-{host:012x}\"\n\
         log_outputs = \"3:file:/var/log/libvirt/libvirtd.log\"\n"
    )
}
