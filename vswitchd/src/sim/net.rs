//! All devices in memory. The reconciler makes and changes them, the datapath takes frames from
//! them and gives frames to them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aorta_flow::IfIndex;
use aorta_kernel::netdev::{Link, LinkStats, OperState};
use aorta_packet::MacAddr;

use super::capture::Capture;
use super::error::SimError;
use super::number::number_of;
use super::wire::WireEnd;
use crate::config::{Dummy, Wire};
use crate::control::Control;

/// MTU of a new device, in bytes.
const DEFAULT_MTU: u32 = 1500;
/// How addresses begin that nobody asked for.
const MAC_PREFIX: [u8; 3] = [0xaa, 0x55, 0xaa];

/// All devices in memory; copies are the same devices.
#[derive(Debug, Clone, Default)]
pub struct SimNet(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    devices: BTreeMap<String, Device>,
    /// How many devices were given an address.
    addresses: u32,
    /// Where frames go that come by wires, and the directory of their sockets.
    outside: Option<(Control, PathBuf)>,
}

#[derive(Debug)]
struct Device {
    link: Link,
    dummy: Dummy,
    captures: Captures,
    wire: Option<WireEnd>,
}

/// Where a device's frames are written to.
#[derive(Debug, Default)]
struct Captures {
    all: Option<Capture>,
    received: Option<Capture>,
    sent: Option<Capture>,
}

impl Captures {
    fn open(device: &str, dummy: &Dummy) -> Result<Captures, SimError> {
        let open = |path: &Option<String>| {
            let path = path.as_deref().map(Path::new);
            let opened = path.map(|path| {
                Capture::open(path).map_err(|source| SimError::Capture {
                    device: device.to_owned(),
                    path: path.to_owned(),
                    source,
                })
            });
            opened.transpose()
        };
        Ok(Captures {
            all: open(&dummy.pcap)?,
            received: open(&dummy.rx_pcap)?,
            sent: open(&dummy.tx_pcap)?,
        })
    }
}

impl SimNet {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets devices have wires: frames that come by them are received by the switch behind
    /// `control`. Sockets whose name has no directory are in `rundir`.
    pub fn allow_wires(&self, control: Control, rundir: PathBuf) {
        self.inner().outside = Some((control, rundir));
    }

    /// Makes a device, or changes the one of that name.
    ///
    /// # Errors
    /// If a capture file can't be written, or there are too many devices.
    pub fn make(&self, name: &str, dummy: &Dummy) -> Result<Link, SimError> {
        let captures = Captures::open(name, dummy)?;
        let mut inner = self.inner();
        let before = inner.devices.remove(name);
        let (link, wire) = match before {
            Some(device) if device.dummy.wire == dummy.wire => (device.link, device.wire),
            Some(device) => (device.link, None),
            None => (inner.new_link(name)?, None),
        };
        let wire = wire.or_else(|| {
            let (control, rundir) = inner.outside.as_ref()?;
            let to = dummy.wire.as_ref()?;
            Some(WireEnd::open(name, to, control.clone(), rundir))
        });
        let link = Link {
            mac: dummy.mac.or(link.mac),
            ..link
        };
        let device = Device {
            link: link.clone(),
            dummy: dummy.clone(),
            captures,
            wire,
        };
        inner.devices.insert(name.to_owned(), device);
        Ok(link)
    }

    /// Forgets a device.
    pub fn remove(&self, name: &str) -> Option<IfIndex> {
        let device = self.inner().devices.remove(name)?;
        Some(device.link.ifindex)
    }

    /// One device.
    pub fn link(&self, name: &str) -> Option<Link> {
        let inner = self.inner();
        Some(inner.devices.get(name)?.link.clone())
    }

    /// All devices.
    pub fn links(&self) -> Vec<Link> {
        let inner = self.inner();
        inner.devices.values().map(|d| d.link.clone()).collect()
    }

    /// What a device is to be.
    pub fn dummy(&self, name: &str) -> Option<Dummy> {
        let inner = self.inner();
        Some(inner.devices.get(name)?.dummy.clone())
    }

    /// Changes a device; as it is then.
    pub fn change(&self, name: &str, change: impl FnOnce(&mut Link)) -> Option<Link> {
        let mut inner = self.inner();
        let device = inner.devices.get_mut(name)?;
        change(&mut device.link);
        Some(device.link.clone())
    }

    /// Takes notice of a frame that comes from a device. False if there is no such device.
    pub fn received(&self, name: &str, frame: &[u8]) -> bool {
        let mut inner = self.inner();
        let Some(device) = inner.devices.get_mut(name) else {
            return false;
        };
        device.link.stats.rx_packets += 1;
        device.link.stats.rx_bytes += frame.len() as u64;
        let captures = &mut device.captures;
        for capture in [&mut captures.all, &mut captures.received] {
            capture.iter_mut().for_each(|capture| capture.write(frame));
        }
        true
    }

    /// Gives a frame to a device.
    pub fn send(&self, name: &str, frame: &[u8]) {
        let mut inner = self.inner();
        let Some(device) = inner.devices.get_mut(name) else {
            return;
        };
        device.link.stats.tx_packets += 1;
        device.link.stats.tx_bytes += frame.len() as u64;
        let captures = &mut device.captures;
        for capture in [&mut captures.all, &mut captures.sent] {
            capture.iter_mut().for_each(|capture| capture.write(frame));
        }
        if let Some(wire) = &device.wire {
            wire.send(frame);
        }
    }

    /// Whether the wires of devices that connect by themselves have led to another end, by name.
    pub fn connections(&self) -> Vec<(String, bool)> {
        let inner = self.inner();
        let active = |device: &Device| matches!(device.dummy.wire, Some(Wire::Active(_)));
        let devices = inner.devices.iter().filter(|(_, device)| active(device));
        let connected = |device: &Device| device.wire.as_ref().is_some_and(WireEnd::is_connected);
        devices
            .map(|(name, device)| (name.clone(), connected(device)))
            .collect()
    }
}

impl Inner {
    fn new_link(&mut self, name: &str) -> Result<Link, SimError> {
        let taken = |n: u32| {
            let mut links = self.devices.values();
            links.any(|device| device.link.ifindex.get() == n)
        };
        let number = number_of(name, |n| !taken(n)).and_then(IfIndex::new);
        let ifindex = number.ok_or_else(|| SimError::TooMany(name.to_owned()))?;
        self.addresses += 1;
        Ok(Link {
            ifindex,
            name: name.to_owned(),
            kind: Some("dummy".to_owned()),
            up: true,
            running: true,
            loopback: false,
            promisc: false,
            carrier: true,
            operstate: OperState::Up,
            mtu: DEFAULT_MTU,
            mac: Some(first_mac(self.addresses)),
            master: None,
            alias: None,
            peer: None,
            peer_netns: None,
            stats: LinkStats::default(),
        })
    }
}

/// The address of the device that is the n-th to need one.
fn first_mac(n: u32) -> MacAddr {
    let [.., a, b, c] = n.to_be_bytes();
    let [x, y, z] = MAC_PREFIX;
    MacAddr([x, y, z, 0x55u8.wrapping_add(a), b, c])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_numbered_counted_and_captured() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tx.pcap");
        let net = SimNet::default();
        let dummy = Dummy {
            tx_pcap: Some(path.display().to_string()),
            ..Dummy::local()
        };
        let link = net.make("p3", &dummy).unwrap();
        assert_eq!(link.ifindex.get(), 3);
        assert_eq!(link.mac.unwrap().to_string(), "aa:55:aa:55:00:01");
        net.send("p3", &[7; 60]);
        assert!(net.received("p3", &[0; 20]) && !net.received("p4", &[0; 20]));
        let again = net.make("p3", &Dummy::local()).unwrap();
        let stats = again.stats;
        assert_eq!((stats.tx_bytes, stats.rx_packets), (60, 1));
        assert_eq!(std::fs::read(&path).unwrap().len(), 24 + 16 + 60);
        assert_eq!(net.remove("p3"), Some(link.ifindex));
        assert!(net.links().is_empty());
    }
}
