//! The ways to write flows, which depend on versions and extensions (ovs-ofctl(8),
//! `--flow-format`).

use std::fmt;

use aorta_openflow::{Version, Versions};
use thiserror::Error;

/// A set of ways to write flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Formats(u16);

/// No such way to write flows.
#[derive(Debug, Error)]
#[error("{0}: unknown flow protocol")]
pub struct UnknownFormat(String);

/// Names, and shorter ones for several together, the most first.
const NAMES: [(&str, Formats); 13] = [
    ("any", Formats::ALL),
    ("OpenFlow10", Formats(3)),
    ("NXM", Formats(12)),
    ("OXM", Formats(0x1e0)),
    ("OpenFlow10-table_id", Formats::OPENFLOW10),
    ("OpenFlow10+table_id", Formats::OPENFLOW10_TABLE_ID),
    ("NXM-table_id", Formats::NXM),
    ("NXM+table_id", Formats::NXM_TABLE_ID),
    ("OpenFlow11", Formats::OPENFLOW11),
    ("OXM-OpenFlow12", Formats(1 << 5)),
    ("OXM-OpenFlow13", Formats(1 << 6)),
    ("OXM-OpenFlow14", Formats(1 << 7)),
    ("OXM-OpenFlow15", Formats(1 << 8)),
];

impl Formats {
    /// None.
    pub const NONE: Formats = Formats(0);
    /// All.
    pub const ALL: Formats = Formats(0x1ff);
    /// OpenFlow 1.0's own.
    pub const OPENFLOW10: Formats = Formats(1);
    /// The same with tables.
    pub const OPENFLOW10_TABLE_ID: Formats = Formats(2);
    /// Nicira's extended match.
    pub const NXM: Formats = Formats(4);
    /// The same with tables.
    pub const NXM_TABLE_ID: Formats = Formats(8);
    /// OpenFlow 1.1's.
    pub const OPENFLOW11: Formats = Formats(16);
    /// Those that have meters.
    pub const OPENFLOW13_UP: Formats = Formats(0x1c0);

    /// Those that some of the versions have.
    pub fn of_versions(versions: Versions) -> Formats {
        versions.iter().fold(Formats::NONE, |all, version| {
            all.with(Formats::of_version(version))
        })
    }

    /// Those that a version has.
    pub fn of_version(version: Version) -> Formats {
        match version {
            Version::OpenFlow10 => Formats(0xf),
            version => Formats(1 << (3 + version as u16)),
        }
    }

    /// Versions that have some of them.
    pub fn versions(self) -> Versions {
        Version::ALL
            .into_iter()
            .filter(|version| !self.common(Formats::of_version(*version)).is_empty())
            .fold(Versions::NONE, Versions::with)
    }

    /// Reads names with commas between.
    pub fn from_text(text: &str) -> Result<Formats, UnknownFormat> {
        text.split(',').try_fold(Formats::NONE, |all, word| {
            let known = NAMES
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(word));
            let (_, formats) = known.ok_or_else(|| UnknownFormat(word.to_owned()))?;
            Ok(all.with(*formats))
        })
    }

    /// These and those.
    #[must_use]
    pub fn with(self, other: Formats) -> Formats {
        Formats(self.0 | other.0)
    }

    /// Those that both have.
    #[must_use]
    pub fn common(self, other: Formats) -> Formats {
        Formats(self.0 & other.0)
    }

    /// The first of them, which is the most widely known, with its version.
    pub fn first(self) -> Option<(Formats, Version)> {
        let one = Formats(self.0 & self.0.wrapping_neg());
        let version = one.versions().iter().next()?;
        Some((one, version))
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether there is one of these.
    pub fn has(self, other: Formats) -> bool {
        self.0 & other.0 != 0
    }
}

impl fmt::Display for Formats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        let mut left = *self;
        let mut names = Vec::new();
        for (name, formats) in NAMES {
            if left.common(formats) == formats {
                names.push(name);
                left = Formats(left.0 & !formats.0);
            }
        }
        f.write_str(&names.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_several() {
        let text = |text| Formats::from_text(text).unwrap().to_string();
        assert_eq!(text("nxm,openflow10"), "OpenFlow10,NXM");
        assert_eq!(text("NXM+table_id,OXM"), "OXM,NXM+table_id");
        assert_eq!(Formats::ALL.to_string(), "any");
        assert_eq!(
            Formats::OPENFLOW13_UP.to_string(),
            "OXM-OpenFlow13,OXM-OpenFlow14,OXM-OpenFlow15"
        );
        assert!(Formats::from_text("foo").is_err());
    }

    #[test]
    fn versions_have_formats() {
        let only = |version| Formats::of_versions(Versions::only(version));
        assert_eq!(only(Version::OpenFlow10).to_string(), "OpenFlow10,NXM");
        assert_eq!(only(Version::OpenFlow11).to_string(), "OpenFlow11");
        assert_eq!(only(Version::OpenFlow15).to_string(), "OXM-OpenFlow15");
        let nxm = Formats::NXM.versions();
        assert_eq!(nxm, Versions::only(Version::OpenFlow10));
    }
}
