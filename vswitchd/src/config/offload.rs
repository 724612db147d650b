//! What network cards are to take over, as rows of tables Open_vSwitch, Bridge and Interface ask for
//! it.

use std::collections::BTreeMap;

use aorta_flow::{BridgeName, PortName};

use super::{BridgeRow, DesiredBridge, InterfaceRow, OpenVswitchRow};

/// Keys of Bridge:other_config with cookies of flows that come first, or stay in software.
pub const PIN: &str = "aorta-offload-pin";
/// See [`PIN`].
pub const EXCLUDE: &str = "aorta-offload-exclude";
/// Key of Interface:other_config with how its card is programmed.
pub const MODE: &str = "aorta-offload";

/// How the card of a port is programmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum OffloadMode {
    /// As it can be.
    #[default]
    Auto,
    /// Not at all.
    Off,
    /// By TC flower.
    Flower,
    /// By an eBPF program that the card runs itself.
    Ebpf,
}

/// Cookies and masks: flows with such a cookie are meant.
pub type Cookies = Vec<(u64, u64)>;

/// What is asked of one bridge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OffloadCookies {
    /// Flows that come before all others if a card has no room for all.
    pub pinned: Cookies,
    /// Flows that stay in software.
    pub excluded: Cookies,
}

/// What network cards are to take over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OffloadWanted {
    /// Whether they are to take anything over (`hw-offload`).
    pub on: bool,
    /// What is asked of bridges.
    pub bridges: BTreeMap<BridgeName, OffloadCookies>,
    /// How the cards of ports are programmed, or why the software must see all that comes to them.
    pub ports: BTreeMap<PortName, Result<OffloadMode, String>>,
}

impl OffloadWanted {
    /// What these bridges ask for.
    pub fn of(on: bool, bridges: &[DesiredBridge]) -> OffloadWanted {
        if !on {
            return OffloadWanted::default();
        }
        let cookies = |bridge: &DesiredBridge| (bridge.name.clone(), bridge.offload.clone());
        let ports = bridges.iter().flat_map(|bridge| &bridge.ports);
        OffloadWanted {
            on,
            bridges: bridges.iter().map(cookies).collect(),
            ports: ports
                .map(|port| {
                    let shaped = port.qos.asked.shapes();
                    let mode = match shaped {
                        true => Err("what leaves by it is shaped in software (QoS)".to_owned()),
                        false => Ok(port.offload),
                    };
                    (port.name.clone(), mode)
                })
                .collect(),
        }
    }
}

/// Whether cards are to take anything over, and what is wrong with what the row says of it.
pub fn hw_offload(row: Option<&OpenVswitchRow>) -> (bool, Vec<String>) {
    let Some(row) = row else {
        return (false, Vec::new());
    };
    let mut notes = Vec::new();
    let on = match row.hw_offload.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => {
            notes.push(format!(
                "table Open_vSwitch: other_config:hw-offload is {other:?}, which is neither true nor \
                 false; false is taken"
            ));
            false
        }
    };
    if let Some(policy) = row.tc_policy.as_deref().filter(|p| *p != "skip_sw") {
        notes.push(format!(
            "table Open_vSwitch: other_config:tc-policy={policy} is without effect: what cards \
             take over is never run a second time in software, as with skip_sw"
        ));
    }
    (on, notes)
}

/// How the card of an interface is to be programmed, and what is wrong with what the row says of it.
pub fn offload_mode(row: &InterfaceRow) -> (OffloadMode, Vec<String>) {
    let mode = match row.offload.as_deref() {
        None | Some("auto") => OffloadMode::Auto,
        Some("off") => OffloadMode::Off,
        Some("flower") => OffloadMode::Flower,
        Some("ebpf") => OffloadMode::Ebpf,
        Some(other) => {
            let name = &row.name;
            let note = format!(
                "interface {name}: other_config:{MODE} is {other:?}, which is none of auto, off, \
                 flower, ebpf; off is taken"
            );
            return (OffloadMode::Off, vec![note]);
        }
    };
    (mode, Vec::new())
}

/// Which flows of a bridge cards are to take over, or not, and what is wrong with what the row says
/// of it.
pub fn offload_cookies(row: &BridgeRow) -> (OffloadCookies, Vec<String>) {
    let mut notes = Vec::new();
    let mut read = |key: &str, text: &Option<String>| {
        let text = text.as_deref().unwrap_or_default();
        cookies(text).unwrap_or_else(|bad| {
            let name = &row.name;
            notes.push(format!(
                "bridge {name}: other_config:{key} is ignored: {bad:?} is not COOKIE or COOKIE/MASK, \
                 such as 0x10 or 0x10/0xf0"
            ));
            Cookies::new()
        })
    };
    let asked = OffloadCookies {
        pinned: read(PIN, &row.offload_pin),
        excluded: read(EXCLUDE, &row.offload_exclude),
    };
    (asked, notes)
}

/// Reads `COOKIE[/MASK]`, with commas or spaces between them.
///
/// # Errors
/// With the part that can't be read.
fn cookies(text: &str) -> Result<Cookies, String> {
    let parts = text.split([',', ' ']).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (cookie, mask) = match part.split_once('/') {
                Some((cookie, mask)) => (number(cookie), number(mask)),
                None => (number(part), Some(u64::MAX)),
            };
            cookie.zip(mask).ok_or_else(|| part.to_owned())
        })
        .collect()
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cookies() {
        assert_eq!(cookies(""), Ok(vec![]));
        assert_eq!(
            cookies("0x10/0xf0, 7"),
            Ok(vec![(0x10, 0xf0), (7, u64::MAX)])
        );
        for (text, bad) in [("7,x", "x"), ("1/", "1/"), ("0xg", "0xg"), ("-1", "-1")] {
            assert_eq!(cookies(text), Err(bad.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_row() {
        let mut rows = crate::testing::Rows::default();
        let bridge = rows.bridge("br0");
        for (name, offload) in [("p1", "flower"), ("p2", "tc"), ("p3", "off")] {
            let mut interface = rows.interface(name, "");
            interface.offload = Some(offload.into());
            rows.port(bridge, vec![interface]);
        }
        let row = rows.model.bridges.get_mut(&bridge).unwrap();
        row.offload_pin = Some("0x10/0xff".into());
        row.offload_exclude = Some("seven".into());
        rows.model.root.as_mut().unwrap().hw_offload = Some("true".into());
        let desired = rows.desired();
        assert_eq!(desired.notes.len(), 2, "{:?}", desired.notes);
        let told = |words: &[&str]| {
            let mut notes = desired.notes.iter();
            notes.any(|note| words.iter().all(|word| note.contains(word)))
        };
        assert!(told(&["interface p2", "aorta-offload", "\"tc\""]));
        assert!(told(&["bridge br0", "aorta-offload-exclude", "seven"]));
        let wanted = &desired.offload;
        assert_eq!(wanted.ports[&"p1".into()], Ok(OffloadMode::Flower));
        assert_eq!(wanted.ports[&"p2".into()], Ok(OffloadMode::Off));
        assert_eq!(wanted.bridges[&"br0".into()].pinned, [(0x10, 0xff)]);
        rows.model.root.as_mut().unwrap().hw_offload = Some("yes".into());
        let desired = rows.desired();
        assert!(!desired.offload.on);
        assert!(
            desired
                .notes
                .iter()
                .any(|note| note.contains("hw-offload is \"yes\""))
        );
    }
}
