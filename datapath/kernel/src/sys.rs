//! The `bpf(2)` calls that aya has no form for: maps by bytes or mapped into memory, links
//! by device index, and test runs; and frames sent by device index. The only module of the project with `unsafe` code.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

use aya_obj::generated::{
    bpf_attach_type, bpf_attr, bpf_cmd, bpf_link_info, bpf_map_type, bpf_prog_type,
};

/// `BPF_NOEXIST`: only create.
pub const ONLY_NEW: u64 = 1;

/// One call of `bpf(2)`.
///
/// # Safety
/// Every address in `attr` must be valid for the bytes that `cmd` reads or writes there, for the
/// length of the call.
unsafe fn bpf(cmd: bpf_cmd, attr: &mut bpf_attr) -> io::Result<i64> {
    let size = size_of::<bpf_attr>();
    // SAFETY: `attr` is a whole `bpf_attr`, and the caller vouches for the addresses in it.
    let result = unsafe { libc::syscall(libc::SYS_bpf, cmd as libc::c_long, attr, size) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn attr() -> bpf_attr {
    // SAFETY: `bpf_attr` is a union of plain integers; all zeroes is a value of it, and the
    // kernel wants unused bytes to be zero.
    unsafe { std::mem::zeroed() }
}

fn fd(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd() as u32
}

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

/// The characters of a name that the kernel keeps, and a zero.
fn object_name(name: &str) -> [libc::c_char; 16] {
    let mut kept = [0; 16];
    let plain = |byte: u8| match byte {
        b'.' | b'_' => byte,
        byte if byte.is_ascii_alphanumeric() => byte,
        _ => b'_',
    };
    for (to, from) in kept.iter_mut().zip(name.bytes().take(15)) {
        *to = plain(from) as libc::c_char;
    }
    kept
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

/// Loads an XDP program, for a device that runs it, or for the kernel if `ifindex` is 0. `code` is
/// whole instructions with descriptors of maps in them. What the verifier says begins `log`, and ends
/// with a zero byte; it says nothing if that is empty.
pub fn load_xdp(code: &[u8], name: &str, ifindex: u32, log: &mut [u8]) -> io::Result<OwnedFd> {
    const INSN_BYTES: usize = 8;
    if code.is_empty() || !code.len().is_multiple_of(INSN_BYTES) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut attr = attr();
    attr.__bindgen_anon_3.prog_type = bpf_prog_type::BPF_PROG_TYPE_XDP as u32;
    attr.__bindgen_anon_3.expected_attach_type = bpf_attach_type::BPF_XDP as u32;
    attr.__bindgen_anon_3.insns = code.as_ptr() as u64;
    attr.__bindgen_anon_3.insn_cnt = (code.len() / INSN_BYTES) as u32;
    attr.__bindgen_anon_3.license = c"GPL".as_ptr() as u64;
    attr.__bindgen_anon_3.prog_name = object_name(name);
    attr.__bindgen_anon_3.prog_ifindex = ifindex;
    if !log.is_empty() {
        attr.__bindgen_anon_3.log_level = 1;
        attr.__bindgen_anon_3.log_buf = log.as_mut_ptr() as u64;
        attr.__bindgen_anon_3.log_size = log.len() as u32;
    }
    // SAFETY: code and log are borrowed for the call, with their lengths; the licence is a string
    // that ends with a zero byte, and is there for good.
    let new = unsafe { bpf(bpf_cmd::BPF_PROG_LOAD, &mut attr) }?;
    // SAFETY: the kernel made this descriptor for us just now.
    Ok(unsafe { OwnedFd::from_raw_fd(new as i32) })
}

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

/// Attaches a TC program to the ingress of a device (tcx, Linux 6.6). The link ends with its
/// last descriptor or pin.
pub fn attach_tcx_ingress(program: BorrowedFd<'_>, ifindex: u32) -> io::Result<OwnedFd> {
    let mut attr = attr();
    attr.link_create.__bindgen_anon_1.prog_fd = fd(program);
    attr.link_create.__bindgen_anon_2.target_ifindex = ifindex;
    attr.link_create.attach_type = bpf_attach_type::BPF_TCX_INGRESS as u32;
    // SAFETY: no addresses in this command.
    let new = unsafe { bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr) }?;
    // SAFETY: the kernel made this descriptor for us just now.
    Ok(unsafe { OwnedFd::from_raw_fd(new as i32) })
}

/// Attaches an XDP program to a device, to its driver or in the stack (Linux 5.9). The link ends
/// with its last descriptor or pin.
pub fn attach_xdp(program: BorrowedFd<'_>, ifindex: u32, native: bool) -> io::Result<OwnedFd> {
    const SKB_MODE: u32 = 1 << 1;
    const DRV_MODE: u32 = 1 << 2;
    let mut attr = attr();
    attr.link_create.__bindgen_anon_1.prog_fd = fd(program);
    attr.link_create.__bindgen_anon_2.target_ifindex = ifindex;
    attr.link_create.attach_type = bpf_attach_type::BPF_XDP as u32;
    attr.link_create.flags = if native { DRV_MODE } else { SKB_MODE };
    // SAFETY: no addresses in this command.
    let new = unsafe { bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr) }?;
    // SAFETY: the kernel made this descriptor for us just now.
    Ok(unsafe { OwnedFd::from_raw_fd(new as i32) })
}

/// Whether a device takes outer VLAN tags out of frames, so that programs in its driver don't see
/// them (`ETHTOOL_GFLAGS`). `socket` is any socket of the device's namespace.
pub fn strips_tags(socket: BorrowedFd<'_>, name: &str) -> io::Result<bool> {
    const ETHTOOL_GFLAGS: u32 = 0x25;
    const RX_VLAN: u32 = 1 << 8;
    let mut value = [ETHTOOL_GFLAGS, 0];
    ethtool(socket, name, &mut value)?;
    Ok(value[1] & RX_VLAN != 0)
}

/// Name of a device's driver (`ETHTOOL_GDRVINFO`). `socket` is any socket of its namespace.
pub fn driver(socket: BorrowedFd<'_>, name: &str) -> io::Result<String> {
    const ETHTOOL_GDRVINFO: u32 = 3;
    const WORDS: usize = 196 / 4;
    let mut info = [0; WORDS];
    info[0] = ETHTOOL_GDRVINFO;
    ethtool(socket, name, &mut info)?;
    let bytes = info[1..9].iter().flat_map(|word| word.to_ne_bytes());
    let text: Vec<u8> = bytes.take_while(|byte| *byte != 0).collect();
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Whether a device's filters of traffic control may go to its hardware: its feature `hw-tc-offload`
/// (`ETHTOOL_GFEATURES`). None if its driver hasn't got it. `socket` is any socket of its namespace.
pub fn tc_offload(socket: BorrowedFd<'_>, name: &str) -> io::Result<Option<bool>> {
    const ETHTOOL_GSTRINGS: u32 = 0x1b;
    const ETHTOOL_GSSET_INFO: u32 = 0x37;
    const ETHTOOL_GFEATURES: u32 = 0x3a;
    const FEATURES: u32 = 4;
    const STRING_WORDS: usize = 32 / 4;
    const TC: &[u8] = b"hw-tc-offload";
    // Command, reserved, mask of 64 bits, and the count of the one that is asked for.
    let mut info = [ETHTOOL_GSSET_INFO, 0, 1 << FEATURES, 0, 0];
    ethtool(socket, name, &mut info)?;
    let count = info[4] as usize;
    // Command, which strings, how many.
    let mut strings = vec![0; 3 + count * STRING_WORDS];
    strings[..3].copy_from_slice(&[ETHTOOL_GSTRINGS, FEATURES, info[4]]);
    ethtool(socket, name, &mut strings)?;
    let is_tc = |words: &[u32]| {
        let bytes = words.iter().flat_map(|word| word.to_ne_bytes());
        bytes.take_while(|byte| *byte != 0).eq(TC.iter().copied())
    };
    let Some(bit) = strings[3..].chunks(STRING_WORDS).position(is_tc) else {
        return Ok(None);
    };
    // Command, blocks, and four words for each 32 features: available, requested, active, fixed.
    let blocks = count.div_ceil(32);
    let mut features = vec![0; 2 + blocks * 4];
    features[..2].copy_from_slice(&[ETHTOOL_GFEATURES, blocks as u32]);
    ethtool(socket, name, &mut features)?;
    let block = &features[2 + bit / 32 * 4..];
    let has = |word: usize| block[word] >> (bit % 32) & 1 != 0;
    Ok((has(0) || has(2)).then(|| has(2)))
}

/// One call of ethtool. `value` begins with the command, and has the whole size of its record.
fn ethtool(socket: BorrowedFd<'_>, name: &str, value: &mut [u32]) -> io::Result<()> {
    // SAFETY: the kernel's record is plain integers, for which all zeroes is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(room)) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = value.as_mut_ptr().cast();
    // SAFETY: the request is whole; the callers above give the record of their command, which lives
    // through the call and has room for as much as it says.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Puts another program behind a link; each packet runs the old one or the new one.
pub fn update_link(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = attr();
    attr.link_update.link_fd = fd(link);
    attr.link_update.__bindgen_anon_1.new_prog_fd = fd(program);
    // SAFETY: no addresses in this command.
    unsafe { bpf(bpf_cmd::BPF_LINK_UPDATE, &mut attr) }.map(drop)
}

/// Takes a link off its device at once, whoever else holds it.
pub fn detach_link(link: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = attr();
    attr.link_detach.link_fd = fd(link);
    // SAFETY: no addresses in this command.
    unsafe { bpf(bpf_cmd::BPF_LINK_DETACH, &mut attr) }.map(drop)
}

/// Index of the device that a tcx link is attached to; 0 if the device has gone.
pub fn tcx_device(link: BorrowedFd<'_>) -> io::Result<u32> {
    let info = link_info(link)?;
    // SAFETY: whatever the kernel wrote, this field is an integer.
    Ok(unsafe { info.__bindgen_anon_1.tcx.ifindex })
}

/// Index of the device that an XDP link is attached to; 0 if the device has gone.
pub fn xdp_device(link: BorrowedFd<'_>) -> io::Result<u32> {
    let info = link_info(link)?;
    // SAFETY: whatever the kernel wrote, this field is an integer.
    Ok(unsafe { info.__bindgen_anon_1.xdp.ifindex })
}

fn link_info(link: BorrowedFd<'_>) -> io::Result<bpf_link_info> {
    // SAFETY: the kernel's record is plain integers, for which all zeroes is a value.
    let mut info: bpf_link_info = unsafe { std::mem::zeroed() };
    let mut attr = attr();
    attr.info.bpf_fd = fd(link);
    attr.info.info_len = size_of::<bpf_link_info>() as u32;
    attr.info.info = &raw mut info as u64;
    // SAFETY: `info` lives through the call and its size is given.
    unsafe { bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr) }?;
    Ok(info)
}

/// Opens a pinned object. `path` must be on a BPF file system.
pub fn open_pinned(path: &std::ffi::CStr) -> io::Result<OwnedFd> {
    let mut attr = attr();
    attr.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    // SAFETY: `path` is a string that ends with a zero byte, borrowed for the call.
    let new = unsafe { bpf(bpf_cmd::BPF_OBJ_GET, &mut attr) }?;
    // SAFETY: the kernel made this descriptor for us just now.
    Ok(unsafe { OwnedFd::from_raw_fd(new as i32) })
}

/// Pins an object at `path` on a BPF file system.
pub fn pin(object: BorrowedFd<'_>, path: &std::ffi::CStr) -> io::Result<()> {
    let mut attr = attr();
    attr.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    attr.__bindgen_anon_4.bpf_fd = fd(object);
    // SAFETY: `path` is a string that ends with a zero byte, borrowed for the call.
    unsafe { bpf(bpf_cmd::BPF_OBJ_PIN, &mut attr) }.map(drop)
}

/// What a test run gave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TestRun {
    /// What the program returned.
    pub verdict: u32,
    /// Nanoseconds of one run, on average.
    pub duration_ns: u32,
    /// The frame afterwards.
    pub frame: Vec<u8>,
}

/// Has [`interrupt`] interrupt system calls, and do nothing else.
pub fn catch_interruptions() -> io::Result<()> {
    extern "C" fn nothing(_signal: libc::c_int) {}
    // SAFETY: all zero is a signal action, of which each field that matters is set below.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the action is valid for the call, and its handler touches nothing.
    match unsafe { libc::sigaction(INTERRUPT, &raw const action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The signal that interrupts: where nobody catches it, it has no effect.
const INTERRUPT: libc::c_int = libc::SIGURG;

/// Interrupts the system call that a thread of this process is in, if it is in one that can be.
pub fn interrupt(thread: rustix::thread::Pid) {
    let (process, thread) = (std::process::id(), thread.as_raw_nonzero().get());
    // SAFETY: no memory is involved. A thread that isn't there is an error, which means that there is
    // nothing to interrupt.
    unsafe { libc::syscall(libc::SYS_tgkill, process, thread, INTERRUPT) };
}

/// Runs an XDP program on `frames` frames that really come from the device `ifindex`, and does what it
/// says; nanoseconds that a frame took, without the time that others had the processor.
pub fn run_live(
    program: BorrowedFd<'_>,
    frame: &[u8],
    ifindex: u32,
    frames: u32,
) -> io::Result<u32> {
    const LIVE_FRAMES: u32 = 1 << 1;
    const BATCH: u32 = 64;
    // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
    let context = [0, frame.len() as u32, 0, ifindex, 0, 0];
    let mut attr = attr();
    attr.test.prog_fd = fd(program);
    attr.test.data_in = frame.as_ptr() as u64;
    attr.test.data_size_in = frame.len() as u32;
    attr.test.ctx_in = context.as_ptr() as u64;
    attr.test.ctx_size_in = size_of_val(&context) as u32;
    attr.test.repeat = frames;
    attr.test.flags = LIVE_FRAMES;
    attr.test.batch_size = BATCH;
    // SAFETY: input and context are borrowed or owned for the call, with their sizes.
    unsafe { bpf(bpf_cmd::BPF_PROG_TEST_RUN, &mut attr) }?;
    // SAFETY: the kernel filled in the fields of this command.
    Ok(unsafe { attr.test.duration })
}

/// Runs a TC program `repeat` times on `frame` as if it came from the device `ifindex` (0: the
/// loopback device).
pub fn test_run(
    program: BorrowedFd<'_>,
    frame: &[u8],
    ifindex: u32,
    repeat: u32,
) -> io::Result<TestRun> {
    const SK_BUFF_BYTES: usize = 192;
    const SK_BUFF_IFINDEX: usize = 40;
    let mut context = [0u8; SK_BUFF_BYTES];
    context[SK_BUFF_IFINDEX..SK_BUFF_IFINDEX + 4].copy_from_slice(&ifindex.to_ne_bytes());
    // Programs make frames longer, by a label or tag at each of their actions.
    let mut out = vec![0u8; frame.len() + 2048];
    let mut attr = attr();
    attr.test.prog_fd = fd(program);
    attr.test.data_in = frame.as_ptr() as u64;
    attr.test.data_size_in = frame.len() as u32;
    attr.test.data_out = out.as_mut_ptr() as u64;
    attr.test.data_size_out = out.len() as u32;
    attr.test.repeat = repeat;
    if ifindex != 0 {
        attr.test.ctx_in = context.as_ptr() as u64;
        attr.test.ctx_size_in = SK_BUFF_BYTES as u32;
    }
    // SAFETY: input, output and context are owned or borrowed for the call, with their sizes.
    unsafe { bpf(bpf_cmd::BPF_PROG_TEST_RUN, &mut attr) }?;
    // SAFETY: the kernel filled in the fields of this command.
    let (verdict, duration_ns, len) = unsafe {
        (
            attr.test.retval,
            attr.test.duration,
            attr.test.data_size_out,
        )
    };
    out.truncate(len as usize);
    Ok(TestRun {
        verdict,
        duration_ns,
        frame: out,
    })
}

/// Frames that [`send_frames`] takes at most.
pub const MAX_FRAMES: usize = 64;

/// Sends frames through devices, each with its index, from a packet socket; how many were sent. The
/// frame after the last of these is the one that could not be.
pub fn send_frames(socket: BorrowedFd<'_>, frames: &[(u32, &[u8])]) -> io::Result<usize> {
    let frames = &frames[..frames.len().min(MAX_FRAMES)];
    let address = |(ifindex, _): &(u32, &[u8])| libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: 0,
        sll_ifindex: *ifindex as i32,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: [0; 8],
    };
    let mut addresses: Vec<libc::sockaddr_ll> = frames.iter().map(address).collect();
    let part = |(_, frame): &(u32, &[u8])| libc::iovec {
        iov_base: frame.as_ptr().cast_mut().cast(),
        iov_len: frame.len(),
    };
    let mut parts: Vec<libc::iovec> = frames.iter().map(part).collect();
    let message = |(address, part): (&mut libc::sockaddr_ll, &mut libc::iovec)| {
        // SAFETY: all fields of a header are numbers and pointers, of which zero is a value.
        let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
        message.msg_hdr.msg_name = (&raw mut *address).cast();
        message.msg_hdr.msg_namelen = size_of::<libc::sockaddr_ll>() as u32;
        message.msg_hdr.msg_iov = part;
        message.msg_hdr.msg_iovlen = 1;
        message
    };
    let pairs = addresses.iter_mut().zip(&mut parts);
    let mut messages: Vec<libc::mmsghdr> = pairs.map(message).collect();
    // SAFETY: headers, addresses, parts and frames live until the call returns; the kernel reads
    // the frames and writes to the headers only.
    let sent = unsafe {
        libc::sendmmsg(
            fd(socket) as i32,
            messages.as_mut_ptr(),
            messages.len() as u32,
            libc::MSG_DONTWAIT,
        )
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Has the heap of each thread end where it isn't used any more, for good: by itself it keeps up to 64
/// MiB that were used once.
pub fn keep_heap_small() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it sets numbers of the allocator's. Without bins for the smallest pieces, each that is
    // freed joins its neighbours, and so the end of the heap.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, 1 << 20);
        libc::mallopt(libc::M_MXFAST, 0);
    }
}

/// Gives pages of the heap back to the system that hold nothing any more. Takes milliseconds.
pub fn give_back_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes the allocator's own locks, and touches what is free only.
    unsafe {
        libc::malloc_trim(0);
    }
}
