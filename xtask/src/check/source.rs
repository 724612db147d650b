//! What may be written where: unsafe code in one place, effects only in crates that may have
//! them.

use std::path::{Path, PathBuf};

use super::layers::{Kind, entry};
use super::metadata::Metadata;
use crate::error::TaskError;

/// The only place where unsafe code is allowed: a file or directory below the root.
const UNSAFE_HOME: &str = "datapath/kernel/src/sys";
/// Line that every other crate begins with.
const FORBID: &str = "#![forbid(unsafe_code)]";
/// Crate that can't forbid unsafe code because it holds the one place.
const UNSAFE_CRATE: &str = "aorta-kernel";
/// What a pure crate doesn't name outside its tests.
const EFFECTS: [&str; 8] = [
    "std::fs",
    "std::process",
    "std::thread",
    "std::env",
    "std::io::stdin",
    "TcpStream",
    "Instant::now",
    "SystemTime::now",
];

/// One line for each rule broken.
///
/// # Errors
/// When a file can't be read.
pub fn check(metadata: &Metadata, root: &Path) -> Result<Vec<String>, TaskError> {
    let mut violations = Vec::new();
    for package in metadata.members() {
        let dir = package.manifest_path.parent().unwrap_or(root);
        let pure = entry(&package.name).is_some_and(|(_, kind)| kind == Kind::Pure);
        for path in rust_files(dir)? {
            let text = std::fs::read_to_string(&path).map_err(TaskError::file("read", &path))?;
            let shown = path.strip_prefix(root).unwrap_or(&path);
            violations.extend(check_unsafe(shown, &text));
            if pure && shown.components().any(|c| c.as_os_str() == "src") {
                violations.extend(check_effects(shown, &text));
            }
            let is_root = path == dir.join("src/lib.rs") || path == dir.join("src/main.rs");
            if is_root && package.name != UNSAFE_CRATE && !text.contains(FORBID) {
                violations.push(format!("{}: lacks {FORBID}", shown.display()));
            }
        }
    }
    Ok(violations)
}

fn rust_files(dir: &Path) -> Result<Vec<PathBuf>, TaskError> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(TaskError::file("list", dir))? {
        let path = entry.map_err(TaskError::file("list", dir))?.path();
        // A crate below another is a member of its own.
        if path.is_dir() && !path.ends_with("target") && !path.join("Cargo.toml").exists() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

fn check_unsafe(shown: &Path, text: &str) -> Option<String> {
    let home = Path::new(UNSAFE_HOME);
    if shown.starts_with(home) || shown == home.with_extension("rs") {
        return None;
    }
    let line = code_lines(text).position(|code| words(&code).any(|word| word == "unsafe"))?;
    Some(format!(
        "{}:{}: unsafe code outside {UNSAFE_HOME}",
        shown.display(),
        line + 1
    ))
}

fn check_effects(shown: &Path, text: &str) -> Vec<String> {
    code_lines(text)
        .take_while(|code| !code.trim_start().starts_with("#[cfg(test)]"))
        .enumerate()
        .filter_map(|(n, code)| {
            let effect = EFFECTS.into_iter().find(|effect| code.contains(effect))?;
            Some(format!(
                "{}:{}: {effect} in a pure crate",
                shown.display(),
                n + 1
            ))
        })
        .collect()
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// The lines without string contents and line comments. Good enough for finding words: block
/// comments and strings over several lines are taken for code.
fn code_lines(text: &str) -> impl Iterator<Item = String> {
    text.lines().map(|line| {
        let mut code = String::new();
        let mut chars = line.chars().peekable();
        let mut in_string = false;
        while let Some(c) = chars.next() {
            match (in_string, c) {
                (true, '\\') => drop(chars.next()),
                (true, '"') => in_string = false,
                (true, _) => {}
                (false, '/') if chars.peek() == Some(&'/') => break,
                // A quote as a character is no string.
                (false, '\'') if chars.peek() == Some(&'"') => drop(chars.next()),
                (false, '"') => in_string = true,
                (false, c) => code.push(c),
            }
        }
        code
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_is_found_in_code_only() {
        let find = |text: &str| check_unsafe(Path::new("api/src/lib.rs"), text);
        assert_eq!(
            find("// unsafe\nlet a = \"unsafe\"; // unsafe\n#![forbid(unsafe_code)]"),
            None
        );
        let found = find("fn f() {\n    unsafe { g() }\n}").unwrap();
        assert!(found.starts_with("api/src/lib.rs:2:"), "{found}");
        assert!(find("let q = '\"'; unsafe { g() }").is_some());
    }

    #[test]
    fn unsafe_has_a_home() {
        let text = "unsafe fn f() {}";
        for home in [
            "datapath/kernel/src/sys/bpf.rs",
            "datapath/kernel/src/sys.rs",
        ] {
            assert_eq!(check_unsafe(Path::new(home), text), None, "{home}");
        }
        assert!(check_unsafe(Path::new("datapath/kernel/src/system.rs"), text).is_some());
    }

    #[test]
    fn effects_are_found_before_the_tests() {
        let text = "use std::fmt;\nlet now = Instant::now();\n#[cfg(test)]\nuse std::fs;";
        let found = check_effects(Path::new("datapath/flow/src/lib.rs"), text);
        assert_eq!(
            found,
            ["datapath/flow/src/lib.rs:2: Instant::now in a pure crate"]
        );
    }
}
