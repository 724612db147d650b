//! Nanoseconds a packet for known unicast under NORMAL, against a learning switch written by
//! hand. The measuring itself is in `datapath/kernel/benches/normal.rs`; one of its runs holds
//! many rounds.

use serde::Deserialize;

use super::{Report, Series};
use crate::error::TaskError;
use crate::proc::{cargo, output};

/// One turn takes a tenth of a second: there is time for several.
const TURNS_PER_ROUND: u32 = 4;

#[derive(Deserialize)]
struct Outcome {
    compiled: Side,
    by_hand: Side,
}

#[derive(Deserialize)]
struct Side {
    samples_ns: Vec<f64>,
    instructions: usize,
    executed: usize,
}

/// Runs the bench and reads what it found.
///
/// # Errors
/// When it fails or prints something else.
pub fn run(rounds: u32) -> Result<Report, TaskError> {
    // A build for tests will do: the kernel takes the time, not this program.
    let build = ["--quiet", "--profile", "dev", "-p", "aorta-kernel"];
    let rounds = (rounds * TURNS_PER_ROUND).to_string();
    let mut bench = cargo(&["bench"]);
    bench
        .args(build)
        .args(["--bench", "normal", "--", "--json", "--rounds", &rounds]);
    let json = output(&mut bench)?;
    let outcome: Outcome = serde_json::from_slice(&json).map_err(|source| TaskError::Json {
        what: "report of the bench",
        source,
    })?;
    let note = |side: &Side| format!("{} of {}", side.executed, side.instructions);
    let note = format!(
        "instructions executed for the first frame of a pair: {} compiled, {} by hand",
        note(&outcome.compiled),
        note(&outcome.by_hand)
    );
    let series = |name: &str, side: Side| Series {
        name: name.to_owned(),
        unit: "ns/packet",
        samples: side.samples_ns,
    };
    let series = vec![
        series("by hand", outcome.by_hand),
        series("compiled", outcome.compiled),
    ];
    let notes = vec![note, "limit: compiled ≤ 1.2 × by hand".to_owned()];
    Ok(Report {
        bench: "normal",
        series,
        notes,
    })
}
