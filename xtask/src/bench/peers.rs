//! Side by side with other switches over the same veths, by a harness that isn't part of this
//! project; `bench/peer-aorta.sh` is its adapter.

use std::process::Command;

use super::Report;
use crate::error::TaskError;
use crate::proc::{build_programs, root, run as run_program};

/// The side-by-side harness, if the machine has one: `AORTA_PEERS_BENCH` is its path.
///
/// # Errors
/// When it is not named or fails.
pub fn run(rounds: u32) -> Result<Report, TaskError> {
    let harness = std::env::var("AORTA_PEERS_BENCH").map_err(|_| {
        TaskError::Lacking(vec![
            "AORTA_PEERS_BENCH: the path of the side-by-side harness".to_owned(),
        ])
    })?;
    build_programs(&["--release"])?;
    let adapter = root().join("bench/peer-aorta.sh");
    let rounds = rounds.to_string();
    run_program(Command::new(harness).args([
        "-p",
        "limit-tcx,limit-peer,bridge",
        "-m",
        "fwd,tcp,lat,cpu",
        "--flows",
        "1",
        "-r",
        &rounds,
        "-x",
        &format!("aorta={}", adapter.display()),
    ]))?;
    let notes = vec!["the table above is the harness's own".to_owned()];
    Ok(Report {
        bench: "peers",
        series: Vec::new(),
        notes,
    })
}
