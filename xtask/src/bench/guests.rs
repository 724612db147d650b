//! Two guests that talk through a Linux bridge, this project's switch, Open vSwitch's userspace datapath,
//! and a wire, in turns: the taps move from one to the next while the guests run. What the wire gets is
//! the most that these guests leave to any switch.

use std::time::Duration;

use aorta_integration::lab::{Guest, GuestConfig, Netns, wait_until};
use serde_json::Value;

use super::bare::Wire;
use super::twins::{self, Bed};
use super::{Report, Series};
use crate::error::TaskError;

/// The guests' taps, the cards' addresses and the guests' own.
const GUESTS: [(&str, &str, &str); 2] = [
    ("ta", "52:54:00:00:00:0a", "192.0.2.1/24"),
    ("tb", "52:54:00:00:00:0b", "192.0.2.2/24"),
];
const SERVER: &str = "192.0.2.2";
const PATIENCE: Duration = Duration::from_secs(60);
/// Payload of a UDP datagram in an Ethernet frame of 64 bytes, check sequence included.
const UDP_PAYLOAD_64_BYTES: &str = "18";
const PINGS: &str = "200";

/// What is measured of each switch, with its unit and the ratio to the Linux bridge that is asked.
const MEASURES: [(&str, &str, &str); 3] = [
    ("TCP", "Gbit/s", "at least 1.0, and 3 times Open vSwitch's"),
    ("UDP, 64 bytes", "kpps", "at least 1.0"),
    ("ping, median", "µs", "at most 1.0"),
];

/// A switch with a bridge br0 in a namespace of its own.
enum Place {
    Bridge(Netns),
    Switch(Box<Bed>),
    Wire(Wire),
}

impl Place {
    fn netns(&self) -> &Netns {
        match self {
            Place::Bridge(netns) => netns,
            Place::Switch(bed) => bed.netns(),
            Place::Wire(wire) => wire.netns(),
        }
    }

    /// Joins the guests' taps, which are in its namespace.
    fn attach(&self) -> Result<(), TaskError> {
        let taps = GUESTS.map(|(tap, _, _)| tap);
        match self {
            Place::Bridge(netns) => taps.iter().try_for_each(|tap| {
                netns.ip(&["link", "set", "dev", tap, "master", "br0"])?;
                Ok(())
            }),
            Place::Switch(bed) => {
                (taps.iter()).try_for_each(|tap| bed.vsctl(&["add-port", "br0", tap]))
            }
            Place::Wire(wire) => wire.join(taps),
        }
    }

    fn detach(&self) -> Result<(), TaskError> {
        let mut taps = GUESTS.iter().map(|(tap, _, _)| tap);
        match self {
            Place::Bridge(netns) => taps.try_for_each(|tap| {
                netns.ip(&["link", "set", "dev", tap, "nomaster"])?;
                Ok(())
            }),
            Place::Switch(bed) => taps.try_for_each(|tap| bed.vsctl(&["del-port", "br0", tap])),
            Place::Wire(wire) => {
                wire.part();
                Ok(())
            }
        }
    }
}

/// The guests, and where their taps are.
struct Lab {
    // Guests end before the namespaces.
    guests: Vec<Guest>,
    places: Vec<(&'static str, Place)>,
    at: usize,
}

/// Throughput and round trips of each switch.
///
/// # Errors
/// When a guest, a switch or a measurement fails.
pub fn run(rounds: u32) -> Result<Report, TaskError> {
    twins::build()?;
    let mut lab = Lab::new()?;
    let mut series: Vec<Series> = MEASURES
        .iter()
        .flat_map(|(what, unit, _)| lab.places.iter().map(move |(name, _)| (what, unit, name)))
        .map(|(what, unit, name)| Series {
            name: format!("{what}, {name}"),
            unit,
            samples: Vec::new(),
        })
        .collect();
    let count = lab.places.len();
    for round in 0..=rounds {
        let mut order: Vec<usize> = (0..count).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for place in order {
            let sample = lab.sample(place)?;
            // The first round warms up.
            for (measure, value) in sample.into_iter().enumerate().filter(|_| round > 0) {
                series[measure * count + place].samples.push(value);
            }
        }
    }
    let asked =
        MEASURES.map(|(what, _, asked)| format!("{what}: ratio to the Linux bridge {asked}"));
    Ok(Report {
        bench: "guests",
        series,
        notes: asked.to_vec(),
    })
}

impl Lab {
    fn new() -> Result<Lab, TaskError> {
        let bridge = Netns::new("bridge")?;
        for (tap, _, _) in GUESTS {
            bridge.tap(tap)?;
        }
        bridge.linux_bridge("br0", &[])?;
        let places = vec![
            ("Linux bridge", Place::Bridge(bridge)),
            (
                twins::OURS,
                Place::Switch(Box::new(Bed::ours(Netns::new("ours")?)?)),
            ),
            (
                twins::THEIRS,
                Place::Switch(Box::new(Bed::theirs(Netns::new("theirs")?)?)),
            ),
            ("a wire", Place::Wire(Wire::new(Netns::new("wire")?))),
        ];
        let configs = GUESTS.map(|(tap, mac, _)| GuestConfig::new(tap, tap, mac));
        let guests = Guest::boot_all(places[0].1.netns(), &configs)?;
        for (guest, (_, _, address)) in guests.iter().zip(GUESTS) {
            let script = format!("ip link set eth0 up && ip addr add {address} dev eth0");
            guest.run(&script)?.ok()?;
        }
        let lab = Lab {
            guests,
            places,
            at: 0,
        };
        lab.attach(0)?;
        lab.guests[1].run("iperf3 -s -D")?.ok()?;
        Ok(lab)
    }

    fn attach(&self, place: usize) -> Result<(), TaskError> {
        let (name, place) = &self.places[place];
        place.attach()?;
        // That datapath forwards checksums that are still to be computed as they are.
        let offloads = if *name == twins::THEIRS { "off" } else { "on" };
        for guest in &self.guests {
            guest.run(&format!("ethtool -K eth0 tx {offloads} tso {offloads}"))?;
        }
        let client = &self.guests[0];
        let ping = format!("ping -c 1 -W 1 {SERVER}");
        wait_until(&format!("guests talk through {name}"), PATIENCE, || {
            client.run(&ping).is_ok_and(|output| output.status == 0)
        })?;
        Ok(())
    }

    /// Moves the taps to another switch.
    fn move_to(&mut self, place: usize) -> Result<(), TaskError> {
        if place == self.at {
            return Ok(());
        }
        let (from, to) = (&self.places[self.at].1, &self.places[place].1);
        from.detach()?;
        for (tap, _, _) in GUESTS {
            let netns = to.netns();
            from.netns()
                .ip(&["link", "set", "dev", tap, "netns", netns.name()])?;
            netns.ip(&["link", "set", "dev", tap, "up"])?;
        }
        self.at = place;
        self.attach(place)
    }

    /// One value of each of [`MEASURES`].
    fn sample(&mut self, place: usize) -> Result<[f64; 3], TaskError> {
        self.move_to(place)?;
        let received = |report: &Value| report["end"]["sum_received"]["bits_per_second"].as_f64();
        let tcp = self.iperf("-t 3")?;
        let udp = self.iperf(&format!("-t 3 -u -b 0 -l {UDP_PAYLOAD_64_BYTES}"))?;
        Ok([
            received(&tcp).unwrap_or(f64::NAN) / 1e9,
            datagrams_received(&udp).unwrap_or(f64::NAN) / 1e3,
            self.round_trip_us()?,
        ])
    }

    fn iperf(&self, options: &str) -> Result<Value, TaskError> {
        let command = format!("iperf3 -c {SERVER} -J {options}");
        let output = self.guests[0].run(&command)?.ok()?;
        serde_json::from_str(&output.stdout).map_err(|source| TaskError::Json {
            what: "report of iperf3",
            source,
        })
    }

    fn round_trip_us(&self) -> Result<f64, TaskError> {
        let ping = format!("ping -c {PINGS} -i 0.01 {SERVER}");
        let output = self.guests[0].run(&ping)?.ok()?;
        Ok(Series {
            name: String::new(),
            unit: "µs",
            samples: round_trips_us(&output.stdout),
        }
        .median())
    }
}

/// Datagrams a second that came, of a report of iperf3's.
fn datagrams_received(report: &Value) -> Option<f64> {
    let sum = &report["end"]["sum"];
    let (packets, lost) = (sum["packets"].as_f64()?, sum["lost_packets"].as_f64()?);
    Some((packets - lost) / sum["seconds"].as_f64()?)
}

/// Round trips that busybox's ping prints in milliseconds.
fn round_trips_us(text: &str) -> Vec<f64> {
    let times = text.lines().filter_map(|line| line.split_once("time="));
    let times = times.filter_map(|(_, rest)| rest.split(' ').next()?.parse::<f64>().ok());
    times.map(|milliseconds| milliseconds * 1000.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read() {
        let ping = "PING 192.0.2.2 (192.0.2.2): 56 data bytes\n\
                    64 bytes from 192.0.2.2: seq=0 ttl=64 time=0.712 ms\n\
                    64 bytes from 192.0.2.2: seq=1 ttl=64 time=1.5 ms\n\n\
                    round-trip min/avg/max = 0.7/1.1/1.5 ms\n";
        assert_eq!(round_trips_us(ping), [712.0, 1500.0]);
        let report = serde_json::json!({"end": {"sum": {
            "packets": 3000, "lost_packets": 600, "seconds": 2.0}}});
        assert_eq!(datagrams_received(&report), Some(1200.0));
    }
}
