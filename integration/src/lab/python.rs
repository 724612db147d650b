//! Python clients that the distribution doesn't have: packages of PyPI in an environment of
//! their own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::binaries::profile_dir;
use super::{LabError, run_within};

/// The distribution's Python: others don't see its packages.
pub const SYSTEM_PYTHON: &str = "/usr/bin/python3";

/// The packages, with versions and checksums.
const REQUIREMENTS: &str = include_str!("../../python/requirements.txt");
/// What building them takes, likewise.
const BUILD_REQUIREMENTS: &str = include_str!("../../python/build.txt");
/// Time that one step of the installation may take.
const INSTALL_LIMIT: Duration = Duration::from_secs(300);

/// The Python with the pinned packages of `integration/python/requirements.txt`. It is made
/// under `target` when it isn't there; later calls need no network.
///
/// # Errors
/// When the packages can't be had.
pub fn python() -> Result<PathBuf, LabError> {
    let exe = std::env::current_exe().map_err(LabError::system("find the test program"))?;
    let profile = profile_dir(&exe);
    let target = profile.parent().unwrap_or(&profile);
    environment(&target.join("python"))
}

/// The interpreter of the environment in `dir`, which is made first unless it is whole.
fn environment(dir: &Path) -> Result<PathBuf, LabError> {
    let (python, complete) = (dir.join("bin/python"), dir.join("requirements.txt"));
    fs::create_dir_all(dir).map_err(LabError::file("make", dir))?;
    let lock = dir.with_extension("lock");
    let lock = File::create(&lock).map_err(LabError::file("create", lock))?;
    // Test programs that run at once must not all install.
    flock(&lock, FlockOperation::LockExclusive).map_err(LabError::system("flock"))?;
    if fs::read_to_string(&complete).is_ok_and(|text| text == REQUIREMENTS) {
        return Ok(python);
    }
    let mut venv = Command::new(SYSTEM_PYTHON);
    run_within(venv.args(["-m", "venv", "--clear"]).arg(dir), INSTALL_LIMIT)?.ok()?;
    install(&python, &dir.join("build.txt"), BUILD_REQUIREMENTS)?;
    let unfinished = dir.join("unfinished.txt");
    install(&python, &unfinished, REQUIREMENTS)?;
    fs::rename(&unfinished, &complete).map_err(LabError::file("rename", unfinished))?;
    Ok(python)
}

fn install(python: &Path, list: &Path, requirements: &str) -> Result<(), LabError> {
    fs::write(list, requirements).map_err(LabError::file("write", list))?;
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--require-hashes"])
        .args(["--no-build-isolation", "--disable-pip-version-check", "-r"])
        .arg(list);
    run_within(&mut pip, INSTALL_LIMIT)?.ok().map(drop)
}
