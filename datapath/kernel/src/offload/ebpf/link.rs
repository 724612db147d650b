//! Programs at devices, by rtnetlink: which are there, and one in place of another.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::{Refusal, refusal_of};

/// Where a program of a card is attached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CardMode {
    /// On the card itself (`XDP_FLAGS_HW_MODE`); programs are bound to its device.
    Hardware,
    /// In the kernel's stack, in front of all others (`XDP_FLAGS_SKB_MODE`): what a card would do, for
    /// tests on devices that aren't cards.
    Stack,
}

impl CardMode {
    fn flag(self) -> u32 {
        match self {
            CardMode::Stack => 1 << 1,
            CardMode::Hardware => 1 << 3,
        }
    }

    /// The attribute that says which program is there.
    fn program_id(self) -> u16 {
        match self {
            CardMode::Stack => 6,
            CardMode::Hardware => 7,
        }
    }
}

/// `XDP_FLAGS_UPDATE_IF_NOEXIST`.
const ONLY_NEW: u32 = 1 << 0;
/// `XDP_FLAGS_REPLACE`.
const REPLACE: u32 = 1 << 4;

const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
/// What the kernel says to an error comes without the request.
const NLM_F_CAPPED: u16 = 0x100;
/// Attributes follow what the kernel says to an error.
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSG_ERROR: u16 = 2;
/// `NLMSGERR_ATTR_MSG`: the words.
const ERROR_TEXT: u16 = 1;
const NESTED: u16 = 0x8000;
const IFLA_XDP: u16 = 43;
const IFLA_XDP_FD: u16 = 1;
const IFLA_XDP_FLAGS: u16 = 3;
const IFLA_XDP_EXPECTED_FD: u16 = 8;
/// Bytes of `struct nlmsghdr` and `struct ifinfomsg`.
const HEADER: usize = 16;
const LINK: usize = 16;

/// What is to be at a device.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'f> {
    /// The program; none to have none.
    pub program: Option<BorrowedFd<'f>>,
    /// The one that is there now; none if there is none. If that isn't so, nothing is changed.
    pub expected: Option<BorrowedFd<'f>>,
}

/// Puts a program in the place of the one that is there; each packet meets one or the other.
///
/// # Errors
/// What the kernel or the driver says.
pub fn exchange(ifindex: u32, mode: CardMode, what: Exchange<'_>) -> Result<(), Refusal> {
    ask(&set_request(ifindex, mode, what)).map(drop)
}

/// Number of the program that is at a device; none if there is none.
///
/// # Errors
/// If there is no such device.
pub fn program_id(ifindex: u32, mode: CardMode) -> Result<Option<u32>, Refusal> {
    let answer = ask(&request(RTM_GETLINK, 0, ifindex, &[]))?;
    Ok(found_id(&answer, mode))
}

fn found_id(link: &[u8], mode: CardMode) -> Option<u32> {
    let attributes = link.get(LINK..)?;
    let xdp = attribute(attributes, IFLA_XDP)?;
    let id = attribute(xdp, mode.program_id())?;
    Some(u32::from_ne_bytes(id.get(..4)?.try_into().ok()?)).filter(|id| *id != 0)
}

fn set_request(ifindex: u32, mode: CardMode, what: Exchange<'_>) -> Vec<u8> {
    let fd = |fd: BorrowedFd<'_>| fd.as_raw_fd();
    let flags = match what.expected {
        Some(_) => REPLACE,
        None => ONLY_NEW,
    };
    let mut xdp = Vec::new();
    put(
        &mut xdp,
        IFLA_XDP_FD,
        &what.program.map_or(-1, fd).to_ne_bytes(),
    );
    let flags = mode.flag() | flags;
    put(&mut xdp, IFLA_XDP_FLAGS, &flags.to_ne_bytes());
    if let Some(expected) = what.expected {
        put(&mut xdp, IFLA_XDP_EXPECTED_FD, &fd(expected).to_ne_bytes());
    }
    let mut attributes = Vec::new();
    put(&mut attributes, IFLA_XDP | NESTED, &xdp);
    request(RTM_SETLINK, NLM_F_ACK, ifindex, &attributes)
}

fn request(kind: u16, flags: u16, ifindex: u32, attributes: &[u8]) -> Vec<u8> {
    let length = (HEADER + LINK + attributes.len()) as u32;
    let mut bytes = Vec::with_capacity(length as usize);
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend((NLM_F_REQUEST | flags).to_ne_bytes());
    // Sequence number and sender: a socket of its own has one request.
    bytes.extend([0; 8]);
    // Family and type of the device.
    bytes.extend([0; 4]);
    bytes.extend(ifindex.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend(attributes);
    bytes
}

fn put(to: &mut Vec<u8>, kind: u16, value: &[u8]) {
    to.extend((4 + value.len() as u16).to_ne_bytes());
    to.extend(kind.to_ne_bytes());
    to.extend(value);
    to.resize(to.len().next_multiple_of(4), 0);
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// The value of an attribute.
fn attribute(mut bytes: &[u8], kind: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(number(bytes, 0)?);
        let value = bytes.get(4..length)?;
        if number(bytes, 2)? & !NESTED == kind {
            return Some(value);
        }
        bytes = bytes.get(length.next_multiple_of(4)..)?;
    }
}

/// Sends a request; the payload of the answer.
fn ask(request: &[u8]) -> Result<Vec<u8>, Refusal> {
    let answer = talk(request).map_err(|error| refusal_of(&error))?;
    let damaged = || refusal_of(&io::ErrorKind::InvalidData.into());
    let payload = answer.get(HEADER..).ok_or_else(damaged)?;
    match number(&answer, 4) {
        Some(NLMSG_ERROR) => match refused(&answer) {
            Some(refusal) => Err(refusal),
            None => Ok(Vec::new()),
        },
        Some(_) => Ok(payload.to_vec()),
        None => Err(damaged()),
    }
}

fn talk(request: &[u8]) -> io::Result<Vec<u8>> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind(&SocketAddr::new(0, 0))?;
    // Old kernels don't have these, and say less then.
    let _ = socket.set_ext_ack(true);
    let _ = socket.set_cap_ack(true);
    socket.send_to(request, &SocketAddr::new(0, 0), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    Ok(answer)
}

/// What an answer refuses, in the driver's words if there are any.
fn refused(answer: &[u8]) -> Option<Refusal> {
    let payload = answer.get(HEADER..)?;
    let errno = i32::from_ne_bytes(payload.get(..4)?.try_into().ok()?);
    if errno == 0 {
        return None;
    }
    let flags = number(answer, 6)?;
    let words = || {
        let request = u32::from_ne_bytes(payload.get(4..8)?.try_into().ok()?) as usize;
        let behind = match flags & NLM_F_CAPPED {
            0 => 4 + request.next_multiple_of(4),
            _ => 4 + HEADER,
        };
        let text = attribute(payload.get(behind..)?, ERROR_TEXT)?;
        let text = text.split(|byte| *byte == 0).next()?;
        Some(String::from_utf8_lossy(text).into_owned())
    };
    let told = (flags & NLM_F_ACK_TLVS != 0).then(words).flatten();
    Some(Refusal::new(errno.saturating_neg(), told))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    /// An answer that refuses, as the kernel writes it.
    fn refusal(capped: bool, words: Option<&str>) -> Vec<u8> {
        let asked = request(RTM_SETLINK, NLM_F_ACK, 7, &[]);
        let mut payload = (-95i32).to_ne_bytes().to_vec();
        payload.extend(&asked[..if capped { HEADER } else { asked.len() }]);
        let mut flags = if capped { NLM_F_CAPPED } else { 0 };
        if let Some(words) = words {
            flags |= NLM_F_ACK_TLVS;
            let text = [words.as_bytes(), &[0]].concat();
            put(&mut payload, ERROR_TEXT, &text);
        }
        let mut answer = ((HEADER + payload.len()) as u32).to_ne_bytes().to_vec();
        answer.extend(NLMSG_ERROR.to_ne_bytes());
        answer.extend(flags.to_ne_bytes());
        answer.extend([0; 8]);
        answer.extend(payload);
        answer
    }

    #[test]
    fn refusals_come_in_the_drivers_words() {
        for capped in [false, true] {
            let said = refused(&refusal(capped, Some("no room"))).unwrap();
            assert_eq!((said.errno, &*said.text), (95, "no room"));
            let silent = refused(&refusal(capped, None)).unwrap();
            assert!(silent.text.contains("not supported"), "{}", silent.text);
        }
        for length in 0..HEADER + 4 {
            assert_eq!(refused(&refusal(true, None)[..length]), None);
        }
    }

    #[test]
    fn requests_name_what_is_expected() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let fd = file.as_fd();
        let first = Exchange {
            program: Some(fd),
            expected: None,
        };
        let bytes = set_request(7, CardMode::Hardware, first);
        let xdp = attribute(&bytes[HEADER + LINK..], IFLA_XDP).unwrap();
        assert_eq!(
            attribute(xdp, IFLA_XDP_FLAGS).unwrap(),
            0b1001u32.to_ne_bytes()
        );
        assert_eq!(attribute(xdp, IFLA_XDP_EXPECTED_FD), None);
        let last = Exchange {
            program: None,
            expected: Some(fd),
        };
        let bytes = set_request(7, CardMode::Hardware, last);
        assert_eq!(
            bytes.len(),
            u32::from_ne_bytes(bytes[..4].try_into().unwrap()) as usize
        );
        let xdp = attribute(&bytes[HEADER + LINK..], IFLA_XDP).unwrap();
        assert_eq!(attribute(xdp, IFLA_XDP_FD).unwrap(), (-1i32).to_ne_bytes());
        assert_eq!(
            attribute(xdp, IFLA_XDP_FLAGS).unwrap(),
            0b11000u32.to_ne_bytes()
        );
        assert!(attribute(xdp, IFLA_XDP_EXPECTED_FD).is_some());
    }

    #[test]
    fn the_loopback_device_has_no_program_and_other_numbers_are_no_devices() {
        assert_eq!(program_id(1, CardMode::Hardware), Ok(None));
        let refused = program_id(u32::MAX >> 1, CardMode::Hardware).unwrap_err();
        assert_eq!(refused.errno, rustix::io::Errno::NODEV.raw_os_error());
    }
}
