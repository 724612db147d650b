//! OpenFlow side by side with Debian's `ovs-vswitchd` and its userspace datapath, in turns: what
//! the unmodified `ovs-ofctl` takes for large tables, and what connections cost each other.

mod client;
mod idle_peer;
mod tables;

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use aorta_integration::lab::Netns;

use super::twins::{Bed, OURS, THEIRS, build};
use super::{Report, Series};
use crate::error::TaskError;
use crate::proc::output;
use client::Client;
pub use tables::{bundles, tables};

/// Connections, one of which floods the switch with requests and never reads.
const CONTROLLERS: usize = 64;
/// How often each other one asks in a sample.
const BARRIERS: u32 = 20;
/// How long a flooder may be made to wait before it counts as stopped.
const STOPPED: Duration = Duration::from_millis(200);
/// Frames of one sample.
const FRAMES: u32 = 100_000;
/// How long packets for a controller come in one sample.
const SENDING: Duration = Duration::from_secs(2);
/// How long idling is watched, with so many controllers.
const IDLE: Duration = Duration::from_secs(20);
const IDLE_CONTROLLERS: usize = 8;

/// Barriers of many connections while one of them asks without end and reads nothing.
///
/// # Errors
/// When a switch fails.
pub fn crowd(rounds: u32) -> Result<Report, TaskError> {
    let beds = both()?;
    let units = ["ms p99 of a barrier", "KiB more with a flooder"];
    let series = in_turns(rounds, &beds, &units, |bed| {
        let others = (1..CONTROLLERS).map(|_| connect(bed));
        let mut others = others.collect::<Result<Vec<_>, _>>()?;
        let before = resident_kib(bed)?;
        let mut flooder = connect(bed)?;
        let flood = thread::spawn(move || {
            let burst = client::features_request(7).repeat(512);
            let flooded = flooder.flood(&burst, STOPPED);
            (flooder, flooded)
        });
        let mut took = Vec::new();
        for round in 0..BARRIERS {
            for other in &mut others {
                let start = Instant::now();
                other.barrier(round).map_err(failed(bed))?;
                took.push(start.elapsed());
            }
        }
        let more = resident_kib(bed)? - before;
        // A switch may send it away.
        let _ = flood.join();
        Ok(vec![p99_ms(took), more])
    })?;
    Ok(Report {
        bench: "openflow-crowd",
        series,
        notes: vec!["limit: p99 ≤ 20 ms".to_owned()],
    })
}

/// Frames that a controller sends.
///
/// # Errors
/// When a switch fails.
pub fn packets(rounds: u32) -> Result<Report, TaskError> {
    let beds = both()?;
    for (_, bed) in &beds {
        bed.netns().tap("tap0")?;
        bed.vsctl(&["add-port", "br0", "tap0"])?;
    }
    let series = in_turns(rounds, &beds, &["packets out a second"], |bed| {
        let mut client = connect(bed)?;
        let frame = [
            [0xff; 6].as_slice(),
            &[2, 0, 0, 0, 0, 1, 0x88, 0xb5],
            &[0; 46],
        ]
        .concat();
        let burst = client::packet_out(1, 1, &frame).repeat(100);
        let start = Instant::now();
        for _ in 0..FRAMES / 100 {
            client.send(&burst).map_err(failed(bed))?;
        }
        client.barrier(2).map_err(failed(bed))?;
        Ok(vec![f64::from(FRAMES) / start.elapsed().as_secs_f64()])
    })?;
    Ok(Report {
        bench: "openflow-packets",
        series,
        notes: vec!["limit: ≥ 100,000 a second".to_owned()],
    })
}

/// Packets that a flow sends to a controller, as many as come.
///
/// # Errors
/// When a switch or the lab fails.
pub fn packets_in(rounds: u32) -> Result<Report, TaskError> {
    let beds = both()?;
    let mut stations = Vec::new();
    for (_, bed) in &beds {
        let station = Netns::new("sender")?;
        bed.netns().veth("va", &station, "eth0")?;
        station.address("eth0", "192.0.2.1/24")?;
        let neighbour = "neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev eth0";
        station.ip(&neighbour.split(' ').collect::<Vec<_>>())?;
        bed.vsctl(&["add-port", "br0", "va"])?;
        ofctl(&socket(bed), &["del-flows", "BR"])?;
        ofctl(&socket(bed), &["add-flow", "BR", "actions=controller:128"])?;
        stations.push(station);
    }
    let series = in_turns(rounds, &beds, &["packets in a second"], |bed| {
        let ours = usize::from(std::ptr::eq(bed, &beds[1].1));
        let mut client = connect(bed)?;
        let ask = client::want_packets(128);
        client
            .send(&ask)
            .and_then(|()| client.barrier(1))
            .map_err(failed(bed))?;
        thread::scope(|scope| {
            let sender = scope.spawn(|| send_for(&stations[ours], SENDING));
            let (start, before) = (Instant::now(), client.packet_ins);
            while start.elapsed() < SENDING {
                client.barrier(2).map_err(failed(bed))?;
            }
            let got = client.packet_ins - before;
            let rate = got as f64 / start.elapsed().as_secs_f64();
            // What it couldn't send is seen in the rate.
            let _ = sender.join();
            Ok(vec![rate])
        })
    })?;
    Ok(Report {
        bench: "openflow-packets-in",
        series,
        notes: vec!["limit: ≥ 100,000 a second".to_owned()],
    })
}

/// Sends datagrams as fast as one thread can.
fn send_for(station: &Netns, time: Duration) -> Result<(), TaskError> {
    station.enter()?;
    let failed = TaskError::file("cannot send from", station.path());
    let send = || {
        let socket = UdpSocket::bind("192.0.2.1:0")?;
        socket.connect("192.0.2.2:7")?;
        let start = Instant::now();
        while start.elapsed() < time {
            for _ in 0..64 {
                // A full queue is no fault here.
                let _ = socket.send(&[0; 18]);
            }
        }
        Ok(())
    };
    send().map_err(failed)
}

/// CPU time of an idle switch with controllers.
///
/// # Errors
/// When a switch fails.
pub fn idle(rounds: u32) -> Result<Report, TaskError> {
    let beds = both()?;
    let clients = beds.iter().map(|(_, bed)| {
        let clients = (0..IDLE_CONTROLLERS).map(|_| connect(bed));
        clients.collect::<Result<Vec<_>, _>>()
    });
    let _clients = clients.collect::<Result<Vec<_>, _>>()?;
    let series = in_turns(
        rounds,
        &beds,
        &["ms of CPU in 20 s, 8 controllers"],
        |bed| {
            let before = cpu_ms(bed)?;
            thread::sleep(IDLE);
            Ok(vec![cpu_ms(bed)? - before])
        },
    )?;
    Ok(Report {
        bench: "openflow-idle",
        series,
        notes: Vec::new(),
    })
}

/// The reference and ours, with a bridge each.
fn both() -> Result<[(&'static str, Bed); 2], TaskError> {
    build()?;
    Ok([
        (THEIRS, Bed::theirs(Netns::new("theirs")?)?),
        (OURS, Bed::ours(Netns::new("ours")?)?),
    ])
}

/// Where a switch speaks OpenFlow about its bridge.
fn socket(bed: &Bed) -> PathBuf {
    bed.rundir().join("br0.mgmt")
}

fn connect(bed: &Bed) -> Result<Client, TaskError> {
    connect_to(&socket(bed))
}

fn connect_to(socket: &Path) -> Result<Client, TaskError> {
    Client::connect(socket).map_err(TaskError::file("cannot speak OpenFlow with", socket))
}

fn failed(bed: &Bed) -> impl FnOnce(std::io::Error) -> TaskError {
    TaskError::file("no answer from", socket(bed))
}

/// Runs the unmodified ovs-ofctl; `BR` among the arguments is the bridge.
fn ofctl(socket: &Path, args: &[&str]) -> Result<(), TaskError> {
    let socket = socket.display().to_string();
    let args = args
        .iter()
        .map(|arg| if *arg == "BR" { socket.as_str() } else { arg });
    let mut command = Command::new("ovs-ofctl");
    output(command.args(["-O", "OpenFlow14"]).args(args)).map(drop)
}

fn p99_ms(mut took: Vec<Duration>) -> f64 {
    took.sort_unstable();
    let at = took.len() * 99 / 100;
    took.get(at).map_or(f64::NAN, |t| t.as_secs_f64() * 1e3)
}

fn resident_kib(bed: &Bed) -> Result<f64, TaskError> {
    let path = format!("/proc/{}/status", bed.pid());
    let status = std::fs::read_to_string(&path).map_err(TaskError::file("cannot read", path))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    Ok(number.unwrap_or(f64::NAN))
}

/// CPU time that the process has had, in milliseconds; the kernel counts hundredths of a second.
fn cpu_ms(bed: &Bed) -> Result<f64, TaskError> {
    let path = format!("/proc/{}/stat", bed.pid());
    let stat = std::fs::read_to_string(&path).map_err(TaskError::file("cannot read", path))?;
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let times = fields.split_whitespace().skip(11).take(2);
    Ok(times.filter_map(|t| t.parse::<f64>().ok()).sum::<f64>() * 10.0)
}

/// Samples each peer once in each round, every second round in the opposite order, after a first
/// round that isn't counted. A sample has a value for each unit.
fn in_turns<P>(
    rounds: u32,
    peers: &[(&'static str, P)],
    units: &[&'static str],
    mut sample: impl FnMut(&P) -> Result<Vec<f64>, TaskError>,
) -> Result<Vec<Series>, TaskError> {
    let of_unit = |unit| {
        let series = |(name, _): &(&str, P)| Series {
            name: (*name).to_owned(),
            unit,
            samples: Vec::new(),
        };
        peers.iter().map(series).collect()
    };
    let mut series: Vec<Vec<Series>> = units.iter().copied().map(of_unit).collect();
    for round in 0..=rounds {
        let mut order: Vec<usize> = (0..peers.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for at in order {
            let values = sample(&peers[at].1)?;
            if round > 0 {
                let pairs = series.iter_mut().zip(values);
                pairs.for_each(|(series, value)| series[at].samples.push(value));
            }
        }
    }
    Ok(series.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_of_a_hundred() {
        let took = (1..=200).rev().map(Duration::from_millis);
        assert_eq!(p99_ms(took.collect()), 199.0);
    }

    #[test]
    fn messages_are_as_long_as_they_say() {
        let flow = client::add_flow(1, 2, 3);
        assert_eq!(flow.len(), usize::from(flow[3]));
        assert_eq!(flow.len() % 8, 0);
        let bundle = client::bundle(5, &[flow.clone(), flow]);
        assert_eq!(bundle.len(), 2 * 16 + 2 * (16 + 72));
    }
}
