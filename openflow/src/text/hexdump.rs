//! Bytes as lines of hexadecimal numbers and letters.

use std::fmt::Write as _;

const PER_LINE: usize = 16;

/// Bytes as lines of 16, with their offsets and what they are as letters.
pub fn hex_dump(bytes: &[u8]) -> String {
    let mut out = String::new();
    for (line, part) in bytes.chunks(PER_LINE).enumerate() {
        let _ = write!(out, "{:08x} ", line * PER_LINE);
        for at in 0..PER_LINE {
            let dash = at == PER_LINE / 2 && part.len() >= PER_LINE / 2;
            out.push(if dash { '-' } else { ' ' });
            let _ = match part.get(at) {
                Some(byte) => write!(out, "{byte:02x}"),
                None => write!(out, "  "),
            };
        }
        out.push_str(" |");
        for at in 0..PER_LINE {
            out.push(match part.get(at) {
                Some(byte) if byte.is_ascii_graphic() || *byte == b' ' => char::from(*byte),
                Some(_) => '.',
                None => ' ',
            });
        }
        out.push_str("|\n");
    }
    out
}
