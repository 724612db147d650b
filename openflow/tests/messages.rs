//! Messages that the real `ovs-ofctl` and `ovs-vswitchd` sent: they are understood, and written the
//! same; cut or changed anywhere they are refused with an error that can be told, or mean something
//! else that can be written.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use aorta_flow::table::FlowMod;
use aorta_flow::text::{NoNames, parse_flow_line};
use aorta_openflow::fuzzing;
use aorta_openflow::message::{FlowModMessage, Form};
use aorta_openflow::{Context, Envelope, Message, Version, decode, encode};
use proptest::prelude::*;

/// Each as a line that says what it is, and its bytes in hexadecimal.
const MESSAGES: &str = include_str!("messages.txt");

const CONTEXT: Context<'static> = Context {
    flow_mod_table_id: true,
    options: None,
};

fn bytes(hex: &str) -> Vec<u8> {
    let (pairs, _) = hex.as_bytes().as_chunks::<2>();
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.iter().map(|pair| byte(pair.as_slice())).collect()
}

/// What each is, and its bytes.
fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let mut lines = MESSAGES.lines();
    let mut messages = Vec::new();
    while let (Some(name), Some(hex)) = (lines.next(), lines.next()) {
        messages.push((name.strip_prefix("# ").unwrap(), bytes(hex)));
    }
    messages
}

/// Messages that we write in another way on purpose, and why.
const MEANT: [(&str, &str); 3] = [
    ("(2) flows", "OpenFlow 1.1 has a match of its own"),
    (
        "(1) NXST flows",
        "metadata is written before another table is looked up",
    ),
    (
        "(1) monitor",
        "metadata is written before another table is looked up",
    ),
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn written_as_they_were_read() {
    let mut differences = Vec::new();
    let all = messages();
    assert!(all.len() > 200, "only {} messages", all.len());
    for (name, bytes) in all {
        let meant = MEANT.iter().any(|(part, _)| name.contains(part));
        match decode(&bytes, CONTEXT) {
            Err(e) => differences.push(format!("{name}: {e}\n  {}", hex(&bytes))),
            Ok(read) => {
                let again = encode(&read, CONTEXT);
                if again.as_ref() != Ok(&bytes) && !meant {
                    let again = again.map(|again| hex(&again));
                    differences.push(format!(
                        "{name}\n  theirs: {}\n  ours:   {again:?}\n  {read:?}",
                        hex(&bytes)
                    ));
                }
            }
        }
    }
    differences
        .iter()
        .for_each(|difference| println!("{difference}"));
    assert!(differences.is_empty(), "{} differences", differences.len());
}

/// The first bytes of a message as a message of that length.
fn cut(message: &[u8], len: usize) -> Vec<u8> {
    let mut cut = message[..len].to_vec();
    cut[2..4].copy_from_slice(&(len as u16).to_be_bytes());
    cut
}

#[test]
fn cut_anywhere_they_are_answered() {
    for (_, message) in messages() {
        for len in 8..message.len() {
            fuzzing::message(&cut(&message, len));
        }
        for len in 0..message.len() {
            let refused = decode(&message[..len], CONTEXT).unwrap_err();
            let reply: Envelope = refused.reply();
            assert!(encode(&reply, CONTEXT).is_ok());
        }
    }
}

/// Changes of flows with every action and field, in every version.
fn changes_of_flows() -> Vec<Vec<u8>> {
    let lines = include_str!("lines.txt").lines();
    let all = Version::ALL.into_iter().flat_map(|version| {
        lines.clone().map(move |line| {
            let (command, text) = parse_flow_line(line, &NoNames).unwrap();
            let message = Message::FlowMod(FlowModMessage {
                form: match version {
                    Version::OpenFlow10 => Form::Nicira,
                    _ => Form::Standard,
                },
                change: FlowMod::from_text(command, text),
                buffer_id: None,
            });
            let envelope = Envelope {
                version,
                xid: 1,
                message,
            };
            encode(&envelope, CONTEXT)
        })
    });
    // Not all versions can say all.
    let all: Vec<Vec<u8>> = all.filter_map(Result::ok).collect();
    assert!(all.len() > 1000, "only {} changes", all.len());
    all
}

#[test]
fn changes_of_flows_cut_anywhere_are_answered() {
    for message in changes_of_flows() {
        fuzzing::message(&message);
        // All that is behind the fixed part, where lengths depend on each other.
        for len in (40..message.len()).step_by(3) {
            fuzzing::message(&cut(&message, len));
        }
    }
}

fn corpus() -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/message");
    let files = fs::read_dir(dir).unwrap();
    files
        .map(|file| fs::read(file.unwrap().path()).unwrap())
        .collect()
}

#[test]
fn corpus_replays() {
    let files = corpus();
    assert!(files.len() >= 40, "only {} files", files.len());
    for message in &files {
        fuzzing::message(message);
        fuzzing::text(message);
    }
}

/// What is changed.
static POPULATION: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let messages = messages().into_iter().map(|(_, bytes)| bytes);
    messages.chain(changes_of_flows()).collect()
});

/// How many changed messages are tried: a few, or as many as the environment says.
fn changed_messages() -> u32 {
    let asked = std::env::var("AORTA_OPENFLOW_CASES").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(4000)
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(changed_messages())
    })]

    #[test]
    fn changed_anywhere_they_are_answered(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut message = which.get(&POPULATION).clone();
        for (at, byte) in changes {
            let at = at.index(message.len());
            message[at] = byte;
        }
        let len = message.len() as u16;
        message[2..4].copy_from_slice(&len.to_be_bytes());
        fuzzing::message(&message);
    }
}
