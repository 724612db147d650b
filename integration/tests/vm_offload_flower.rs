//! Flow tables as TC flower filters on real kernels, each in a machine of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;

use aorta_integration::lab::{Job, lab_image};

const LIBRARY: &str = include_str!("jobs/lib.sh");
const PIPELINE: &str = include_str!("jobs/pipeline.sh");

/// Random tables that the short form tries.
const SHORT_CASES: u64 = 40;

/// What the pipeline of `flower_lab show` is, and a card that takes no flower.
const JOB: &str = "
flower_lab show || fail show
pipeline 1 02:00:00:00:00:03 output:2 >/run/flows
flower_lab pipeline /run/flows 600 || fail pipeline
flower_lab traffic $CASES || fail traffic
echo '1 1' >/sys/bus/netdevsim/new_device || fail 'netdevsim makes no device'
sim=$(ls /sys/bus/netdevsim/devices/netdevsim1/net)
ip link set \"$sim\" up
ethtool -K \"$sim\" hw-tc-offload on || fail \"$sim has no hw-tc-offload\"
flower_lab refusal \"$sim\" || fail refusal
";

/// The program that does it there; the tests of this tier have it built.
fn program() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let path = own.with_file_name("../examples/flower_lab");
    assert!(
        path.is_file(),
        "{} is missing: cargo build -p aorta-kernel --example flower_lab",
        path.display()
    );
    path
}

fn run(series: &str, cases: u64) -> String {
    let scratch = tempfile::tempdir().unwrap();
    let job = Job::new(&format!("{LIBRARY}\n{PIPELINE}\nCASES={cases}\n{JOB}"));
    let job = job.program(&program(), scratch.path()).unwrap();
    let image = lab_image(series).unwrap();
    let output = job.run(&image).unwrap();
    println!("{}: {}", image.manifest.kernel_release, output.stdout);
    assert_eq!(output.status, 0, "{}\n{}", output.stdout, output.stderr);
    output.stdout
}

/// `AORTA_FLOWER_CASES` asks for more tables, and for the other kernel, too.
fn more() -> Option<u64> {
    std::env::var("AORTA_FLOWER_CASES").ok()?.parse().ok()
}

fn check(said: &str) {
    // tc(8) tells what was put: two tables, changes, checksums, a tag, and whose it is.
    for part in [
        "chain 1",
        "skip_hw",
        "action order 1:  pedit action pipe keys 2",
        "csum (iph, tcp) action pipe",
        "vlan  push id 7 protocol 802.1Q",
        "mirred (Egress Redirect to device tap2) stolen",
        "gact action goto chain 1",
        "cookie ",
    ] {
        assert!(said.contains(part), "{part:?} in:\n{said}");
    }
    let alike = said.lines().filter(|line| line.contains("decided alike"));
    assert_eq!(alike.count(), 2, "{said}");
    let refusal = said.lines().find(|line| line.starts_with("refusal: "));
    let words = "only offload of BPF classifiers supported";
    assert!(refusal.is_some_and(|text| text.contains(words)), "{said}");
}

#[test]
fn kernels_do_with_frames_what_the_tables_mean() {
    let (cases, series): (u64, &[&str]) = match more() {
        None => (SHORT_CASES, &["6.12"]),
        Some(cases) => (cases, &["6.12", "6.1"]),
    };
    for series in series {
        check(&run(series, cases));
    }
}
