//! Checksums that follow changed bytes (RFC 1624): one that was wrong stays as wrong as it was.

use crate::read::be16;

/// A checksum in a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Checksum {
    /// Where its two bytes are; an even number of bytes from what it is about.
    pub at: usize,
    /// Whether 0 says that there is none, as in UDP.
    pub optional: bool,
}

/// The Internet checksum of bytes (RFC 1071), as it would stand in a header: a word with a sum of
/// ones. An odd last byte counts as if a zero followed.
pub fn internet_checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| {
        let low = pair.get(1).copied().unwrap_or(0);
        u16::from_be_bytes([pair[0], low])
    });
    !words.fold(0, add)
}

/// Sum of words with the carry added at its end.
fn add(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum + u16::from(carry)
}

impl Checksum {
    /// Follows a word of 16 bits that changes.
    fn follow(self, frame: &mut [u8], old: u16, new: u16) {
        let Some(sum) = be16(frame, self.at) else {
            return;
        };
        if self.optional && sum == 0 {
            return;
        }
        let mut sum = !add(add(!sum, !old), new);
        if self.optional && sum == 0 {
            sum = 0xffff;
        }
        frame[self.at..self.at + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Puts bytes in a place of a frame, where checksums are about them. Nothing happens if they are
/// the same, or the place isn't there.
pub(crate) fn write(frame: &mut [u8], at: usize, new: &[u8], sums: &[Checksum]) {
    let end = at + new.len();
    let same = frame.get(at..end).is_none_or(|old| old == new);
    if same {
        return;
    }
    // What checksums are about begins at even offsets, as all headers have even lengths.
    let words = (at & !1..end).step_by(2);
    let before: Vec<Option<u16>> = words.clone().map(|word| be16(frame, word)).collect();
    frame[at..end].copy_from_slice(new);
    for (word, old) in words.zip(before) {
        let (Some(old), Some(new)) = (old, be16(frame, word)) else {
            continue;
        };
        if old != new {
            sums.iter().for_each(|sum| sum.follow(frame, old, new));
        }
    }
}

/// CRC-32C of bytes, as SCTP has it (RFC 9260 appendix A).
pub fn crc32c(bytes: impl IntoIterator<Item = u8>) -> u32 {
    const REVERSED_POLYNOMIAL: u32 = 0x82f6_3b78;
    !bytes.into_iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            crc >> 1 ^ (REVERSED_POLYNOMIAL & (crc & 1).wrapping_neg())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        assert_eq!(crc32c(*b"123456789"), 0xe306_9283);
        // RFC 1071 §3.
        let words = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(internet_checksum(&words), !0xddf2);
        assert_eq!(internet_checksum(&[0x12]), !0x1200);
    }

    #[test]
    fn a_followed_checksum_is_the_computed_one() {
        let mut bytes: Vec<u8> = (0u8..40).map(|n| n.wrapping_mul(37)).collect();
        bytes[10..12].fill(0);
        let sum = internet_checksum(&bytes);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        let checksum = Checksum {
            at: 10,
            optional: false,
        };
        for (at, new) in [
            (1, &[7, 8, 9][..]),
            (4, &[0xff]),
            (13, &[0; 8]),
            (38, &[1, 2]),
        ] {
            write(&mut bytes, at, new, &[checksum]);
            assert_eq!(&bytes[at..at + new.len()], new);
            assert_eq!(internet_checksum(&bytes), 0, "after {at}");
        }
    }

    #[test]
    fn a_wrong_one_stays_wrong_and_none_stays_none() {
        let mut bytes = [1, 2, 3, 4, 0, 9];
        let wrong = internet_checksum(&bytes);
        let checksum = |optional| Checksum { at: 4, optional };
        write(&mut bytes, 0, &[5, 5], &[checksum(false)]);
        assert_eq!(internet_checksum(&bytes), wrong);
        let mut none = [1, 2, 3, 4, 0, 0];
        write(&mut none, 0, &[5, 5], &[checksum(true)]);
        assert_eq!(none, [5, 5, 3, 4, 0, 0]);
        // A sum that comes out as 0 is written as its other form.
        let mut zero = [0xff, 0xff, 0, 0, 0, 1];
        write(&mut zero, 0, &[0, 1], &[checksum(true)]);
        assert_eq!(zero[4..], [0xff, 0xff]);
    }
}
