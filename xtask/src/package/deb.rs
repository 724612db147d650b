//! The package's control files, and the package.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::TaskError;
use crate::proc::{output, run};

use super::files::Tree;
use super::release::Release;
use super::sources;

/// The version of Open vSwitch in whose place the package can be: the one whose behaviour and
/// schema the programs have.
const OVS_VERSION: &str = "3.1.0";

/// Maintainer scripts.
const SCRIPTS: [&str; 4] = ["preinst", "postinst", "prerm", "postrm"];

/// Makes the package of a tree, and returns where it is.
///
/// # Errors
/// When a tool of Debian's is missing or fails.
pub fn build(
    tree: &Tree,
    release: &Release,
    libc: &str,
    out: &Path,
    fast: bool,
) -> Result<PathBuf, TaskError> {
    let size = tree.kibibytes()?;
    let sums = sums(tree)?;
    let architecture = output(Command::new("dpkg").arg("--print-architecture"))?;
    let architecture = String::from_utf8_lossy(&architecture).trim().to_owned();
    let template = sources().join("debian/control");
    let template = std::fs::read_to_string(&template).map_err(TaskError::file("read", template))?;
    let values = [
        ("@VERSION@", release.version.as_str()),
        ("@ARCHITECTURE@", &architecture),
        ("@INSTALLED_SIZE@", &size.to_string()),
        ("@LIBC@", libc),
        ("@OVS_VERSION@", OVS_VERSION),
    ];
    let control = values
        .iter()
        .fold(template, |text, (mark, value)| text.replace(mark, value));
    tree.text(&control, "DEBIAN/control")?;
    tree.text(&sums, "DEBIAN/md5sums")?;
    tree.copy(&sources().join("debian/conffiles"), "DEBIAN/conffiles")?;
    for script in SCRIPTS {
        let from = sources().join("debian").join(script);
        tree.script(&from, &format!("DEBIAN/{script}"))?;
    }
    let package = out.join(format!("aorta_{}_{architecture}.deb", release.version));
    run(Command::new("dpkg-deb")
        .env("SOURCE_DATE_EPOCH", release.epoch.to_string())
        .args(["--root-owner-group", if fast { "-Znone" } else { "-Zxz" }])
        // More threads cut the stream elsewhere.
        .args(["--threads-max=1", "--build"])
        .arg(tree.root())
        .arg(&package))?;
    Ok(package)
}

/// MD5 sums of all files but those that an administrator may change.
fn sums(tree: &Tree) -> Result<String, TaskError> {
    let find = "find . -type f ! -path './DEBIAN/*' ! -path './etc/*' -printf '%P\\0' \
                | LC_ALL=C sort -z | xargs -0 md5sum";
    let sums = output(
        Command::new("sh")
            .args(["-c", find])
            .current_dir(tree.root()),
    )?;
    Ok(String::from_utf8_lossy(&sums).into_owned())
}
