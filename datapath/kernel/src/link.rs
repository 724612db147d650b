//! Links: what ties a program to a device, kept alive by a pin.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use aorta_compiler::{ENTRY_PREFIX, XdpMode};
use aya::programs::tc::TcAttachType;
use aya::programs::{ProgramInfo, SchedClassifier};
use rustix::net::netdevice::index_to_name;
use rustix::net::{AddressFamily, SocketType, socket};

use crate::error::{DatapathError, PortError};
use crate::pins;
use crate::sys::{self, TcxHook};

/// Attaches `program` to the ingress of the device, or exchanges the program if the link pinned
/// at `path` is to that device already. No packet is lost between the old program and the new.
pub fn attach(path: &Path, ifindex: u32, program: BorrowedFd<'_>) -> Result<(), PortError> {
    if exchanged(path, sys::tcx_device, ifindex, program)? {
        return Ok(());
    }
    if has_entry(ifindex) {
        return Err(PortError::Taken { ifindex });
    }
    let link = sys::attach_tcx(program, ifindex, TcxHook::Ingress)
        .map_err(|source| PortError::Attach { ifindex, source })?;
    pins::pin(link.as_fd(), path).map_err(pin_error)
}

/// As [`attach`], to the egress, where programs of others may be, too.
pub fn attach_egress(path: &Path, ifindex: u32, program: BorrowedFd<'_>) -> Result<(), PortError> {
    if exchanged(path, sys::tcx_device, ifindex, program)? {
        return Ok(());
    }
    let link = sys::attach_tcx(program, ifindex, TcxHook::Egress)
        .map_err(|source| PortError::Attach { ifindex, source })?;
    pins::pin(link.as_fd(), path).map_err(pin_error)
}

/// As [`attach`], of an XDP program.
pub fn attach_xdp(
    path: &Path,
    ifindex: u32,
    mode: XdpMode,
    program: BorrowedFd<'_>,
) -> Result<(), PortError> {
    if exchanged(path, sys::xdp_device, ifindex, program)? {
        return Ok(());
    }
    let link = sys::attach_xdp(program, ifindex, mode == XdpMode::Native)
        .map_err(|source| PortError::AttachXdp { ifindex, source })?;
    pins::pin(link.as_fd(), path).map_err(pin_error)
}

/// Exchanges the program of the link pinned at `path` if it is to the device, as `device_of` tells.
/// If there is a link and that can't be done, it is detached.
fn exchanged(
    path: &Path,
    device_of: impl Fn(BorrowedFd<'_>) -> std::io::Result<u32>,
    ifindex: u32,
    program: BorrowedFd<'_>,
) -> Result<bool, PortError> {
    let Some(link) = pins::open(path).map_err(pin_error)? else {
        return Ok(false);
    };
    // The device may have gone, and another come in its place.
    let same = device_of(link.as_fd()).is_ok_and(|device| device == ifindex);
    if same && sys::update_link(link.as_fd(), program).is_ok() {
        return Ok(true);
    }
    detach(path).map_err(pin_error)?;
    Ok(false)
}

fn pin_error(error: DatapathError) -> PortError {
    PortError::Pin(Box::new(error))
}

/// Why XDP programs of a device wouldn't see frames as they are; `None` if they do.
pub fn hides_from_xdp(ifindex: u32) -> Option<String> {
    let socket = socket(AddressFamily::UNIX, SocketType::DGRAM, None).ok()?;
    let name = index_to_name(&socket, ifindex).ok()?;
    match sys::driver(socket.as_fd(), &name).as_deref() {
        Ok("tun") => {
            return Some(
                "frames that a virtual machine writes to a tap are without checksums and not cut \
                 into segments, which XDP would lose"
                    .to_owned(),
            );
        }
        // Whether tags stand beside frames is up to the far end.
        Ok("veth") => return None,
        _ => {}
    }
    match sys::strips_tags(socket.as_fd(), &name) {
        Ok(true) => Some(format!(
            "{name} takes VLAN tags out of frames before XDP sees them; \
             `ethtool -K {name} rxvlan off` ends that"
        )),
        Err(error) => Some(format!(
            "whether {name} takes VLAN tags out of frames can't be told: {error}"
        )),
        Ok(false) => None,
    }
}

/// Whether an entry program is at the device's ingress already. This switch's own was exchanged or
/// detached before.
fn has_entry(ifindex: u32) -> bool {
    let ours = |program: ProgramInfo| {
        program
            .name_as_str()
            .is_some_and(|name| name.starts_with(ENTRY_PREFIX))
    };
    // A device without a name or a kernel that can't tell: attaching finds out.
    device_name(ifindex)
        .and_then(|name| SchedClassifier::query_tcx(&name, TcAttachType::Ingress).ok())
        .is_some_and(|(_, programs)| programs.into_iter().any(ours))
}

fn device_name(ifindex: u32) -> Option<String> {
    let socket = socket(AddressFamily::UNIX, SocketType::DGRAM, None).ok()?;
    index_to_name(&socket, ifindex).ok()
}

/// Ends the link pinned at `path`, if there is one. Its program runs no more when this returns;
/// removing the pin alone would end it some time later.
pub fn detach(path: &Path) -> Result<(), DatapathError> {
    if let Some(link) = pins::open(path)? {
        // A link whose device has gone is refused, and needs none.
        let _ = sys::detach_link(link.as_fd());
    }
    pins::unpin(path)
}
