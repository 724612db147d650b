//! The pin directory: what outlives the daemon, as files of a BPF file system.
//!
//! `state/` holds the maps that outlive upgrades, `gen-N/` those of one daemon's programs,
//! `links/` one link for each attached device.

use std::ffi::CString;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use aorta_compiler::XdpMode;
use rustix::fs::statfs;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::error::DatapathError;
use crate::{link, sys};

/// `BPF_FS_MAGIC`
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;
/// Files that a BPF file system has of itself.
const KERNELS_OWN: [&str; 2] = ["maps.debug", "progs.debug"];
/// Directory whose being there says that the file system was mounted by a switch.
const MOUNT_MARK: &str = "mounted";

/// The pin directory of one switch.
#[derive(Debug, Clone)]
pub struct PinDir {
    root: PathBuf,
}

impl PinDir {
    /// Opens the directory `root`, making what is missing. The file system is mounted two levels
    /// above it if nothing is mounted there: `/sys/fs/bpf` for `/sys/fs/bpf/aorta/NAME`.
    pub fn open(root: &Path) -> Result<PinDir, DatapathError> {
        let mount_point = mount_point(root);
        let mounted = !is_bpffs(&mount_point);
        if mounted {
            make_dir(&mount_point)?;
            mount("bpf", &mount_point, "bpf", MountFlags::empty(), None).map_err(|e| {
                DatapathError::Mount {
                    path: mount_point.clone(),
                    source: e.into(),
                }
            })?;
        }
        let dir = PinDir {
            root: root.to_owned(),
        };
        for sub in ["state", "links"] {
            make_dir(&root.join(sub))?;
        }
        if mounted {
            make_dir(&mark(root))?;
        }
        Ok(dir)
    }

    /// File of a state map.
    pub fn state(&self, name: &str) -> PathBuf {
        self.root.join("state").join(name)
    }

    /// File of the link of a port slot.
    pub fn link(&self, slot: u32) -> PathBuf {
        self.root.join("links").join(format!("port-{slot}"))
    }

    /// Slots that have a link.
    pub fn links(&self) -> Result<Vec<u32>, DatapathError> {
        let names = list(&self.root.join("links"))?;
        Ok(names
            .iter()
            .filter_map(|n| n.strip_prefix("port-")?.parse().ok())
            .collect())
    }

    /// The link of the program that marks what leaves by the port in a slot.
    pub fn marking_link(&self, slot: u32) -> PathBuf {
        self.root.join("links").join(format!("marking-{slot}"))
    }

    /// Slots that have a link of a marking program.
    pub fn marking_links(&self) -> Result<Vec<u32>, DatapathError> {
        let names = list(&self.root.join("links"))?;
        let slot = |name: &String| name.strip_prefix("marking-")?.parse().ok();
        Ok(names.iter().filter_map(slot).collect())
    }

    /// The link of the XDP program of the port in a slot.
    pub fn xdp_link(&self, mode: XdpMode, slot: u32) -> PathBuf {
        let prefix = xdp_prefix(mode);
        self.root.join("links").join(format!("{prefix}{slot}"))
    }

    /// Slots that have a link of an XDP program.
    pub fn xdp_links(&self) -> Result<Vec<(XdpMode, u32)>, DatapathError> {
        let names = list(&self.root.join("links"))?;
        let link = |name: &String| {
            [XdpMode::Native, XdpMode::Generic]
                .into_iter()
                .find_map(|mode| Some((mode, name.strip_prefix(xdp_prefix(mode))?.parse().ok()?)))
        };
        Ok(names.iter().filter_map(link).collect())
    }

    /// Numbers of the generations that are there.
    pub fn generations(&self) -> Result<Vec<u64>, DatapathError> {
        let names = list(&self.root)?;
        Ok(names
            .iter()
            .filter_map(|n| n.strip_prefix("gen-")?.parse().ok())
            .collect())
    }

    /// Makes the directory of a generation.
    pub fn make_generation(&self, number: u64) -> Result<PathBuf, DatapathError> {
        let path = self.generation(number);
        make_dir(&path)?;
        Ok(path)
    }

    /// Removes a generation; programs that still run keep their maps.
    pub fn remove_generation(&self, number: u64) -> Result<(), DatapathError> {
        remove_tree(&self.generation(number))
    }

    fn generation(&self, number: u64) -> PathBuf {
        self.root.join(format!("gen-{number}"))
    }

    /// Removes everything: links first, so that no program runs without its maps. The file
    /// system is unmounted if a switch mounted it and nothing else is in it.
    pub fn remove_all(root: &Path) -> Result<(), DatapathError> {
        let mount_point = mount_point(root);
        if !is_bpffs(&mount_point) {
            return Ok(());
        }
        let dir = PinDir {
            root: root.to_owned(),
        };
        for slot in dir.links()? {
            link::detach(&dir.link(slot))?;
        }
        for (mode, slot) in dir.xdp_links()? {
            link::detach(&dir.xdp_link(mode, slot))?;
        }
        for slot in dir.marking_links()? {
            link::detach(&dir.marking_link(slot))?;
        }
        remove_tree(root)?;
        let Some(parent) = root.parent() else {
            return Ok(());
        };
        let rest = list(parent)?;
        let marked = rest.iter().any(|name| name == MOUNT_MARK);
        if rest.iter().any(|name| name != MOUNT_MARK) {
            return Ok(());
        }
        remove_tree(parent)?;
        let strange = |name: &String| !KERNELS_OWN.contains(&name.as_str());
        if marked && !list(&mount_point)?.iter().any(strange) {
            unmount(&mount_point, UnmountFlags::empty()).map_err(|e| DatapathError::Pin {
                what: "unmount",
                path: mount_point,
                source: e.into(),
            })?;
        }
        Ok(())
    }
}

/// The kernel doesn't tell of a link in which mode it is, so its name does.
fn xdp_prefix(mode: XdpMode) -> &'static str {
    match mode {
        XdpMode::Native => "xdp-native-",
        XdpMode::Generic => "xdp-generic-",
    }
}

fn mount_point(root: &Path) -> PathBuf {
    root.ancestors().nth(2).unwrap_or(root).to_owned()
}

fn mark(root: &Path) -> PathBuf {
    root.with_file_name(MOUNT_MARK)
}

fn is_bpffs(path: &Path) -> bool {
    statfs(path).is_ok_and(|fs| fs.f_type as u64 == BPF_FS_MAGIC)
}

fn make_dir(path: &Path) -> Result<(), DatapathError> {
    std::fs::create_dir_all(path).map_err(|source| pin_error("make", path, source))
}

fn list(path: &Path) -> Result<Vec<String>, DatapathError> {
    let entries = match std::fs::read_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|source| pin_error("list", path, source))?,
    };
    Ok(entries
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok())
        .collect())
}

fn remove_tree(path: &Path) -> Result<(), DatapathError> {
    match std::fs::remove_dir_all(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(|source| pin_error("remove", path, source)),
    }
}

/// Removes one pinned object; it is no error if there is none.
pub fn unpin(path: &Path) -> Result<(), DatapathError> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(|source| pin_error("remove", path, source)),
    }
}

/// Pins an object, in place of what is there: at any moment one of the two is.
pub fn pin(object: BorrowedFd<'_>, path: &Path) -> Result<(), DatapathError> {
    let last = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!("new-{last}"));
    // An earlier daemon may have died in between.
    unpin(&new)?;
    let name = c_path(&new)?;
    sys::pin(object, &name).map_err(|source| pin_error("pin an object at", path, source))?;
    rename(&new, path)
}

/// Gives what is pinned at `from` the place `to`.
pub fn rename(from: &Path, to: &Path) -> Result<(), DatapathError> {
    std::fs::rename(from, to).map_err(|source| pin_error("rename", from, source))
}

/// Opens a pinned object; `None` if there is none.
pub fn open(path: &Path) -> Result<Option<OwnedFd>, DatapathError> {
    match sys::open_pinned(&c_path(path)?) {
        Ok(fd) => Ok(Some(fd)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(pin_error("open", path, source)),
    }
}

fn c_path(path: &Path) -> Result<CString, DatapathError> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|source| pin_error("name", path, io::Error::other(source)))
}

fn pin_error(what: &'static str, path: &Path, source: io::Error) -> DatapathError {
    DatapathError::Pin {
        what,
        path: path.to_owned(),
        source,
    }
}
