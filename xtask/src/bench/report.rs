//! What a bench found, as a table and as JSON.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::TaskError;

/// Samples of one thing, one for each round.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    /// What was measured.
    pub name: String,
    /// Unit of the samples.
    pub unit: &'static str,
    /// One sample for each round, in the order of the rounds.
    pub samples: Vec<f64>,
}

impl Series {
    /// The middle sample, or the mean of the two in the middle; not a number if there are none.
    pub fn median(&self) -> f64 {
        median(&self.samples)
    }

    fn bounds(&self) -> (f64, f64) {
        self.samples
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), s| {
                (lo.min(*s), hi.max(*s))
            })
    }

    /// Median of the ratios to `base` within each round, so that what disturbed a whole round
    /// falls out.
    pub fn ratio_to(&self, base: &Series) -> f64 {
        let ratios: Vec<f64> = self
            .samples
            .iter()
            .zip(&base.samples)
            .map(|(own, base)| own / base)
            .collect();
        median(&ratios)
    }
}

fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

/// What one bench found. The first series of each unit is the base of that unit's ratios.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Name of the bench.
    pub bench: &'static str,
    /// What was measured.
    pub series: Vec<Series>,
    /// Anything that a reader must know.
    pub notes: Vec<String>,
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    unit: &'a str,
    median: f64,
    min: f64,
    max: f64,
    ratio: f64,
    samples: &'a [f64],
}

#[derive(Serialize)]
struct File<'a> {
    bench: &'a str,
    kernel: String,
    processors: usize,
    rows: Vec<Row<'a>>,
    notes: &'a [String],
}

impl Report {
    fn rows(&self) -> Vec<Row<'_>> {
        self.series
            .iter()
            .map(|series| {
                let base = self
                    .series
                    .iter()
                    .find(|s| s.unit == series.unit)
                    .unwrap_or(series);
                let (min, max) = series.bounds();
                Row {
                    name: &series.name,
                    unit: series.unit,
                    median: series.median(),
                    min,
                    max,
                    ratio: series.ratio_to(base),
                    samples: &series.samples,
                }
            })
            .collect()
    }

    /// Writes `BENCH.json` into `dir` and returns where it is.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write(&self, dir: &Path) -> Result<PathBuf, TaskError> {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let file = File {
            bench: self.bench,
            kernel: kernel.trim().to_owned(),
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            rows: self.rows(),
            notes: &self.notes,
        };
        let text = serde_json::to_vec_pretty(&file).map_err(|source| TaskError::Json {
            what: "report",
            source,
        })?;
        std::fs::create_dir_all(dir).map_err(TaskError::file("make", dir))?;
        let path = dir.join(format!("{}.json", self.bench));
        std::fs::write(&path, text).map_err(TaskError::file("write", &path))?;
        Ok(path)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.rows();
        let width = rows
            .iter()
            .map(|row| row.name.len())
            .max()
            .unwrap_or(0)
            .max(4);
        writeln!(
            f,
            "{:<width$}  {:>10}  {:>21}  {:>6}  unit",
            "what", "median", "min–max", "ratio"
        )?;
        for row in &rows {
            let range = format!("{}–{}", short(row.min), short(row.max));
            writeln!(
                f,
                "{:<width$}  {:>10}  {range:>21}  {:>6.2}  {}",
                row.name,
                short(row.median),
                row.ratio,
                row.unit
            )?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}

/// A number with three or four digits that matter.
fn short(number: f64) -> String {
    match number.abs() {
        n if n >= 100.0 => format!("{number:.0}"),
        n if n >= 10.0 => format!("{number:.1}"),
        n if n >= 1.0 => format!("{number:.2}"),
        _ => format!("{number:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, samples: &[f64]) -> Series {
        Series {
            name: name.to_owned(),
            unit: "ns",
            samples: samples.to_vec(),
        }
    }

    #[test]
    fn medians() {
        assert_eq!(series("a", &[3.0, 1.0, 2.0]).median(), 2.0);
        assert_eq!(series("a", &[4.0, 1.0, 2.0, 3.0]).median(), 2.5);
        assert!(series("a", &[]).median().is_nan());
    }

    #[test]
    fn ratios_are_taken_within_rounds() {
        // The second round was slow for both: the ratio isn't.
        let (base, other) = (
            series("base", &[10.0, 40.0, 10.0]),
            series("o", &[20.0, 80.0, 20.0]),
        );
        assert_eq!(other.ratio_to(&base), 2.0);
    }

    #[test]
    fn table_and_file_tell_the_same() {
        let report = Report {
            bench: "b",
            series: vec![
                series("base", &[10.0, 12.0]),
                series("other", &[22.0, 24.0]),
            ],
            notes: vec!["noted".to_owned()],
        };
        let table = report.to_string();
        assert!(table.contains("23.0") && table.contains("22.0–24.0") && table.contains("2.10"));
        assert!(table.ends_with("noted\n"));
        let dir = tempfile::tempdir().unwrap();
        let path = report.write(dir.path()).unwrap();
        let json: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(json["rows"][1]["median"], 23.0);
        assert_eq!(json["rows"][1]["samples"][0], 22.0);
    }
}
