//! What is packaged: version and time.

use std::process::Command;

use crate::error::TaskError;
use crate::proc::{output, root};

/// Which sources a package is made of.
#[derive(Debug, Clone)]
pub struct Release {
    /// The package's version.
    pub version: String,
    /// Seconds since 1970, to which files of the package date: `$SOURCE_DATE_EPOCH`, else when the
    /// sources were committed.
    pub epoch: u64,
}

impl Release {
    /// Of the workspace; `version` instead of its own.
    ///
    /// # Errors
    /// When git can't tell about the sources, and the environment doesn't.
    pub fn read(version: Option<&str>) -> Result<Release, TaskError> {
        let given = std::env::var("SOURCE_DATE_EPOCH").ok();
        let given = given.and_then(|seconds| seconds.trim().parse().ok());
        let epoch = match given {
            Some(epoch) => epoch,
            None => git(&["log", "-1", "--format=%ct"])?.parse().unwrap_or(0),
        };
        let version = match version {
            Some(version) => version.to_owned(),
            None => commit_version()?,
        };
        Ok(Release { version, epoch })
    }

    /// The time as a command of `date` prints it.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn date(&self, format: &str) -> Result<String, TaskError> {
        let when = format!("@{}", self.epoch);
        let mut date = Command::new("date");
        date.env("LC_ALL", "C").args(["-u", "-d", &when, format]);
        Ok(text(&output(&mut date)?))
    }

    /// The package's changelog.
    ///
    /// # Errors
    /// As [`Release::date`].
    pub fn changelog(&self) -> Result<String, TaskError> {
        Ok(format!(
            "aorta ({}) unstable; urgency=medium\n\n  * Made of the sources of that version.\n\n \
             -- Aorta developers <aorta-switch@users.noreply.github.com>  {}\n",
            self.version,
            self.date("+%a, %d %b %Y %H:%M:%S +0000")?
        ))
    }
}

/// The version of Cargo.toml; of a commit that isn't tagged so with its time and name behind it, so
/// that a later one is an upgrade.
fn commit_version() -> Result<String, TaskError> {
    let version = env!("CARGO_PKG_VERSION");
    let tags = git(&["tag", "--points-at", "HEAD"])?;
    let clean = git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    if clean
        && tags
            .lines()
            .any(|tag| tag.trim_start_matches('v') == version)
    {
        return Ok(version.to_owned());
    }
    let time = git(&["log", "-1", "--date=format:%Y%m%d%H%M%S", "--format=%cd.%h"])?;
    let changed = if clean { "" } else { ".changed" };
    Ok(format!("{version}+git{time}{changed}"))
}

fn git(args: &[&str]) -> Result<String, TaskError> {
    let mut git = Command::new("git");
    git.current_dir(root()).env("TZ", "UTC").args(args);
    Ok(text(&output(&mut git)?))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_of_the_world() {
        let release = Release {
            version: "1".into(),
            epoch: 0,
        };
        assert_eq!(release.date("+%Y-%m-%d %H").unwrap(), "1970-01-01 00");
        let text = release.changelog().unwrap();
        assert!(
            text.ends_with("  Thu, 01 Jan 1970 00:00:00 +0000\n"),
            "{text}"
        );
    }

    #[test]
    fn a_version_begins_with_a_digit() {
        let release = Release::read(None).unwrap();
        assert!(release.version.starts_with(env!("CARGO_PKG_VERSION")));
        assert!(release.epoch > 1_700_000_000);
    }
}
