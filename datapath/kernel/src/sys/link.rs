//! Links of programs to devices.

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};

use aya_obj::generated::{bpf_attach_type, bpf_cmd, bpf_link_info};

use super::{attr, bpf, fd};

/// Where at a device TC programs run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TcxHook {
    /// On frames that come from it.
    Ingress,
    /// On frames that leave by it, before its queueing discipline.
    Egress,
}

/// Attaches a TC program to a device (tcx, Linux 6.6). The link ends with its last descriptor or
/// pin.
pub fn attach_tcx(program: BorrowedFd<'_>, ifindex: u32, hook: TcxHook) -> io::Result<OwnedFd> {
    let mut attr = attr();
    attr.link_create.__bindgen_anon_1.prog_fd = fd(program);
    attr.link_create.__bindgen_anon_2.target_ifindex = ifindex;
    attr.link_create.attach_type = match hook {
        TcxHook::Ingress => bpf_attach_type::BPF_TCX_INGRESS as u32,
        TcxHook::Egress => bpf_attach_type::BPF_TCX_EGRESS as u32,
    };
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
