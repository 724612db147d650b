//! What can go wrong while an image is made.

use std::path::{Path, PathBuf};

/// Why an image isn't there.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A file or directory could not be read, made or moved.
    #[error("{action} {path}")]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A program of the host could not be started.
    #[error(
        "cannot start {program}: is it installed? (`cargo xtask setup` installs what is needed)"
    )]
    Start {
        /// Its name.
        program: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A program of the host ended with an error.
    #[error("`{command}` failed ({status}): {stderr}")]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The end of what it wrote to standard error.
        stderr: String,
    },
    /// No package of these names can be had.
    #[error(
        "apt knows none of: {0}; Debian 12, 13 and Ubuntu 24.04 have them (try `apt-get update`)"
    )]
    NoPackage(String),
    /// A package doesn't hold what the recipe takes from it.
    #[error("{what} is not in the package {package}")]
    Missing {
        /// What was looked for.
        what: String,
        /// Where.
        package: String,
    },
    /// A kernel module that the recipe or another module asks for isn't there.
    #[error("kernel {release} has no module {module}")]
    NoModule {
        /// Name of the module.
        module: String,
        /// The kernel's release.
        release: String,
    },
    /// A shared library isn't in any of the packages.
    #[error("no package brings {library}, which {needed_by} needs")]
    NoLibrary {
        /// Name of the library.
        library: String,
        /// Who needs it.
        needed_by: String,
    },
    /// A file that should be an ELF object isn't one.
    #[error("{path} is not an ELF file as expected")]
    Elf {
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: object::Error,
    },
    /// The image's manifest can't be read or written.
    #[error("manifest {path}")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: serde_json::Error,
    },
    /// A cached file is not the one that was built.
    #[error(
        "{path} is damaged: its SHA-256 is {found}, the manifest says {expected}; delete {path} and build again"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What it hashes to.
        found: String,
        /// What it should hash to.
        expected: String,
    },
    /// The key of Debian's suites isn't there.
    #[error("{0} is missing: install the package debian-archive-keyring")]
    NoKeyring(&'static str),
    /// Neither `AORTA_CACHE` nor `XDG_CACHE_HOME` nor `HOME` is set.
    #[error("no place for the image cache: set AORTA_CACHE, XDG_CACHE_HOME or HOME")]
    NoCache,
}

impl ImageError {
    /// Builds the error of a failed file operation, for `map_err`.
    pub(crate) fn file(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(std::io::Error) -> ImageError {
        let path = path.as_ref().to_owned();
        move |source| ImageError::File {
            action,
            path,
            source,
        }
    }
}
