//! How well rates are kept: egress QoS of the port that a load leaves by, and ingress policing of
//! the one that it comes from.

use aorta_integration::lab::{Load, Netns, Protocol, RateMeter, Switch, SwitchOptions};

use super::{Report, Series};
use crate::error::TaskError;
use crate::proc::{build_programs, root, say};

/// How long each rate is measured.
const SECONDS: u32 = 10;
/// Bits a second that are asked for.
const RATES_BPS: [u64; 2] = [10_000_000, 1_000_000_000];
const MANY_FLOWS: u32 = 16;
const RECEIVER: &str = "192.0.2.2";

/// What keeps the rate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Limit {
    Nothing,
    Egress,
    Ingress,
}

/// Mbit/s that arrive, headers of frames counted, with limits of egress and ingress.
///
/// # Errors
/// When the lab fails.
pub fn run(rounds: u32) -> Result<Report, TaskError> {
    let bed = Bed::new()?;
    let meter = RateMeter::start(&bed.receiver, RECEIVER, 5201)?;
    let mut series: Vec<Series> = Vec::new();
    for _ in 0..rounds {
        let mut next = 0;
        for (limit, rate_bps) in cases() {
            bed.limit(limit, rate_bps)?;
            for load in loads(rate_bps) {
                bed.mtu(load)?;
                let sample = meter.measure(&bed.sender, load)? / 1e6;
                if series.len() == next {
                    series.push(Series {
                        name: name(limit, rate_bps, load),
                        unit: "Mbit/s",
                        samples: Vec::new(),
                    });
                }
                series[next].samples.push(sample);
                next += 1;
            }
            bed.limit(Limit::Nothing, rate_bps)?;
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

/// Without a limit first: what the machine can do at all.
fn cases() -> impl Iterator<Item = (Limit, u64)> {
    let limited = [Limit::Egress, Limit::Ingress]
        .into_iter()
        .flat_map(|limit| RATES_BPS.map(|rate_bps| (limit, rate_bps)));
    std::iter::once((Limit::Nothing, RATES_BPS[1])).chain(limited)
}

/// One flow and many, of connections and of datagrams that are half as much again as the rate.
fn loads(rate_bps: u64) -> impl Iterator<Item = Load> {
    let udp = Protocol::Udp {
        offered_bps: rate_bps * 3 / 2,
        // So that senders and receivers keep up.
        datagram_bytes: if rate_bps > RATES_BPS[0] { 8900 } else { 1400 },
    };
    [Protocol::Tcp, udp].into_iter().flat_map(|protocol| {
        [1, MANY_FLOWS].map(|flows| Load {
            protocol,
            flows,
            seconds: SECONDS,
        })
    })
}

fn name(limit: Limit, rate_bps: u64, load: Load) -> String {
    let limit = match limit {
        Limit::Nothing => "no limit".to_owned(),
        Limit::Egress => format!("QoS {}", rate_bps / 1_000_000),
        Limit::Ingress => format!("policing {}", rate_bps / 1_000_000),
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

    fn limit(&self, limit: Limit, rate_bps: u64) -> Result<(), TaskError> {
        match limit {
            Limit::Nothing => {
                self.vsctl("clear Port r0 qos -- set Interface s0 ingress_policing_rate=0")?;
                self.vsctl("-- --all destroy QoS")
            }
            Limit::Egress => self.vsctl(&format!(
                "set Port r0 qos=@q -- --id=@q create QoS type=linux-htb \
                 other_config:max-rate={rate_bps}"
            )),
            Limit::Ingress => self.vsctl(&format!(
                "set Interface s0 ingress_policing_rate={}",
                rate_bps / 1000
            )),
        }
    }
}
