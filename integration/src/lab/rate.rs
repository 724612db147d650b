//! How fast something gets from one namespace to another, as iperf3 finds it.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::{LabError, Netns, Stolen, run_within, wait_until};

/// Bytes of a TCP segment's contents in a frame of 1514 bytes.
const SEGMENT: u32 = 1448;
/// Bytes of headers of such a frame: Ethernet, IPv4, TCP with time stamps.
const TCP_HEADERS: u32 = 66;
/// The same of UDP.
const UDP_HEADERS: u32 = 42;

/// What a server that hasn't heard yet that the load before ended says to the next client.
const BUSY: &str = "server is busy";
/// The share of denied processor time from which a rate that is too low says nothing.
const DENIED: f64 = 0.03;
/// How often a rate is measured at most, and how many of them decide.
const TRIES: (usize, u32) = (6, 3);

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// How.
    pub protocol: Protocol,
    /// Connections, or senders of datagrams.
    pub flows: u32,
    /// How long it is measured.
    pub seconds: u32,
}

/// How it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// As fast as the connections go.
    Tcp,
    /// Datagrams, each in a frame of its own.
    Udp {
        /// Bits a second that all senders together offer.
        offered_bps: u64,
        /// Bytes of a datagram's contents; large ones need devices with a large MTU.
        datagram_bytes: u32,
    },
}

/// A server of iperf3, which ends with its namespace.
#[derive(Debug)]
pub struct RateMeter<'a> {
    to: &'a Netns,
    address: String,
    port: u16,
}

impl<'a> RateMeter<'a> {
    /// Starts it; `address` is one of the namespace's own.
    ///
    /// # Errors
    /// When iperf3 doesn't listen.
    pub fn start(to: &'a Netns, address: &str, port: u16) -> Result<RateMeter<'a>, LabError> {
        let number = port.to_string();
        to.run(&["iperf3", "-s", "-J", "-D", "-p", &number])?.ok()?;
        let listens = || {
            let sockets = to.run(&["ss", "-Hltn", "sport", "=", &number]);
            sockets.is_ok_and(|sockets| !sockets.stdout.is_empty())
        };
        wait_until("iperf3 listens", Duration::from_secs(10), listens)?;
        Ok(RateMeter {
            to,
            address: address.to_owned(),
            port,
        })
    }

    /// Bits a second that arrive, frames' headers counted. The second before is left out, and so
    /// is what still arrives from queues afterwards.
    ///
    /// # Errors
    /// When iperf3 fails.
    pub fn measure(&self, from: &Netns, load: Load) -> Result<f64, LabError> {
        let mut client = from.command("iperf3");
        client.args(["-J", "--get-server-output", "-c", &self.address]);
        client.args(["-p", &self.port.to_string()]);
        client.args(["-t", &(load.seconds + 2).to_string()]);
        client.args(["-P", &load.flows.to_string()]);
        let (contents, headers) = match load.protocol {
            Protocol::Tcp => (SEGMENT, TCP_HEADERS),
            Protocol::Udp {
                offered_bps,
                datagram_bytes,
            } => {
                let each = offered_bps / u64::from(load.flows.max(1));
                client.args(["-u", "-b", &each.to_string()]);
                client.args(["-l", &datagram_bytes.to_string()]);
                (datagram_bytes, UDP_HEADERS)
            }
        };
        // What waits in queues at the end still has to arrive.
        let limit = Duration::from_secs(u64::from(load.seconds) + 60);
        let mut report = Value::Null;
        wait_until("iperf3 is done with the load before", limit, || {
            report = match ran(&mut client, limit) {
                Ok(report) => report,
                Err(error) => json!({ "error": error.to_string() }),
            };
            !error_of(&report).contains(BUSY)
        })?;
        let error = error_of(&report);
        if !error.is_empty() {
            return Err(LabError::Agent(format!("iperf3 with {load:?}: {error}")));
        }
        let bits = arrived_bps(&report, load.seconds as usize);
        let bits = bits.ok_or_else(|| {
            let got = report["server_output_json"]["intervals"].as_array();
            let got = got.map_or(0, Vec::len);
            let wanted = load.seconds + 1;
            LabError::Agent(format!(
                "the receiver of {load:?} tells of {got} seconds, and not of {wanted}"
            ))
        })?;
        Ok(bits * f64::from(contents + headers) / f64::from(contents))
    }

    /// Where it runs.
    pub fn namespace(&self) -> &Netns {
        self.to
    }
}

/// What iperf3 reports.
fn ran(client: &mut Command, limit: Duration) -> Result<Value, LabError> {
    let output = run_within(client, limit)?;
    // Whether a refused client fails or not, its report says why.
    serde_json::from_str(&output.stdout)
        .map_err(|error| LabError::Agent(format!("report of iperf3: {error}: {}", output.stderr)))
}

/// What iperf3 complains of, nothing if all is well.
fn error_of(report: &Value) -> &str {
    report["error"].as_str().unwrap_or_default()
}

/// Bits a second of the contents that arrived in so many intervals of a second after the first.
fn arrived_bps(report: &Value, intervals: usize) -> Option<f64> {
    let all = report["server_output_json"]["intervals"].as_array()?;
    let counted = all.get(1..=intervals)?;
    let sum = |key: &str| -> Option<f64> {
        let values = counted.iter().map(|interval| interval["sum"][key].as_f64());
        values.sum()
    };
    Some(sum("bytes")? * 8.0 / sum("seconds")?)
}

/// Measures until a rate in bits a second is one of those allowed. What is less, or cannot be measured,
/// doesn't count while the machine is denied its processors, since nothing is sent then: if too few
/// measurements are left, a line says that it was skipped, and why. What is more always counts.
///
/// # Errors
/// What was measured, when each that counts is another.
pub fn rate_within<E: Display>(
    allowed_bps: RangeInclusive<f64>,
    what: &str,
    measure: impl Fn() -> Result<f64, E>,
) -> Result<(), String> {
    let (tries, deciding) = TRIES;
    let (mut counted, mut told) = (0, Vec::new());
    while counted < deciding && told.len() < tries {
        let before = Stolen::now();
        let rate = measure();
        let denied = before.share_since();
        match &rate {
            Ok(rate) if allowed_bps.contains(rate) => return Ok(()),
            Ok(rate) if rate > allowed_bps.end() => counted += 1,
            _ if denied < DENIED => counted += 1,
            _ => {}
        }
        let rate = rate.map_or_else(|error| error.to_string(), |rate| format!("{rate:.0}"));
        told.push(format!("{rate} ({:.0} % denied)", denied * 100.0));
    }
    let (told, allowed) = (told.join(", "), allowed_bps);
    let told = format!("{told} instead of {allowed:.0?} bit/s with {what}");
    if counted == deciding {
        return Err(told);
    }
    println!("skipped: the machine is denied its processors: {told}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_second_and_what_comes_late_do_not_count() {
        let interval =
            |bytes: u64, seconds: f64| json!({"sum": {"bytes": bytes, "seconds": seconds}});
        let intervals = [
            interval(900, 1.0),
            interval(100, 1.0),
            interval(300, 3.0),
            interval(900, 0.1),
        ];
        let report = json!({"server_output_json": {"intervals": intervals}});
        assert_eq!(arrived_bps(&report, 2), Some(800.0));
        assert_eq!(arrived_bps(&report, 4), None);
        assert_eq!(arrived_bps(&json!({}), 1), None);
    }
}
