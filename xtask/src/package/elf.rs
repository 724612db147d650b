//! What programs ask of the C library.

use std::path::Path;

use crate::error::TaskError;

/// In front of each version of the C library's symbols.
const MARK: &[u8] = b"GLIBC_";

/// The newest version of the C library that one of the programs has symbols of, as `2.34`.
///
/// # Errors
/// When a program can't be read.
pub fn newest_libc(programs: &[&Path]) -> Result<String, TaskError> {
    let mut newest = (2, 17);
    for program in programs {
        let bytes = std::fs::read(program).map_err(TaskError::file("read", *program))?;
        newest = versions(&bytes).fold(newest, Ord::max);
    }
    Ok(format!("{}.{}", newest.0, newest.1))
}

fn versions(bytes: &[u8]) -> impl Iterator<Item = (u32, u32)> {
    bytes
        .windows(MARK.len() + 8)
        .filter_map(|window| version(window.strip_prefix(MARK)?))
}

/// The version that bytes begin with, up to one that can be in none.
fn version(bytes: &[u8]) -> Option<(u32, u32)> {
    let end = |byte: &u8| !byte.is_ascii_digit() && *byte != b'.';
    let length = bytes.iter().position(end)?;
    let text = std::str::from_utf8(bytes.get(..length)?).ok()?;
    let mut parts = text.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_between_other_bytes() {
        let bytes = b"\0GLIBC_2.17\0xGLIBC_2.34\0GLIBC_PRIVATE\0GLIBC_2.2.5\0........";
        let found: Vec<_> = versions(bytes).collect();
        assert_eq!(found, [(2, 17), (2, 34), (2, 2)]);
    }

    #[test]
    fn this_program_needs_one() {
        let own = std::env::current_exe().unwrap();
        let version = newest_libc(&[&own]).unwrap();
        assert!(version.starts_with("2."), "{version}");
    }
}
