//! Maps by the bytes of their keys and values.

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};

use aya_obj::generated::{bpf_attr, bpf_cmd, bpf_map_type};

use super::{attr, bpf, fd, object_name};

/// `BPF_NOEXIST`: only create.
pub const ONLY_NEW: u64 = 1;

fn element(map: BorrowedFd<'_>, key: &[u8], value: u64, flags: u64) -> bpf_attr {
    let mut attr = attr();
    attr.__bindgen_anon_2.map_fd = fd(map);
    attr.__bindgen_anon_2.key = key.as_ptr() as u64;
    attr.__bindgen_anon_2.__bindgen_anon_1.value = value;
    attr.__bindgen_anon_2.flags = flags;
    attr
}

/// Sizes of a map's elements as the kernel sees them: a per-CPU map has one value, padded to
/// 8 bytes, for each possible CPU. Callers pass slices of exactly these sizes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ElementSize {
    /// Bytes of a key.
    pub key: usize,
    /// Bytes of a value, all CPUs together.
    pub value: usize,
}

fn check(map: ElementSize, key: usize, value: usize) -> io::Result<()> {
    if map.key == key && map.value == value {
        Ok(())
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "key or value has not the map's size",
        ))
    }
}

/// Reads an element into `value`. `Ok(false)` if there is none.
pub fn lookup(
    map: BorrowedFd<'_>,
    size: ElementSize,
    key: &[u8],
    value: &mut [u8],
) -> io::Result<bool> {
    check(size, key.len(), value.len())?;
    let mut attr = element(map, key, value.as_mut_ptr() as u64, 0);
    // SAFETY: `key` and `value` are borrowed for the call and have the map's sizes.
    match unsafe { bpf(bpf_cmd::BPF_MAP_LOOKUP_ELEM, &mut attr) } {
        Ok(_) => Ok(true),
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Writes an element.
pub fn update(
    map: BorrowedFd<'_>,
    size: ElementSize,
    key: &[u8],
    value: &[u8],
    flags: u64,
) -> io::Result<()> {
    check(size, key.len(), value.len())?;
    let mut attr = element(map, key, value.as_ptr() as u64, flags);
    // SAFETY: as in `lookup`; the kernel only reads the value.
    unsafe { bpf(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attr) }.map(drop)
}

/// Deletes an element; it is no error if there is none.
pub fn delete(map: BorrowedFd<'_>, size: ElementSize, key: &[u8]) -> io::Result<()> {
    check(size, key.len(), size.value)?;
    let mut attr = element(map, key, 0, 0);
    // SAFETY: `key` is borrowed for the call and has the map's size.
    match unsafe { bpf(bpf_cmd::BPF_MAP_DELETE_ELEM, &mut attr) } {
        Err(e) if e.raw_os_error() != Some(libc::ENOENT) => Err(e),
        _ => Ok(()),
    }
}

/// The key after `key`, or the first one. `Ok(None)` at the end.
pub fn next_key(
    map: BorrowedFd<'_>,
    size: ElementSize,
    key: Option<&[u8]>,
) -> io::Result<Option<Vec<u8>>> {
    let mut next = vec![0; size.key];
    let mut attr = element(map, key.unwrap_or(&[]), next.as_mut_ptr() as u64, 0);
    match key {
        Some(key) => check(size, key.len(), size.value)?,
        None => attr.__bindgen_anon_2.key = 0,
    }
    // SAFETY: `key` is null or borrowed, `next` is owned; both have the map's size.
    match unsafe { bpf(bpf_cmd::BPF_MAP_GET_NEXT_KEY, &mut attr) } {
        Ok(_) => Ok(Some(next)),
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Writes many elements in one call: `keys` and `values` one after the other.
pub fn update_batch(
    map: BorrowedFd<'_>,
    size: ElementSize,
    keys: &[u8],
    values: &[u8],
) -> io::Result<()> {
    let count = keys.len() / size.key;
    if count == 0 {
        return Ok(());
    }
    check(size, keys.len() / count, values.len() / count)?;
    let mut attr = attr();
    attr.batch.keys = keys.as_ptr() as u64;
    attr.batch.values = values.as_ptr() as u64;
    attr.batch.count = count as u32;
    attr.batch.map_fd = fd(map);
    // SAFETY: both slices hold `count` elements of the map's sizes and are borrowed for the call.
    unsafe { bpf(bpf_cmd::BPF_MAP_UPDATE_BATCH, &mut attr) }.map(drop)
}

/// Values of up to `count` indices of an array from `start` on, one after the other.
pub fn lookup_batch(
    map: BorrowedFd<'_>,
    size: ElementSize,
    start: u32,
    count: u32,
) -> io::Result<Vec<u8>> {
    check(size, 4, size.value)?;
    // The kernel goes on behind the index that it is given; without one it starts at the first.
    let before = start.wrapping_sub(1);
    let mut last = 0u32;
    let mut keys = vec![0u32; count as usize];
    let mut values = vec![0u8; count as usize * size.value];
    let mut attr = attr();
    if start > 0 {
        attr.batch.in_batch = &raw const before as u64;
    }
    attr.batch.out_batch = &raw mut last as u64;
    attr.batch.keys = keys.as_mut_ptr() as u64;
    attr.batch.values = values.as_mut_ptr() as u64;
    attr.batch.count = count;
    attr.batch.map_fd = fd(map);
    // SAFETY: `keys` and `values` have room for `count` elements of the map's sizes, both batch
    // marks for a key, and all live through the call.
    match unsafe { bpf(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut attr) } {
        Err(e) if e.raw_os_error() != Some(libc::ENOENT) => Err(e),
        _ => {
            // SAFETY: the kernel wrote how many elements it gave, an integer.
            let given = unsafe { attr.batch.count };
            values.truncate(given as usize * size.value);
            Ok(values)
        }
    }
}

/// Makes an array of one map that is like `inner`.
pub fn create_array_of_maps(inner: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut attr = attr();
    attr.__bindgen_anon_1.map_type = bpf_map_type::BPF_MAP_TYPE_ARRAY_OF_MAPS as u32;
    attr.__bindgen_anon_1.key_size = 4;
    attr.__bindgen_anon_1.value_size = 4;
    attr.__bindgen_anon_1.max_entries = 1;
    attr.__bindgen_anon_1.inner_map_fd = fd(inner);
    // SAFETY: no addresses in this command.
    let new = unsafe { bpf(bpf_cmd::BPF_MAP_CREATE, &mut attr) }?;
    // SAFETY: the kernel made this descriptor for us just now.
    Ok(unsafe { OwnedFd::from_raw_fd(new as i32) })
}

/// A hash map or array that is to be, of a card or of the kernel.
#[derive(Clone, Copy, Debug)]
pub struct NewMap<'n> {
    /// `enum bpf_map_type`.
    pub kind: u32,
    /// Bytes of a key.
    pub key_bytes: u32,
    /// Bytes of a value.
    pub value_bytes: u32,
    /// Most entries.
    pub max_entries: u32,
    /// Name, of which 15 characters are kept.
    pub name: &'n str,
    /// The device that keeps it; 0 for the kernel.
    pub ifindex: u32,
}

/// Makes a map.
pub fn create_map(map: &NewMap<'_>) -> io::Result<OwnedFd> {
    let mut attr = attr();
    attr.__bindgen_anon_1.map_type = map.kind;
    attr.__bindgen_anon_1.key_size = map.key_bytes;
    attr.__bindgen_anon_1.value_size = map.value_bytes;
    attr.__bindgen_anon_1.max_entries = map.max_entries;
    attr.__bindgen_anon_1.map_name = object_name(map.name);
    attr.__bindgen_anon_1.map_ifindex = map.ifindex;
    // SAFETY: no addresses in this command.
    let new = unsafe { bpf(bpf_cmd::BPF_MAP_CREATE, &mut attr) }?;
    // SAFETY: the kernel made this descriptor for us just now.
    Ok(unsafe { OwnedFd::from_raw_fd(new as i32) })
}
