//! Messages between Open vSwitch's programs, as they were sent: read, and written again to the
//! same bytes.
//!
//! In the files of `captured`, a line of digits is a message, and lines behind it that begin with
//! `|` are how Open vSwitch's own tool prints it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use aorta_flow::text::NoNames;
use aorta_openflow::text::{Style, show};
use aorta_openflow::{Context, decode, encode};

/// A message and its text.
struct Captured {
    digits: String,
    text: String,
}

impl Captured {
    fn bytes(&self) -> Vec<u8> {
        let pairs = self.digits.as_bytes().chunks(2);
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
        pairs.map(|pair| byte(pair).unwrap()).collect()
    }
}

fn captured(name: &str) -> Vec<Captured> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captured");
    let text = std::fs::read_to_string(dir.join(name)).unwrap();
    let mut all: Vec<Captured> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix('|'), all.last_mut()) {
            (Some(line), Some(last)) => {
                last.text.push_str(line);
                last.text.push('\n');
            }
            _ => all.push(Captured {
                digits: line.to_owned(),
                text: String::new(),
            }),
        }
    }
    assert!(!all.is_empty(), "{name} has no message");
    all
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads and writes all messages of a file. Those whose text `leaves_out` says so of mean the same
/// when they are written in fewer bytes.
fn both_ways(name: &str, leaves_out: impl Fn(&str) -> bool) {
    let mut faults = Vec::new();
    for message in captured(name) {
        let bytes = message.bytes();
        let envelope = match decode(&bytes, Context::default()) {
            Ok(envelope) => envelope,
            Err(refusal) => {
                faults.push(format!("{}{refusal}", message.text));
                continue;
            }
        };
        let written = encode(&envelope, Context::default()).unwrap();
        let same = match leaves_out(&message.text) {
            true => decode(&written, Context::default()).as_ref() == Ok(&envelope),
            false => written == bytes,
        };
        if !same {
            let (text, read, written) = (message.text, message.digits, hex(&written));
            faults.push(format!(
                "{text}read    {read}\nwritten {written}\n{envelope:?}"
            ));
        }
    }
    let count = faults.len();
    assert!(
        faults.is_empty(),
        "{count} of {name}:\n{}",
        faults.join("\n")
    );
}

/// Prints all messages of a file.
fn prints(name: &str) {
    let mut faults = Vec::new();
    let style = Style {
        names: &NoNames,
        verbosity: 2,
    };
    for message in captured(name) {
        let shown = show(&message.bytes(), Context::default(), style);
        if shown.trim_end_matches('\n') != message.text.trim_end_matches('\n') {
            let (digits, text) = (&message.digits, &message.text);
            faults.push(format!("{digits}\n- {text}+ {shown}"));
        }
    }
    let count = faults.len();
    assert!(
        faults.is_empty(),
        "{count} of {name}:\n{}",
        faults.join("\n")
    );
}

#[test]
fn groups_as_text() {
    prints("groups.txt");
}

#[test]
fn flows_as_text() {
    prints("flows.txt");
}

#[test]
fn packets_as_text() {
    prints("packets.txt");
}

#[test]
fn made_messages_as_text() {
    prints("made.txt");
}

#[test]
fn other_messages_as_text() {
    prints("connections.txt");
}

#[test]
fn groups() {
    both_ways("groups.txt", |_| false);
}

#[test]
fn ports_as_text() {
    prints("ports.txt");
}

#[test]
fn meters_as_text() {
    prints("meters.txt");
}

#[test]
fn queues_as_text() {
    prints("queues.txt");
}

#[test]
fn tables_as_text() {
    prints("tables.txt");
}

#[test]
fn ports() {
    both_ways("ports.txt", |_| false);
}

#[test]
fn meters() {
    both_ways("meters.txt", |_| false);
}

#[test]
fn queues() {
    both_ways("queues.txt", |_| false);
}

#[test]
fn tables() {
    both_ways("tables.txt", |_| false);
}

#[test]
fn packets() {
    both_ways("packets.txt", |_| false);
}

#[test]
fn other_messages() {
    both_ways("connections.txt", |_| false);
}

/// Every message cut short at every byte, and with single bits turned: whatever comes of it is
/// refused or printed.
#[test]
fn damaged_messages_are_refused_or_printed() {
    let style = Style {
        names: &NoNames,
        verbosity: 3,
    };
    let files = [
        "ports.txt",
        "groups.txt",
        "meters.txt",
        "queues.txt",
        "tables.txt",
        "flows.txt",
        "packets.txt",
        "connections.txt",
        "made.txt",
    ];
    let (mut refused, mut printed) = (0, 0);
    let mut look = |bytes: &[u8]| {
        match decode(bytes, Context::default()) {
            Ok(_) => printed += 1,
            Err(_) => refused += 1,
        }
        assert!(show(bytes, Context::default(), style).ends_with('\n'));
    };
    for message in files.into_iter().flat_map(captured) {
        let bytes = message.bytes();
        for len in (8..bytes.len().min(400)).step_by(3) {
            let mut cut = bytes[..len].to_vec();
            cut[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            look(&cut);
        }
        for at in (8..bytes.len().min(300)).step_by(7) {
            let mut turned = bytes.clone();
            turned[at] ^= 1 << (at % 8);
            look(&turned);
        }
    }
    assert!(refused > 10_000 && printed > 1000, "{refused} {printed}");
}
