//! Whether and how quickly a switch answers.

use std::time::Instant;

use aorta_openflow::{Header, Message};

use super::client::{Client, Received};
use super::error::OfctlError;
use super::{Done, OK, Ofctl};

/// Bytes that an echo can have behind its header.
const MAX_PAYLOAD: usize = 0xffff - Header::LEN;
/// Echoes of a `ping`.
const COUNT: usize = 10;
/// Bytes of a `ping` that doesn't say.
const DEFAULT_PAYLOAD: usize = 64;
/// Type of replies to echoes, the same in all versions.
const ECHO_REPLY: u8 = 3;

fn payload_len(word: &str) -> Result<usize, OfctlError> {
    // As atoi(3) reads it.
    let len: i64 = word.parse().unwrap_or(0);
    let len = usize::try_from(len).ok().filter(|len| *len <= MAX_PAYLOAD);
    let bad = || OfctlError::other(format!("payload must be between 0 and {MAX_PAYLOAD} bytes"));
    len.ok_or_else(bad)
}

fn echo(client: &mut Client<'_>, payload: &[u8]) -> Result<(Received, f64), OfctlError> {
    let start = Instant::now();
    let reply = client.transact(Message::EchoRequest(payload.to_vec()))?;
    Ok((reply, start.elapsed().as_secs_f64() * 1e3))
}

/// Whether the switch answers.
pub fn probe(ofctl: &Ofctl, words: &[&str]) -> Done {
    let mut client = ofctl.open(words[0])?;
    let (reply, _) = echo(&mut client, &[])?;
    match reply.bytes.len() == Header::LEN {
        true => Ok(OK),
        false => Err(OfctlError::other("reply does not match request")),
    }
}

/// Prints how long the switch takes to answer.
pub fn ping(ofctl: &Ofctl, words: &[&str]) -> Done {
    let len = words
        .get(1)
        .map_or(Ok(DEFAULT_PAYLOAD), |word| payload_len(word))?;
    let mut client = ofctl.open(words[0])?;
    let payload: Vec<u8> = (0..len).map(|at| (at * 167 + 13) as u8).collect();
    for _ in 0..COUNT {
        let (reply, time_ms) = echo(&mut client, &payload)?;
        let body = &reply.bytes[Header::LEN..];
        if reply.kind != ECHO_REPLY || body != payload {
            ofctl.print("Reply does not match request:\n")?;
            ofctl.print(&ofctl.text(&client, &reply, 2)?)?;
        }
        ofctl.print(&format!(
            "{} bytes from {}: xid={:08x} time={time_ms:.1} ms\n",
            body.len(),
            client.target,
            reply.xid
        ))?;
    }
    Ok(OK)
}

/// Prints how many echoes the switch answers in a second.
pub fn benchmark(ofctl: &Ofctl, words: &[&str]) -> Done {
    let len = payload_len(words[1])?;
    let count: u64 = words[2].parse().unwrap_or(0);
    let mut client = ofctl.open(words[0])?;
    let (message_len, payload) = (len + Header::LEN, vec![0; len]);
    let total = count * message_len as u64;
    ofctl.print(&format!(
        "Sending {count} packets * {message_len} bytes (with header) = {total} bytes total\n"
    ))?;
    let start = Instant::now();
    for _ in 0..count {
        echo(&mut client, &payload)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let rate = |number: u64| number as f64 / seconds;
    ofctl.print(&format!(
        "Finished in {:.1} ms ({:.0} packets/s) ({:.0} bytes/s)\n",
        seconds * 1e3,
        rate(count),
        rate(total)
    ))?;
    Ok(OK)
}
