//! Suites of Debian that the host's apt isn't set up for: lists and packages of their own, so that
//! nothing of the host's changes.

use std::path::{Path, PathBuf};

use crate::ImageError;
use crate::cache::lock;
use crate::host::run;

/// The key that Debian's suites are signed with; its package is debian-archive-keyring.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Debian 12 with its backports, which have the kernels of both series.
const SOURCES: &str = "\
Types: deb
URIs: http://deb.debian.org/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main
Architectures: amd64
Signed-By: KEYRING

Types: deb
URIs: http://deb.debian.org/debian-security
Suites: bookworm-security
Components: main
Architectures: amd64
Signed-By: KEYRING
";

/// An apt of our own, in a directory.
pub(crate) struct Suites {
    dir: PathBuf,
}

impl Suites {
    /// Makes the directory, and reads the lists of packages if it has none.
    pub(crate) fn open(cache: &Path, progress: &mut dyn FnMut(&str)) -> Result<Suites, ImageError> {
        let dir = cache.join("bookworm");
        let suites = Suites { dir };
        if !Path::new(KEYRING).is_file() {
            return Err(ImageError::NoKeyring(KEYRING));
        }
        for part in [
            "lists/partial",
            "cache/archives/partial",
            "preferences.d",
            "packages",
        ] {
            let dir = suites.dir.join(part);
            std::fs::create_dir_all(&dir).map_err(ImageError::file("make", &dir))?;
        }
        let _alone = lock(&suites.dir, "lists")?;
        suites.write("debian.sources", &SOURCES.replace("KEYRING", KEYRING))?;
        suites.write("apt.conf", &configuration(&suites.dir))?;
        progress("reading the lists of packages of Debian 12");
        let config = suites.config();
        run(
            &suites.dir,
            "apt-get",
            &["-c", &config.to_string_lossy(), "-q", "update"],
        )?;
        Ok(suites)
    }

    /// Configuration of apt, for its option `-c`.
    pub(crate) fn config(&self) -> PathBuf {
        self.dir.join("apt.conf")
    }

    /// Where downloaded packages are kept.
    pub(crate) fn packages(&self) -> PathBuf {
        self.dir.join("packages")
    }

    fn write(&self, name: &str, text: &str) -> Result<(), ImageError> {
        let path = self.dir.join(name);
        std::fs::write(&path, text).map_err(ImageError::file("write", &path))
    }
}

/// What differs from the host's configuration: its proxies stay in force.
fn configuration(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "Dir::State::Lists \"{dir}/lists\";\n\
         Dir::State::status \"/dev/null\";\n\
         Dir::Cache \"{dir}/cache\";\n\
         Dir::Etc::SourceList \"{dir}/debian.sources\";\n\
         Dir::Etc::SourceParts \"-\";\n\
         Dir::Etc::Preferences \"-\";\n\
         Dir::Etc::PreferencesParts \"{dir}/preferences.d\";\n\
         Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n\
         APT::Architecture \"amd64\";\n\
         APT::Default-Release \"\";\n\
         APT::Sandbox::User \"root\";\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_hosts_is_read_or_written() {
        let text = configuration(Path::new("/c/bookworm"));
        for part in [
            "State::Lists",
            "State::status",
            "Dir::Cache",
            "SourceList",
            "SourceParts",
        ] {
            assert!(text.contains(part), "{part}");
        }
        assert!(!text.contains("/var/") && !text.contains("/etc/"));
    }
}
