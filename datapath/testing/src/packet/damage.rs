//! Frames that are wrong.

use crate::Rng;

/// A frame with something wrong in it: cut anywhere, a byte or bit changed, a length too large or
/// too small. At least `least` bytes are left.
pub fn damaged(frame: &[u8], least: usize, rng: &mut Rng) -> Vec<u8> {
    let mut bytes = frame.to_vec();
    let len = bytes.len();
    if len <= least.max(13) {
        return bytes;
    }
    match rng.below(5) {
        0 | 1 => bytes.truncate(rng.between(least, len)),
        2 => bytes[rng.between(12, len - 1)] = *rng.pick(&[0, 1, 0x7f, 0x80, 0xff]),
        // Headers are where damage counts.
        3 => {
            let at = rng.between(12, (len - 1).min(70));
            bytes[at] ^= 1 << rng.below(8);
        }
        _ => {
            let at = rng.between(12, (len - 1).min(70));
            let by = *rng.pick(&[1u8, 2, 4, 8, 0xff, 0xfe]);
            bytes[at] = bytes[at].wrapping_add(by);
        }
    }
    bytes
}
