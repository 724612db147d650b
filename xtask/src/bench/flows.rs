//! What flow tables cost. The measuring itself is in `datapath/kernel/benches/flows`.

use serde::Deserialize;

use super::{Report, Series};
use crate::error::TaskError;
use crate::proc::{cargo, output};

/// Units of what the bench measures.
const UNITS: [&str; 2] = ["ns/packet", "µs"];

#[derive(Deserialize)]
struct Outcome {
    series: Vec<Measured>,
    notes: Vec<String>,
}

#[derive(Deserialize)]
struct Measured {
    name: String,
    unit: String,
    samples: Vec<f64>,
}

/// Runs the bench and reads what it found.
///
/// # Errors
/// When it fails or prints something else.
pub fn run(rounds: u32) -> Result<Report, TaskError> {
    let rounds = rounds.to_string();
    let mut bench = cargo(&["bench"]);
    bench
        .args(["--quiet", "-p", "aorta-kernel", "--bench", "flows", "--"])
        .args(["--json", "--rounds", &rounds]);
    let json = output(&mut bench)?;
    let outcome: Outcome = serde_json::from_slice(&json).map_err(|source| TaskError::Json {
        what: "report of the bench",
        source,
    })?;
    let series = |measured: Measured| Series {
        unit: UNITS
            .into_iter()
            .find(|unit| *unit == measured.unit)
            .unwrap_or("?"),
        name: measured.name,
        samples: measured.samples,
    };
    Ok(Report {
        bench: "flows",
        series: outcome.series.into_iter().map(series).collect(),
        notes: outcome.notes,
    })
}
