//! System calls that no crate in use has a form for: `bpf(2)` of maps by bytes or mapped into memory, of
//! links by device index and of test runs; ethtool; and frames sent by device index. The only module of
//! the project with `unsafe` code.
#![allow(unsafe_code)]

mod ethtool;
mod frames;
mod link;
mod map;
mod mapping;
mod process;
mod program;

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use aya_obj::generated::{bpf_attr, bpf_cmd};

pub use ethtool::{driver, strips_tags, tc_offload};
pub use frames::send_frames;
pub use link::{TcxHook, attach_tcx, attach_xdp, detach_link, tcx_device, update_link, xdp_device};
pub use map::{
    ElementSize, NewMap, ONLY_NEW, create_array_of_maps, create_map, delete, lookup, lookup_batch,
    next_key, update, update_batch,
};
pub use mapping::Mapping;
pub use process::{catch_interruptions, give_back_heap, interrupt, keep_heap_small};
pub use program::{TestRun, load_xdp, run_live, test_run};

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
