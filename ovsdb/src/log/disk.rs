//! What a log asks of a file system, and the real one.
use std::any::Any;
use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, fcntl_lock, flock};

/// A file system. Everything that a log does to files goes through here, so that tests can put
/// one in its place that loses power or runs full.
pub trait Disk: Debug + Send + Sync {
    /// Length of a file in bytes, `None` if there is none.
    ///
    /// # Errors
    /// The operating system's.
    fn len(&self, path: &Path) -> io::Result<Option<u64>>;

    /// Opens a file to read and write.
    ///
    /// # Errors
    /// The operating system's, also if there is no such file.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Makes an empty file; what else had its name loses it. Mode and owner are those of the file
    /// `like`, if there is one, else mode 0640.
    ///
    /// # Errors
    /// The operating system's.
    fn create(&self, path: &Path, like: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file another name at once, in the same directory; what had that name loses it.
    /// Only [`Disk::sync_directory`] makes it last.
    ///
    /// # Errors
    /// The operating system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Takes a file's name away, if it is there.
    ///
    /// # Errors
    /// The operating system's.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Puts the names in the directory of `path` on stable storage.
    ///
    /// # Errors
    /// The operating system's.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// Takes the lock file `path`, until the result is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] if another has it; else the operating system's.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>>;
}

/// An open file.
pub trait DiskFile: Debug + Send + Sync {
    /// Everything in it.
    ///
    /// # Errors
    /// The operating system's.
    fn read(&self) -> io::Result<Vec<u8>>;

    /// Writes some bytes, as many as it can, at an offset; returns how many.
    ///
    /// # Errors
    /// The operating system's.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Cuts the file off, or fills it up with zeros.
    ///
    /// # Errors
    /// The operating system's.
    fn set_len(&self, length: u64) -> io::Result<()>;

    /// Puts what was written on stable storage. After an error nobody knows what is there.
    ///
    /// # Errors
    /// The operating system's.
    fn sync(&self) -> io::Result<()>;
}

/// The directory that a file is in.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// A name beside another.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The operating system's files.
#[derive(Debug, Clone, Copy)]
pub(super) struct RealDisk;

impl Disk for RealDisk {
    fn len(&self, path: &Path) -> io::Result<Option<u64>> {
        match std::fs::metadata(path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Arc::new(file))
    }

    fn create(&self, path: &Path, like: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.remove(path)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o640);
        let file = options.open(path)?;
        if let Ok(old) = std::fs::metadata(like) {
            file.set_permissions(old.permissions())?;
            // Whoever may not give files away keeps his own.
            let _ = fchown(&file, Some(old.uid()), Some(old.gid()));
        }
        Ok(Arc::new(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(parent(path))?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let file = options.open(path)?;
        // OVS's tools look at the first kind of lock; the second keeps a process from itself.
        fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive)
            .and_then(|()| flock(&file, FlockOperation::NonBlockingLockExclusive))
            .map_err(|_| ErrorKind::WouldBlock)?;
        Ok(Box::new(file))
    }
}

impl DiskFile for File {
    fn read(&self) -> io::Result<Vec<u8>> {
        let (mut file, mut bytes) = (self, Vec::new());
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        File::set_len(self, length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
