//! Guests: small virtual machines under QEMU.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aorta_vm_images::cpio::Archive;
use aorta_vm_images::{Image, ImageError, Recipe, cache_root, ensure};

use super::agent::Agent;
use super::qemu::{self, Vm, read_lossy, tails};
use super::{Accel, GuestConfig, LabError, Netns, Output, initramfs, wait_for};

/// Time a guest may take to boot, emulated on a busy machine.
const BOOT_LIMIT: Duration = Duration::from_secs(300);
/// Time a command in a guest may take unless the caller says otherwise.
const RUN_LIMIT: Duration = Duration::from_secs(60);

/// A running guest; killed when dropped. If the thread is panicking then, its console is kept
/// and the place told.
pub struct Guest {
    name: String,
    qemu: Mutex<Child>,
    agent: Mutex<Agent>,
    dir: tempfile::TempDir,
}

impl Guest {
    /// The image that guests boot, built at the first call if the cache has none.
    ///
    /// # Errors
    /// When it can't be built.
    pub fn image() -> Result<&'static Image, LabError> {
        static IMAGE: OnceLock<Image> = OnceLock::new();
        if let Some(image) = IMAGE.get() {
            return Ok(image);
        }
        let built = cache_root()
            .and_then(|cache| ensure(&Recipe::GUEST, &cache, &mut |line| eprintln!("{line}")))
            .map_err(|error: ImageError| LabError::Image(error))?;
        Ok(IMAGE.get_or_init(|| built))
    }

    /// Boots a guest whose taps are in `netns` and waits until it takes commands.
    ///
    /// # Errors
    /// When it doesn't within five minutes; the error shows its console.
    pub fn boot(netns: &Netns, config: &GuestConfig) -> Result<Guest, LabError> {
        let guest = Guest::start(netns, config)?;
        guest.wait_ready()?;
        Ok(guest)
    }

    /// Boots several guests at the same time.
    ///
    /// # Errors
    /// As [`Guest::boot`], for the first that fails.
    pub fn boot_all(netns: &Netns, configs: &[GuestConfig]) -> Result<Vec<Guest>, LabError> {
        let guests = configs
            .iter()
            .map(|config| Guest::start(netns, config))
            .collect::<Result<Vec<_>, _>>()?;
        for guest in &guests {
            guest.wait_ready()?;
        }
        Ok(guests)
    }

    fn start(netns: &Netns, config: &GuestConfig) -> Result<Guest, LabError> {
        let image = Guest::image()?;
        let accel = Accel::detect(image);
        let dir = tempfile::Builder::new()
            .prefix("aorta-guest-")
            .tempdir()
            .map_err(LabError::system("make a directory for the guest"))?;
        let image = with_programs(image, &config.programs, dir.path())?;
        let mut command = netns.command("qemu-system-x86_64");
        qemu_args(&mut command, &image, accel, config, dir.path());
        let mut qemu = qemu::start(&mut command, dir.path())?;
        match connect(&mut qemu, &config.name, dir.path()) {
            Ok(stream) => Ok(Guest {
                name: config.name.clone(),
                qemu: Mutex::new(qemu),
                agent: Mutex::new(Agent::new(stream)),
                dir,
            }),
            Err(error) => {
                let _ = qemu.kill();
                let _ = qemu.wait();
                Err(error)
            }
        }
    }

    /// Waits until a guest that boots, or boots again, takes commands.
    ///
    /// # Errors
    /// When it doesn't within five minutes; the error shows its console.
    pub fn wait_ready(&self) -> Result<(), LabError> {
        let mut agent = self.agent.lock().unwrap_or_else(PoisonError::into_inner);
        agent
            .wait_ready(BOOT_LIMIT)
            .map_err(|error| self.explain(error))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Process id of its QEMU.
    pub fn qemu_pid(&self) -> u32 {
        self.qemu
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .id()
    }

    /// Has the guest boot again, and waits until it takes commands.
    ///
    /// # Errors
    /// As [`Guest::wait_ready`].
    pub fn reboot(&self) -> Result<(), LabError> {
        self.run("(sleep 0.1; reboot -f) >/dev/null 2>&1 &")?.ok()?;
        self.wait_ready()
    }

    /// What the guest's kernel and first process printed so far.
    pub fn console(&self) -> String {
        read_lossy(&self.dir.path().join("console"))
    }

    /// Runs a shell command (busybox) in the guest, for a minute at most. Something left in
    /// the background goes on. A bad status is the caller's to judge.
    ///
    /// # Errors
    /// When the guest is gone or doesn't answer.
    pub fn run(&self, command: &str) -> Result<Output, LabError> {
        self.run_within(command, RUN_LIMIT)
    }

    /// [`Guest::run`] with another limit, in whole seconds; past it the guest kills the command
    /// and its status is 137.
    ///
    /// # Errors
    /// As [`Guest::run`].
    pub fn run_within(&self, command: &str, limit: Duration) -> Result<Output, LabError> {
        let mut agent = self.agent.lock().unwrap_or_else(PoisonError::into_inner);
        agent
            .run(command, limit)
            .map_err(|error| self.explain(error))
    }

    /// Adds what console and QEMU say to an error of the agent's.
    fn explain(&self, error: LabError) -> LabError {
        let detail = tails(self.dir.path());
        let mut qemu = self.qemu.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = qemu.try_wait().ok().flatten();
        match (ended, error) {
            (Some(status), _) => LabError::GuestGone {
                name: self.name.clone(),
                detail: format!(" ({status}){detail}"),
            },
            (None, LabError::Timeout { what, limit, .. }) => LabError::Timeout {
                what: format!("{}: {what}", self.name),
                limit,
                detail,
            },
            (None, other) => other,
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let qemu = self.qemu.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = qemu.kill();
        let _ = qemu.wait();
        if std::thread::panicking() {
            keep(&self.name, self.dir.path());
        }
    }
}

/// The connection to the guest's control port, once QEMU listens.
fn connect(qemu: &mut Child, name: &str, dir: &Path) -> Result<UnixStream, LabError> {
    let path = agent_socket(dir);
    let found = wait_for("QEMU listens", Duration::from_secs(20), || {
        match (qemu.try_wait(), UnixStream::connect(&path)) {
            (_, Ok(stream)) => Some(Some(stream)),
            (Ok(None), _) => None,
            _ => Some(None),
        }
    })?;
    found.ok_or_else(|| LabError::GuestGone {
        name: name.to_owned(),
        detail: tails(dir),
    })
}

fn agent_socket(dir: &Path) -> PathBuf {
    dir.join("agent.sock")
}

/// The image, or one in `dir` that has these programs too.
fn with_programs(
    image: &Image,
    programs: &[(PathBuf, String)],
    dir: &Path,
) -> Result<Image, LabError> {
    let mut image = image.clone();
    if !programs.is_empty() {
        let root = dir.join("initramfs");
        let mut archive = Archive::new();
        initramfs::add_programs(&mut archive, "bin", programs)?;
        initramfs::append(&image, archive, &root)?;
        image.initramfs = root;
    }
    Ok(image)
}

fn qemu_args(command: &mut Command, image: &Image, accel: Accel, config: &GuestConfig, dir: &Path) {
    let machine = Vm {
        image,
        initramfs: &image.initramfs,
        accel,
        cpus: config.cpus,
        memory_mib: config.memory_mib,
        reboots: config.reboots,
    };
    qemu::describe(command, &machine, dir);
    command
        .args(["-name", &config.name])
        .args(["-device", "virtio-serial-pci", "-chardev"])
        .arg(format!(
            "socket,id=agent,server=on,wait=off,path={}",
            agent_socket(dir).display()
        ))
        .args(["-device", "virtserialport,chardev=agent,name=aorta.agent"]);
    for (n, nic) in config.nics.iter().enumerate() {
        command.args(nic.qemu_args(n));
    }
}

/// Moves what explains a failure to a place that outlives the test.
fn keep(name: &str, dir: &Path) {
    let kept = std::env::temp_dir().join("aorta-failures");
    let _ = std::fs::create_dir_all(&kept);
    for file in ["console", "qemu.log"] {
        let to = kept.join(format!("{name}-{}-{file}", std::process::id()));
        if std::fs::copy(dir.join(file), &to).is_ok() {
            eprintln!("lab: {file} of guest {name} kept in {}", to.display());
        }
    }
}
