//! Jobs in machines of their own: a kernel, a script, and what came of it.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use aorta_vm_images::cpio::Archive;
use aorta_vm_images::{Image, KERNEL_SERIES, Recipe, cache_root, ensure};

use super::exec::{run, wait_child};
use super::qemu::{self, Vm, tails};
use super::{Accel, LabError, Output, initramfs};

/// Where a job's files are in its machine.
const JOB_DIR: &str = "job";
/// Programs of the image that busybox has, too: its shell takes its own before those of the PATH.
const NOT_BUSYBOXS: [&str; 3] = ["ip", "tc", "ping"];
/// What the machine prints on its console when the job has ended.
const ENDED: &str = "aorta-guest: job ended with status ";

/// A shell script that runs as the only thing in a machine, with files beside it. The machine ends
/// with the script.
#[derive(Debug, Clone)]
pub struct Job {
    /// The script, for busybox's shell. It reads nothing; it runs in `/job`, which is on its PATH.
    pub script: String,
    /// Files of the host and the names they get in `/job`; all are executable there.
    pub files: Vec<(PathBuf, String)>,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Virtual processors. Emulated, a kernel that patches its code for all processors (as the
    /// first program at a hook makes it do) can end by that with more than one.
    pub cpus: u32,
    /// How long the machine may take, boot included.
    pub limit: Duration,
}

impl Job {
    /// A script without files, for 8 minutes at most, on one processor with 1 GiB.
    pub fn new(script: &str) -> Job {
        Job {
            script: script.to_owned(),
            files: Vec::new(),
            memory_mib: 1024,
            cpus: 1,
            limit: Duration::from_secs(480),
        }
    }

    /// The job with one more file: a program of the host, without what only debuggers read.
    ///
    /// # Errors
    /// When strip(1) fails.
    pub fn program(mut self, path: &Path, scratch: &Path) -> Result<Job, LabError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let stripped = scratch.join(name.as_ref());
        run(Command::new("strip").arg("-o").arg(&stripped).arg(path))?.ok()?;
        self.files.push((stripped, name.into_owned()));
        Ok(self)
    }

    /// Runs the job in a machine with this image. What it printed, on either output, is in
    /// `stdout`, the console in `stderr`.
    ///
    /// # Errors
    /// When the machine can't be started, takes too long, or ends without having said how the job
    /// ended, on its console and by QEMU's status alike. A bad status of the job is no error.
    pub fn run(&self, image: &Image) -> Result<Output, LabError> {
        let dir = tempfile::Builder::new()
            .prefix("aorta-job-")
            .tempdir()
            .map_err(LabError::system("make a directory for the job"))?;
        let dir = dir.path();
        let root = dir.join("initramfs");
        self.write_initramfs(image, &root)?;
        let mut command = self.qemu(image, &root, dir);
        let mut qemu = qemu::start(&mut command, dir)?;
        let status = wait_child(&mut qemu, "the job's machine ends", self.limit);
        let status = status.map_err(|error| with_tails(error, dir))?;
        let read = |name: &str| {
            String::from_utf8_lossy(&std::fs::read(dir.join(name)).unwrap_or_default())
                .replace("\r\n", "\n")
        };
        let console = read("console");
        match job_status(&console, status) {
            Some(status) => Ok(Output {
                command: self.script.clone(),
                status,
                stdout: read("output"),
                stderr: console,
            }),
            None => Err(LabError::GuestGone {
                name: "job".to_owned(),
                detail: format!(" ({status})\n{}{}", read("output"), tails(dir)),
            }),
        }
    }

    fn write_initramfs(&self, image: &Image, path: &Path) -> Result<(), LabError> {
        let mut archive = Archive::new();
        let own: String = NOT_BUSYBOXS
            .iter()
            .map(|name| format!("{name}() {{ /bin/{name} \"$@\"; }}\n"))
            .collect();
        let script = format!(
            "cd /{JOB_DIR}\nexport PATH=/{JOB_DIR}:$PATH\n{own}{}\n",
            self.script
        );
        archive.file(&format!("{JOB_DIR}/run"), 0o755, script.as_bytes());
        initramfs::add_programs(&mut archive, JOB_DIR, &self.files)?;
        initramfs::append(image, archive, path)
    }

    fn qemu(&self, image: &Image, initramfs: &Path, dir: &Path) -> Command {
        let machine = Vm {
            image,
            initramfs,
            accel: Accel::detect(image),
            cpus: self.cpus,
            memory_mib: self.memory_mib,
            reboots: false,
        };
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu::describe(&mut qemu, &machine, dir);
        let output = format!("file:{}", dir.join("output").display());
        qemu.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4"])
            .args(["-serial", &output]);
        qemu
    }
}

/// The image on which jobs run with a kernel of that series, built at the first call.
///
/// # Errors
/// When there is none for that series, or it can't be built.
pub fn lab_image(series: &str) -> Result<Image, LabError> {
    let recipe = Recipe::lab(series).ok_or_else(|| LabError::NoSeries {
        series: series.to_owned(),
        known: KERNEL_SERIES.join(", "),
    })?;
    let cache = cache_root()?;
    Ok(ensure(&recipe, &cache, &mut |line| eprintln!("{line}"))?)
}

/// How the job ended, if console and QEMU agree: a status `s` that the machine writes to the debug
/// port makes QEMU end with `2s + 1`, of which a process keeps eight bits.
fn job_status(console: &str, qemu: ExitStatus) -> Option<i32> {
    let said = console
        .lines()
        .rev()
        .find_map(|line| line.split_once(ENDED))?;
    let status: u8 = said.1.trim().parse().ok()?;
    let expected = (u32::from(status) << 1 | 1) & 0xff;
    (qemu.code() == i32::try_from(expected).ok()).then_some(status.into())
}

fn with_tails(error: LabError, dir: &Path) -> LabError {
    match error {
        LabError::Timeout { what, limit, .. } => LabError::Timeout {
            what,
            limit,
            detail: tails(dir),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn ended(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    #[test]
    fn console_and_qemu_must_agree() {
        let console = "noise\n[ 3.1] aorta-guest: job ended with status 3\r\nmore\n";
        assert_eq!(job_status(console, ended(7)), Some(3));
        assert_eq!(job_status(console, ended(1)), None);
        assert_eq!(job_status(console, ended(0)), None);
        assert_eq!(job_status("Kernel panic", ended(7)), None);
        let killed = "aorta-guest: job ended with status 137\n";
        assert_eq!(job_status(killed, ended(19)), Some(137));
    }

    #[test]
    fn a_series_that_is_not_there_is_named() {
        let error = lab_image("2.4").unwrap_err().to_string();
        assert!(error.contains("2.4") && error.contains("6.12"), "{error}");
    }
}
