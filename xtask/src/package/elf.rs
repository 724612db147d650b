//! What programs ask of the C library.

use std::path::Path;
use std::process::Command;

use crate::error::TaskError;
use crate::proc::output;

/// In front of each version of the C library's symbols.
const MARK: &str = "GLIBC_";

/// The newest version of the C library that one of the programs has symbols of, as `2.34`.
///
/// # Errors
/// When a program can't be read.
pub fn newest_libc(programs: &[&Path]) -> Result<String, TaskError> {
    let mut newest = (2, 17);
    for program in programs {
        let needs = output(
            Command::new("readelf")
                .args(["--version-info", "--wide"])
                .arg(program),
        )?;
        newest = versions(&String::from_utf8_lossy(&needs)).fold(newest, Ord::max);
    }
    Ok(format!("{}.{}", newest.0, newest.1))
}

/// The versions that a list of needed symbol versions names.
fn versions(needs: &str) -> impl Iterator<Item = (u32, u32)> {
    needs
        .split_whitespace()
        .filter_map(|word| version(word.trim_start_matches('(').strip_prefix(MARK)?))
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim_end_matches(')').split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_a_list_of_needs() {
        let needs = "\
  000: 0 (*local*) 2 (GLIBC_2.34) 3 (GLIBC_2.2.5)
  0x0010: Name: GLIBC_2.29  Flags: none  Version: 12
  0x0020: Name: GLIBC_PRIVATE  Flags: none  Version: 11
  0x0030: Name: GCC_4.2.0  Flags: none  Version: 5
";
        let found: Vec<_> = versions(needs).collect();
        assert_eq!(found, [(2, 34), (2, 2), (2, 29)]);
    }

    #[test]
    fn this_program_needs_one() {
        let own = std::env::current_exe().unwrap();
        let version = newest_libc(&[&own]).unwrap();
        assert!(version.starts_with("2."), "{version}");
    }
}
