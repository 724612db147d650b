//! Frames that leave by a packet socket.

use std::io;
use std::os::fd::BorrowedFd;

use super::fd;

/// Frames of a call at most.
const MAX_FRAMES: usize = 64;

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
