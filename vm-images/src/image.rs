//! An image in the cache.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cache::{lock, sha256_file};
use crate::{ImageError, Recipe, build};

pub(crate) const KERNEL: &str = "vmlinuz";
pub(crate) const INITRAMFS: &str = "initramfs.cpio";
const MANIFEST: &str = "manifest.json";

/// A kernel and an initramfs, ready to boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The kernel, for QEMU's `-kernel`.
    pub kernel: PathBuf,
    /// The root file system, for QEMU's `-initrd`.
    pub initramfs: PathBuf,
    /// What it was made of.
    pub manifest: Manifest,
}

/// What an image was made of, kept beside it as `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The recipe's key.
    pub recipe: String,
    /// Release of the kernel, as `uname -r` says in the guest.
    pub kernel_release: String,
    /// SHA-256 of each package by its file name.
    pub packages: BTreeMap<String, String>,
    /// SHA-256 of each file of the image by its name.
    pub files: BTreeMap<String, String>,
}

/// The image of a recipe: from `cache` (see [`cache_root`](crate::cache_root)), or built now.
/// `progress` gets a line for every step that takes time; none when the image is there.
///
/// # Errors
/// When a package can't be had, or a cached file isn't the one that was built.
pub fn ensure(
    recipe: &Recipe,
    cache: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<Image, ImageError> {
    let images = cache.join("images");
    let dir = images.join(recipe.key());
    // An image appears whole: who has one isn't held up by others that are built.
    if dir.join(MANIFEST).exists() {
        return open(&dir);
    }
    let _alone = lock(&images, &recipe.key())?;
    if !dir.join(MANIFEST).exists() {
        let work = images.join(format!("{}.new", recipe.key()));
        remove(&work)?;
        remove(&dir)?;
        std::fs::create_dir_all(&work).map_err(ImageError::file("make", &work))?;
        let manifest = build::build(recipe, cache, &work, progress)?;
        write_manifest(&work.join(MANIFEST), &manifest)?;
        std::fs::rename(&work, &dir).map_err(ImageError::file("put in place", &dir))?;
        progress(&format!("image {} is in {}", recipe.name, dir.display()));
    }
    open(&dir)
}

/// Opens a built image after comparing its files with the manifest.
fn open(dir: &Path) -> Result<Image, ImageError> {
    let path = dir.join(MANIFEST);
    let text = std::fs::read(&path).map_err(ImageError::file("read", &path))?;
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|source| ImageError::Manifest { path, source })?;
    for (name, expected) in &manifest.files {
        let path = dir.join(name);
        let found = sha256_file(&path)?;
        if found != *expected {
            return Err(ImageError::Damaged {
                path,
                found,
                expected: expected.clone(),
            });
        }
    }
    Ok(Image {
        kernel: dir.join(KERNEL),
        initramfs: dir.join(INITRAMFS),
        manifest,
    })
}

fn write_manifest(path: &Path, manifest: &Manifest) -> Result<(), ImageError> {
    let text = serde_json::to_vec_pretty(manifest).map_err(|source| ImageError::Manifest {
        path: path.to_owned(),
        source,
    })?;
    std::fs::write(path, text).map_err(ImageError::file("write", path))
}

/// Removes a directory tree that may not exist.
pub(crate) fn remove(dir: &Path) -> Result<(), ImageError> {
    match std::fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(ImageError::file("remove", dir)(e))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn fake(dir: &Path) -> Manifest {
        std::fs::create_dir_all(dir).unwrap();
        let mut files = BTreeMap::new();
        for name in [KERNEL, INITRAMFS] {
            std::fs::write(dir.join(name), name).unwrap();
            files.insert(name.to_owned(), sha256_file(&dir.join(name)).unwrap());
        }
        let manifest = Manifest {
            recipe: "guest-0".into(),
            kernel_release: "6.1.0".into(),
            packages: BTreeMap::new(),
            files,
        };
        write_manifest(&dir.join(MANIFEST), &manifest).unwrap();
        manifest
    }

    #[test]
    fn cached_image_is_used_without_a_word() {
        let cache = tempfile::tempdir().unwrap();
        let manifest = fake(&cache.path().join("images").join(Recipe::GUEST.key()));
        let mut lines = Vec::new();
        let image = ensure(&Recipe::GUEST, cache.path(), &mut |line| {
            lines.push(line.to_owned())
        })
        .unwrap();
        assert_eq!(image.manifest, manifest);
        assert!(lines.is_empty());
    }

    #[test]
    fn an_image_that_another_builds_holds_up_nobody_who_wants_a_third() {
        let cache = tempfile::tempdir().unwrap();
        let images = cache.path().join("images");
        let _other = lock(&images, "lab-6.12-0").unwrap();
        let _own = lock(&images, &Recipe::GUEST.key()).unwrap();
        let again = File::open(images.join("lab-6.12-0.lock")).unwrap();
        assert!(again.try_lock().is_err(), "the first lock is gone");
    }

    #[test]
    fn damage_is_found() {
        let dir = tempfile::tempdir().unwrap();
        fake(dir.path());
        std::fs::write(dir.path().join(KERNEL), "something else").unwrap();
        let error = open(dir.path()).unwrap_err();
        assert!(
            matches!(&error, ImageError::Damaged { path, .. } if path.ends_with(KERNEL)),
            "{error}"
        );
    }
}
