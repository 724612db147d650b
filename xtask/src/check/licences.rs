//! Licences of everything that is built in, and packages in more than one version.

use std::collections::BTreeMap;

use super::metadata::Metadata;

/// Licences that may be combined with Apache-2.0 in what we ship. The same list is in
/// `deny.toml`.
const ALLOWED: [&str; 13] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// One line for each package whose licence isn't allowed.
pub fn check(metadata: &Metadata) -> Vec<String> {
    metadata
        .packages
        .iter()
        .filter_map(|package| {
            let licence = package.license.as_deref().unwrap_or("");
            (!is_allowed(licence)).then(|| {
                format!(
                    "{} {}: licence {licence:?} is not allowed",
                    package.name, package.version
                )
            })
        })
        .collect()
}

/// Packages that are there in more than one version, which costs time and size.
pub fn duplicates(metadata: &Metadata) -> Vec<String> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in &metadata.packages {
        versions
            .entry(&package.name)
            .or_default()
            .push(&package.version);
    }
    versions
        .into_iter()
        .filter(|(_, versions)| versions.len() > 1)
        .map(|(name, versions)| format!("{name} ({})", versions.join(", ")))
        .collect()
}

/// Whether a licence expression (SPDX 2.3 annex D, with the older `/` for OR) can be met by
/// allowed licences. An expression that can't be read isn't allowed.
fn is_allowed(expression: &str) -> bool {
    let text = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let tokens: Vec<&str> = text.split_whitespace().collect();
    let mut at = 0;
    any(&tokens, &mut at).is_some_and(|allowed| allowed && at == tokens.len())
}

fn any(tokens: &[&str], at: &mut usize) -> Option<bool> {
    let mut allowed = all(tokens, at)?;
    while tokens.get(*at) == Some(&"OR") {
        *at += 1;
        allowed |= all(tokens, at)?;
    }
    Some(allowed)
}

fn all(tokens: &[&str], at: &mut usize) -> Option<bool> {
    let mut allowed = one(tokens, at)?;
    while tokens.get(*at) == Some(&"AND") {
        *at += 1;
        allowed &= one(tokens, at)?;
    }
    Some(allowed)
}

fn one(tokens: &[&str], at: &mut usize) -> Option<bool> {
    let token = *tokens.get(*at)?;
    *at += 1;
    if token == "(" {
        let allowed = any(tokens, at)?;
        let closed = tokens.get(*at) == Some(&")");
        *at += 1;
        return closed.then_some(allowed);
    }
    if tokens.get(*at) == Some(&"WITH") {
        let exception = tokens.get(*at + 1)?;
        *at += 2;
        return Some(ALLOWED.contains(&format!("{token} WITH {exception}").as_str()));
    }
    Some(ALLOWED.contains(&token))
}

#[cfg(test)]
mod tests {
    use super::super::metadata::example;
    use super::*;

    #[test]
    fn expressions() {
        for good in [
            "MIT",
            "MIT OR GPL-2.0",
            "MIT/Apache-2.0",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR GPL-3.0",
        ] {
            assert!(is_allowed(good), "{good}");
        }
        for bad in [
            "",
            "GPL-2.0",
            "MIT AND GPL-2.0",
            "(MIT",
            "MIT OR",
            "GPL-2.0 WITH LLVM-exception",
        ] {
            assert!(!is_allowed(bad), "{bad}");
        }
    }

    #[test]
    fn offender_is_named() {
        let metadata = example(&[("aorta-flow", "MIT", &["x"]), ("x", "AGPL-3.0", &[])]);
        assert_eq!(
            check(&metadata),
            ["x 1.0.0: licence \"AGPL-3.0\" is not allowed"]
        );
    }

    #[test]
    fn duplicates_are_named_with_their_versions() {
        let metadata = example(&[("a", "MIT", &[]), ("b", "MIT", &[]), ("a", "MIT", &[])]);
        assert_eq!(duplicates(&metadata), ["a (1.0.0, 1.0.0)"]);
    }
}
