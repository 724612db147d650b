//! Files of the host in the root file system of a machine.

use std::path::{Path, PathBuf};

use aorta_vm_images::Image;
use aorta_vm_images::cpio::Archive;

use super::LabError;

/// Writes an image's root file system with an archive behind it: the kernel unpacks both.
pub(super) fn append(image: &Image, archive: Archive, to: &Path) -> Result<(), LabError> {
    let base = &image.initramfs;
    let mut bytes = std::fs::read(base).map_err(LabError::file("read", base))?;
    bytes.extend(archive.finish());
    std::fs::write(to, bytes).map_err(LabError::file("write", to))
}

/// Puts files into an archive, as programs of a directory.
pub(super) fn add_programs(
    archive: &mut Archive,
    dir: &str,
    files: &[(PathBuf, String)],
) -> Result<(), LabError> {
    for (from, name) in files {
        let content = std::fs::read(from).map_err(LabError::file("read", from))?;
        archive.file(&format!("{dir}/{name}"), 0o755, &content);
    }
    Ok(())
}
