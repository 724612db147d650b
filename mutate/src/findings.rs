//! Inputs that found a fault, kept as files.

use std::collections::BTreeSet;
use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Files of one target: what found a fault, and what is being tried.
#[derive(Debug)]
pub struct Findings {
    folder: PathBuf,
    /// The input of this moment: what is left of a process that ended without a word.
    current: File,
    faults: BTreeSet<String>,
}

impl Findings {
    /// Makes the folder if it isn't there.
    ///
    /// # Errors
    /// If that fails.
    pub fn open(folder: &Path) -> io::Result<Findings> {
        std::fs::create_dir_all(folder)?;
        Ok(Findings {
            folder: folder.to_owned(),
            current: File::create(folder.join("current"))?,
            faults: BTreeSet::new(),
        })
    }

    /// Notes what is tried next. The file is as long as the longest input so far.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn trying(&self, input: &[u8]) -> io::Result<()> {
        self.current.write_all_at(input, 0)?;
        self.current.set_len(input.len() as u64)
    }

    /// Keeps an input with a fault that wasn't seen before, and tells where.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn keep(&mut self, input: &[u8], fault: &str) -> io::Result<Option<PathBuf>> {
        if !self.faults.insert(fault.to_owned()) {
            return Ok(None);
        }
        let mut hasher = DefaultHasher::new();
        input.hash(&mut hasher);
        let file = self.folder.join(format!("{:016x}", hasher.finish()));
        std::fs::write(&file, input)?;
        Ok(Some(file))
    }

    /// Different faults so far.
    pub fn count(&self) -> usize {
        self.faults.len()
    }

    /// Nothing is tried any more.
    pub fn close(self) {
        // It is only left over when the process ends early.
        let _ = std::fs::remove_file(self.folder.join("current"));
    }
}
