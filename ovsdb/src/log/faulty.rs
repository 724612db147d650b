//! A file system in memory that remembers every operation, so that what a power failure at any
//! point would leave can be had afterwards, and that fails when told to.
use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::{Disk, DiskFile};

/// What is done to a disk, as far as it can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Create,
    Write,
    SetLen,
    Sync,
    Rename,
    SyncDirectory,
}

/// One operation that took place. Files are numbered.
#[derive(Debug, Clone)]
enum Op {
    Create(PathBuf, usize),
    Write {
        file: usize,
        offset: usize,
        bytes: Vec<u8>,
    },
    SetLen(usize, usize),
    Sync(usize),
    /// A failed flush: what was to be written is dropped, and counts as written.
    FailedSync(usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    SyncDirectory,
}

#[derive(Debug, Default)]
struct State {
    journal: Vec<Op>,
    names: BTreeMap<PathBuf, usize>,
    files: Vec<Vec<u8>>,
    /// Operations that fail, and with which number of the operating system.
    failing: HashMap<Kind, i32>,
    failing_once: HashMap<Kind, i32>,
    /// How many more bytes can be written.
    room: Option<usize>,
    locked: bool,
}

/// The disk; clones are the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct FaultyDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    file: usize,
}

struct Lock(FaultyDisk);

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.state().locked = false;
    }
}

/// `ENOSPC`.
pub(crate) const NO_SPACE: i32 = 28;
/// `EIO`.
pub(crate) const IO: i32 = 5;
/// `EROFS`.
pub(crate) const READ_ONLY: i32 = 30;

impl FaultyDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on operations of a kind fail.
    pub(crate) fn fail(&self, kind: Kind, error: i32) {
        self.state().failing.insert(kind, error);
    }

    /// The next operation of a kind fails, and no other.
    pub(crate) fn fail_once(&self, kind: Kind, error: i32) {
        self.state().failing_once.insert(kind, error);
    }

    /// From now on nothing more than these bytes can be written.
    pub(crate) fn leave_room(&self, bytes: usize) {
        self.state().room = Some(bytes);
    }

    /// Everything works again.
    pub(crate) fn repair(&self) {
        let mut state = self.state();
        state.failing.clear();
        state.room = None;
    }

    /// How many operations took place.
    pub(crate) fn ops(&self) -> usize {
        self.state().journal.len()
    }

    /// Names of the files.
    pub(crate) fn files(&self) -> Vec<String> {
        let state = self.state();
        let names = state.names.keys();
        names.map(|name| name.display().to_string()).collect()
    }

    pub(crate) fn contents(&self, path: &Path) -> Vec<u8> {
        let state = self.state();
        state.files[state.names[path]].clone()
    }

    /// The disk after a power failure behind `ops` operations. `choose(n)` is a number below `n`
    /// and decides what of the rest is there.
    pub(crate) fn after_power_failure(
        &self,
        ops: usize,
        choose: &mut dyn FnMut(usize) -> usize,
    ) -> Self {
        let state = self.state();
        let mut image = Image::default();
        for op in &state.journal[..ops] {
            image.apply(op.clone());
        }
        // The operation under way may have got somewhere.
        match state.journal.get(ops) {
            Some(Op::Write {
                file,
                offset,
                bytes,
            }) => image.apply(Op::Write {
                file: *file,
                offset: *offset,
                bytes: bytes[..choose(bytes.len() + 1)].to_vec(),
            }),
            Some(op @ (Op::Create(..) | Op::Rename(..) | Op::Remove(_) | Op::SetLen(..))) => {
                image.apply(op.clone());
            }
            _ => {}
        }
        let state = image.lose_power(choose);
        Self(Arc::new(Mutex::new(state)))
    }
}

/// What is on stable storage, and what might be.
#[derive(Default)]
struct Image {
    files: Vec<(Vec<u8>, Vec<Op>)>,
    names: BTreeMap<PathBuf, usize>,
    names_pending: Vec<Op>,
}

impl Image {
    fn apply(&mut self, op: Op) {
        match &op {
            Op::Create(..) => {
                self.files.push((Vec::new(), Vec::new()));
                self.names_pending.push(op);
            }
            Op::Rename(..) | Op::Remove(_) => self.names_pending.push(op),
            Op::SyncDirectory => {
                for op in std::mem::take(&mut self.names_pending) {
                    apply_name(&mut self.names, &op);
                }
            }
            Op::Write { file, .. } | Op::SetLen(file, _) => {
                let file = *file;
                self.files[file].1.push(op);
            }
            Op::Sync(file) => {
                let (stable, pending) = &mut self.files[*file];
                for op in pending.drain(..) {
                    apply_data(stable, &op);
                }
            }
            Op::FailedSync(file) => self.files[*file].1.clear(),
        }
    }

    /// Names change in order, up to some point. Of each file's data, either what was done up to
    /// some byte is there, or each write for itself in full, in part or not at all.
    fn lose_power(mut self, choose: &mut dyn FnMut(usize) -> usize) -> State {
        let names = choose(self.names_pending.len() + 1);
        for op in &self.names_pending[..names] {
            apply_name(&mut self.names, op);
        }
        let files = self.files.into_iter().map(|(mut stable, pending)| {
            let in_order = choose(2) == 0;
            let until = choose(pending.len() + 1);
            for (at, mut op) in pending.into_iter().enumerate() {
                let fate = match in_order {
                    true => at.cmp(&until) as i8,
                    false => i8::try_from(choose(3)).unwrap() - 1,
                };
                match (&mut op, fate) {
                    (_, 1) => continue,
                    (Op::Write { bytes, .. }, 0) => {
                        bytes.truncate(choose(bytes.len() + 1));
                    }
                    _ => {}
                }
                apply_data(&mut stable, &op);
            }
            stable
        });
        State {
            files: files.collect(),
            names: self.names,
            ..State::default()
        }
    }
}

fn apply_name(names: &mut BTreeMap<PathBuf, usize>, op: &Op) {
    match op {
        Op::Create(path, file) => {
            names.insert(path.clone(), *file);
        }
        Op::Rename(from, to) => {
            let file = names.remove(from).unwrap();
            names.insert(to.clone(), file);
        }
        Op::Remove(path) => {
            names.remove(path);
        }
        _ => {}
    }
}

fn apply_data(file: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Write { offset, bytes, .. } if !bytes.is_empty() => {
            let end = offset + bytes.len();
            if file.len() < end {
                file.resize(end, 0);
            }
            file[*offset..end].copy_from_slice(bytes);
        }
        Op::SetLen(_, length) => file.resize(*length, 0),
        _ => {}
    }
}

impl State {
    fn check(&mut self, kind: Kind) -> io::Result<()> {
        let once = self.failing_once.remove(&kind);
        match once.or_else(|| self.failing.get(&kind).copied()) {
            Some(error) => Err(io::Error::from_raw_os_error(error)),
            None => Ok(()),
        }
    }

    fn name(&mut self, op: Op) {
        apply_name(&mut self.names, &op);
        self.journal.push(op);
    }

    fn data(&mut self, file: usize, op: Op) {
        apply_data(&mut self.files[file], &op);
        self.journal.push(op);
    }
}

impl Disk for FaultyDisk {
    fn len(&self, path: &Path) -> io::Result<Option<u64>> {
        let state = self.state();
        let file = state.names.get(path);
        Ok(file.map(|file| state.files[*file].len() as u64))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = *self
            .state()
            .names
            .get(path)
            .ok_or(io::ErrorKind::NotFound)?;
        let disk = self.clone();
        Ok(Arc::new(FaultyFile { disk, file }))
    }

    fn create(&self, path: &Path, _like: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.check(Kind::Create)?;
        let file = state.files.len();
        state.files.push(Vec::new());
        state.name(Op::Create(path.to_owned(), file));
        let disk = self.clone();
        Ok(Arc::new(FaultyFile { disk, file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.check(Kind::Rename)?;
        state.name(Op::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if state.names.contains_key(path) {
            state.name(Op::Remove(path.to_owned()));
        }
        Ok(())
    }

    fn sync_directory(&self, _path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.check(Kind::SyncDirectory)?;
        state.journal.push(Op::SyncDirectory);
        Ok(())
    }

    fn lock(&self, _path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        if std::mem::replace(&mut self.state().locked, true) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Lock(self.clone())))
    }
}

impl DiskFile for FaultyFile {
    fn read(&self) -> io::Result<Vec<u8>> {
        Ok(self.disk.state().files[self.file].clone())
    }

    /// Writes what there is room for; only the next attempt fails.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        state.check(Kind::Write)?;
        let length = state.room.map_or(bytes.len(), |room| room.min(bytes.len()));
        if length == 0 {
            return Err(io::Error::from_raw_os_error(NO_SPACE));
        }
        if let Some(room) = &mut state.room {
            *room -= length;
        }
        let op = Op::Write {
            file: self.file,
            offset: usize::try_from(offset).unwrap(),
            bytes: bytes[..length].to_vec(),
        };
        state.data(self.file, op);
        Ok(length)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.check(Kind::SetLen)?;
        let length = usize::try_from(length).unwrap();
        state.data(self.file, Op::SetLen(self.file, length));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        if let Err(error) = state.check(Kind::Sync) {
            state.journal.push(Op::FailedSync(self.file));
            return Err(error);
        }
        state.journal.push(Op::Sync(self.file));
        Ok(())
    }
}
