//! Blocks of the journal: length, checksum, contents. Pure.

use sha1::{Digest, Sha1};

/// First words of the file.
const FORM: &str = "AORTA-FLOWS 1";

/// Room for the line in front of a block's contents.
const LINE: usize = 72;

/// The first line of a file of a boot.
pub fn head(boot: &str) -> String {
    format!("{FORM} {boot}\n")
}

/// A block of some contents.
pub fn block(contents: &str) -> String {
    let mut text = String::with_capacity(contents.len() + LINE);
    text.push_str("@ ");
    text.push_str(&contents.len().to_string());
    text.push(' ');
    put_sum(&mut text, contents);
    text.push('\n');
    text.push_str(contents);
    text
}

fn put_sum(out: &mut String, contents: &str) {
    let digit = |number: u8| char::from(b"0123456789abcdef"[usize::from(number & 15)]);
    for byte in Sha1::digest(contents) {
        out.extend([digit(byte >> 4), digit(byte)]);
    }
}

/// What a file holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Contents<'a> {
    /// It is of another boot, or empty.
    Stale,
    /// Blocks of this boot.
    Blocks {
        /// Their contents.
        blocks: Vec<&'a str>,
        /// Bytes up to the end of the last whole one; what follows was not written to its end.
        whole: usize,
    },
}

/// A file that can't be what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {what}")]
pub struct Damage {
    /// Where.
    pub offset: usize,
    /// What is there.
    pub what: &'static str,
}

/// Takes a file apart.
///
/// # Errors
/// If something other than its end is missing or changed.
pub fn contents<'a>(file: &'a [u8], boot: &str) -> Result<Contents<'a>, Damage> {
    let damage = |offset, what| Damage { offset, what };
    let head = head(boot);
    if file.len() < head.len() && head.as_bytes().starts_with(file) {
        return Ok(Contents::Stale);
    }
    let text = match std::str::from_utf8(file) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            // A character that was not written to its end.
            let whole = &file[..error.valid_up_to()];
            std::str::from_utf8(whole).map_err(|e| damage(e.valid_up_to(), "no text"))?
        }
        Err(error) => return Err(damage(error.valid_up_to(), "no text")),
    };
    if !text.starts_with(&head) {
        return match text.starts_with("AORTA-FLOWS ") {
            true => Ok(Contents::Stale),
            false => Err(damage(0, "not a journal of flow tables")),
        };
    }
    let (mut blocks, mut at) = (Vec::new(), head.len());
    while let Some((line, rest)) = text[at..].split_once('\n') {
        let wrong = || damage(at, "no block begins here");
        let mut words = line.split(' ');
        let (Some("@"), Some(length), Some(sum), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(wrong());
        };
        let length: usize = length.parse().map_err(|_| wrong())?;
        let Some(contents) = rest.get(..length) else {
            if rest.len() < length {
                break;
            }
            return Err(wrong());
        };
        let mut expected = String::with_capacity(sum.len());
        put_sum(&mut expected, contents);
        if expected != sum {
            return Err(damage(at, "the checksum of this block is another one"));
        }
        blocks.push(contents);
        at += line.len() + 1 + length;
    }
    Ok(Contents::Blocks { blocks, whole: at })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> String {
        format!(
            "{}{}{}",
            head("boot-1"),
            block("one\n"),
            block("two\nzwö\n")
        )
    }

    #[test]
    fn blocks_come_back_as_they_were() {
        let file = file();
        let expected = Contents::Blocks {
            blocks: vec!["one\n", "two\nzwö\n"],
            whole: file.len(),
        };
        assert_eq!(contents(file.as_bytes(), "boot-1"), Ok(expected));
        assert_eq!(contents(file.as_bytes(), "boot-2"), Ok(Contents::Stale));
        assert_eq!(contents(b"", "boot-1"), Ok(Contents::Stale));
    }

    #[test]
    fn wherever_the_end_is_missing_the_blocks_before_it_stay() {
        let file = file();
        let first = head("boot-1").len() + block("one\n").len();
        for end in head("boot-1").len()..file.len() {
            let Ok(Contents::Blocks { blocks, whole }) =
                contents(&file.as_bytes()[..end], "boot-1")
            else {
                panic!("cut at {end}");
            };
            let expected = if end < first { 0 } else { 1 };
            assert_eq!(blocks.len(), expected, "cut at {end}");
            assert!(whole <= end);
        }
    }

    #[test]
    fn whichever_byte_is_changed_it_is_seen() {
        let file = file();
        for at in 0..file.len() {
            let mut bytes = file.clone().into_bytes();
            bytes[at] ^= 1;
            let found = contents(&bytes, "boot-1");
            let intact = matches!(&found, Ok(Contents::Blocks { blocks, .. }) if blocks.len() == 2);
            assert!(!intact, "byte {at}: {found:?}");
        }
    }
}
