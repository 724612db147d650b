//! Debian packages as a source of files: found and downloaded through the host's apt,
//! unpacked, never installed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::ImageError;
use crate::cache::lock;
use crate::host::run;
use crate::suites::Suites;

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

/// Packages as one apt knows them: the host's, or that of suites of our own.
pub(crate) struct Apt<'a> {
    /// The suites; none for the host's.
    suites: Option<&'a Suites>,
    /// Where downloaded packages are kept.
    packages: PathBuf,
}

/// The packages of one kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KernelPackages {
    /// The image and, where they are packed apart, its modules; the image is the first.
    pub image: Vec<String>,
    /// What a module needs to be built for it; empty where nobody asked for it.
    pub headers: Vec<String>,
    /// Its source, likewise, `NAME=VERSION`.
    pub source: Option<String>,
}

impl<'a> Apt<'a> {
    /// The host's packages, kept below `cache`.
    pub(crate) fn of_host(cache: &Path) -> Apt<'static> {
        Apt {
            suites: None,
            packages: cache.join("packages"),
        }
    }

    /// The packages of suites.
    pub(crate) fn of_suites(suites: &'a Suites) -> Apt<'a> {
        Apt {
            packages: suites.packages(),
            suites: Some(suites),
        }
    }

    fn run(&self, dir: &Path, program: &str, args: &[&str]) -> Result<Vec<u8>, ImageError> {
        let config = self.suites.map(|suites| suites.config());
        let config = config.as_deref().map(Path::to_string_lossy);
        let mut all = Vec::new();
        if let Some(config) = &config {
            all.extend(["-c", config]);
        }
        all.extend(args);
        run(dir, program, &all)
    }

    /// Packages that make up the distribution's current kernel.
    pub(crate) fn kernel_packages(&self) -> Result<KernelPackages, ImageError> {
        for meta in KERNEL_METAPACKAGES {
            if let Some(image) = self.versioned(meta, "linux-image-")? {
                return self.image_and_modules(image);
            }
        }
        Err(ImageError::NoPackage(KERNEL_METAPACKAGES.join(", ")))
    }

    /// Packages of the newest kernel of a series, `6.12`, as Debian has them.
    pub(crate) fn series_packages(&self, series: &str) -> Result<KernelPackages, ImageError> {
        let meta = KERNEL_METAPACKAGES[0];
        let madison = self.run(Path::new("/"), "apt-cache", &["madison", meta])?;
        let madison = String::from_utf8_lossy(&madison);
        let missing = || ImageError::NoPackage(format!("{meta} of Linux {series}"));
        let version = newest_of_series(&madison, series).ok_or_else(missing)?;
        let image = self
            .versioned(&format!("{meta}={version}"), "linux-image-")?
            .ok_or_else(missing)?;
        let headers = image.replacen("linux-image-", "linux-headers-", 1);
        let parts = self.depends(&headers)?;
        let parts = parts.into_iter().filter(|name| {
            name.starts_with("linux-headers-")
                || name.starts_with("linux-kbuild-")
                || name.starts_with("linux-compiler-")
        });
        Ok(KernelPackages {
            headers: std::iter::once(headers.clone()).chain(parts).collect(),
            source: Some(format!("linux-source-{series}={version}")),
            ..self.image_and_modules(image)?
        })
    }

    fn image_and_modules(&self, image: String) -> Result<KernelPackages, ImageError> {
        let modules = self.depends(&image)?;
        let modules = modules
            .into_iter()
            .filter(|name| is_versioned(name, "linux-modules-"));
        Ok(KernelPackages {
            image: std::iter::once(image.clone()).chain(modules).collect(),
            headers: Vec::new(),
            source: None,
        })
    }

    fn versioned(&self, package: &str, prefix: &str) -> Result<Option<String>, ImageError> {
        let depends = self.depends(package)?;
        Ok(depends
            .into_iter()
            .find(|name| is_versioned(name, prefix) && !name.ends_with("-unsigned")))
    }

    /// Packages and the library packages that they need, directly or not.
    pub(crate) fn with_libraries(&self, packages: &[&str]) -> Result<Vec<String>, ImageError> {
        let mut seen: BTreeSet<String> = packages.iter().map(|name| (*name).to_owned()).collect();
        let mut todo: Vec<String> = seen.iter().cloned().collect();
        // A call reads all lists: one for each level, not for each package.
        while !todo.is_empty() {
            let names: Vec<&str> = todo.iter().map(String::as_str).collect();
            let library = |name: &String| name.starts_with("lib") || name.starts_with("zlib");
            let needed = self.depends_of(&names)?.into_iter().filter(library);
            todo = needed.filter(|name| seen.insert(name.clone())).collect();
        }
        Ok(seen.into_iter().collect())
    }

    fn depends(&self, package: &str) -> Result<Vec<String>, ImageError> {
        self.depends_of(&[package])
    }

    fn depends_of(&self, packages: &[&str]) -> Result<Vec<String>, ImageError> {
        // An unknown package is an error of apt-cache's, and none of ours: another name may exist.
        let args = [&["depends", "--important"], packages].concat();
        match self.run(Path::new("/"), "apt-cache", &args) {
            Ok(text) => Ok(parse_depends(&String::from_utf8_lossy(&text))),
            Err(ImageError::Command { .. }) => Ok(Vec::new()),
            Err(other) => Err(other),
        }
    }

    /// Downloads packages, `NAME` or `NAME=VERSION`; one that is already there in its current
    /// version isn't fetched again.
    pub(crate) fn download(&self, packages: &[String]) -> Result<Vec<Deb>, ImageError> {
        let dir = &self.packages;
        let _alone = lock(dir, "download")?;
        let mut args = vec!["-q", "-o", "APT::Sandbox::User=root", "download"];
        args.extend(packages.iter().map(String::as_str));
        self.run(dir, "apt-get", &args)?;
        let names = packages.iter();
        names
            .map(|name| newest(name.split('=').next().unwrap_or(name), dir))
            .collect()
    }
}

/// The newest version of a series in what `apt-cache madison` prints, which is newest first.
fn newest_of_series(madison: &str, series: &str) -> Option<String> {
    let mut versions = madison.lines().filter_map(|line| line.split('|').nth(1));
    let of_series = |version: &str| {
        let rest = version.strip_prefix(series);
        rest.is_some_and(|rest| rest.starts_with(['.', '-']))
    };
    versions
        .find(|version| of_series(version.trim()))
        .map(|version| version.trim().to_owned())
}

fn is_versioned(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix)
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
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
    unpack(&Apt::of_host(cache).download(&names)?, &work)?;
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
    fn newest_version_of_a_series() {
        let madison = "linux-image-amd64 | 6.12.95-1~bpo12+1 | http://deb.debian.org/debian x\n\
                       linux-image-amd64 |  6.1.192-2 | http://deb.debian.org/debian x\n\
                       linux-image-amd64 |  6.1.176-1 | http://deb.debian.org/debian x\n";
        let newest = |series| newest_of_series(madison, series);
        assert_eq!(newest("6.1").unwrap(), "6.1.192-2");
        assert_eq!(newest("6.12").unwrap(), "6.12.95-1~bpo12+1");
        assert_eq!(newest("6.13"), None);
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
