//! Tables by OpenFlow: what the unmodified `ovs-ofctl` takes for large ones, and what a client that
//! is no slower than the switch gets. A peer that obeys nothing shows what the client alone takes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::idle_peer::IdlePeer;
use super::{both, client, connect_to, in_turns, ofctl, p99_ms, socket};
use crate::bench::{Report, Series};
use crate::error::TaskError;
use crate::proc::root;

/// Flows of the large tables.
const FLOWS: u32 = 100_000;
/// Bundles one after the other, and changes in each.
const BUNDLES: u32 = 1000;
const CHANGES: u32 = 4;
/// The peer that obeys nothing.
const NOTHING: &str = "no switch at all";

/// Tables of many flows: added, added as one bundle, and read.
///
/// # Errors
/// When a switch or a tool fails.
pub fn tables(rounds: u32) -> Result<Report, TaskError> {
    let file = flows_file()?.display().to_string();
    let units = [
        "ms, add-flows of 100k",
        "ms, add-flows --bundle of 100k",
        "ms, dump-flows of 100k",
        "ms, 100k flow mods of a quick client",
        "ms, the same as one bundle",
    ];
    // A message in a bundle has the number of the message around it.
    let mods: Vec<Vec<u8>> = (1..=FLOWS).map(|n| client::add_flow(1, n, 10)).collect();
    let (one_by_one, bundle) = (mods.concat(), client::bundle(1, &mods));
    let series = of_all(rounds, &units, |socket| {
        let timed = |args: &[&str]| {
            let start = Instant::now();
            ofctl(socket, args).map(|()| start.elapsed().as_secs_f64() * 1e3)
        };
        let sent = |bytes: &[u8]| {
            let mut client = connect_to(socket)?;
            let start = Instant::now();
            (client.send(bytes))
                .and_then(|()| client.barrier(1))
                .map_err(TaskError::file("no answer from", socket))?;
            Ok::<f64, TaskError>(start.elapsed().as_secs_f64() * 1e3)
        };
        let empty = || ofctl(socket, &["del-flows", "BR"]);
        empty()?;
        let added = timed(&["add-flows", "BR", &file])?;
        empty()?;
        let bundled = timed(&["--bundle", "add-flows", "BR", &file])?;
        let dumped = timed(&["dump-flows", "BR"])?;
        empty()?;
        let quick = sent(&one_by_one)?;
        empty()?;
        let quick_bundle = sent(&bundle)?;
        empty()?;
        Ok(vec![added, bundled, dumped, quick, quick_bundle])
    })?;
    Ok(Report {
        bench: "openflow-tables",
        series,
        notes: vec![
            "limits: add-flows ≤ 0.5 ×, --bundle ≤ 0.5 ×, dump ≤ 1 ×".to_owned(),
            format!("{NOTHING}: a peer that answers and obeys nothing; dumps are empty"),
        ],
    })
}

/// Small bundles with a barrier each, one after the other.
///
/// # Errors
/// When a switch fails.
pub fn bundles(rounds: u32) -> Result<Report, TaskError> {
    let units = ["bundles a second", "ms p99 of a bundle"];
    let series = of_all(rounds, &units, |socket| {
        ofctl(socket, &["del-flows", "BR"])?;
        let mut client = connect_to(socket)?;
        let (begun, mut took) = (Instant::now(), Vec::new());
        for id in 1..=BUNDLES {
            let changes: Vec<_> = (0..CHANGES)
                .map(|n| client::add_flow(id, id * CHANGES + n, 10))
                .collect();
            let start = Instant::now();
            client
                .send(&client::bundle(id, &changes))
                .and_then(|()| client.barrier(id))
                .map_err(TaskError::file("no answer from", socket))?;
            took.push(start.elapsed());
        }
        let rate = f64::from(BUNDLES) / begun.elapsed().as_secs_f64();
        Ok(vec![rate, p99_ms(took)])
    })?;
    Ok(Report {
        bench: "openflow-bundles",
        series,
        notes: vec!["limits: rate ≥ 2 ×, p99 ≤ 5 ms".to_owned()],
    })
}

/// Samples the reference, ours and the peer that obeys nothing in turns.
fn of_all(
    rounds: u32,
    units: &[&'static str],
    mut sample: impl FnMut(&Path) -> Result<Vec<f64>, TaskError>,
) -> Result<Vec<Series>, TaskError> {
    let beds = both()?;
    let idle = IdlePeer::start()?;
    let mut peers = Vec::from(beds.each_ref().map(|(name, bed)| (*name, socket(bed))));
    peers.push((NOTHING, idle.socket()));
    in_turns(rounds, &peers, units, |path: &PathBuf| sample(path))
}

/// Flows for ovs-ofctl: of one shape, each for another address.
fn flows_file() -> Result<PathBuf, TaskError> {
    let mut text = String::new();
    for n in 0..FLOWS {
        let [a, b, c, d] = (0x0a00_0000 + n).to_be_bytes();
        // Writing into a String doesn't fail.
        let _ = writeln!(
            text,
            "priority=10,ip,nw_dst={a}.{b}.{c}.{d},actions=set_field:{}->reg1",
            n % 16
        );
    }
    let folder = root().join("target/bench");
    std::fs::create_dir_all(&folder).map_err(TaskError::file("cannot make", &folder))?;
    let path = folder.join("flows-100k");
    std::fs::write(&path, text).map_err(TaskError::file("cannot write", &path))?;
    Ok(path)
}
