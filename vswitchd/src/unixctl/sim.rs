//! Commands about devices in memory and the clock.

use std::time::Duration;

use aorta_flow::FlowKey;
use aorta_flow::text::{Form, NoNames, parse_flow};
use aorta_flow::translate::Packet;

use super::switch::gone;
use super::{Answer, Commands};
use crate::control::{Request, SimOrder};
use crate::ofproto::parse_odp;

/// Least that a frame has, in bytes: an Ethernet header.
const LEAST_BYTES: usize = 14;
/// Most that a frame can be asked to have, in bytes.
const MOST_BYTES: usize = 65_535;
/// Bytes behind the last header of a frame that is given by its fields.
const PAYLOAD_BYTES: u8 = 64;

impl Commands {
    pub(super) async fn simulation(&self, name: &str, arguments: &[String]) -> Answer {
        match (name, arguments) {
            ("netdev-dummy/receive", [device, rest @ ..]) => {
                let read = received(rest);
                let (queue, frames) = read.clone().unwrap_or_default();
                let order = SimOrder::Receive {
                    device: device.clone(),
                    queue,
                    frames,
                };
                // That there is no such device is told before what is wrong with the packet.
                let done = self.order_sim(order).await?;
                read.map(|_| done)
            }
            ("netdev-dummy/set-admin-state", [device @ .., state]) => {
                let up = match state.as_str() {
                    "up" => true,
                    "down" => false,
                    _ => return Err("Invalid Admin State".to_owned()),
                };
                let device = device.first().cloned();
                self.order_sim(SimOrder::SetUp { device, up }).await
            }
            ("netdev-dummy/conn-state", device) => {
                let device = device.first().cloned();
                self.order_sim(SimOrder::Wires { device }).await
            }
            ("time/stop", _) => self.order_sim(SimOrder::StopTime).await,
            ("time/warp", [ms]) => {
                let ms = milliseconds(ms)?;
                self.warp(ms, ms).await
            }
            ("time/warp", [all, step]) => {
                let (all, step) = (milliseconds(all)?, milliseconds(step)?);
                self.warp(all, step).await
            }
            (other, _) => Err(format!("{other:?} takes other arguments")),
        }
    }

    async fn order_sim(&self, order: SimOrder) -> Answer {
        let asked = self.control.ask(|to| Request::Sim(order, to)).await;
        asked.map_err(gone)?
    }

    /// Puts the clock forward in steps, so that everything that is due in between happens.
    async fn warp(&self, mut left_ms: u64, step_ms: u64) -> Answer {
        while left_ms > 0 {
            let ms = step_ms.clamp(1, left_ms);
            self.order_sim(SimOrder::Warp(Duration::from_millis(ms)))
                .await?;
            left_ms -= ms;
        }
        Ok("warped".to_owned())
    }
}

fn milliseconds(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|ms| *ms > 0);
    number.ok_or_else(|| "invalid MSECS".to_owned())
}

/// Reads `[--qid QUEUE] PACKET|FLOW [--len LEN]...`.
fn received(words: &[String]) -> Result<(u32, Vec<Vec<u8>>), String> {
    let (queue, mut words) = match words {
        [option, queue, rest @ ..] if option == "--qid" => {
            let queue = queue.parse();
            (queue.map_err(|_| "bad rx queue id.".to_owned())?, rest)
        }
        all => (0, all),
    };
    let mut frames = Vec::new();
    while let [word, rest @ ..] = words {
        let (len, rest) = match rest {
            [option, len, rest @ ..] if option == "--len" => (Some(length(len)?), rest),
            rest => (None, rest),
        };
        frames.push(frame(word, len)?);
        words = rest;
    }
    Ok((queue, frames))
}

fn length(text: &str) -> Result<usize, String> {
    let len = text.parse().unwrap_or(0);
    if len < LEAST_BYTES {
        return Err("too small packet len".to_owned());
    }
    if len > MOST_BYTES {
        return Err(format!("a frame has at most {MOST_BYTES} bytes"));
    }
    Ok(len)
}

/// A frame as hexadecimal digits, or made of the fields that a flow of the datapath names.
fn frame(text: &str, len: Option<usize>) -> Result<Vec<u8>, String> {
    if let Some(bytes) = hexadecimal(text).filter(|bytes| bytes.len() >= LEAST_BYTES) {
        return Ok(bytes);
    }
    let flow = parse_odp(text).map_err(|rest| format!("syntax error at {rest}"))?;
    let read = parse_flow(&flow.matching, Form::Filter, &NoNames);
    let matching = read.map_err(|error| format!("{text}: {error}"))?.matching;
    let mut key = FlowKey::new();
    for part in matching.parts() {
        key.set(part.field, part.value);
    }
    Ok(match len {
        None => {
            let payload: Vec<u8> = (0..PAYLOAD_BYTES).collect();
            Packet::frame_of(&key, &payload)
        }
        Some(len) => {
            let headers = Packet::frame_of(&key, &[]).len();
            let mut frame = Packet::frame_of(&key, &vec![0; len.saturating_sub(headers)]);
            frame.resize(len.max(frame.len()), 0);
            frame
        }
    })
}

/// The bytes of hexadecimal digits.
fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16))
        .collect();
    let digits = digits?;
    let pairs = digits.chunks_exact(2);
    let whole = pairs.remainder().is_empty();
    let bytes = pairs.map(|pair| (pair[0] << 4 | pair[1]) as u8).collect();
    whole.then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETHERNET: &str = "in_port(1),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a)";

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    fn one(line: &str) -> String {
        let (_, frames) = received(&words(line)).unwrap();
        assert_eq!(frames.len(), 1);
        frames[0].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// As the real switch makes them.
    #[test]
    fn frames_are_made_of_fields() {
        let payload: String = (0..64).map(|n| format!("{n:02x}")).collect();
        let ip = |rest: &str| {
            format!("{ETHERNET},eth_type(0x0800),ipv4(src=10.0.0.2,dst=10.0.0.1,{rest}")
        };
        let udp = ip("proto=17,tos=0,ttl=64,frag=no),udp(src=8,dst=9)");
        assert_eq!(
            one(&udp),
            format!(
                "50540000000a50540000000908004500005c000000004011668f0a0000020a000001\
                 0008000900480747{payload}"
            )
        );
        let icmp = ip("proto=1,tos=1,ttl=64,frag=no),icmp(type=8,code=0)");
        assert_eq!(
            one(&icmp),
            format!(
                "50540000000a50540000000908004501005c000000004001669e0a0000020a000001\
                 080013fc00000000{payload}"
            )
        );
        let tcp = ip("proto=6,tos=0,ttl=64,frag=no),tcp(src=8,dst=9) --len 100");
        assert_eq!(
            one(&tcp),
            format!(
                "50540000000a50540000000908004500005600000000400666a00a0000020a000001\
                 000800090000000000000000500000009ba30000{}",
                "00".repeat(46)
            )
        );
        let arp = "eth_type(0x0806),arp(sip=1.1.1.1,tip=2.2.2.2,op=1,\
                   sha=50:54:00:00:00:09,tha=00:00:00:00:00:00)";
        assert_eq!(
            one(&format!("{ETHERNET},{arp}")),
            "50540000000a505400000009080600010800060400015054000000090101010100000000000002020202"
        );
        assert_eq!(
            one(&format!("{ETHERNET},eth_type(0x1234)")),
            "50540000000a5054000000091234"
        );
    }

    #[test]
    fn frames_are_bytes() {
        let frame = "ffffffffffff5054000000091234";
        assert_eq!(one(frame), frame);
        let (queue, frames) = received(&words(&format!("--qid 3 {frame} {frame}"))).unwrap();
        assert_eq!((queue, frames.len()), (3, 2));
        for (line, words_of_refusal) in [
            ("5054000000", "syntax error at 5054000000"),
            ("y", "syntax error at y"),
            ("eth_type(0x1234) --len 10", "too small packet len"),
            ("eth_type(0x1234) --len", "syntax error at --len"),
            ("--qid x eth()", "bad rx queue id."),
        ] {
            assert_eq!(received(&words(line)).unwrap_err(), words_of_refusal);
        }
    }
}
