//! The Debian package: programs, unit, completion, man pages, maintainer scripts.

mod deb;
mod elf;
mod files;
mod man;
mod pages;
mod release;

use std::path::{Path, PathBuf};

use clap::Args;

use crate::error::TaskError;
use crate::proc::{build_programs, root, say};

use files::Tree;
use release::Release;

/// How the package is built.
#[derive(Debug, Args)]
pub struct PackageArgs {
    /// Directory for the package.
    #[arg(long, value_name = "DIR", default_value = "target/package")]
    out: PathBuf,
    /// Take vswitchd and vsctl from there instead of building them for release.
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
    /// Version, instead of the one of Cargo.toml with the commit's time and name.
    #[arg(long)]
    version: Option<String>,
    /// Don't compress: for tests.
    #[arg(long)]
    fast: bool,
}

/// Builds the package; the last line says where it is.
///
/// # Errors
/// When programs can't be built, or a tool of Debian's is missing or fails.
pub fn run_task(args: &PackageArgs) -> Result<(), TaskError> {
    say("package");
    let bin_dir = match &args.bin_dir {
        Some(dir) => dir.clone(),
        None => build()?,
    };
    let release = Release::read(args.version.as_deref())?;
    let work = tempfile::tempdir().map_err(TaskError::file("make", "a directory"))?;
    let tree = Tree::new(work.path().join("aorta"))?;
    fill(&tree, &bin_dir, &release)?;
    let programs = ["usr/sbin/vswitchd", "usr/bin/vsctl"].map(|path| tree.root().join(path));
    let libc = elf::newest_libc(&programs.each_ref().map(PathBuf::as_path))?;
    std::fs::create_dir_all(&args.out).map_err(TaskError::file("make", &args.out))?;
    let package = deb::build(&tree, &release, &libc, &args.out, args.fast)?;
    println!("{}", package.display());
    Ok(())
}

/// The programs of this tree; where they are.
fn build() -> Result<PathBuf, TaskError> {
    build_programs(&["--release", "--locked"])?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    Ok(target
        .unwrap_or_else(|| root().join("target"))
        .join("release"))
}

/// Where the files that are packed as they are lie.
fn sources() -> PathBuf {
    root().join("packaging")
}

/// Everything that the package has, but for its control files.
fn fill(tree: &Tree, bin_dir: &Path, release: &Release) -> Result<(), TaskError> {
    tree.program(&bin_dir.join("vswitchd"), "usr/sbin/vswitchd")?;
    tree.program(&bin_dir.join("vsctl"), "usr/bin/vsctl")?;
    for name in ["ovs-vsctl", "ovs-ofctl", "ovs-appctl"] {
        tree.link("vsctl", &format!("usr/bin/{name}"))?;
    }
    tree.link("vswitchd", "usr/sbin/ovs-vswitchd")?;
    let plain = [
        ("aorta.service", "lib/systemd/system/aorta.service"),
        ("tmpfiles.conf", "usr/lib/tmpfiles.d/aorta.conf"),
        ("default", "etc/default/aorta"),
        ("logrotate", "etc/logrotate.d/aorta"),
        ("debian/copyright", "usr/share/doc/aorta/copyright"),
    ];
    for (from, to) in plain {
        tree.copy(&sources().join(from), to)?;
    }
    tree.script(
        &sources().join("adopt-database"),
        "usr/lib/aorta/adopt-database",
    )?;
    tree.directory("etc/openvswitch")?;
    tree.compressed(&release.changelog()?, "usr/share/doc/aorta/changelog.gz")?;
    for page in pages::all(bin_dir, release)? {
        tree.compressed(
            &page.text,
            &format!("usr/share/man/man8/{}.8.gz", page.name),
        )?;
    }
    for (name, page) in [
        ("ovs-ofctl", "vsctl-ofctl"),
        ("ovs-appctl", "vsctl-appctl"),
        ("ovs-vswitchd", "vswitchd"),
    ] {
        let link = format!("usr/share/man/man8/{name}.8.gz");
        tree.link(&format!("{page}.8.gz"), &link)?;
    }
    for (path, text) in pages::completions(bin_dir)? {
        tree.text(&text, path)?;
    }
    Ok(())
}
