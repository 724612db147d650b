//! Sets of versions, and how two sides agree on one.

use std::fmt;

pub use aorta_flow::field::Version;

/// A set of versions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Versions(u8);

/// A text is no list of versions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no version of OpenFlow: write OpenFlow10 to OpenFlow15, with commas between")]
pub struct VersionError(String);

impl Versions {
    /// No version.
    pub const NONE: Versions = Versions(0);
    /// 1.0 to 1.5.
    pub const ALL: Versions = Versions(0x3f);

    /// Only one.
    pub fn only(version: Version) -> Versions {
        Versions(1 << version as u8)
    }

    /// All up to `highest`: what a HELLO without bitmap says (OpenFlow 1.3.5 §6.3.1).
    pub fn up_to(highest: Version) -> Versions {
        Versions(((2u16 << highest as u8) - 1) as u8)
    }

    /// These and one more.
    #[must_use]
    pub fn with(self, version: Version) -> Versions {
        Versions(self.0 | 1 << version as u8)
    }

    /// Those that both have.
    #[must_use]
    pub fn common(self, other: Versions) -> Versions {
        Versions(self.0 & other.0)
    }

    /// Whether it is among them.
    pub fn contains(self, version: Version) -> bool {
        self.0 >> version as u8 & 1 != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// From the lowest.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = Version> {
        Version::ALL.into_iter().filter(move |v| self.contains(*v))
    }

    /// The highest.
    pub fn highest(self) -> Option<Version> {
        self.iter().next_back()
    }

    /// The version that two sides use: the highest that both have (OpenFlow 1.3.5 §6.3.1).
    pub fn agree(self, other: Versions) -> Option<Version> {
        self.common(other).highest()
    }

    /// The first word of a HELLO's bitmap: bit 1 is OpenFlow 1.0.
    pub fn bitmap(self) -> u32 {
        u32::from(self.0) << 1
    }

    /// The known versions in a bitmap's first word.
    pub fn from_bitmap(bitmap: u32) -> Versions {
        Versions((bitmap >> 1) as u8 & Self::ALL.0)
    }

    /// Reads a list such as `OpenFlow10,OpenFlow13`; spaces separate too.
    ///
    /// # Errors
    /// With the word that is no version.
    pub fn from_text(text: &str) -> Result<Versions, VersionError> {
        let words = text.split([',', ' ']).filter(|word| !word.is_empty());
        words.into_iter().try_fold(Versions::NONE, |all, word| {
            let version = Version::ALL.into_iter().find(|v| name(*v) == word);
            let version = version.ok_or_else(|| VersionError(word.to_owned()))?;
            Ok(all.with(version))
        })
    }
}

/// A version's name: `OpenFlow13`.
pub fn name(version: Version) -> &'static str {
    match version {
        Version::OpenFlow10 => "OpenFlow10",
        Version::OpenFlow11 => "OpenFlow11",
        Version::OpenFlow12 => "OpenFlow12",
        Version::OpenFlow13 => "OpenFlow13",
        Version::OpenFlow14 => "OpenFlow14",
        Version::OpenFlow15 => "OpenFlow15",
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, version) in self.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { "," })?;
            f.write_str(name(version))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_agree_on_the_highest_that_both_have() {
        let old = Versions::up_to(Version::OpenFlow13);
        let holes = Versions::from_text("OpenFlow10,OpenFlow12 OpenFlow15").unwrap();
        assert_eq!(old.agree(holes), Some(Version::OpenFlow12));
        assert_eq!(holes.agree(Versions::only(Version::OpenFlow11)), None);
        assert_eq!(Versions::up_to(Version::OpenFlow15), Versions::ALL);
    }

    #[test]
    fn text_and_bitmap_both_ways() {
        let versions = Versions::from_text("OpenFlow10,OpenFlow13,OpenFlow14").unwrap();
        assert_eq!(versions.to_string(), "OpenFlow10,OpenFlow13,OpenFlow14");
        assert_eq!(versions.bitmap(), 0x32);
        assert_eq!(Versions::from_bitmap(0xffff_0032), versions);
        let refused = Versions::from_text("OpenFlow16").unwrap_err();
        assert!(refused.to_string().contains("OpenFlow16"));
    }
}
