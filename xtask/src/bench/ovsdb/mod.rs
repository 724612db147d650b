//! The store side by side with Debian's `ovsdb-server`: the same load, on files of the same disk,
//! in turns. The load comes from `ovsdb/examples/load`.

mod server;
mod vsctl;

use serde_json::Value;

use super::{Report, Series};
use crate::error::TaskError;
use crate::proc::{cargo, output, root, run as run_program};
use server::{OURS, Server, THEIRS};
pub use vsctl::add_port;

/// Connections that commit at a time.
const CONNECTIONS: &str = "64";
/// How long they do in one sample, in seconds.
const SECONDS: &str = "2";
/// Ports of the database that is committed to and watched.
const PORTS: &str = "200";
/// Ports of the database that is read as a whole.
const MANY_PORTS: &str = "10000";
/// Clients that watch, and ports that are added one by one meanwhile.
const MONITORS: &str = "100";
const ADDED: &str = "1000";

/// What is taken from a sample: its unit, and the member of the load's report.
type Measure = (&'static str, &'static str);

/// Small transactions of many connections, held for the disk and not.
///
/// # Errors
/// When a server or the load fails.
pub fn commits(rounds: u32) -> Result<Report, TaskError> {
    build()?;
    let servers = both(PORTS)?;
    let mut series = Vec::new();
    for (kind, measures) in [
        (
            "durable",
            [
                ("commits/s, durable", "rate"),
                ("µs p99, durable", "p99_us"),
            ],
        ),
        (
            "volatile",
            [
                ("commits/s, volatile", "rate"),
                ("µs p99, volatile", "p99_us"),
            ],
        ),
    ] {
        series.extend(in_turns(rounds, &measures, |at| {
            load(&["commits", &servers[at].socket(), CONNECTIONS, SECONDS, kind])
        })?);
    }
    let limits = "limits: commits ≥ 2 × ovsdb-server, p99 of durable ones ≤ 1 ×";
    Ok(report("ovsdb-commits", series, limits))
}

/// Everything that a large database has, as one monitor's first reply.
///
/// # Errors
/// When a server or the load fails.
pub fn initial(rounds: u32) -> Result<Report, TaskError> {
    build()?;
    let mut servers = both(MANY_PORTS)?;
    let measures = [
        ("ms, first reply", "ms"),
        ("KiB more for the first reply", "growth_kib"),
        ("KiB at most since the start", "peak_kib"),
    ];
    let series = in_turns(rounds, &measures, |at| {
        let server = &mut servers[at];
        server.restart()?;
        let before = server.reset_peak()?;
        let lifetime = before.peak_kib;
        let mut found = load(&["initial", &server.socket()])?;
        let after = server.memory()?;
        found["growth_kib"] = (after.peak_kib - before.resident_kib).into();
        found["peak_kib"] = after.peak_kib.max(lifetime).into();
        Ok(found)
    })?;
    let limits = "limits: time and memory ≤ 1 × ovsdb-server";
    Ok(report("ovsdb-initial", series, limits))
}

/// CPU time of the server while ports are added one by one and many clients watch.
///
/// # Errors
/// When a server or the load fails.
pub fn fan_out(rounds: u32) -> Result<Report, TaskError> {
    build()?;
    let servers = both(PORTS)?;
    let mut series = Vec::new();
    for (shapes, measures) in [
        (
            "same",
            [
                ("CPU ms, same columns", "cpu_ms"),
                ("ms, same columns", "ms"),
            ],
        ),
        (
            "different",
            [
                ("CPU ms, different columns", "cpu_ms"),
                ("ms, different columns", "ms"),
            ],
        ),
    ] {
        series.extend(in_turns(rounds, &measures, |at| {
            let server = &servers[at];
            let pid = server.pid().to_string();
            load(&["fan-out", &server.socket(), &pid, MONITORS, ADDED, shapes])
        })?);
    }
    let limits = "limit: CPU time ≤ 0.5 × ovsdb-server";
    Ok(report("ovsdb-fan-out", series, limits))
}

fn report(bench: &'static str, series: Vec<Series>, limits: &str) -> Report {
    Report {
        bench,
        series,
        notes: vec![limits.to_owned()],
    }
}

fn build() -> Result<(), TaskError> {
    let examples = [
        "-p",
        "aorta-ovsdb",
        "--example",
        "serve",
        "--example",
        "load",
    ];
    run_program(cargo(&["build", "--release"]).args(examples))
}

/// The reference and ours, with a bridge and ports each.
fn both(ports: &str) -> Result<[Server; 2], TaskError> {
    let servers = [Server::start(THEIRS)?, Server::start(OURS)?];
    for server in &servers {
        load(&["prepare", &server.socket(), ports])?;
    }
    Ok(servers)
}

/// Runs the load generator.
fn load(args: &[&str]) -> Result<Value, TaskError> {
    let mut command = std::process::Command::new(root().join("target/release/examples/load"));
    let text = output(command.args(args))?;
    serde_json::from_slice(&text).map_err(|source| TaskError::Json {
        what: "report of the load",
        source,
    })
}

/// Samples both servers once in each round, every second round in the opposite order, after a
/// first round that isn't counted.
fn in_turns(
    rounds: u32,
    measures: &[Measure],
    mut sample: impl FnMut(usize) -> Result<Value, TaskError>,
) -> Result<Vec<Series>, TaskError> {
    let mut series: Vec<[Series; 2]> = measures
        .iter()
        .map(|(unit, _)| {
            [THEIRS, OURS].map(|name| Series {
                name: name.to_owned(),
                unit,
                samples: Vec::new(),
            })
        })
        .collect();
    for round in 0..=rounds {
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for at in order {
            let found = sample(at)?;
            if round == 0 {
                continue;
            }
            for ((_, member), series) in measures.iter().zip(&mut series) {
                let value = found[*member].as_f64().unwrap_or(f64::NAN);
                series[at].samples.push(value);
            }
        }
    }
    Ok(series.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_alternate_and_the_first_is_not_counted() {
        let mut calls = String::new();
        let series = in_turns(2, &[("a", "x"), ("b", "y")], |at| {
            calls.push_str(&at.to_string());
            Ok(serde_json::json!({"x": calls.len(), "y": at}))
        });
        let series = series.unwrap();
        assert_eq!(calls, "011001");
        let samples: Vec<&[f64]> = series.iter().map(|s| s.samples.as_slice()).collect();
        assert_eq!(
            samples,
            [&[4.0, 5.0], &[3.0, 6.0], &[0.0, 0.0], &[1.0, 1.0]]
        );
    }
}
