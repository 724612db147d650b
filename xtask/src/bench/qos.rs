//! How well rates are kept: egress QoS of the port that a load leaves by, and ingress policing of
//! the one that it comes from. `AORTA_QOS_ONLY` has only those measured whose names have its text
//! in them, such as `policing 1000`.

use aorta_integration::lab::{Load, Netns, Protocol, RateMeter, Switch, SwitchOptions};

use super::{Report, Series};
use crate::error::TaskError;
use crate::proc::{build_programs, root, say};

/// How long each rate is measured.
const SECONDS: u32 = 10;
/// Bits a second that are asked for.
const RATES_BPS: [u64; 2] = [10_000_000, 1_000_000_000];
/// Packets a second that are asked for.
const RATE_PPS: u64 = 10_000;
/// Bursts are this part of a second's bits, so that connections get over their pauses.
const BURST_SHARE: u64 = 10;
/// The burst of Open vSwitch's that is taken if it is larger.
const DEFAULT_BURST_KBITS: u64 = 8000;
const MANY_FLOWS: u32 = 16;
/// Bytes of a full frame of a connection.
const FULL_FRAME: u32 = 1514;
/// Bytes of a datagram's headers.
const UDP_HEADERS: u32 = 42;
/// Bytes of datagrams of which the packets count.
const SMALL_DATAGRAM: u32 = 200;
const RECEIVER: &str = "192.0.2.2";

/// What keeps the rate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Limit {
    Nothing,
    Egress,
    Ingress,
    /// Of ingress, with the burst that there is without asking.
    IngressDefault,
    /// Of ingress, in packets a second.
    Packets,
}

/// Mbit/s that arrive, headers of frames counted, with limits of egress and ingress; thousands of
/// packets a second with limits of these.
///
/// # Errors
/// When the lab fails.
pub fn run(rounds: u32) -> Result<Report, TaskError> {
    let only = std::env::var("AORTA_QOS_ONLY").unwrap_or_default();
    let cases = chosen(&only);
    if cases.is_empty() {
        return Err(TaskError::NoBench(format!("qos, {only}")));
    }
    let bed = Bed::new()?;
    let meter = RateMeter::start(&bed.receiver, RECEIVER, 5201)?;
    let mut series: Vec<Series> = Vec::new();
    for _ in 0..rounds {
        let mut next = 0;
        for (limit, rate, loads) in &cases {
            let (limit, rate) = (*limit, *rate);
            bed.limit(limit, rate)?;
            for load in loads.iter().copied() {
                bed.mtu(load)?;
                let bits = meter.measure(&bed.sender, load)?;
                let (unit, sample) = match limit {
                    Limit::Packets => ("kpkt/s", bits / f64::from(frame_bits(load)) / 1e3),
                    _ => ("Mbit/s", bits / 1e6),
                };
                if series.len() == next {
                    series.push(Series {
                        name: name(limit, rate, load),
                        unit,
                        samples: Vec::new(),
                    });
                }
                series[next].samples.push(sample);
                next += 1;
            }
            bed.limit(Limit::Nothing, rate)?;
        }
    }
    let notes = vec![format!(
        "{SECONDS} s each; a rate is kept if it differs by at most 5 %"
    )];
    Ok(Report {
        bench: "qos",
        series,
        notes,
    })
}

/// The cases with those of their loads whose names have a text in them.
fn chosen(text: &str) -> Vec<(Limit, u64, Vec<Load>)> {
    let with_loads = cases().map(|(limit, rate)| {
        let loads = loads(limit, rate).filter(|load| name(limit, rate, *load).contains(text));
        (limit, rate, loads.collect())
    });
    with_loads
        .filter(|(.., loads): &(_, _, Vec<Load>)| !loads.is_empty())
        .collect()
}

/// Without a limit first: what the machine can do at all.
fn cases() -> impl Iterator<Item = (Limit, u64)> {
    let limited = [Limit::Egress, Limit::Ingress, Limit::IngressDefault]
        .into_iter()
        .flat_map(|limit| RATES_BPS.map(|rate_bps| (limit, rate_bps)));
    std::iter::once((Limit::Nothing, RATES_BPS[1]))
        .chain(limited)
        .chain([(Limit::Packets, RATE_PPS)])
}

/// One flow and many, of connections and of datagrams that are half as much again as the rate.
fn loads(limit: Limit, rate: u64) -> impl Iterator<Item = Load> {
    let (rate_bps, datagram_bytes) = match limit {
        Limit::Packets => (rate * u64::from(SMALL_DATAGRAM) * 8, SMALL_DATAGRAM),
        // So that senders and receivers keep up.
        _ if rate > RATES_BPS[0] => (rate, 8900),
        _ => (rate, 1400),
    };
    let udp = Protocol::Udp {
        offered_bps: rate_bps * 3 / 2,
        datagram_bytes,
    };
    [Protocol::Tcp, udp].into_iter().flat_map(|protocol| {
        [1, MANY_FLOWS].map(|flows| Load {
            protocol,
            flows,
            seconds: SECONDS,
        })
    })
}

/// Bits of a frame of a load.
fn frame_bits(load: Load) -> u32 {
    let bytes = match load.protocol {
        Protocol::Tcp => FULL_FRAME,
        Protocol::Udp { datagram_bytes, .. } => datagram_bytes + UDP_HEADERS,
    };
    bytes * 8
}

fn name(limit: Limit, rate: u64, load: Load) -> String {
    let limit = match limit {
        Limit::Nothing => "no limit".to_owned(),
        Limit::Egress => format!("QoS {}", rate / 1_000_000),
        Limit::Ingress => format!("policing {}", rate / 1_000_000),
        Limit::IngressDefault => format!("policing {}, usual burst", rate / 1_000_000),
        Limit::Packets => format!("policing {} kpkt/s", rate / 1000),
    };
    let protocol = match load.protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp { .. } => "UDP",
    };
    format!("{limit}, {protocol}, {} flows", load.flows)
}

/// A switch between two namespaces.
struct Bed {
    switch: Switch,
    sender: Netns,
    receiver: Netns,
    middle: Netns,
}

impl Bed {
    fn new() -> Result<Bed, TaskError> {
        build_programs(&["--release"])?;
        say("a switch between two namespaces");
        let middle = Netns::new("qos")?;
        let (sender, receiver) = (Netns::new("qoss")?, Netns::new("qosr")?);
        sender.veth("v", &middle, "s0")?;
        receiver.veth("v", &middle, "r0")?;
        sender.address("v", "192.0.2.1/24")?;
        receiver.address("v", &format!("{RECEIVER}/24"))?;
        let options = SwitchOptions {
            bin_dir: Some(root().join("target/release")),
            ..SwitchOptions::default()
        };
        let switch = Switch::start_with(Some(&middle), options)?;
        let bed = Bed {
            switch,
            sender,
            receiver,
            middle,
        };
        bed.vsctl("add-br br0 -- add-port br0 s0 -- add-port br0 r0")?;
        Ok(bed)
    }

    fn vsctl(&self, line: &str) -> Result<(), TaskError> {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.switch.vsctl(&words)?.ok()?;
        Ok(())
    }

    /// Has all links take the frames of a load, and no larger ones.
    fn mtu(&self, load: Load) -> Result<(), TaskError> {
        let mtu = match load.protocol {
            Protocol::Udp { datagram_bytes, .. } if datagram_bytes > 1400 => "9000",
            _ => "1500",
        };
        let ends = [(&self.sender, "v"), (&self.receiver, "v")];
        let ports = [(&self.middle, "s0"), (&self.middle, "r0")];
        for (ns, device) in ends.into_iter().chain(ports) {
            ns.ip(&["link", "set", "dev", device, "mtu", mtu])?;
        }
        Ok(())
    }

    fn limit(&self, limit: Limit, rate: u64) -> Result<(), TaskError> {
        match limit {
            Limit::Nothing => {
                self.vsctl(
                    "clear Port r0 qos -- set Interface s0 ingress_policing_rate=0 \
                     ingress_policing_kpkts_rate=0",
                )?;
                self.vsctl("-- --all destroy QoS")
            }
            Limit::Egress => self.vsctl(&format!(
                "set Port r0 qos=@q -- --id=@q create QoS type=linux-htb \
                 other_config:max-rate={rate}"
            )),
            Limit::Ingress => self.vsctl(&format!(
                "set Interface s0 ingress_policing_rate={} ingress_policing_burst={}",
                rate / 1000,
                (rate / 1000 / BURST_SHARE).max(DEFAULT_BURST_KBITS)
            )),
            Limit::IngressDefault => self.vsctl(&format!(
                "set Interface s0 ingress_policing_rate={} ingress_policing_burst=0",
                rate / 1000
            )),
            Limit::Packets => self.vsctl(&format!(
                "set Interface s0 ingress_policing_kpkts_rate={} ingress_policing_kpkts_burst=2",
                rate / 1000
            )),
        }
    }
}
