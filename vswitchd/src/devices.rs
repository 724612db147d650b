//! How the switch's own devices are named and recognised. An internal port is a veth pair: the
//! host's end has the port's name, the hidden end is what the switch attaches to.

use aorta_kernel::netdev::qdisc::Mark;
use aorta_kernel::netdev::{Link, MAX_NAME_LEN};

/// Prefix of the hidden end's name.
const HIDDEN_PREFIX: &str = "ao";
/// How the alias of a hidden end starts.
const ALIAS_PREFIX: &str = "aorta: switch side of ";

/// Name of the hidden end of the port `port`, always the same and at most 15 bytes: the port's
/// name if there is room, else its start and a hash.
pub fn hidden_name(port: &str) -> String {
    let room = MAX_NAME_LEN - HIDDEN_PREFIX.len();
    if port.len() <= room {
        return format!("{HIDDEN_PREFIX}{port}");
    }
    let mut start = room - 8;
    while !port.is_char_boundary(start) {
        start -= 1;
    }
    format!(
        "{HIDDEN_PREFIX}{}{:08x}",
        &port[..start],
        fnv1a(port.as_bytes())
    )
}

/// FNV-1a, 32 bits: stable across versions of this program, unlike the standard library's hash.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, &b| {
        (hash ^ u32::from(b)).wrapping_mul(0x0100_0193)
    })
}

/// Alias by which the hidden end of `port` is known as this instance's.
pub fn hidden_alias(port: &str, instance: &str) -> String {
    format!("{ALIAS_PREFIX}{port} ({instance})")
}

/// Name of the instance that serves a rundir: its path with `-` for `/`. The name is also that of
/// a directory in the BPF file system, which takes no dots: `.` is `%2e`, and `-` and `%` are
/// written alike, so that different paths have different names.
pub fn instance_name(rundir: &std::path::Path) -> String {
    let mut name = String::new();
    for c in rundir.to_string_lossy().trim_matches('/').chars() {
        match c {
            '/' => name.push('-'),
            '.' => name.push_str("%2e"),
            '-' => name.push_str("%2d"),
            '%' => name.push_str("%25"),
            other => name.push(other),
        }
    }
    name
}

/// What the queueing disciplines of an instance are known by.
pub fn qdisc_mark(instance: &str) -> Mark {
    Mark::new(fnv1a(instance.as_bytes()))
}

/// Whose hidden end a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner<'a> {
    /// Nobody's: an ordinary device.
    Nobody,
    /// This instance's, for the port of that name.
    Us(&'a str),
    /// Another instance's.
    Another,
}

/// Reads a device's alias.
pub fn owner<'a>(link: &'a Link, instance: &str) -> Owner<'a> {
    let Some(rest) = link
        .alias
        .as_deref()
        .and_then(|a| a.strip_prefix(ALIAS_PREFIX))
    else {
        return Owner::Nobody;
    };
    let ours = rest
        .strip_suffix(')')
        .and_then(|r| r.strip_suffix(instance));
    match ours.and_then(|r| r.strip_suffix(" (")) {
        Some(port) => Owner::Us(port),
        None => Owner::Another,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::testing::link;

    #[test]
    fn hidden_names_fit_and_differ() {
        assert_eq!(hidden_name("br0"), "aobr0");
        assert_eq!(hidden_name("thirteenbytes"), "aothirteenbytes");
        let (a, b) = (
            hidden_name("fifteen-bytes-a"),
            hidden_name("fifteen-bytes-b"),
        );
        assert_ne!(a, b);
        assert_eq!((a.len(), b.len()), (15, 15));
        assert_eq!(hidden_name("fifteen-bytes-a"), a);
        assert!(hidden_name("ääääääää").len() <= 15);
    }

    #[test]
    fn instance_names_have_no_dots_and_differ() {
        let name = |path: &str| instance_name(Path::new(path));
        assert_eq!(name("/tmp/sw.1"), "tmp-sw%2e1");
        assert_ne!(name("/tmp/a-b"), name("/tmp/a/b"));
        assert_ne!(name("/tmp/a%2eb"), name("/tmp/a.b"));
    }

    #[test]
    fn aliases_tell_the_owner() {
        let instance = instance_name(Path::new("/run/openvswitch"));
        assert_eq!(instance, "run-openvswitch");
        let mut device = link(5, "aobr0");
        assert_eq!(owner(&device, &instance), Owner::Nobody);
        device.alias = Some(hidden_alias("br0", &instance));
        assert_eq!(owner(&device, &instance), Owner::Us("br0"));
        assert_eq!(owner(&device, "tmp-x"), Owner::Another);
        assert_eq!(
            owner(&device, "openvswitch"),
            Owner::Another,
            "a suffix is another name"
        );
    }
}
