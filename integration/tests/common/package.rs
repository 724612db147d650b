//! The Debian package, and hosts that it is installed on.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use aorta_integration::lab::{Machine, own_bin_dir, run_within};

/// Time to make a package: xtask may have to be built.
const LIMIT: Duration = Duration::from_secs(600);
/// When the packages' files date from, seconds since 1970.
const EPOCH: &str = "1700000000";

/// Makes a package of the programs that were built with this test.
pub fn package(out: &Path, version: &str) -> PathBuf {
    let mut xtask = Command::new(env!("CARGO"));
    xtask
        .args(["xtask", "package", "--fast", "--version", version])
        .arg("--bin-dir")
        .arg(own_bin_dir().unwrap())
        .arg("--out")
        .arg(out)
        .env("SOURCE_DATE_EPOCH", EPOCH)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let told = run_within(&mut xtask, LIMIT).unwrap().ok().unwrap();
    PathBuf::from(told.stdout.lines().last().unwrap())
}

/// Runs a line on a host, which must succeed, and returns what it printed.
#[track_caller]
pub fn said(host: &Machine, line: &str) -> String {
    let output = host.sh(line).unwrap().ok().unwrap();
    output.stdout.trim().to_owned()
}

/// Puts packages onto a host and has apt install them; what apt told.
#[track_caller]
pub fn install(host: &Machine, packages: &[&Path]) -> String {
    let mut line = "apt-get install -y --no-install-recommends".to_owned();
    for package in packages {
        let to = format!("/root/{}", package.file_name().unwrap().display());
        host.put(package, &to).unwrap();
        line.push_str(&format!(" {to}"));
    }
    said(host, &line)
}
