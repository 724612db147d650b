//! Where images are kept between runs.

use std::fs::File;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::ImageError;

/// Directory of everything that is built once and kept: `$AORTA_CACHE`, or
/// `$XDG_CACHE_HOME/aorta`, or `~/.cache/aorta`.
pub fn cache_root() -> Result<PathBuf, ImageError> {
    let var = |name| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    root_from(var("AORTA_CACHE"), var("XDG_CACHE_HOME"), var("HOME")).ok_or(ImageError::NoCache)
}

fn root_from(own: Option<PathBuf>, xdg: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    own.or_else(|| xdg.map(|d| d.join("aorta")))
        .or_else(|| home.map(|d| d.join(".cache/aorta")))
}

/// Makes `dir` and holds what is called `name` in it alone until the returned file is dropped, so
/// that two builds don't write the same.
pub(crate) fn lock(dir: &Path, name: &str) -> Result<File, ImageError> {
    std::fs::create_dir_all(dir).map_err(ImageError::file("make", dir))?;
    let path = dir.join(format!("{name}.lock"));
    let file = File::create(&path).map_err(ImageError::file("make", &path))?;
    file.lock().map_err(ImageError::file("lock", &path))?;
    Ok(file)
}

/// SHA-256 of a file, in hexadecimal.
pub(crate) fn sha256_file(path: &Path) -> Result<String, ImageError> {
    let mut file = File::open(path).map_err(ImageError::file("open", path))?;
    let mut hash = Sha256::new();
    std::io::copy(&mut file, &mut hash).map_err(ImageError::file("read", path))?;
    Ok(hex(&hash.finalize()))
}

/// SHA-256 of several texts, each kept apart from the next, in hexadecimal.
pub(crate) fn sha256_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    }
    hex(&hash.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_variable_wins_then_xdg_then_home() {
        let p = |s: &str| Some(PathBuf::from(s));
        assert_eq!(root_from(p("/a"), p("/b"), p("/c")), p("/a"));
        assert_eq!(root_from(None, p("/b"), p("/c")), p("/b/aorta"));
        assert_eq!(root_from(None, None, p("/c")), p("/c/.cache/aorta"));
        assert_eq!(root_from(None, None, None), None);
    }

    #[test]
    fn known_digest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        // FIPS 180-4, example B.1
        assert_eq!(
            sha256_file(&path).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn boundaries_between_texts_count() {
        assert_ne!(sha256_texts(["ab", "c"]), sha256_texts(["a", "bc"]));
    }
}
