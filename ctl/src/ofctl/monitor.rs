//! What a switch says by itself.

use aorta_flow::text::{Form, parse_flow};
use aorta_openflow::message::{
    FlowMonitorCommand, FlowMonitorFlags, FlowMonitorRequest, MultipartRequest, PacketInFormat,
};
use aorta_openflow::{Message, Version, Versions};

use super::client::{Client, ERROR};
use super::error::OfctlError;
use super::follow::follow;
use super::target::Socket;
use super::{Done, Ofctl, background, switch};

/// Parts of `watch:` by which something is not told.
const FLAGS: [(&str, FlowMonitorFlags); 6] = [
    ("!initial", FlowMonitorFlags::INITIAL),
    ("!add", FlowMonitorFlags::ADD),
    ("!delete", FlowMonitorFlags::REMOVED),
    ("!modify", FlowMonitorFlags::MODIFY),
    ("!actions", FlowMonitorFlags::INSTRUCTIONS),
    ("!own", FlowMonitorFlags::NO_ABBREV),
];

impl Ofctl {
    /// The monitor that `watch:` asks for.
    fn watch(&self, target: &str, text: &str) -> Result<FlowMonitorRequest, OfctlError> {
        let all = FLAGS.iter().fold(0, |all, (_, flag)| all | flag.0);
        let mut flags = all;
        let mut rest = Vec::new();
        for part in text.split([',', ' ']).filter(|part| !part.is_empty()) {
            match FLAGS.iter().find(|(word, _)| *word == part) {
                Some((_, flag)) => flags &= !flag.0,
                None => rest.push(part),
            }
        }
        let (names, text) = (self.names_to_read(target)?, rest.join(","));
        let flow = parse_flow(&text, Form::Filter, names);
        let flow = flow.map_err(|error| OfctlError::Text(error.render(&text)))?;
        Ok(FlowMonitorRequest {
            id: 0,
            command: FlowMonitorCommand::Add,
            flags: FlowMonitorFlags(flags),
            out_port: flow.out_port,
            out_group: flow.out_group,
            table: flow.table,
            matching: flow.matching,
        })
    }
}

/// Prints all that a switch sends.
pub fn monitor(ofctl: &Ofctl, words: &[&str]) -> Done {
    let target = words[0];
    if let Some(status) = background::leave(ofctl)? {
        return Ok(status);
    }
    let mut client = ofctl.open(target)?;
    let mut resumes = false;
    for word in &words[1..] {
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            configure(ofctl, &mut client, |config| {
                config.miss_send_len_bytes = word.parse().unwrap_or(0);
            })?;
        } else if *word == "invalid_ttl" {
            configure(ofctl, &mut client, |config| {
                config.invalid_ttl_to_controller = Some(true);
            })?;
        } else if *word == "resume" {
            resumes = true;
        } else if let Some(text) = word.strip_prefix("watch:") {
            let mut request = ofctl.watch(target, text)?;
            if client.version >= Version::OpenFlow14 {
                request.flags = as_in_14(request.flags);
            }
            watch(ofctl, &mut client, request)?;
        } else {
            let text = format!("{word}: unsupported \"monitor\" argument");
            return Err(OfctlError::other(text));
        }
    }
    packet_in_format(ofctl, &mut client)?;
    follow(ofctl, &mut client, resumes)
}

/// OpenFlow 1.4 has another bit for changes of one's own.
fn as_in_14(flags: FlowMonitorFlags) -> FlowMonitorFlags {
    match flags.contains(FlowMonitorFlags::NO_ABBREV) {
        true => {
            let others = flags.0 & !FlowMonitorFlags::NO_ABBREV.0;
            FlowMonitorFlags(others).with(FlowMonitorFlags::ONLY_OWN)
        }
        false => flags,
    }
}

fn configure(
    ofctl: &Ofctl,
    client: &mut Client<'_>,
    change: impl FnOnce(&mut aorta_openflow::message::SwitchConfig),
) -> Result<(), OfctlError> {
    let mut config = switch::config(client)?;
    change(&mut config);
    ofctl.command(client, Message::SetConfig(config))
}

fn watch(
    ofctl: &Ofctl,
    client: &mut Client<'_>,
    request: FlowMonitorRequest,
) -> Result<(), OfctlError> {
    let request = MultipartRequest::FlowMonitor(vec![request]);
    let received = client.transact(Message::Request(request))?;
    let text = ofctl.text(client, &received, 2)?;
    if received.kind == ERROR {
        return Err(OfctlError::Refused(text));
    }
    // The flows that there are were asked for.
    ofctl.print(&text)
}

/// Asks for packets in the form that is wanted; in the richest if none is.
fn packet_in_format(ofctl: &Ofctl, client: &mut Client<'_>) -> Result<(), OfctlError> {
    let wanted = ofctl.settings.packet_in_format;
    let format = wanted.unwrap_or(PacketInFormat::Nicira2);
    match client.command(Message::SetPacketInFormat(format))? {
        // It is only a wish.
        Err(_) if wanted.is_none() => Ok(()),
        Err(refusal) => Err(ofctl.refusal(client, &refusal)),
        Ok(()) => Ok(()),
    }
}

/// Prints what a switch and its controllers say to each other.
pub fn snoop(ofctl: &Ofctl, words: &[&str]) -> Done {
    if let Some(status) = background::leave(ofctl)? {
        return Ok(status);
    }
    let mut client = ofctl.open_with(words[0], Socket::Snoop, Versions::ALL)?;
    follow(ofctl, &mut client, false)
}
