//! What the end-to-end tests share: a switch between two namespaces, and questions to it.
#![allow(dead_code)] // no test file needs all of it

pub mod client;
pub mod flows;
pub mod libvirt;
pub mod package;
pub mod pair;
pub mod pki;
pub mod python;
pub mod real_switch;
pub mod reference;
pub mod rpc;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use aorta_api::{FdbEntry, PortStatus, Status};
use aorta_integration::lab::{Netns, Output, Switch, UdpProbe, wait_until};
use serde_json::Value;

/// Longest wait for something that takes milliseconds on an idle machine.
pub const LIMIT: Duration = Duration::from_secs(60);
/// The right namespace's address.
pub const RIGHT: &str = "192.0.2.2";

/// A switch with the bridge br0, and two namespaces on its veth ports `va` and `vb`.
pub struct Bed {
    // Dropped first, while its devices are there.
    pub switch: Switch,
    pub left: Netns,
    pub right: Netns,
    pub ns: Netns,
}

impl Bed {
    /// Everything set up and reachable.
    pub fn new(label: &str) -> Bed {
        let ns = Netns::new(label).unwrap();
        ns.disable_ipv6().unwrap();
        let bed = Bed {
            left: station(&ns, "va", "192.0.2.1/24"),
            right: station(&ns, "vb", "192.0.2.2/24"),
            switch: Switch::start(&ns).unwrap(),
            ns,
        };
        let ports = "add-br br0 -- add-port br0 va -- add-port br0 vb";
        done(&bed.switch, ports);
        bed.wait_connected();
        bed
    }

    /// Waits until left reaches right.
    pub fn wait_connected(&self) {
        eventually("left reaches right", || pings(&self.left, RIGHT));
    }

    /// A steady stream from left to right.
    pub fn probe(&self) -> UdpProbe {
        let to: SocketAddr = (RIGHT.parse::<std::net::IpAddr>().unwrap(), 7000).into();
        let probe = UdpProbe::start(&self.left, &self.right, to, 1000).unwrap();
        probe.wait_received(50, LIMIT).unwrap();
        probe
    }

    /// Runs `what` while left sends to right, and requires that nothing of it is lost.
    pub fn undisturbed<T>(&mut self, what: impl FnOnce(&mut Bed) -> T) -> T {
        let probe = self.probe();
        let result = what(self);
        probe.wait_received(50, LIMIT).unwrap();
        let report = probe.finish().unwrap();
        let kernel = self.right.run(&["cat", "/proc/net/snmp"]).unwrap().stdout;
        assert_eq!(
            (report.lost(), report.duplicates),
            (0, 0),
            "{report:?}, {:?}\n{kernel}",
            status(&self.switch)
        );
        result
    }
}

/// A namespace whose `eth0` has an address; its other end is `port` in `ns`.
pub fn station(ns: &Netns, port: &str, address: &str) -> Netns {
    let station = Netns::new(port).unwrap();
    station.disable_ipv6().unwrap();
    ns.veth(port, &station, "eth0").unwrap();
    station.address("eth0", address).unwrap();
    station
}

/// Whether one ping comes back.
pub fn pings(from: &Netns, to: &str) -> bool {
    let ping = from.run(&["ping", "-c", "1", "-W", "1", to]).unwrap();
    ping.status == 0
}

/// Waits for a condition.
pub fn eventually(what: &str, condition: impl FnMut() -> bool) {
    wait_until(what, LIMIT, condition).unwrap();
}

/// Runs vsctl with words separated by blanks.
pub fn vsctl(switch: &Switch, words: &str) -> Output {
    switch
        .vsctl(&words.split_whitespace().collect::<Vec<_>>())
        .unwrap()
}

/// Runs vsctl, which must succeed, and returns what it printed without the last line's end.
pub fn done(switch: &Switch, words: &str) -> String {
    vsctl(switch, words)
        .ok()
        .unwrap()
        .stdout
        .trim_end()
        .to_owned()
}

/// A column as `get` prints it.
pub fn column(switch: &Switch, table: &str, record: &str, column: &str) -> String {
    done(switch, &format!("get {table} {record} {column}"))
}

/// Waits until a column of table Interface is as `get` would print it.
pub fn wait_interface(switch: &Switch, name: &str, what: &str, value: &str) {
    let mut last = String::new();
    let waited = wait_until("", LIMIT, || {
        last = column(switch, "Interface", name, what);
        last == value
    });
    assert!(
        waited.is_ok(),
        "{what} of {name} is {last}, and not {value}"
    );
}

/// The state of the switch.
pub fn status(switch: &Switch) -> Status {
    serde_json::from_str(&done(switch, "--json status")).unwrap()
}

/// One port's state.
pub fn port(switch: &Switch, name: &str) -> PortStatus {
    let mut ports = status(switch).bridges.into_iter().flat_map(|b| b.ports);
    ports.find(|port| port.name == name).unwrap()
}

/// What a bridge has learned.
pub fn fdb(switch: &Switch, bridge: &str) -> Vec<FdbEntry> {
    serde_json::from_str(&done(switch, &format!("--json fdb {bridge}"))).unwrap()
}

/// An Ethernet frame of 60 bytes or more with an experimental EtherType, tagged with `vlan` if
/// there is one. Addresses are given by their last byte; 0xff is broadcast.
pub fn frame(dst: u8, src: u8, vlan: Option<u16>) -> Vec<u8> {
    frame_to(address(dst), src, vlan)
}

/// [`frame`] to any address.
pub fn frame_to(dst: [u8; 6], src: u8, vlan: Option<u16>) -> Vec<u8> {
    let mut frame = [dst, address(src)].concat();
    if let Some(tci) = vlan {
        frame.extend([0x81, 0x00]);
        frame.extend(tci.to_be_bytes());
    }
    frame.extend([0x88, 0xb5]);
    frame.extend(b"payload of a test");
    frame.resize(60, 0);
    frame
}

/// A station's address by its last byte; 0xff is broadcast.
pub fn address(last: u8) -> [u8; 6] {
    if last == 0xff {
        [0xff; 6]
    } else {
        [0x02, 0, 0, 0, 0, last]
    }
}

/// The VLAN of a frame of ours; `None` if it has no tag.
pub fn vlan_of(frame: &[u8]) -> Option<u16> {
    let tagged = frame.get(12..14) == Some(&[0x81, 0x00]);
    tagged.then(|| u16::from_be_bytes([frame[14], frame[15]]) & 0xfff)
}

/// Whether a frame is one of [`frame`]'s.
pub fn is_ours(frame: &[u8]) -> bool {
    frame.windows(7).any(|w| w == b"payload")
}

/// The devices of a namespace by name: what an administrator can have set on them.
pub fn devices(ns: &Netns) -> BTreeMap<String, Value> {
    let listed = ns.ip(&["-d", "-j", "addr"]).unwrap().stdout;
    let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
    let kept = [
        "flags",
        "mtu",
        "promiscuity",
        "allmulti",
        "address",
        "addr_info",
        "master",
        "ifalias",
        "operstate",
        "xdp",
    ];
    let facts = |link: &Value| -> Value {
        kept.iter()
            .map(|key| ((*key).to_owned(), link[key].clone()))
            .collect()
    };
    listed
        .iter()
        .map(|link| (link["ifname"].as_str().unwrap().to_owned(), facts(link)))
        .collect()
}
