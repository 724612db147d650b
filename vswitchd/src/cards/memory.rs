//! Memory of the devices on which rules may be, in the rundir: what a daemon leaves there that is
//! killed, the next one finds, whatever it is configured to do. Rundir and rules both end with the next
//! boot.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use aorta_flow::IfIndex;

use crate::reconcile::Language;

/// File name within the rundir.
const FILE: &str = "aorta-offload.devices";

/// The file and what is in it: a line for each device, its index and how it is programmed.
#[derive(Debug)]
pub struct DeviceMemory {
    path: PathBuf,
    devices: BTreeMap<IfIndex, Language>,
}

impl DeviceMemory {
    /// Reads the file of a rundir; none is an empty one. Lines that aren't understood are left out.
    pub fn open(rundir: &Path) -> DeviceMemory {
        let path = rundir.join(FILE);
        let text = fs::read_to_string(&path).unwrap_or_default();
        let devices = text.lines().filter_map(device).collect();
        DeviceMemory { path, devices }
    }

    /// The devices.
    pub fn devices(&self) -> &BTreeMap<IfIndex, Language> {
        &self.devices
    }

    /// Remembers devices, before anything is put on them.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn add(
        &mut self,
        devices: impl Iterator<Item = IfIndex>,
        language: Language,
    ) -> io::Result<()> {
        let before = self.devices.clone();
        self.devices
            .extend(devices.map(|device| (device, language)));
        if self.devices == before {
            return Ok(());
        }
        self.save().inspect_err(|_| self.devices = before)
    }

    /// Forgets devices.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn remove(&mut self, devices: impl Iterator<Item = IfIndex>) -> io::Result<()> {
        let mut changed = false;
        for device in devices {
            changed |= self.devices.remove(&device).is_some();
        }
        if changed { self.save() } else { Ok(()) }
    }

    fn save(&self) -> io::Result<()> {
        if self.devices.is_empty() {
            return match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        let line = |(device, language): (&IfIndex, &Language)| {
            format!("{} {}\n", device.get(), language.name())
        };
        let text: String = self.devices.iter().map(line).collect();
        let new = self.path.with_extension("new");
        fs::write(&new, text)?;
        fs::rename(&new, &self.path)
    }
}

fn device(line: &str) -> Option<(IfIndex, Language)> {
    let (index, language) = line.split_once(' ')?;
    let language = match language {
        "flower" => Language::Flower,
        "ebpf" => Language::Ebpf,
        _ => return None,
    };
    Some((IfIndex::new(index.parse().ok()?)?, language))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_a_restart_and_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let index = |n| IfIndex::new(n).unwrap();
        let mut memory = DeviceMemory::open(dir.path());
        memory
            .add([7, 9].map(index).into_iter(), Language::Flower)
            .unwrap();
        memory
            .add([11].map(index).into_iter(), Language::Ebpf)
            .unwrap();
        memory.remove([9].map(index).into_iter()).unwrap();
        let mut again = DeviceMemory::open(dir.path());
        let devices: Vec<_> = again.devices().iter().map(|(d, l)| (d.get(), *l)).collect();
        assert_eq!(devices, [(7, Language::Flower), (11, Language::Ebpf)]);
        again.remove([7, 11].map(index).into_iter()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        fs::write(dir.path().join(FILE), "x\n7 flower\n0 flower\n8 clay\n").unwrap();
        assert_eq!(DeviceMemory::open(dir.path()).devices().len(), 1);
    }
}
