//! What drivers say of their devices.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

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
