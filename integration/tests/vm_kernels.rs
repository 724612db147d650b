//! The switch on other kernels than this machine's, each in a machine of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use aorta_integration::lab::{Job, lab_image, own_bin_dir};

const LIBRARY: &str = include_str!("jobs/lib.sh");
const MODULES: &str = include_str!("jobs/modules.sh");
const SWITCH: &str = include_str!("jobs/switch.sh");
const LACKING: &str = include_str!("jobs/lacking.sh");

/// Runs scripts with the switch's programs at hand, and returns what they print.
fn run(series: &str, scripts: &[&str]) -> String {
    let scratch = tempfile::tempdir().unwrap();
    let bin_dir = own_bin_dir().unwrap();
    let mut job = Job::new(&[&[LIBRARY], scripts].concat().concat());
    for program in ["vswitchd", "vsctl"] {
        job = job.program(&bin_dir.join(program), scratch.path()).unwrap();
    }
    let image = lab_image(series).unwrap();
    let output = job.run(&image).unwrap();
    println!("{}: {}", image.manifest.kernel_release, output.stdout);
    assert_eq!(output.status, 0, "{}\n{}", output.stdout, output.stderr);
    output.stdout
}

#[test]
fn linux_6_12_has_all_that_the_switch_needs() {
    let said = run("6.12", &[MODULES, SWITCH]);
    assert!(
        said.contains("switch: tcx") && said.contains("flows and restarts: done"),
        "{said}"
    );
}

#[test]
fn linux_6_1_lacks_tcx_and_the_switch_says_so() {
    let said = run("6.1", &[MODULES, LACKING]);
    assert!(
        said.contains("Linux 6.6") && said.contains("Linux 6.9"),
        "{said}"
    );
}
