//! What the daemon holds and does, in numbers.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use aorta_ovsdb::Usage;
use aorta_ovsdb::coverage::Reading;

use super::switch::gone;
use super::{Answer, Commands, Target};
use crate::control::Request;
use crate::coverage;

impl Commands {
    pub(super) async fn memory(&self) -> Answer {
        Ok(match self.target {
            Target::Database => store_line(&self.store.usage().await.map_err(|e| e.to_string())?),
            Target::Switch => {
                let (bridges, _) = self.control.ask(Request::Status).await.map_err(gone)?;
                let ports: usize = bridges.iter().map(|bridge| bridge.ports.len()).sum();
                let entries: u32 = bridges.iter().map(|bridge| bridge.fdb_entries).sum();
                format!(
                    "bridges:{} mac-entries:{entries} ports:{ports}",
                    bridges.len()
                )
            }
        })
    }
}

/// `memory/show` of ovsdb-server: what is never there when it is zero is left out, as there.
fn store_line(usage: &Usage) -> String {
    let fields = [
        ("atoms", usage.atoms, true),
        ("backlog", usage.backlog_bytes, false),
        ("cells", usage.cells, true),
        ("monitors", usage.monitors, true),
        ("n-weak-refs", usage.weak_refs, true),
        ("sessions", usage.sessions, false),
        ("triggers", usage.triggers, false),
    ];
    let shown = fields
        .iter()
        .filter(|(_, number, always)| *always || *number > 0);
    let texts: Vec<String> = shown
        .map(|(name, number, _)| format!("{name}:{number}"))
        .collect();
    texts.join(" ")
}

/// Runs a `coverage/` command.
///
/// # Errors
/// If there is no such counter.
pub(super) fn coverage(name: &str, arguments: &[String]) -> Answer {
    let readings = coverage::read();
    match (name, arguments) {
        ("coverage/read-counter", [counter]) => {
            let found = readings.iter().find(|reading| reading.name == counter);
            let total = found.map(|reading| reading.total.to_string());
            total.ok_or_else(|| "No such counter".to_owned())
        }
        _ => Ok(coverage_table(&readings)),
    }
}

/// Columns as `ovs-appctl coverage/show` has them.
fn coverage_table(readings: &[Reading]) -> String {
    let hit: BTreeMap<&str, &Reading> = readings
        .iter()
        .filter(|reading| reading.total > 0)
        .map(|reading| (reading.name, reading))
        .collect();
    let mut text = format!(
        "Event coverage, avg rate over last: 5 seconds, last minute, last hour,  hash={:08x}:\n",
        fingerprint(hit.keys().copied())
    );
    for reading in hit.values() {
        let _ = writeln!(
            text,
            "{:<24} {:>5.1}/sec {:>9.3}/sec {:>13.4}/sec   total: {}",
            reading.name, reading.five_seconds, reading.minute, reading.hour, reading.total
        );
    }
    let _ = writeln!(text, "{} events never hit", readings.len() - hit.len());
    text
}

/// Tells whether the same counters were hit (FNV-1a, 32 bits).
fn fingerprint<'a>(names: impl Iterator<Item = &'a str>) -> u32 {
    let bytes = names.flat_map(|name| name.bytes().chain([0]));
    bytes.fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_stand_in_open_vswitch_columns() {
        let reading = |name, total| Reading {
            name,
            total,
            five_seconds: 0.4,
            minute: 16.717,
            hour: 0.2786,
        };
        let text = coverage_table(&[
            reading("txn", 2091),
            reading("a_name_that_is_too_long_for_it", 1),
            reading("never", 0),
        ]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[2],
            "txn                        0.4/sec    16.717/sec        0.2786/sec   total: 2091"
        );
        assert!(lines[1].starts_with("a_name_that_is_too_long_for_it   0.4/sec"));
        assert_eq!(lines[3], "1 events never hit");
        let refused = coverage("coverage/read-counter", &["nope".to_owned()]);
        assert_eq!(refused.unwrap_err(), "No such counter");
    }

    #[test]
    fn what_is_zero_is_left_out() {
        let usage = Usage {
            atoms: 2,
            cells: 3,
            sessions: 1,
            ..Usage::default()
        };
        assert_eq!(
            store_line(&usage),
            "atoms:2 cells:3 monitors:0 n-weak-refs:0 sessions:1"
        );
    }
}
