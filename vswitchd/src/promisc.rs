//! Memory of the NICs that the switch made promiscuous, in the rundir: they are given back as
//! they were, also after a crash. The rundir and the flags both end with the next boot.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};

/// File name within the rundir.
const FILE: &str = "aorta-devices.json";

/// The memory could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum PromiscError {
    /// The file is unreadable.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file could not be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Contents {
    /// Names of the NICs made promiscuous.
    promiscuous: BTreeSet<String>,
}

/// The file and what is in it.
#[derive(Debug)]
pub struct PromiscFile {
    path: PathBuf,
    contents: Contents,
}

impl PromiscFile {
    /// Reads the file of a rundir; none yet is an empty one. One that was damaged is reported as
    /// an error.
    pub fn open(rundir: &Path) -> Result<PromiscFile, PromiscError> {
        let path = rundir.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Ok(PromiscFile {
                    path,
                    contents: Contents::default(),
                });
            }
            Err(source) => return Err(PromiscError::Read { path, source }),
        };
        match serde_json::from_str(&text) {
            Ok(contents) => Ok(PromiscFile { path, contents }),
            Err(e) => Err(PromiscError::Read {
                path,
                source: io::Error::other(e),
            }),
        }
    }

    /// The names.
    pub fn names(&self) -> &BTreeSet<String> {
        &self.contents.promiscuous
    }

    /// Remembers a name.
    pub fn add(&mut self, name: &str) -> Result<(), PromiscError> {
        if self.contents.promiscuous.insert(name.to_owned()) {
            self.save()
        } else {
            Ok(())
        }
    }

    /// Forgets a name.
    pub fn remove(&mut self, name: &str) -> Result<(), PromiscError> {
        if self.contents.promiscuous.remove(name) {
            self.save()
        } else {
            Ok(())
        }
    }

    /// Removes the file, if nothing is in it.
    pub fn forget(&self) -> Result<(), PromiscError> {
        if !self.contents.promiscuous.is_empty() {
            return Ok(());
        }
        match fs::remove_file(&self.path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(PromiscError::Write {
                path: self.path.clone(),
                source,
            }),
            _ => Ok(()),
        }
    }

    fn save(&self) -> Result<(), PromiscError> {
        let write = || -> io::Result<()> {
            let new = self.path.with_extension("json.new");
            fs::write(&new, serde_json::to_vec(&self.contents)?)?;
            fs::rename(&new, &self.path)
        };
        write().map_err(|source| PromiscError::Write {
            path: self.path.clone(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_a_restart_and_tells_damage() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = PromiscFile::open(dir.path()).unwrap();
        file.add("eth1").unwrap();
        file.add("eth0").unwrap();
        file.remove("eth1").unwrap();
        let again = PromiscFile::open(dir.path()).unwrap();
        assert_eq!(again.names().iter().collect::<Vec<_>>(), ["eth0"]);
        fs::write(dir.path().join(FILE), "{").unwrap();
        let error = PromiscFile::open(dir.path()).unwrap_err();
        assert!(error.to_string().starts_with("cannot read /"), "{error}");
    }
}
