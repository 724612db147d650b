//! The journal's file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tracing::{info, warn};

use super::block::{Contents, block, contents, head};
use super::text::{Event, Restored, read};

/// File name within the rundir.
const FILE: &str = "aorta-flows.journal";
/// The file is written anew when it is this many times as long as when it was last.
const GROWTH: u64 = 3;
/// A file shorter than this, in bytes, isn't worth writing anew.
const SHORT: u64 = 4 << 20;
/// Where the kernel tells which boot this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The journal can't be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {path}")]
pub struct JournalError {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Writes what changes, so that a restarted daemon has it again.
#[derive(Debug, Default)]
pub struct Journal {
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    path: PathBuf,
    boot: String,
    /// None after a failure: the file is written anew with the next change.
    file: Option<File>,
    len: u64,
    /// Length when it was last written anew.
    compact_len: u64,
}

impl Journal {
    /// Opens the journal of a rundir; what an earlier daemon of this boot left comes with it. A
    /// damaged one is kept aside, and nothing is restored then: tables as old as its intact part
    /// would let pass what was forbidden since.
    ///
    /// # Errors
    /// If the file can't be read, cut or put aside, or the boot isn't known.
    pub fn open(rundir: &Path) -> Result<(Journal, Restored), JournalError> {
        let failed = |what, path: &Path| {
            let path = path.to_owned();
            move |source| JournalError { what, path, source }
        };
        let boot = fs::read_to_string(BOOT_ID).map_err(failed("read", Path::new(BOOT_ID)))?;
        let path = rundir.join(FILE);
        let bytes = match fs::read(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            other => other.map_err(failed("read", &path))?,
        };
        let boot = boot.trim().to_owned();
        let restored = match restored(&bytes, &boot) {
            Ok(restored) => restored,
            Err(why) => {
                let aside = path.with_extension("journal.damaged");
                fs::rename(&path, &aside).map_err(failed("put aside", &path))?;
                warn!(
                    "{} is damaged ({why}): bridges start as after a boot; it is kept as {}",
                    path.display(),
                    aside.display()
                );
                Restored::new()
            }
        };
        let open = Open {
            path,
            boot,
            file: None,
            len: 0,
            compact_len: 0,
        };
        Ok((Journal { open: Some(open) }, restored))
    }

    /// Writes changes that are one. If that can't be, the file is removed, so that no restart has
    /// the tables of before; `all` puts everything there is, to write it anew.
    pub fn append(&mut self, changes: &str, all: impl FnOnce() -> String) {
        let Some(open) = &mut self.open else { return };
        let grown = open.len > SHORT.max(open.compact_len * GROWTH);
        let written = match &mut open.file {
            Some(file) if !grown => file.write_all(block(changes).as_bytes()).map(|()| {
                open.len += changes.len() as u64;
            }),
            _ => open.rewrite(&all()),
        };
        if let Err(error) = written {
            open.give_up(&error);
        }
    }

    /// Forgets everything, and writes no more.
    pub fn remove(&mut self) {
        if let Some(open) = self.open.take()
            && let Err(error) = remove(&open.path)
        {
            warn!("{}", crate::errors::line(&error));
        }
    }

    /// Forgets what is in the journal of a rundir.
    ///
    /// # Errors
    /// If the file can't be removed.
    pub fn remove_from(rundir: &Path) -> Result<(), JournalError> {
        remove(&rundir.join(FILE))
    }

    /// Writes all that there is anew.
    pub fn rewrite(&mut self, all: &str) {
        if let Some(open) = &mut self.open
            && let Err(error) = open.rewrite(all)
        {
            open.give_up(&error);
        }
    }
}

fn remove(path: &Path) -> Result<(), JournalError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(JournalError {
            what: "remove",
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

impl Open {
    fn rewrite(&mut self, all: &str) -> io::Result<()> {
        let new = self.path.with_extension("journal.new");
        let text = head(&self.boot) + &block(all);
        fs::write(&new, &text)?;
        fs::rename(&new, &self.path)?;
        self.file = Some(OpenOptions::new().append(true).open(&self.path)?);
        self.len = text.len() as u64;
        self.compact_len = self.len;
        Ok(())
    }

    fn give_up(&mut self, error: &io::Error) {
        let path = self.path.display();
        warn!(
            "cannot write {path}: {error}; flows won't outlive the daemon until it can be written"
        );
        self.file = None;
        let _ = fs::remove_file(self.path.with_extension("journal.new"));
        match fs::remove_file(&self.path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => warn!("cannot remove {path}: {e}"),
            _ => {}
        }
    }
}

/// Why a journal isn't used, for people.
fn restored(bytes: &[u8], boot: &str) -> Result<Restored, String> {
    match contents(bytes, boot).map_err(|damage| damage.to_string())? {
        Contents::Stale => Ok(Restored::new()),
        Contents::Blocks { blocks, whole } => {
            if whole < bytes.len() {
                let torn = bytes.len() - whole;
                info!("the journal of flows ends with {torn} bytes of a change that was not made");
            }
            read(&blocks).map_err(|error| error.to_string())
        }
    }
}

/// The lines of some events.
pub fn lines<'a>(events: impl Iterator<Item = Event<'a>>) -> String {
    let mut out = String::new();
    events.for_each(|event| event.put(&mut out));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "B secure \"br0\"\nM 1 meter=1 pktps bands=type=drop rate=1\n";
    const TWO: &str = "B secure \"br0\"\nM 2 meter=2 pktps bands=type=drop rate=1\n";

    fn meters(restored: &Restored) -> usize {
        restored.values().map(|bridge| bridge.meters.len()).sum()
    }

    fn written(dir: &Path) -> PathBuf {
        let (mut journal, restored) = Journal::open(dir).unwrap();
        assert!(restored.is_empty());
        journal.append(ONE, || ONE.to_owned());
        journal.append(TWO, || unreachable!());
        dir.join(FILE)
    }

    #[test]
    fn what_was_written_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path());
        let (_, restored) = Journal::open(dir.path()).unwrap();
        assert_eq!(meters(&restored), 2);
    }

    #[test]
    fn a_change_that_was_not_written_to_its_end_was_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path());
        let len = fs::metadata(&path).unwrap().len();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(len - 1).unwrap();
        let (_, restored) = Journal::open(dir.path()).unwrap();
        assert_eq!(meters(&restored), 1);
    }

    #[test]
    fn what_is_removed_does_not_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path());
        let (mut journal, _) = Journal::open(dir.path()).unwrap();
        journal.remove();
        assert!(!path.exists());
        journal.append(TWO, || TWO.to_owned());
        assert!(!path.exists());
        Journal::remove_from(dir.path()).unwrap();
        written(dir.path());
        Journal::remove_from(dir.path()).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_damaged_file_is_kept_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path());
        let damaged = fs::read_to_string(&path)
            .unwrap()
            .replace("meter=1", "meter=3");
        fs::write(&path, &damaged).unwrap();
        let (mut journal, restored) = Journal::open(dir.path()).unwrap();
        assert_eq!(meters(&restored), 0);
        let aside = path.with_extension("journal.damaged");
        assert_eq!(fs::read_to_string(aside).unwrap(), damaged);
        journal.append(TWO, || TWO.to_owned());
        assert_eq!(meters(&Journal::open(dir.path()).unwrap().1), 1);
    }

    #[test]
    fn a_file_that_grew_is_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(dir.path()).unwrap();
        let long = ONE.repeat(20_000);
        journal.append(&long, || ONE.to_owned());
        let len = || fs::metadata(dir.path().join(FILE)).unwrap().len();
        for _ in 0..8 {
            journal.append(&long, || ONE.to_owned());
        }
        assert!(len() < 2 * SHORT, "{}", len());
        assert_eq!(meters(&Journal::open(dir.path()).unwrap().1), 1);
    }

    #[test]
    fn what_can_t_be_written_is_not_restored_from_an_older_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path());
        let (mut journal, _) = Journal::open(dir.path()).unwrap();
        let new = path.with_extension("journal.new");
        fs::create_dir(&new).unwrap();
        journal.append(TWO, || TWO.to_owned());
        assert!(!path.exists());
        fs::remove_dir(&new).unwrap();
        journal.append(TWO, || TWO.to_owned());
        assert_eq!(meters(&Journal::open(dir.path()).unwrap().1), 1);
    }
}
