//! The switch with a card in its machine: netdevsim, on another kernel than this machine's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use aorta_integration::lab::{Job, lab_image, own_bin_dir};

const LIBRARY: &str = include_str!("jobs/lib.sh");
const PIPELINE: &str = include_str!("jobs/pipeline.sh");
const OFFLOAD: &str = include_str!("jobs/offload.sh");
/// Has the job show at each stage where flows run and what the card has.
const SHOW: &str = "AORTA_OFFLOAD_SHOW";
/// How long the machine may take, emulated and beside other work.
const LIMIT: Duration = Duration::from_secs(900);

#[test]
fn a_pipeline_on_a_card_is_replaced_refused_and_survives_a_kill_under_traffic() {
    let scratch = tempfile::tempdir().unwrap();
    let bin_dir = own_bin_dir().unwrap();
    let shown = if std::env::var_os(SHOW).is_some() {
        "SHOW=1\n"
    } else {
        "SHOW=\n"
    };
    let mut job = Job::new(&[shown, LIBRARY, PIPELINE, OFFLOAD].concat());
    job.limit = LIMIT;
    for program in ["vswitchd", "vsctl"].map(|name| bin_dir.join(name)) {
        job = job.program(&program, scratch.path()).unwrap();
    }
    // Shown if there is one; its libraries are those of the machine's ip(8).
    let bpftool = Path::new("/usr/sbin/bpftool");
    if bpftool.is_file() {
        job.files.push((bpftool.into(), "bpftool".into()));
    }
    let image = lab_image("6.12").unwrap();
    let output = job.run(&image).unwrap();
    println!("{}: {}", image.manifest.kernel_release, output.stdout);
    assert_eq!(output.status, 0, "{}\n{}", output.stdout, output.stderr);
    assert!(output.stdout.contains("all of it was seen"));
}
