//! Errors by name and by number, in each version.

mod rows;

use std::fmt;

use aorta_flow::table::{BundleError, TableError};

use crate::version::Version;

/// An error that a switch tells, by its symbolic name.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode(u8);

/// Numbers of an error in one version.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct WireError {
    /// Who defined it; 0 for the standard.
    pub vendor: u32,
    /// Its type, or the experimenter's type.
    pub kind: u16,
    /// Its code; 0 for an experimenter's error of OpenFlow 1.2 and later.
    pub code: u16,
}

struct Row {
    name: &'static str,
    numbers: &'static [Numbers],
}

/// Numbers in the versions from 1.`first` to 1.`last`.
struct Numbers {
    first: u8,
    last: u8,
    vendor: u32,
    kind: u16,
    code: u16,
}

impl ErrorCode {
    /// All of them.
    pub fn all() -> impl Iterator<Item = ErrorCode> {
        (0..rows::ROWS.len()).map(|at| ErrorCode(at as u8))
    }

    /// Its name: `OFPBRC_BAD_LEN`.
    pub fn name(self) -> &'static str {
        rows::ROWS[usize::from(self.0)].name
    }

    /// The error of a name.
    pub fn by_name(name: &str) -> Option<ErrorCode> {
        ErrorCode::all().find(|error| error.name() == name)
    }

    /// Its numbers in a version, if that has it.
    pub fn wire(self, version: Version) -> Option<WireError> {
        let minor = version as u8;
        let numbers = rows::ROWS[usize::from(self.0)].numbers;
        let found = numbers
            .iter()
            .find(|n| (n.first..=n.last).contains(&minor))?;
        Some(WireError {
            vendor: found.vendor,
            kind: found.kind,
            code: found.code,
        })
    }

    /// The error of these numbers in a version, if it is known.
    pub fn from_wire(version: Version, numbers: WireError) -> Option<ErrorCode> {
        ErrorCode::all().find(|error| error.wire(version) == Some(numbers))
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<&TableError> for ErrorCode {
    /// The error that a controller gets.
    fn from(error: &TableError) -> ErrorCode {
        let name = error.openflow().name;
        ErrorCode::by_name(name).unwrap_or(ErrorCode::OFPFMFC_UNKNOWN)
    }
}

impl From<&BundleError> for ErrorCode {
    fn from(error: &BundleError) -> ErrorCode {
        ErrorCode::from(&error.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back_to_the_error_or_to_the_first_that_shares_them() {
        for version in Version::ALL {
            for error in ErrorCode::all() {
                let Some(numbers) = error.wire(version) else {
                    continue;
                };
                let found = ErrorCode::from_wire(version, numbers).unwrap();
                let shared = [
                    (ErrorCode::OFPBRC_EPERM, ErrorCode::OFPBRC_IS_SLAVE),
                    (
                        ErrorCode::OFPBIC_BAD_EXPERIMENTER,
                        ErrorCode::OFPBIC_BAD_EXP_TYPE,
                    ),
                ];
                assert!(
                    found == error || shared.contains(&(found, error)),
                    "{error} {version}"
                );
            }
        }
    }

    #[test]
    fn names_lead_to_errors() {
        for error in ErrorCode::all() {
            assert_eq!(ErrorCode::by_name(error.name()), Some(error));
        }
        assert_eq!(ErrorCode::OFPBRC_BAD_LEN.name(), "OFPBRC_BAD_LEN");
        let table = TableError::NoGroup(1);
        assert_eq!(ErrorCode::from(&table), ErrorCode::OFPBAC_BAD_OUT_GROUP);
        let overlap = ErrorCode::OFPFMFC_OVERLAP
            .wire(Version::OpenFlow10)
            .unwrap();
        assert_eq!((overlap.vendor, overlap.kind, overlap.code), (0, 3, 1));
    }
}
