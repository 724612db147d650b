//! Running in the background (ovs-ofctl(8), Daemon Options). The program starts itself once more and
//! ends when that one is ready, so that whoever started it can rely on it at once.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::process::{Gid, Uid, setsid};
use rustix::thread::{set_thread_gid, set_thread_groups, set_thread_uid};

use super::error::OfctlError;
use super::{FAILED, OK, Ofctl};
use crate::log::Level;

/// What the command line says about it.
#[derive(Debug, Clone, Default)]
pub struct Background {
    /// Goes on in the background.
    pub detach: bool,
    /// Stays in its directory there.
    pub stays: bool,
    /// Is started again when it dies of a fault.
    pub monitor: bool,
    /// A file for the process number.
    pub pidfile: Option<PathBuf>,
    /// Another's file is taken over.
    pub overwrites: bool,
    /// `USER`, `USER:GROUP` or `:GROUP` whose rights it keeps.
    pub user: Option<String>,
    /// Where commands are taken; `none` is nowhere.
    pub unixctl: Option<PathBuf>,
}

/// Environment variable by which a process knows what it is.
const ROLE: &str = "AORTA_OFCTL_ROLE";
const SUPERVISOR: &str = "supervisor";
const WORKER: &str = "worker";
/// What says that all is ready, as the last byte of what is printed.
const READY: u8 = 0;
/// What programs die of that have a fault: SIGABRT, SIGALRM, SIGBUS, SIGFPE, SIGILL, SIGPIPE, SIGSEGV,
/// SIGXCPU, SIGXFSZ.
const FAULTS: [i32; 9] = [6, 14, 7, 8, 4, 13, 11, 24, 25];
/// It isn't started more often than this.
const AGAIN: Duration = Duration::from_secs(10);

/// Starts the program in the background, if that is asked for; the exit status then.
pub fn leave(ofctl: &Ofctl) -> Result<Option<i32>, OfctlError> {
    let asked = &ofctl.settings.background;
    let role = env::var(ROLE).unwrap_or_default();
    let failed =
        |cause: io::Error| OfctlError::other(format!("cannot go on in the background ({cause})"));
    match role.as_str() {
        WORKER => return Ok(None),
        SUPERVISOR => {
            setsid().map_err(|e| failed(e.into()))?;
            return supervise(ofctl, true).map(Some).map_err(failed);
        }
        _ => {}
    }
    if asked.detach {
        check_pidfile(ofctl)?;
        let role = if asked.monitor { SUPERVISOR } else { WORKER };
        return launch(role).map(Some).map_err(failed);
    }
    match asked.monitor {
        true => supervise(ofctl, false).map(Some).map_err(failed),
        false => Ok(None),
    }
}

/// This program with its command line, in another role.
fn again(role: &str) -> io::Result<Command> {
    let mut words = env::args_os();
    let called = words.next().unwrap_or_default();
    let mut command = Command::new(env::current_exe()?);
    command.arg0(called).args(words).env(ROLE, role);
    Ok(command)
}

/// Starts the program, prints what it prints, and ends with it or when it is ready.
fn launch(role: &str) -> io::Result<i32> {
    let mut child = again(role)?
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let (mut piece, mut ready) = ([0; 4096], false);
    let mut out = io::stdout().lock();
    if let Some(mut output) = child.stdout.take() {
        loop {
            let count = output.read(&mut piece)?;
            if count == 0 {
                break;
            }
            ready = piece[count - 1] == READY;
            let shown = if ready { count - 1 } else { count };
            // Nobody may be reading it.
            let _ = out.write_all(&piece[..shown]).and_then(|()| out.flush());
        }
    }
    match ready {
        true => Ok(OK),
        false => Ok(status_of(child.wait()?)),
    }
}

fn status_of(ended: ExitStatus) -> i32 {
    let signal = ended.signal().map(|signal| 128 + signal);
    ended.code().or(signal).unwrap_or(FAILED)
}

/// Runs the program, again and again if it dies of a fault.
fn supervise(ofctl: &Ofctl, detached: bool) -> io::Result<i32> {
    let mut newest: Option<Instant> = None;
    loop {
        let mut child = again(WORKER)?.spawn()?;
        if detached {
            // Only the worker says when it is ready.
            leave_output()?;
        }
        let ended = child.wait()?;
        match ended.signal() {
            Some(signal) if FAULTS.contains(&signal) => {
                let text = format!("died ({ended}), restarting");
                ofctl.log.message("daemon_unix", Level::Err, &text);
                let since = newest.map_or(AGAIN, |newest| newest.elapsed());
                std::thread::sleep(AGAIN.saturating_sub(since));
                newest = Some(Instant::now());
            }
            _ => return Ok(status_of(ended)),
        }
    }
}

fn leave_output() -> io::Result<()> {
    let null = OpenOptions::new().write(true).open("/dev/null")?;
    Ok(rustix::stdio::dup2_stdout(null.as_fd())?)
}

/// What the process keeps as long as it runs; files go away with it.
#[derive(Debug, Default)]
pub struct Kept {
    pidfile: Option<(PathBuf, File)>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some((path, _)) = &self.pidfile {
            let _ = fs::remove_file(path);
        }
    }
}

impl Kept {
    /// Files that go when the process does.
    pub fn files(&self) -> Vec<PathBuf> {
        self.pidfile.iter().map(|(path, _)| path.clone()).collect()
    }
}

/// Gives up rights that aren't kept.
pub fn keep_rights(ofctl: &Ofctl) -> Result<(), OfctlError> {
    match &ofctl.settings.background.user {
        // Whoever started the process in its role had given them up.
        Some(user) if env::var(ROLE).is_err() => become_user(user).map_err(OfctlError::other),
        _ => Ok(()),
    }
}

/// Writes the pidfile.
pub fn settle(ofctl: &Ofctl) -> Result<Kept, OfctlError> {
    let mut kept = Kept::default();
    if let Some(path) = pidfile(ofctl) {
        check_pidfile(ofctl)?;
        kept.pidfile = Some((path.clone(), write_pidfile(ofctl, &path)?));
    }
    Ok(kept)
}

/// Tells whoever started the process in the background that all is ready.
pub fn ready(ofctl: &Ofctl) -> Result<(), OfctlError> {
    let asked = &ofctl.settings.background;
    if !asked.detach || env::var(ROLE).is_err() {
        return Ok(());
    }
    let left = || -> io::Result<()> {
        if !asked.monitor {
            setsid()?;
        }
        if !asked.stays {
            env::set_current_dir("/")?;
        }
        let mut out = io::stdout().lock();
        out.write_all(&[READY])?;
        out.flush()?;
        leave_output()
    };
    left().map_err(|cause| OfctlError::other(format!("cannot go on in the background ({cause})")))
}

fn pidfile(ofctl: &Ofctl) -> Option<PathBuf> {
    let path = ofctl.settings.background.pidfile.as_ref()?;
    Some(ofctl.rundir.join(path))
}

fn locked(file: &File) -> bool {
    fcntl_lock(file, FlockOperation::NonBlockingLockExclusive).is_err()
}

fn check_pidfile(ofctl: &Ofctl) -> Result<(), OfctlError> {
    let Some(path) = pidfile(ofctl).filter(|_| !ofctl.settings.background.overwrites) else {
        return Ok(());
    };
    let open = OpenOptions::new().read(true).write(true).open(&path);
    let Ok(mut file) = open.as_ref() else {
        return Ok(());
    };
    if !locked(file) {
        return Ok(());
    }
    let mut pid = String::new();
    // What can't be read is taken all the same.
    let _ = file.read_to_string(&mut pid);
    let (path, pid) = (path.display(), pid.trim());
    Err(OfctlError::other(format!(
        "{path}: already running as pid {pid}, aborting"
    )))
}

fn write_pidfile(ofctl: &Ofctl, path: &Path) -> Result<File, OfctlError> {
    let failed = |cause| OfctlError::Open {
        file: path.display().to_string(),
        cause,
    };
    if ofctl.settings.background.overwrites {
        // Its holder goes on without.
        let _ = fs::remove_file(path);
    }
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(path).map_err(failed)?;
    if locked(&file) {
        check_pidfile(ofctl)?;
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(failed)?;
    Ok(file)
}

/// Numbers in a line of `/etc/passwd` or `/etc/group`.
fn entry(file: &str, name: &str) -> Option<Vec<u32>> {
    let text = fs::read_to_string(file).ok()?;
    let mut lines = text.lines();
    let line = lines.find(|line| line.split(':').next() == Some(name))?;
    let numbers = line.split(':').skip(2).map_while(|word| word.parse().ok());
    Some(numbers.collect())
}

/// Gives up all rights but those of `USER[:GROUP]`.
fn become_user(text: &str) -> Result<(), String> {
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    let user = match user {
        "" => None,
        name => {
            let found = entry("/etc/passwd", name);
            Some(found.ok_or_else(|| format!("User \"{name}\" not found, aborting"))?)
        }
    };
    let group = match group {
        "" => user.as_ref().and_then(|user| user.get(1).copied()),
        name => {
            let found = entry("/etc/group", name).and_then(|group| group.first().copied());
            Some(found.ok_or_else(|| format!("Group \"{name}\" not found, aborting"))?)
        }
    };
    let change = || -> rustix::io::Result<()> {
        if let Some(gid) = group {
            set_thread_groups(&[Gid::from_raw(gid)])?;
            set_thread_gid(Gid::from_raw(gid))?;
        }
        match user.as_ref().and_then(|user| user.first()) {
            Some(uid) => set_thread_uid(Uid::from_raw(*uid)),
            None => Ok(()),
        }
    };
    change().map_err(|cause| {
        format!(
            "failed to become {text} ({}), aborting",
            io::Error::from(cause)
        )
    })
}
