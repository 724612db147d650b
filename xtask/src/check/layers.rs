//! Dependencies run strictly downward, and pure crates stay pure.

use super::metadata::{Metadata, Package};

/// Whether a crate may touch the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No I/O, no clock, no threads: values in, values out.
    Pure,
    /// Has effects.
    Effects,
}

/// Every crate of the workspace: name, level (it may only depend on lower ones) and kind.
pub const CRATES: [(&str, u8, Kind); 17] = [
    ("aorta-api", 0, Kind::Pure),
    ("aorta-ebpf", 0, Kind::Pure),
    ("aorta-packet", 0, Kind::Pure),
    ("aorta-flow", 1, Kind::Pure),
    ("aorta-openflow", 2, Kind::Pure),
    ("aorta-testing", 2, Kind::Pure),
    ("aorta-placement", 2, Kind::Pure),
    ("aorta-compiler", 3, Kind::Pure),
    ("aorta-stream", 0, Kind::Effects),
    ("aorta-ovsdb", 1, Kind::Effects),
    ("aorta-vm-images", 0, Kind::Effects),
    ("aorta-kernel", 4, Kind::Effects),
    ("aorta-ctl", 5, Kind::Effects),
    ("aorta-vswitchd", 5, Kind::Effects),
    ("aorta-integration", 6, Kind::Effects),
    ("aorta-mutate", 6, Kind::Effects),
    ("xtask", 7, Kind::Effects),
];

/// Packages that no pure crate may have below it, however far.
const IMPURE: [&str; 9] = [
    "aya",
    "async-io",
    "jsonrpsee",
    "libc",
    "mio",
    "nix",
    "rtnetlink",
    "rustix",
    "tokio",
];

/// Level and kind of a crate.
pub fn entry(name: &str) -> Option<(u8, Kind)> {
    CRATES.iter().find(|c| c.0 == name).map(|c| (c.1, c.2))
}

/// One line for each rule broken.
pub fn check(metadata: &Metadata) -> Vec<String> {
    let mut violations = Vec::new();
    for package in metadata.members() {
        match entry(&package.name) {
            Some((level, kind)) => {
                violations.extend(upward(metadata, package, level));
                if kind == Kind::Pure {
                    violations.extend(impure(metadata, package));
                }
            }
            None => violations.push(format!(
                "{}: not in the table of crate levels (xtask/src/check/layers.rs)",
                package.name
            )),
        }
    }
    violations
}

fn upward(metadata: &Metadata, package: &Package, level: u8) -> Vec<String> {
    metadata
        .direct(package)
        .into_iter()
        .filter_map(|name| {
            let (other, _) = entry(name)?;
            (other >= level).then(|| {
                format!(
                    "{} (level {level}) depends on {name} (level {other}): not downward",
                    package.name
                )
            })
        })
        .collect()
}

fn impure(metadata: &Metadata, package: &Package) -> Vec<String> {
    metadata
        .below(package)
        .into_iter()
        .filter(|(name, _)| IMPURE.contains(name))
        .map(|(name, parent)| {
            format!(
                "{} is pure, but {name} is below it (through {parent})",
                package.name
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::metadata::example;
    use super::*;

    #[test]
    fn upward_and_sideways_are_refused() {
        let metadata = example(&[
            ("aorta-packet", "MIT", &["aorta-flow"]),
            ("aorta-flow", "MIT", &[]),
            ("aorta-ctl", "MIT", &["aorta-vswitchd", "aorta-flow"]),
            ("aorta-vswitchd", "MIT", &[]),
        ]);
        let violations = check(&metadata);
        assert_eq!(violations.len(), 2, "{violations:?}");
        assert!(violations[0].starts_with("aorta-packet (level 0) depends on aorta-flow"));
        assert!(violations[1].starts_with("aorta-ctl (level 5) depends on aorta-vswitchd"));
    }

    #[test]
    fn effects_below_a_pure_crate_are_found_however_deep() {
        let metadata = example(&[
            ("aorta-flow", "MIT", &["harmless", "dev:tokio"]),
            ("harmless", "MIT", &["libc"]),
            ("libc", "MIT", &[]),
            ("tokio", "MIT", &[]),
        ]);
        assert_eq!(
            check(&metadata),
            ["aorta-flow is pure, but libc is below it (through harmless)"]
        );
    }

    #[test]
    fn unknown_crate_must_be_placed() {
        let violations = check(&example(&[("aorta-new", "MIT", &[])]));
        assert!(
            violations[0].contains("table of crate levels"),
            "{violations:?}"
        );
    }
}
