//! What the datapath tells: counters and learned addresses.

use std::collections::BTreeMap;

use aorta_compiler::abi::{counter, fdb};
use aorta_flow::{BridgeName, DropReason, OfPort, PortName};
use aorta_packet::{MacAddr, Vid};

use crate::datapath::Datapath;
use crate::error::DatapathError;

/// Traffic of one port since it was added.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortCounters {
    /// Its bridge.
    pub bridge: BridgeName,
    /// Its name.
    pub port: PortName,
    /// Its number.
    pub ofport: OfPort,
    /// Frames taken from it.
    pub rx_packets: u64,
    /// Bytes taken from it.
    pub rx_bytes: u64,
    /// Frames sent to it.
    pub tx_packets: u64,
    /// Bytes sent to it.
    pub tx_bytes: u64,
    /// Frames from it that were flooded.
    pub flooded: u64,
    /// Copies that flooding made of them.
    pub flood_copies: u64,
    /// Frames from it that went nowhere, for each reason that occurred.
    pub drops: BTreeMap<DropReason, u64>,
}

/// A learned MAC address.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FdbEntry {
    /// VLAN in which it was seen.
    pub vid: Vid,
    /// The address.
    pub mac: MacAddr,
    /// Port behind which it is.
    pub port: PortName,
    /// Number of that port.
    pub ofport: OfPort,
    /// Seconds since a frame came from it.
    pub age_s: u64,
}

impl Datapath {
    /// Counters of all ports.
    pub fn counters(&self) -> Result<Vec<PortCounters>, DatapathError> {
        let mut all = Vec::with_capacity(self.installed.ports.len());
        for (slot, port) in &self.installed.ports {
            let words = self.state.words(*slot)?;
            let Some(bridge) = self.installed.bridges.get(&port.bridge_slot) else {
                continue;
            };
            let drops = DropReason::ALL
                .iter()
                .map(|reason| (*reason, words[counter::DROPS + reason.index()]))
                .filter(|(_, frames)| *frames > 0)
                .collect();
            all.push(PortCounters {
                bridge: bridge.name.clone(),
                port: port.name.clone(),
                ofport: port.ofport,
                rx_packets: words[counter::RX_PACKETS],
                rx_bytes: words[counter::RX_BYTES],
                tx_packets: words[counter::TX_PACKETS],
                tx_bytes: words[counter::TX_BYTES],
                flooded: words[counter::FLOODED],
                flood_copies: words[counter::COPIES],
                drops,
            });
        }
        Ok(all)
    }

    /// Forgets the addresses that a bridge has learned.
    ///
    /// # Errors
    /// When there is no such bridge, or its table can't be changed.
    pub fn flush_fdb(&self, bridge: &BridgeName) -> Result<(), DatapathError> {
        let slot = self.state.slots().bridges.get(bridge);
        let map = slot.and_then(|slot| self.state.fdb(*slot));
        let map = map.ok_or_else(|| DatapathError::NoBridge(bridge.clone()))?;
        for key in map.keys()? {
            map.remove(&key)?;
        }
        self.generation.next_epoch()
    }

    /// Addresses that a bridge has learned and not forgotten, sorted.
    pub fn fdb(&self, bridge: &BridgeName) -> Result<Vec<FdbEntry>, DatapathError> {
        let no_bridge = || DatapathError::NoBridge(bridge.clone());
        let slot = *self
            .state
            .slots()
            .bridges
            .get(bridge)
            .ok_or_else(no_bridge)?;
        let aging_s = self
            .installed
            .bridges
            .get(&slot)
            .ok_or_else(no_bridge)?
            .mac_aging_s;
        let map = self.state.fdb(slot).ok_or_else(no_bridge)?;
        let now = self.clock.now().map_err(|source| DatapathError::Map {
            what: "read the time of",
            name: "fdb".into(),
            source,
        })?;
        let mut entries = Vec::new();
        for key in map.keys()? {
            let Some(value) = map.get(&key)? else {
                continue;
            };
            let (Ok(key), Some(port_slot), Some(seen)) = (
                <[u8; 8]>::try_from(&key[..]),
                u32_at(&value, fdb::PORT),
                u32_at(&value, fdb::SEEN),
            ) else {
                continue;
            };
            let (vid, mac) = fdb::split(key);
            let age_s = self.clock.age_s(now, seen);
            if age_s > u64::from(aging_s) {
                continue;
            }
            let (Some(port), Ok(vid)) = (self.installed.ports.get(&port_slot), Vid::new(vid))
            else {
                continue;
            };
            let (port, ofport) = (port.name.clone(), port.ofport);
            entries.push(FdbEntry {
                vid,
                mac,
                port,
                ofport,
                age_s,
            });
        }
        entries.sort();
        Ok(entries)
    }
}

/// The low 32 bits of the number at `at`.
fn u32_at(value: &[u8], at: i16) -> Option<u32> {
    let at = at as usize;
    // On a big-endian machine the low half of a u64 is its second.
    let at = if cfg!(target_endian = "big") && at as i16 == fdb::SEEN {
        at + 4
    } else {
        at
    };
    let bytes = value.get(at..at + 4)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}
