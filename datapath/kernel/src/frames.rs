//! Frames that the daemon itself sends.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use aorta_flow::IfIndex;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::sys;

/// Sends frames through devices of the network namespace in which it was opened. It receives
/// nothing.
#[derive(Debug)]
pub struct FrameSender(OwnedFd);

impl FrameSender {
    /// Opens it.
    ///
    /// # Errors
    /// If there is no such socket to be had (CAP_NET_RAW).
    pub fn open() -> io::Result<FrameSender> {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None)?;
        Ok(FrameSender(socket))
    }

    /// Sends frames, in order, without waiting; how many a device did not take: one that is down,
    /// gone or busy, or whose MTU is less.
    pub fn send(&self, frames: &[(IfIndex, &[u8])]) -> usize {
        let mut refused = 0;
        let frames: Vec<(u32, &[u8])> = frames.iter().map(|(to, f)| (to.get(), *f)).collect();
        let mut rest = &frames[..];
        while !rest.is_empty() {
            match sys::send_frames(self.0.as_fd(), rest) {
                Ok(sent) if sent > 0 => rest = &rest[sent..],
                // One that can't be sent is told only when it stands first.
                _ => {
                    refused += 1;
                    rest = &rest[1..];
                }
            }
        }
        refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_does_not_take_is_told_and_keeps_nothing_back() {
        let sender = FrameSender::open().unwrap();
        let lo = IfIndex::new(1).unwrap();
        let none = IfIndex::new(i32::MAX as u32).unwrap();
        let frame = [0x5a; 60];
        assert_eq!(sender.send(&[(none, &frame), (none, &frame)]), 2);
        assert_eq!(sender.send(&[]), 0);
        let many: Vec<(IfIndex, &[u8])> = (0..100)
            .map(|n| (if n % 10 == 9 { none } else { lo }, &frame[..]))
            .collect();
        let refused = sender.send(&many);
        assert!(refused == 10 || refused == 100, "lo may be down: {refused}");
    }
}
