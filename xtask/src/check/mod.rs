//! Rules that sources must keep, besides what the compiler checks.

mod layers;
mod licences;
pub mod metadata;
mod source;

use crate::error::TaskError;
use crate::proc::{cargo, root, run, say};

/// Format, lints, then [`dependencies`].
///
/// # Errors
/// When any rule is broken.
pub fn sources() -> Result<(), TaskError> {
    say("format");
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    say("lints");
    run(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    dependencies()
}

/// Crate levels, purity, the home of unsafe code, and licences.
///
/// # Errors
/// [`TaskError::Violations`] with all of them.
pub fn dependencies() -> Result<(), TaskError> {
    say("crate levels, purity, unsafe code, licences");
    let metadata = metadata::read()?;
    let root = root();
    let mut violations = layers::check(&metadata);
    violations.extend(source::check(&metadata, &root)?);
    violations.extend(licences::check(&metadata));
    if !violations.is_empty() {
        return Err(TaskError::Violations(violations));
    }
    let twice = licences::duplicates(&metadata);
    println!(
        "{} packages, {} of the workspace; in more than one version: {}",
        metadata.packages.len(),
        metadata.members().count(),
        if twice.is_empty() {
            "none".to_owned()
        } else {
            twice.join(", ")
        }
    );
    Ok(())
}
