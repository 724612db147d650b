//! Debian packages as a source of files: found and downloaded through the host's apt,
//! unpacked, never installed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::ImageError;
use crate::host::run;

/// A downloaded package.
#[derive(Debug, Clone)]
pub(crate) struct Deb {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// Packages of which one is named first (Debian) and another stands in elsewhere (Ubuntu).
const KERNEL_METAPACKAGES: [&str; 2] = ["linux-image-amd64", "linux-image-generic"];

/// Packages that make up the distribution's current kernel: the image and, where they are
/// packed apart, its modules.
pub(crate) fn kernel_packages() -> Result<Vec<String>, ImageError> {
    for meta in KERNEL_METAPACKAGES {
        let Some(image) = depends(meta)?
            .into_iter()
            .find(|name| is_versioned(name, "linux-image-"))
        else {
            continue;
        };
        let modules = depends(&image)?
            .into_iter()
            .filter(|name| is_versioned(name, "linux-modules-"));
        return Ok(std::iter::once(image.clone()).chain(modules).collect());
    }
    Err(ImageError::NoPackage(KERNEL_METAPACKAGES.join(", ")))
}

fn is_versioned(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix)
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// A package and the library packages that it needs, directly or not.
pub(crate) fn with_libraries(package: &str) -> Result<Vec<String>, ImageError> {
    let mut seen = BTreeSet::from([package.to_owned()]);
    let mut todo = vec![package.to_owned()];
    while let Some(name) = todo.pop() {
        for dependency in depends(&name)? {
            let library = dependency.starts_with("lib") || dependency.starts_with("zlib");
            if library && seen.insert(dependency.clone()) {
                todo.push(dependency);
            }
        }
    }
    Ok(seen.into_iter().collect())
}

fn depends(package: &str) -> Result<Vec<String>, ImageError> {
    // An unknown package is an error of apt-cache's, and none of ours: another name may exist.
    match run(
        Path::new("/"),
        "apt-cache",
        &["depends", "--important", package],
    ) {
        Ok(text) => Ok(parse_depends(&String::from_utf8_lossy(&text))),
        Err(ImageError::Command { .. }) => Ok(Vec::new()),
        Err(other) => Err(other),
    }
}

fn parse_depends(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| {
            line.trim_start_matches([' ', '|'])
                .strip_prefix("Depends: ")
        })
        .filter(|name| !name.starts_with('<'))
        .map(|name| name.split(':').next().unwrap_or(name).to_owned())
        .collect()
}

/// Downloads packages into `dir`; a package that is already there in its current version
/// isn't fetched again.
pub(crate) fn download(packages: &[String], dir: &Path) -> Result<Vec<Deb>, ImageError> {
    std::fs::create_dir_all(dir).map_err(ImageError::file("make", dir))?;
    let mut args = vec!["-q", "-o", "APT::Sandbox::User=root", "download"];
    args.extend(packages.iter().map(String::as_str));
    run(dir, "apt-get", &args)?;
    packages.iter().map(|name| newest(name, dir)).collect()
}

fn newest(name: &str, dir: &Path) -> Result<Deb, ImageError> {
    let prefix = format!("{name}_");
    let mut found: Option<(std::time::SystemTime, PathBuf)> = None;
    for entry in std::fs::read_dir(dir).map_err(ImageError::file("list", dir))? {
        let entry = entry.map_err(ImageError::file("list", dir))?;
        let file_name = entry.file_name().to_string_lossy().into_owned();
        if !file_name.starts_with(&prefix) || !file_name.ends_with(".deb") {
            continue;
        }
        // apt keeps the archive's time on the file: the newest package, not the last download.
        let time = entry
            .metadata()
            .and_then(|m| m.modified())
            .map_err(ImageError::file("look at", entry.path()))?;
        if found.as_ref().is_none_or(|(best, _)| time > *best) {
            found = Some((time, entry.path()));
        }
    }
    let (_, path) = found.ok_or_else(|| ImageError::NoPackage(name.to_owned()))?;
    Ok(Deb {
        name: name.to_owned(),
        path,
    })
}

/// Downloads packages into `cache` and unpacks them into `dir`, without installing anything and
/// without what they depend on.
///
/// # Errors
/// When apt doesn't have one, or it can't be unpacked. `dir` is only there when all went well.
pub fn unpack_packages(names: &[&str], cache: &Path, dir: &Path) -> Result<(), ImageError> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let work = dir.with_extension("new");
    crate::image::remove(&work)?;
    unpack(&download(&names, &cache.join("packages"))?, &work)?;
    crate::image::remove(dir)?;
    std::fs::rename(&work, dir).map_err(ImageError::file("put in place", dir))
}

/// Unpacks packages over each other into `dir`.
pub(crate) fn unpack(debs: &[Deb], dir: &Path) -> Result<(), ImageError> {
    std::fs::create_dir_all(dir).map_err(ImageError::file("make", dir))?;
    for deb in debs {
        run(
            dir,
            "dpkg-deb",
            &["-x", &deb.path.to_string_lossy(), &dir.to_string_lossy()],
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_without_virtual_packages_and_architectures() {
        let text = "iperf3\n  Depends: libc6\n |Depends: debconf\n  Depends: <debconf-2.0>\n    \
                    cdebconf\n  Depends: libssl3:amd64\n";
        assert_eq!(parse_depends(text), ["libc6", "debconf", "libssl3"]);
    }

    #[test]
    fn versioned_kernel_names() {
        assert!(is_versioned("linux-image-6.1.0-9-amd64", "linux-image-"));
        assert!(!is_versioned("linux-image-generic", "linux-image-"));
        assert!(!is_versioned("wireless-regdb", "linux-modules-"));
    }

    #[test]
    fn newest_deb_of_exactly_that_name() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str, s: u64| {
            let file = std::fs::File::create(dir.path().join(name)).unwrap();
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(s);
            file.set_modified(time).unwrap();
        };
        make("libc6_2.9_amd64.deb", 5);
        make("libc6_2.36_amd64.deb", 9);
        make("libc6-dev_2.36_amd64.deb", 20);
        let deb = newest("libc6", dir.path()).unwrap();
        assert!(deb.path.ends_with("libc6_2.36_amd64.deb"));
        assert!(newest("zlib1g", dir.path()).is_err());
    }
}
