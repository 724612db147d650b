//! Ports and queues.

use aorta_flow::OfPort;
use aorta_openflow::message::{MultipartRequest, PortConfig, PortFeatures, PortMod, QueueFilter};
use aorta_openflow::{Message, Version};

use super::error::OfctlError;
use super::{Done, OK, Ofctl};

impl Ofctl {
    /// The number of a port by its number, reserved name or name.
    fn port_number(&self, target: &str, word: &str) -> Result<OfPort, OfctlError> {
        let unknown = || OfctlError::other(format!("{target}: unknown port `{word}'"));
        if let Some(port) = OfPort::from_text(word) {
            return Ok(port);
        }
        if self.settings.names == Some(false) {
            return Err(unknown());
        }
        let (_, ports) = self.port_list(target)?;
        let named = ports.iter().find(|port| port.name == word);
        named.map(|port| port.port).ok_or_else(unknown)
    }

    /// The port of an argument, if there is one; else any.
    fn port_argument(&self, words: &[&str]) -> Result<OfPort, OfctlError> {
        match words.get(1) {
            None => Ok(OfPort::ANY),
            Some(word) if word.eq_ignore_ascii_case("any") => Ok(OfPort::ANY),
            Some(word) => self.port_number(words[0], word),
        }
    }
}

/// Prints what ports have counted.
pub fn stats(ofctl: &Ofctl, words: &[&str]) -> Done {
    let port = ofctl.port_argument(words)?;
    ofctl.dump(words[0], MultipartRequest::Port(port))
}

/// Prints ports.
pub fn desc(ofctl: &Ofctl, words: &[&str]) -> Done {
    let port = ofctl.port_argument(words)?;
    ofctl.dump(words[0], MultipartRequest::PortDesc(port))
}

fn queue_argument(words: &[&str]) -> Result<Option<u32>, OfctlError> {
    match words.get(2) {
        None => Ok(None),
        Some(word) if word.eq_ignore_ascii_case("all") => Ok(None),
        // As atoi(3) reads it.
        Some(word) => Ok(Some(word.parse().unwrap_or(0))),
    }
}

/// Prints what queues have counted.
pub fn queue_stats(ofctl: &Ofctl, words: &[&str]) -> Done {
    let filter = QueueFilter {
        port: ofctl.port_argument(words)?,
        queue: queue_argument(words)?,
    };
    ofctl.dump(words[0], MultipartRequest::Queue(filter))
}

/// Prints how queues are configured.
pub fn queue_config(ofctl: &Ofctl, words: &[&str]) -> Done {
    let port = ofctl.port_argument(words)?;
    let queue = queue_argument(words)?;
    let mut client = ofctl.open(words[0])?;
    if client.version >= Version::OpenFlow14 {
        let filter = QueueFilter { port, queue };
        return ofctl.dump_from(&mut client, MultipartRequest::QueueDesc(filter));
    }
    // OpenFlow 1.0 has no way to ask for all ports.
    let ports = match client.version == Version::OpenFlow10 && port == OfPort::ANY {
        true => {
            let (_, ports) = ofctl.port_list(words[0])?;
            ports.iter().map(|port| port.port).collect()
        }
        false => vec![port],
    };
    let version = client.version;
    for port in ports.into_iter().filter(|port| client_has(version, *port)) {
        let received = client.transact(Message::QueueGetConfigRequest(port))?;
        ofctl.print(&ofctl.text(&client, &received, 1)?)?;
    }
    Ok(OK)
}

/// Whether queues of a port can be asked for: to OpenFlow 1.0, the bridge's own has none.
fn client_has(version: Version, port: OfPort) -> bool {
    version > Version::OpenFlow10 || port.reserved_name().is_none()
}

const SETTINGS: [(&str, PortConfig, bool); 14] = [
    ("up", PortConfig::DOWN, false),
    ("down", PortConfig::DOWN, true),
    ("stp", PortConfig::NO_STP, false),
    ("no-stp", PortConfig::NO_STP, true),
    ("receive", PortConfig::NO_RECV, false),
    ("no-receive", PortConfig::NO_RECV, true),
    ("receive-stp", PortConfig::NO_RECV_STP, false),
    ("no-receive-stp", PortConfig::NO_RECV_STP, true),
    ("flood", PortConfig::NO_FLOOD, false),
    ("no-flood", PortConfig::NO_FLOOD, true),
    ("forward", PortConfig::NO_FWD, false),
    ("no-forward", PortConfig::NO_FWD, true),
    ("packet-in", PortConfig::NO_PACKET_IN, false),
    ("no-packet-in", PortConfig::NO_PACKET_IN, true),
];

/// The setting that a word asks for; words may stand together without their dashes.
fn setting(word: &str) -> Option<(PortConfig, bool)> {
    let plain = |text: &str| text.replace('-', "").to_ascii_lowercase();
    let found = SETTINGS
        .iter()
        .find(|(name, ..)| plain(name) == plain(word));
    found.map(|(_, bit, on)| (*bit, *on))
}

/// Changes a port.
pub fn modify(ofctl: &Ofctl, words: &[&str]) -> Done {
    let (target, name) = (words[0], words[1]);
    let absent = || OfctlError::other(format!("{target}: couldn't find port `{name}'"));
    let (_, ports) = ofctl.port_list(target)?;
    let number = OfPort::from_text(name);
    let fits =
        |port: &&aorta_openflow::message::PortDesc| port.name == name || number == Some(port.port);
    let port = ports.iter().find(fits).ok_or_else(absent)?;
    let unknown = || OfctlError::other(format!("unknown mod-port command '{}'", words[2]));
    let (mask, on) = setting(words[2]).ok_or_else(unknown)?;
    let change = PortMod {
        port: port.port,
        hw_addr: port.hw_addr,
        config: if on { mask } else { PortConfig::default() },
        mask,
        advertise: PortFeatures::default(),
    };
    let mut client = ofctl.open(target)?;
    ofctl.command(&mut client, Message::PortMod(change))?;
    Ok(OK)
}
