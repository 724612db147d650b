//! Guests' taps attached one after the other with libvirt's own command line, by `vsctl` and by
//! the unmodified `ovs-vsctl`, and against Debian's `ovs-vswitchd`.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Instant;

use aorta_integration::lab::Netns;

use super::ports::taps;
use super::twins::{Bed, THEIRS, build};
use super::{Report, Series};
use crate::error::TaskError;
use crate::proc::{output, root};

/// Taps attached one after the other.
const TAPS: usize = 50;

/// A switch and the tool that it is told with.
struct Pair<'a> {
    name: &'static str,
    bed: &'a Bed,
    own_tool: bool,
}

/// Milliseconds of each attachment, from the tool's start to its end.
///
/// # Errors
/// When a switch or the lab fails.
pub fn run(rounds: u32) -> Result<Report, TaskError> {
    build()?;
    let theirs = Bed::theirs(namespace("theirs")?)?;
    let ours = Bed::ours(namespace("ours")?)?;
    let pairs = [
        Pair {
            name: THEIRS,
            bed: &theirs,
            own_tool: false,
        },
        Pair {
            name: "aorta, vsctl as ovs-vsctl",
            bed: &ours,
            own_tool: true,
        },
        Pair {
            name: "aorta, ovs-vsctl itself",
            bed: &ours,
            own_tool: false,
        },
    ];
    let mut series = pairs.each_ref().map(|pair| Series {
        name: pair.name.to_owned(),
        unit: "ms",
        samples: Vec::new(),
    });
    for _ in 0..rounds {
        for (pair, series) in pairs.iter().zip(&mut series) {
            pair.attach_all(&mut series.samples)?;
        }
    }
    let mut notes = vec![format!(
        "{TAPS} taps a round; the limit is 30 ms each, with the tool's own start and end"
    )];
    notes.extend(series.iter().map(p99));
    Ok(Report {
        bench: "attach",
        series: series.to_vec(),
        notes,
    })
}

impl Pair<'_> {
    /// Attaches all taps, then takes them off at once.
    fn attach_all(&self, samples: &mut Vec<f64>) -> Result<(), TaskError> {
        let names: Vec<String> = (0..TAPS).map(|n| format!("tap{n}")).collect();
        for (n, name) in names.iter().enumerate() {
            let words = attach_words(name, n);
            let mut command = self.command();
            let start = Instant::now();
            output(command.args(&words))?;
            samples.push(start.elapsed().as_secs_f64() * 1e3);
        }
        let mut words = Vec::new();
        for name in &names {
            words.extend(["--", "del-port", name]);
        }
        self.bed.vsctl(&words)
    }

    fn command(&self) -> Command {
        let mut command = if self.own_tool {
            Command::new(root().join("target/release/vsctl"))
        } else {
            Command::new("ovs-vsctl")
        };
        command
            .arg0("ovs-vsctl")
            .env("OVS_RUNDIR", self.bed.rundir());
        command
    }
}

/// What libvirt 9.0 says when it attaches a card.
fn attach_words(tap: &str, n: usize) -> Vec<String> {
    let mut words = ["--timeout=5", "--", "--may-exist", "add-port", "br0", tap]
        .map(str::to_owned)
        .to_vec();
    for setting in [
        format!("external-ids:attached-mac=\"52:54:00:00:00:{n:02x}\""),
        format!("external-ids:iface-id=\"696e7465-7266-4163-a500-0000000000{n:02x}\""),
        format!("external-ids:vm-id=\"646f6d61-696e-4000-8000-0000000000{n:02x}\""),
        format!("external-ids:ifname=\"{tap}\""),
        "external-ids:iface-status=active".to_owned(),
    ] {
        words.extend(["--", "set", "Interface", tap].map(str::to_owned));
        words.push(setting);
    }
    words
}

/// The time that one attachment in a hundred exceeds.
fn p99(series: &Series) -> String {
    let mut sorted = series.samples.clone();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() * 99 / 100).min(sorted.len().saturating_sub(1));
    let p99 = sorted.get(at).copied().unwrap_or(f64::NAN);
    format!(
        "{}: median {:.1} ms, p99 {p99:.1} ms",
        series.name,
        series.median()
    )
}

fn namespace(label: &str) -> Result<Netns, TaskError> {
    let netns = Netns::new(label)?;
    taps(&netns, TAPS)?;
    Ok(netns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_hundred_is_slower() {
        let series = Series {
            name: "x".to_owned(),
            unit: "ms",
            samples: (1..=200).rev().map(f64::from).collect(),
        };
        assert_eq!(p99(&series), "x: median 100.5 ms, p99 199.0 ms");
    }

    #[test]
    fn words_are_libvirts() {
        let words = attach_words("tap1", 1).join(" ");
        assert!(words.starts_with("--timeout=5 -- --may-exist add-port br0 tap1 -- set Interface"));
        assert_eq!(words.matches(" -- set Interface tap1 ").count(), 5);
    }
}
