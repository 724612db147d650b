//! What the machine gives without the switch: two namespaces back to back, and through a Linux
//! bridge.

use std::time::Duration;

use aorta_integration::lab::{Netns, wait_until};

use super::{Report, Variant, interleaved};
use crate::error::TaskError;

/// Two namespaces that can talk, with a server running in the second.
struct Path {
    client: Netns,
    _server: Netns,
    _middle: Option<Netns>,
}

/// Gbit/s of one TCP connection, both ways of connecting in turns.
///
/// # Errors
/// When a namespace or iperf3 fails.
pub fn run(rounds: u32) -> Result<Report, TaskError> {
    let (direct, bridged) = (direct()?, bridged()?);
    let series = interleaved(
        rounds,
        "Gbit/s",
        vec![
            Variant::new("TCP, veth pair", || direct.throughput()),
            Variant::new("TCP, Linux bridge", || bridged.throughput()),
        ],
    )?;
    Ok(Report {
        bench: "lab",
        series,
        notes: Vec::new(),
    })
}

fn direct() -> Result<Path, TaskError> {
    let (client, server) = (Netns::new("client")?, Netns::new("server")?);
    client.veth("v", &server, "v")?;
    Path::new(client, server, None)
}

fn bridged() -> Result<Path, TaskError> {
    let (client, server) = (Netns::new("client")?, Netns::new("server")?);
    let middle = Netns::new("bridge")?;
    client.veth("v", &middle, "pc")?;
    server.veth("v", &middle, "ps")?;
    middle.linux_bridge("br", &["pc", "ps"])?;
    Path::new(client, server, Some(middle))
}

impl Path {
    fn new(client: Netns, server: Netns, middle: Option<Netns>) -> Result<Path, TaskError> {
        client.address("v", "192.0.2.1/24")?;
        server.address("v", "192.0.2.2/24")?;
        server.run(&["iperf3", "-s", "-D"])?.ok()?;
        wait_until("the server answers", Duration::from_secs(10), || {
            client
                .run(&["ping", "-c", "1", "-W", "1", "192.0.2.2"])
                .is_ok_and(|o| o.status == 0)
        })?;
        Ok(Path {
            client,
            _server: server,
            _middle: middle,
        })
    }

    fn throughput(&self) -> Result<f64, TaskError> {
        let output = self
            .client
            .run(&["iperf3", "-c", "192.0.2.2", "-t", "2", "-J"])?
            .ok()?;
        let report: serde_json::Value =
            serde_json::from_str(&output.stdout).map_err(|source| TaskError::Json {
                what: "report of iperf3",
                source,
            })?;
        let bits = &report["end"]["sum_received"]["bits_per_second"];
        Ok(bits.as_f64().unwrap_or(f64::NAN) / 1e9)
    }
}
