//! Nanoseconds a packet for known unicast under NORMAL, against a learning switch written by
//! hand. The measuring itself is in `datapath/kernel/benches/normal.rs`; one of its runs holds
//! many rounds.

use serde::Deserialize;

use super::{Report, Series};
use crate::error::TaskError;
use crate::proc::{cargo, output};

#[derive(Deserialize)]
struct Outcome {
    compiled: Side,
    by_hand: Side,
}

#[derive(Deserialize)]
struct Side {
    samples_ns: Vec<f64>,
    instructions: usize,
}

/// Runs the bench and reads what it found.
///
/// # Errors
/// When it fails or prints something else.
pub fn run(_rounds: u32) -> Result<Report, TaskError> {
    let mut bench = cargo(&[
        "bench",
        "--quiet",
        "-p",
        "aorta-kernel",
        "--bench",
        "normal",
    ]);
    let json = output(bench.args(["--", "--json"]))?;
    let outcome: Outcome = serde_json::from_slice(&json).map_err(|source| TaskError::Json {
        what: "report of the bench",
        source,
    })?;
    let note = format!(
        "instructions in the program: {} compiled, {} by hand",
        outcome.compiled.instructions, outcome.by_hand.instructions
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
