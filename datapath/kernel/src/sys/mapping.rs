//! Values of maps in the memory of this process.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// The only value of a map, shared with programs: readable and writable until it is dropped.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    /// Bytes that may be touched; the pages behind them belong to the mapping, too.
    len: usize,
}

// SAFETY: the memory belongs to no thread, is never moved, and all access is by the methods below.
unsafe impl Send for Mapping {}

// SAFETY: shared access is by atomic words only.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes, at least one, of the values of `map`, which was made with
    /// `BPF_F_MMAPABLE` and has as many.
    pub fn new(map: BorrowedFd<'_>, len: usize) -> io::Result<Mapping> {
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a new mapping at a place that the kernel chooses touches no other memory.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                protection,
                flags,
                map.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(start.cast())
            .map(|start| Mapping { start, len })
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Address of `bytes` bytes at `at`, which must be within the mapping and aligned to `align`.
    fn place(&self, at: usize, bytes: usize, align: usize) -> *mut u8 {
        let within = at.checked_add(bytes).is_some_and(|end| end <= self.len);
        assert!(
            within && at.is_multiple_of(align),
            "{bytes} bytes at {at} of {}",
            self.len
        );
        // SAFETY: `at` is not behind the end of the mapping.
        unsafe { self.start.add(at).as_ptr() }
    }

    /// The aligned u32 at `at`.
    pub fn word(&self, at: usize) -> &AtomicU32 {
        // SAFETY: within the mapping, which lives as long as `self`, starts at a page and is
        // aligned; others touch such words whole.
        unsafe { AtomicU32::from_ptr(self.place(at, 4, 4).cast()) }
    }

    /// The aligned u64 at `at`.
    pub fn double(&self, at: usize) -> &AtomicU64 {
        // SAFETY: as in `word`.
        unsafe { AtomicU64::from_ptr(self.place(at, 8, 8).cast()) }
    }

    /// Copies `bytes` to `at`, in no order.
    pub fn copy_in(&mut self, at: usize, bytes: &[u8]) {
        let to = self.place(at, bytes.len(), 1);
        // SAFETY: within the mapping; `bytes` is other memory, as `self` is borrowed alone.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this mapping was made by `new` and nobody can use it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
