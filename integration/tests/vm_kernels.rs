//! The switch on other kernels than this machine's, each in a machine of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;

use aorta_integration::lab::{self, Job, lab_image, own_bin_dir};

const LIBRARY: &str = include_str!("jobs/lib.sh");
const MODULES: &str = include_str!("jobs/modules.sh");
const SWITCH: &str = include_str!("jobs/switch.sh");
const QOS: &str = include_str!("jobs/qos.sh");
const OPEN_VSWITCH: &str = include_str!("jobs/openvswitch.sh");
const LACKING: &str = include_str!("jobs/lacking.sh");

/// Runs scripts with the switch's programs at hand, and returns what they print.
fn run(series: &str, scripts: &[&str]) -> String {
    let scratch = tempfile::tempdir().unwrap();
    let bin_dir = own_bin_dir().unwrap();
    let mut job = Job::new(&[&[LIBRARY], scripts].concat().concat());
    for program in ["vswitchd", "vsctl"].map(|name| bin_dir.join(name)) {
        job = job.program(&program, scratch.path()).unwrap();
    }
    if scripts.contains(&OPEN_VSWITCH) {
        let program = on_path("ovs-dpctl");
        job = job.program(&program, scratch.path()).unwrap();
        job.files.extend(libraries(&program));
    }
    let image = lab_image(series).unwrap();
    let output = job.run(&image).unwrap();
    println!("{}: {}", image.manifest.kernel_release, output.stdout);
    assert_eq!(output.status, 0, "{}\n{}", output.stdout, output.stderr);
    output.stdout
}

/// Where a program is.
fn on_path(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let mut found = std::env::split_paths(&path).map(|dir| dir.join(name));
    found.find(|path| path.is_file()).unwrap()
}

/// The libraries of a program that the machine doesn't have, with their names.
fn libraries(program: &Path) -> Vec<(PathBuf, String)> {
    let told = lab::run(Command::new("ldd").arg(program)).unwrap();
    let told = told.ok().unwrap().stdout;
    let lines = told
        .lines()
        .filter_map(|line| line.trim().split_once(" => "));
    let files = lines.filter_map(|(name, file)| Some((file.split(' ').next()?, name)));
    let files = files.filter(|(_, name)| *name != "libc.so.6");
    files
        .map(|(file, name)| (file.into(), name.to_owned()))
        .collect()
}

#[test]
fn linux_6_12_has_all_that_the_switch_needs() {
    let said = run("6.12", &[MODULES, SWITCH, QOS, OPEN_VSWITCH]);
    for done in [
        "switch: tcx",
        "flows and restarts: done",
        "disciplines: done",
        "released",
    ] {
        assert!(said.contains(done), "{said}");
    }
}

#[test]
fn linux_6_1_lacks_tcx_and_the_switch_says_so() {
    let said = run("6.1", &[MODULES, LACKING]);
    assert!(
        said.contains("Linux 6.6") && said.contains("Linux 6.9"),
        "{said}"
    );
}
