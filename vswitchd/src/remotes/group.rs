//! Numbers of groups.

use std::process::Command;
use std::{fs, io};

/// There is no such group.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// Nobody knows it.
    #[error("there is no group {0:?}: make it with `groupadd --system {0}`, or name another")]
    Unknown(String),
    /// The list of groups can't be read.
    #[error("cannot look up the group {name:?}")]
    Io {
        /// The group.
        name: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

/// The number of a group, given by name or number.
pub fn gid(name: &str) -> Result<u32, GroupError> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let local = fs::read_to_string("/etc/group").unwrap_or_default();
    if let Some(gid) = find(&local, name) {
        return Ok(gid);
    }
    // Groups of a directory service.
    let output = Command::new("getent").args(["group", "--", name]).output();
    let output = output.map_err(|source| GroupError::Io {
        name: name.to_owned(),
        source,
    })?;
    let found = String::from_utf8_lossy(&output.stdout);
    find(&found, name).ok_or_else(|| GroupError::Unknown(name.to_owned()))
}

/// Reads lines of the form `name:password:number:members`.
fn find(list: &str, name: &str) -> Option<u32> {
    list.lines().find_map(|line| {
        let mut fields = line.split(':');
        let known = fields.next()?;
        let number = fields.nth(1)?;
        (known == name).then(|| number.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_by_name_and_number() {
        assert_eq!(
            find("root:x:0:\nkvm:x:104:libvirt-qemu,a\n", "kvm"),
            Some(104)
        );
        assert_eq!(find("kvmx:x:104:\n:\nkvm\n", "kvm"), None);
        assert_eq!(gid("12").unwrap(), 12);
        assert_eq!(gid("root").unwrap(), 0);
        let unknown = gid("no-such-group").unwrap_err().to_string();
        assert!(unknown.contains("groupadd"), "{unknown}");
    }
}
