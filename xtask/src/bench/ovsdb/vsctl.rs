//! The unmodified `ovs-vsctl add-port` against the whole switch, the real attach included, and
//! against Debian's `ovs-vswitchd` with its userspace datapath.

use std::time::{Duration, Instant};

use aorta_integration::lab::Netns;

use super::super::twins::{Bed, build};
use super::super::{Report, Series, ports::taps};
use super::server::THEIRS;
use super::{in_turns, report};
use crate::error::TaskError;

/// Ports that the switch has besides the measured one.
const FEW: usize = 10;
const MANY: usize = 200;
/// How often the measured port is added in one sample.
const ADDS: u32 = 5;
/// The measured port's device.
const DEVICE: &str = "tap-bench";

/// Milliseconds of `ovs-vsctl add-port`, from its start to its end.
///
/// # Errors
/// When a switch or the lab fails.
pub fn add_port(rounds: u32) -> Result<Report, TaskError> {
    build()?;
    let beds = [
        Bed::theirs(namespace("theirs")?)?,
        Bed::ours(namespace("ours")?)?,
    ];
    let mut series: Vec<Series> = Vec::new();
    for (from, to, unit) in [
        (0, FEW, "ms, add-port with 10 ports"),
        (FEW, MANY, "ms, add-port with 200 ports"),
    ] {
        for bed in &beds {
            populate(bed, from..to)?;
        }
        series.extend(in_turns(rounds, &[(unit, "ms")], |at| {
            Ok(serde_json::json!({"ms": add_port_ms(&beds[at])?}))
        })?);
    }
    for series in series.iter_mut().filter(|series| series.name == THEIRS) {
        "ovs-vswitchd".clone_into(&mut series.name);
    }
    Ok(report(
        "ovsdb-add-port",
        series,
        "limit: ≤ 1 × ovs-vswitchd",
    ))
}

/// Adds taps as ports, all at once.
fn populate(bed: &Bed, taps: std::ops::Range<usize>) -> Result<(), TaskError> {
    let names: Vec<String> = taps.map(|n| format!("tap{n}")).collect();
    let mut args = Vec::new();
    for name in &names {
        args.extend(["--", "add-port", "br0", name.as_str()]);
    }
    bed.vsctl(&args)
}

fn add_port_ms(bed: &Bed) -> Result<f64, TaskError> {
    let mut total = Duration::ZERO;
    for _ in 0..ADDS {
        bed.vsctl(&["--if-exists", "del-port", "br0", DEVICE])?;
        let start = Instant::now();
        bed.vsctl(&["add-port", "br0", DEVICE])?;
        total += start.elapsed();
    }
    Ok(total.as_secs_f64() * 1e3 / f64::from(ADDS))
}

fn namespace(label: &str) -> Result<Netns, TaskError> {
    let netns = Netns::new(label)?;
    taps(&netns, MANY)?;
    netns.tap(DEVICE)?;
    Ok(netns)
}
