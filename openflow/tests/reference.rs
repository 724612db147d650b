//! Changes of flows as the real `ovs-ofctl` sends them: what we write is what it writes, and what it
//! writes means to us what its line says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../datapath/flow/tests/cases/mod.rs"]
mod cases;
#[path = "../../datapath/flow/tests/flows/mod.rs"]
mod flows;
mod peer;

use aorta_flow::field::FieldId;
use aorta_flow::table::FlowMod;
use aorta_flow::text::{Form as TextForm, NoNames, parse_flow, parse_flow_line};
use aorta_openflow::message::FlowModMessage;
use aorta_openflow::{Context, Envelope, Message, Version, decode, encode};
use peer::{hex, ofctl, with_xid};
use proptest::strategy::{Strategy, ValueTree};

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

/// What a client has agreed on with its switch.
fn context(messages: &[Vec<u8>]) -> Context<'static> {
    const FLOW_MOD_TABLE_ID: [u8; 9] = [0, 0, 0x23, 0x20, 0, 0, 0, 15, 1];
    let agreed = |m: &Vec<u8>| m[1] == 4 && m[8..].starts_with(&FLOW_MOD_TABLE_ID);
    Context {
        flow_mod_table_id: messages.iter().any(agreed),
        options: None,
    }
}

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
fn compare(line: &str, version: Version, theirs: &[u8], context: Context<'_>) -> Vec<String> {
    let theirs = with_xid(theirs, 0);
    let mut differences = Vec::new();
    let seen = match decode(&theirs, context) {
        Ok(seen) => seen,
        Err(e) => {
            return vec![format!(
                "{version} {line}\n  refused: {e}\n  {}",
                hex(&theirs)
            )];
        }
    };
    let again = encode(&seen, context);
    if again.as_ref() != Ok(&theirs) {
        let again = again.map(|bytes| hex(&bytes));
        differences.push(format!(
            "{version} {line}\n  again:  {again:?}\n  theirs: {}\n  {seen:?}",
            hex(&theirs)
        ));
    }
    let written = encode(&ours(line, version, &seen), context);
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
            let found = compare(line, version, theirs, context(&session.messages));
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

/// Sends all lines at once, and compares each.
fn compare_all(version: Version, lines: &[String]) -> Vec<String> {
    let input = lines.join("\n") + "\n";
    let session = ofctl(version, &["add-flows", "SWITCH", "-"], &input);
    let theirs: Vec<&Vec<u8>> = session.messages.iter().filter(|m| is_flow_mod(m)).collect();
    assert_eq!(theirs.len(), lines.len(), "{version}: {}", session.stderr);
    let context = context(&session.messages);
    let pairs = lines.iter().zip(theirs);
    pairs
        .flat_map(|(line, theirs)| compare(line, version, theirs, context))
        .collect()
}

fn none_of(differences: &[String]) {
    differences
        .iter()
        .take(20)
        .for_each(|difference| println!("{difference}"));
    assert!(differences.is_empty(), "{} differences", differences.len());
}

const SAMPLES: [&str; 3] = [
    include_str!("../../datapath/flow/tests/samples/neutron-br-int.flows"),
    include_str!("../../datapath/flow/tests/samples/neutron-br-tun.flows"),
    include_str!("../../datapath/flow/tests/samples/ovn-br-int.flows"),
];

#[test]
fn tables_of_controllers() {
    for sample in SAMPLES {
        let lines: Vec<String> = sample
            .lines()
            // Others print this mask and don't read it.
            .filter(|line| !line.contains("/0x3f->ip_dscp"))
            .map(|line| {
                // Others read no list as an empty one.
                let line = line.replace("dec_ttl()", "dec_ttl");
                let text = parse_flow(&line, TextForm::Flow, &NoNames).unwrap();
                text.into_flow().to_string()
            })
            .collect();
        for version in [
            Version::OpenFlow13,
            Version::OpenFlow14,
            Version::OpenFlow15,
        ] {
            none_of(&compare_all(version, &lines));
        }
        let plain = lines.into_iter().filter(|line| openflow10_can_say(line));
        none_of(&compare_all(
            Version::OpenFlow10,
            &plain.collect::<Vec<_>>(),
        ));
    }
}

/// Whether others would send a flow to a switch of OpenFlow 1.0.
fn openflow10_can_say(line: &str) -> bool {
    let (_, actions) = line.split_once("actions=").unwrap();
    let later = ["goto_table", "meter:", "write_metadata", "push_vlan", "/"];
    !later.iter().any(|word| actions.contains(word)) && !line.contains("reset_counts")
}

/// Fields that others write as they are given.
fn allowed(field: FieldId) -> bool {
    let kept = ![
        FieldId::SKB_PRIORITY,
        FieldId::TUN_TTL,
        FieldId::TUN_TOS,
        FieldId::RECIRC_ID,
        FieldId::ACTSET_OUTPUT,
        FieldId::PACKET_TYPE,
        FieldId::VLAN_TCI,
        FieldId::VLAN_VID,
        FieldId::DL_VLAN,
        FieldId::IP_FRAG,
        FieldId::TUN_GBP_FLAGS,
        FieldId::TUN_FLAGS,
        FieldId::ETH_TYPE,
    ]
    .contains(&field);
    let flags = field.name().starts_with("tun_erspan") || field.name().starts_with("tun_gtpu");
    kept && !flags && field.as_tun_metadata().is_none()
}

#[test]
fn random_flows() {
    let mut runner = cases::runner();
    let strategy = flows::plain_flow(allowed);
    for version in [
        Version::OpenFlow13,
        Version::OpenFlow14,
        Version::OpenFlow15,
    ] {
        let lines: Vec<String> = (0..cases::count(400))
            .map(|_| {
                strategy
                    .new_tree(&mut runner)
                    .unwrap()
                    .current()
                    .to_string()
            })
            .collect();
        none_of(&compare_all(version, &lines));
    }
}
