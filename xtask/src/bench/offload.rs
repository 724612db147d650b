//! How quickly rules are put as TC filters. The measuring itself is in
//! `datapath/kernel/examples/flower_lab/bench.rs`, which runs in a machine of its own: its kernel runs the
//! filters itself.

use aorta_integration::lab::{Job, lab_image};

use super::{Report, Series};
use crate::error::TaskError;
use crate::proc::{cargo, root, run as run_program};

/// Series of the machine's kernel.
const KERNEL: &str = "6.12";
/// Rules of each round.
const RULES: u32 = 10_000;
/// What each line of a round says, and in which unit it is told.
const COLUMNS: [(&str, &str); 6] = [
    ("rules put by the switch", "1/s"),
    ("filters put by tc -batch", "1/s"),
    ("rules put, without the kernel", "1/s"),
    ("first look at what rules have counted", "ns/rule"),
    ("a look that follows", "ns/rule"),
    ("the kernel's list of that", "ns/rule"),
];

/// Runs the program in a machine and reads what it found.
///
/// # Errors
/// When it fails or says something else.
pub fn run(rounds: u32) -> Result<Report, TaskError> {
    let example = [
        "build",
        "--release",
        "-p",
        "aorta-kernel",
        "--example",
        "flower_lab",
    ];
    run_program(&mut cargo(&example))?;
    let image = lab_image(KERNEL)?;
    let scratch = tempfile::tempdir().map_err(TaskError::file("make", "a directory"))?;
    let program = root().join("target/release/examples/flower_lab");
    let job = Job::new(&format!("flower_lab bench {RULES} {rounds}"));
    let output = job.program(&program, scratch.path())?.run(&image)?;
    if output.status != 0 {
        print!("{}", output.stdout);
        return Err(TaskError::Job {
            status: output.status,
        });
    }
    let columns = COLUMNS.iter().enumerate();
    let series = columns.map(|(column, (name, unit))| Series {
        name: (*name).to_owned(),
        unit,
        samples: samples(&output.stdout, column, unit),
    });
    Ok(Report {
        bench: "offload",
        series: series.collect(),
        notes: vec![
            format!(
                "{RULES} rules a round, Linux {}, emulated where there is no KVM",
                image.manifest.kernel_release
            ),
            "limits: rules >= 20,000 a second and >= 2 x tc -batch; the switch waits a hundred times as \
             long as a look takes until the next one, which is 1 % of a processor at most"
                .to_owned(),
        ],
    })
}

/// One column of the lines `round: SECONDS SECONDS ...`, in its unit.
fn samples(said: &str, column: usize, unit: &str) -> Vec<f64> {
    let rounds = said.lines().filter_map(|line| line.strip_prefix("round: "));
    let seconds = rounds.filter_map(|round| round.split(' ').nth(column)?.parse::<f64>().ok());
    let told = seconds.map(|seconds| match unit {
        "1/s" => f64::from(RULES) / seconds,
        _ => seconds * 1e9 / f64::from(RULES),
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_read_by_column() {
        let said = "noise\nround: 0.5 2.0 0.1\nround: 1.0 4.0 0.2\nin short: 20000\n";
        assert_eq!(samples(said, 0, "1/s"), [20_000.0, 10_000.0]);
        assert_eq!(samples(said, 1, "1/s"), [5_000.0, 2_500.0]);
        assert_eq!(samples(said, 2, "ns/rule"), [10_000.0, 20_000.0]);
    }
}
