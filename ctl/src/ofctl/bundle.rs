//! Changes that are done all at once, or not at all.

use std::collections::BTreeMap;

use aorta_flow::text::parse_flow_line;
use aorta_openflow::message::{
    BundleAdd, BundleControl, BundleControlKind, BundleFlags, FlowModMessage, Form, ReportedError,
};
use aorta_openflow::text::show;
use aorta_openflow::{Envelope, Message, Version};

use super::client::{Client, ERROR, Received};
use super::error::OfctlError;
use super::flows::{flow_mod, lines_of};
use super::{Done, OK, Ofctl, groups};

/// Number of the bundle: each connection has one only.
const ID: u32 = 0;
const FLAGS: BundleFlags = BundleFlags(BundleFlags::ATOMIC.0 | BundleFlags::ORDERED.0);

/// Does what a file says: flows, groups and packets, line by line.
pub fn run_file(ofctl: &Ofctl, words: &[&str]) -> Done {
    let names = ofctl.names_to_read(words[0])?;
    let mut messages = Vec::new();
    for line in lines_of(words[1])? {
        let (kind, rest) = line.split_once([' ', '\t']).unwrap_or((&line, ""));
        let rest = rest.trim_start();
        messages.push(match kind {
            "flow" => {
                let read = parse_flow_line(rest, names);
                let (command, flow) = read.map_err(|error| OfctlError::Text(error.render(rest)))?;
                Message::FlowMod(FlowModMessage {
                    form: Form::Standard,
                    change: flow_mod(command, flow, rest),
                    buffer_id: None,
                })
            }
            "group" => {
                let (change, text) = groups::first_word(rest);
                Message::GroupMod(groups::read(change, text, names)?)
            }
            "packet-out" => Message::PacketOut(super::switch::one_text(ofctl, words[0], rest)?),
            _ => {
                return Err(OfctlError::other(format!(
                    "Unsupported bundle message type: {kind}"
                )));
            }
        });
    }
    run(ofctl, words[0], messages)
}

/// Has a switch do changes all at once.
pub fn run(ofctl: &Ofctl, target: &str, messages: Vec<Message>) -> Done {
    let mut versions = ofctl.settings.versions;
    if versions.highest() < Some(Version::OpenFlow13) {
        versions = versions.with(Version::OpenFlow14);
    }
    let mut client = ofctl.open_with(target, super::target::Socket::Management, versions)?;
    if client.version < Version::OpenFlow13 {
        let text = "bundles need OpenFlow 1.3 or later ('-O OpenFlow14')";
        return Err(OfctlError::other(text));
    }
    let mut sent = BTreeMap::new();
    let mut adds = Vec::new();
    for message in messages {
        let xid = client.next_xid();
        let bytes = client.encode(xid, message.clone())?;
        let inner = Envelope {
            version: client.version,
            xid,
            message,
        };
        sent.insert(xid, bytes);
        adds.push((xid, inner));
    }
    control(ofctl, &mut client, BundleControlKind::OpenRequest, &sent)?;
    for (xid, message) in adds {
        let add = BundleAdd {
            id: ID,
            flags: FLAGS,
            message,
            quote: Vec::new(),
        };
        let bytes = client.encode(xid, Message::BundleAdd(Box::new(add)))?;
        client.send_bytes(&bytes)?;
    }
    let barrier = client.send(Message::BarrierRequest)?;
    let failed = settle(ofctl, &mut client, barrier, &sent)?;
    let commit = BundleControlKind::CommitRequest;
    let committed = control(ofctl, &mut client, commit, &sent);
    match failed {
        true => Err(client.not_the_protocol()),
        false => committed.map(|()| OK),
    }
}

/// Waits for the end of a transaction; tells errors that come before it, and whether there were.
fn settle(
    ofctl: &Ofctl,
    client: &mut Client<'_>,
    xid: u32,
    sent: &BTreeMap<u32, Vec<u8>>,
) -> Result<bool, OfctlError> {
    let mut failed = false;
    loop {
        let received = client.recv()?;
        if received.kind == ERROR {
            tell(ofctl, client, &received, sent)?;
            failed = true;
        }
        if received.xid == xid {
            return Ok(failed);
        }
    }
}

/// Opens or commits the bundle.
fn control(
    ofctl: &Ofctl,
    client: &mut Client<'_>,
    kind: BundleControlKind,
    sent: &BTreeMap<u32, Vec<u8>>,
) -> Result<(), OfctlError> {
    let message = Message::BundleControl(BundleControl {
        id: ID,
        kind,
        flags: FLAGS,
    });
    let xid = client.send(message.clone())?;
    let mut known = sent.clone();
    known.insert(xid, client.encode(xid, message)?);
    match settle(ofctl, client, xid, &known)? {
        true => Err(client.not_the_protocol()),
        false => Ok(()),
    }
}

/// Prints an error with the message that it is about.
fn tell(
    ofctl: &Ofctl,
    client: &Client<'_>,
    received: &Received,
    sent: &BTreeMap<u32, Vec<u8>>,
) -> Result<(), OfctlError> {
    let envelope = client.read(received)?;
    let Message::Error(error) = &envelope.message else {
        return Err(client.not_the_protocol());
    };
    let name = match error.error {
        ReportedError::Known(code) => code.name().to_owned(),
        ReportedError::Unknown(numbers) => format!("{numbers:?}"),
    };
    let names = ofctl.names_to_show(&client.target)?;
    let quoted = sent.get(&received.xid).unwrap_or(&error.data);
    let text = show(quoted, client.context, ofctl.style(names, 1));
    eprint!("Error {name} for: {text}");
    Ok(())
}
