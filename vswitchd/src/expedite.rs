//! Short grace periods while ports are attached. The kernel waits for an RCU grace period each
//! time it attaches a program to a device or detaches one, 20 ms on a busy machine: a thousand
//! ports would take 20 s. With `/sys/kernel/rcu_expedited` set it interrupts the other CPUs
//! instead and waits well under a millisecond. The setting is the whole machine's, so it is put
//! back at once, and after a crash by the next start or teardown.

use std::fs;
use std::path::{Path, PathBuf};

use tracing::debug;

/// The kernel's setting.
const SETTING: &str = "/sys/kernel/rcu_expedited";
/// File in the rundir that is there while the setting is this instance's.
const MARK: &str = "aorta-expedited";

/// Can set it.
#[derive(Debug)]
pub struct Expedite {
    setting: PathBuf,
    mark: PathBuf,
}

/// As long as this lives, grace periods are short.
#[derive(Debug)]
pub struct Expedited<'a>(&'a Expedite);

impl Expedite {
    /// For the instance of a rundir. Puts the setting back if a killed process left it.
    pub fn open(rundir: &Path) -> Expedite {
        Expedite::with(PathBuf::from(SETTING), rundir)
    }

    fn with(setting: PathBuf, rundir: &Path) -> Expedite {
        let expedite = Expedite {
            setting,
            mark: rundir.join(MARK),
        };
        if expedite.mark.exists() {
            expedite.restore();
        }
        expedite
    }

    /// Sets it; `None` if someone else has, or if the kernel doesn't let us.
    pub fn begin(&self) -> Option<Expedited<'_>> {
        let now = fs::read_to_string(&self.setting).ok()?;
        if now.trim() != "0" {
            return None;
        }
        let set = fs::write(&self.mark, "").and_then(|()| fs::write(&self.setting, "1"));
        match set {
            Ok(()) => Some(Expedited(self)),
            Err(error) => {
                debug!("grace periods stay long: {error}");
                let _ = fs::remove_file(&self.mark);
                None
            }
        }
    }

    fn restore(&self) {
        match fs::write(&self.setting, "0") {
            Ok(()) => drop(fs::remove_file(&self.mark)),
            Err(error) => debug!("cannot put {SETTING} back: {error}"),
        }
    }
}

impl Drop for Expedited<'_> {
    fn drop(&mut self) {
        self.0.restore();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(value: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let setting = dir.path().join("setting");
        fs::write(&setting, value).unwrap();
        (dir, setting)
    }

    #[test]
    fn it_is_put_back() {
        let (dir, setting) = setup("0\n");
        let expedite = Expedite::with(setting.clone(), dir.path());
        let held = expedite.begin().unwrap();
        assert_eq!(fs::read_to_string(&setting).unwrap(), "1");
        drop(held);
        assert_eq!(fs::read_to_string(&setting).unwrap(), "0");
        assert!(!dir.path().join(MARK).exists());
    }

    #[test]
    fn it_is_put_back_after_a_crash() {
        let (dir, setting) = setup("0\n");
        std::mem::forget(Expedite::with(setting.clone(), dir.path()).begin());
        assert_eq!(fs::read_to_string(&setting).unwrap(), "1");
        Expedite::with(setting.clone(), dir.path());
        assert_eq!(fs::read_to_string(&setting).unwrap(), "0");
    }

    #[test]
    fn an_administrators_choice_stays() {
        let (dir, setting) = setup("1\n");
        let expedite = Expedite::with(setting.clone(), dir.path());
        assert!(expedite.begin().is_none());
        assert_eq!(fs::read_to_string(&setting).unwrap(), "1\n");
        let missing = Expedite::with(dir.path().join("none"), dir.path());
        assert!(missing.begin().is_none());
    }
}
