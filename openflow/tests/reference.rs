//! Changes of flows as the real `ovs-ofctl` sends them: what we write is what it writes, and what it
//! writes means to us what its line says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod peer;

use aorta_flow::table::FlowMod;
use aorta_flow::text::{NoNames, parse_flow_line};
use aorta_openflow::message::FlowModMessage;
use aorta_openflow::{Context, Envelope, Message, Version, decode, encode};
use peer::{hex, ofctl, with_xid};

/// Lines as people write them.
const LINES: &str = include_str!("lines.txt");

/// Lines that we write in another way on purpose, from which version, and why.
const MEANT: [(&str, Version, &str); 8] = [
    (
        "/8->ip_src",
        Version::OpenFlow11,
        "others change the whole address",
    ),
    (
        "0xf0->tcp_dst",
        Version::OpenFlow11,
        "others change the whole port",
    ),
    (
        "0x1fff->vlan_vid",
        Version::OpenFlow11,
        "others don't write a mask",
    ),
    (
        "ff->eth_dst",
        Version::OpenFlow11,
        "others change the whole address",
    ),
    (
        "clear_actions",
        Version::OpenFlow10,
        "others leave out what the version hasn't",
    ),
    (
        "write_actions",
        Version::OpenFlow10,
        "others leave out what the version hasn't",
    ),
    (
        "goto_table:9",
        Version::OpenFlow10,
        "metadata is written before the next table is looked up",
    ),
    (
        "enqueue",
        Version::OpenFlow15,
        "later versions have three actions for it",
    ),
];

fn is_meant(line: &str, version: Version) -> bool {
    let mut meant = MEANT.iter();
    meant.any(|(part, last, _)| line.contains(part) && version <= *last)
}

const CONTEXT: Context<'static> = Context {
    flow_mod_table_id: true,
    options: None,
};

/// Our change of flows of a line, in the form of a message that was seen.
fn ours(line: &str, version: Version, seen: &Envelope) -> Envelope {
    let (command, text) = parse_flow_line(line, &NoNames).unwrap();
    let Message::FlowMod(FlowModMessage { form, .. }) = &seen.message else {
        panic!("{seen:?}");
    };
    Envelope {
        version,
        xid: 0,
        message: Message::FlowMod(FlowModMessage {
            form: *form,
            change: FlowMod::from_text(command, text),
            buffer_id: None,
        }),
    }
}

fn is_flow_mod(message: &[u8]) -> bool {
    const OFPT: u8 = 14;
    const NICIRA: [u8; 8] = [0, 0, 0x23, 0x20, 0, 0, 0, 13];
    message[1] == OFPT || message[1] == 4 && message[8..16] == NICIRA
}

/// Differences of one line.
fn compare(line: &str, version: Version, theirs: &[u8]) -> Vec<String> {
    let theirs = with_xid(theirs, 0);
    let mut differences = Vec::new();
    let seen = match decode(&theirs, CONTEXT) {
        Ok(seen) => seen,
        Err(e) => {
            return vec![format!(
                "{version} {line}\n  refused: {e}\n  {}",
                hex(&theirs)
            )];
        }
    };
    let again = encode(&seen, CONTEXT);
    if again.as_ref() != Ok(&theirs) {
        let again = again.map(|bytes| hex(&bytes));
        differences.push(format!(
            "{version} {line}\n  again:  {again:?}\n  theirs: {}\n  {seen:?}",
            hex(&theirs)
        ));
    }
    let written = encode(&ours(line, version, &seen), CONTEXT);
    if written.as_ref() != Ok(&theirs) {
        let written = written.map(|bytes| hex(&bytes));
        differences.push(format!(
            "{version} {line}\n  ours:   {written:?}\n  theirs: {}",
            hex(&theirs)
        ));
    }
    differences
}

#[test]
fn lines_of_people() {
    let (mut differences, mut meant) = (Vec::new(), 0);
    for version in Version::ALL {
        let mut compared = 0;
        for line in LINES.lines() {
            let session = ofctl(version, &["add-flow", "SWITCH", line], "");
            let Some(theirs) = session.messages.iter().find(|m| is_flow_mod(m)) else {
                if !session.stderr.contains("usable flow formats") {
                    differences.push(format!("{version} {line}: {}", session.stderr));
                }
                continue;
            };
            compared += 1;
            let found = compare(line, version, theirs);
            match is_meant(line, version) {
                true => meant += found.len(),
                false => differences.extend(found),
            }
        }
        assert!(compared > 150, "only {compared} lines of {version}");
    }
    for difference in &differences {
        println!("{difference}");
    }
    assert!(differences.is_empty(), "{} differences", differences.len());
    // None of them is there for nothing.
    assert!(meant > MEANT.len(), "only {meant} differences are meant");
}
