//! Where the programs of the switch are.

use std::path::{Path, PathBuf};

use super::LabError;

/// Path of one of the switch's programs.
///
/// # Errors
/// [`LabError::NotBuilt`].
pub fn binary(dir: &Path, name: &str) -> Result<PathBuf, LabError> {
    let path = dir.join(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(LabError::NotBuilt {
        name: name.to_owned(),
        looked: dir.display().to_string(),
    })
}

/// `AORTA_BIN_DIR`, or the directory that cargo built this very program into
/// (`target/debug/deps/test-…` belongs to `target/debug`).
///
/// # Errors
/// When the system doesn't tell where this program is.
pub fn own_bin_dir() -> Result<PathBuf, LabError> {
    if let Some(dir) = std::env::var_os("AORTA_BIN_DIR") {
        return Ok(PathBuf::from(dir));
    }
    let exe = std::env::current_exe().map_err(LabError::system("find the test program"))?;
    Ok(profile_dir(&exe))
}

pub(super) fn profile_dir(exe: &Path) -> PathBuf {
    let dir = exe.parent().unwrap_or(exe);
    if dir.ends_with("deps") {
        dir.parent().unwrap_or(dir).to_owned()
    } else {
        dir.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_belong_to_the_profile_directory() {
        assert_eq!(
            profile_dir(Path::new("/t/debug/deps/lab-1")),
            Path::new("/t/debug")
        );
        assert_eq!(
            profile_dir(Path::new("/t/release/xtask")),
            Path::new("/t/release")
        );
        let error = binary(Path::new("/t/debug"), "vswitchd")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("cargo build") && error.contains("/t/debug"),
            "{error}"
        );
    }
}
