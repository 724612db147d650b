//! The meaning of NORMAL: what a learning bridge does with a frame.
//!
//! This is the definition. Compiled programs are compared with it, never the other way round.

use std::collections::{BTreeMap, HashMap};

use aorta_packet::{EthernetHeader, MacAddr, TPID_8021Q, Tci, Vid, VlanTag};

use crate::{Attachment, Bridge, DropReason, OfPort, PortName, Snapshot};

/// How many patch ports a frame may cross.
pub const MAX_PATCH_DEPTH: usize = 8;
/// What a device takes beyond its MTU: Ethernet header and one tag.
pub const LINK_HEADER_BYTES: u32 = 18;

/// A frame as it leaves through a device.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Output {
    /// The port.
    pub port: PortName,
    /// All bytes, tag included.
    pub frame: Vec<u8>,
}

/// What became of a frame.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verdict {
    /// Where it left, sorted.
    pub outputs: Vec<Output>,
    /// Port that it entered by and the reason, for each bridge that dropped it, sorted.
    pub drops: Vec<(PortName, DropReason)>,
}

#[derive(Clone, Copy, Debug)]
struct Learned {
    ofport: OfPort,
    seen_s: u64,
}

/// A switch in memory: a [`Snapshot`] and what it has learned.
#[derive(Clone, Debug)]
pub struct Interpreter {
    bridges: Vec<Bridge>,
    fdb: Vec<HashMap<(Vid, MacAddr), Learned>>,
    home: BTreeMap<PortName, (usize, usize)>,
}

/// A frame inside a bridge: its VLAN is known, its outer tag is off.
struct Classified<'a> {
    vid: Vid,
    /// Priority and drop-eligible bits, and the protocol its tag has if it leaves with one.
    tag: VlanTag,
    untagged: std::borrow::Cow<'a, [u8]>,
}

impl Interpreter {
    /// A switch that has learned nothing.
    pub fn new(snapshot: &Snapshot) -> Interpreter {
        let bridges = snapshot.bridges.clone();
        let mut home = BTreeMap::new();
        for (b, bridge) in bridges.iter().enumerate() {
            for (p, port) in bridge.ports.iter().enumerate() {
                home.insert(port.name.clone(), (b, p));
            }
        }
        Interpreter {
            fdb: vec![HashMap::new(); bridges.len()],
            bridges,
            home,
        }
    }

    /// Takes `frame` from `port` at the time `now_s` (seconds, any origin).
    pub fn receive(&mut self, port: &PortName, frame: &[u8], now_s: u64) -> Verdict {
        let mut verdict = Verdict::default();
        if let Some(&(b, p)) = self.home.get(port) {
            self.enter(b, p, frame, now_s, 0, &mut verdict);
        }
        verdict.outputs.sort();
        verdict.drops.sort();
        verdict
    }

    /// What bridge number `bridge` has learned: VLAN, address, port, sorted.
    pub fn learned(&self, bridge: usize, now_s: u64) -> Vec<(Vid, MacAddr, OfPort)> {
        let aging_s = u64::from(self.bridges[bridge].mac_aging_s);
        let fresh = self.fdb[bridge]
            .iter()
            .filter(|(_, l)| now_s - l.seen_s <= aging_s);
        let mut all: Vec<_> = fresh.map(|(&(vid, mac), l)| (vid, mac, l.ofport)).collect();
        all.sort();
        all
    }

    fn enter(
        &mut self,
        b: usize,
        p: usize,
        frame: &[u8],
        now_s: u64,
        depth: usize,
        verdict: &mut Verdict,
    ) {
        let result = if depth > MAX_PATCH_DEPTH {
            Err(DropReason::PatchLoop)
        } else {
            self.switch(b, p, frame, now_s)
        };
        let (classified, egress) = match result {
            Ok(forward) => forward,
            Err(reason) => {
                verdict
                    .drops
                    .push((self.bridges[b].ports[p].name.clone(), reason));
                return;
            }
        };
        for e in egress {
            let port = &self.bridges[b].ports[e];
            let frame = leave(port, &classified);
            match &port.attachment {
                Attachment::Patch { .. } => {
                    if let Some((b, p)) = self.peer(b, e) {
                        self.enter(b, p, &frame, now_s, depth + 1, verdict);
                    }
                }
                _ => verdict.outputs.push(Output {
                    port: port.name.clone(),
                    frame,
                }),
            }
        }
    }

    /// Decides where `frame` goes within one bridge, and learns its source.
    fn switch<'a>(
        &mut self,
        b: usize,
        p: usize,
        frame: &'a [u8],
        now_s: u64,
    ) -> Result<(Classified<'a>, Vec<usize>), DropReason> {
        let header = EthernetHeader::parse(frame).map_err(|_| DropReason::Malformed)?;
        let bridge = &self.bridges[b];
        let classified = classify(&bridge.ports[p], &header, frame)?;
        if header.dst.is_link_local_reserved() && !bridge.forward_bpdu {
            return Err(DropReason::Reserved);
        }
        if !header.src.is_multicast() {
            let learned = Learned {
                ofport: bridge.ports[p].ofport,
                seen_s: now_s,
            };
            self.fdb[b].insert((classified.vid, header.src), learned);
        }
        let aging_s = u64::from(bridge.mac_aging_s);
        let known = self.fdb[b]
            .get(&(classified.vid, header.dst))
            .filter(|l| !header.dst.is_multicast() && now_s - l.seen_s <= aging_s);
        let egress = match known {
            Some(learned) => vec![self.unicast(b, p, learned.ofport, &classified)?],
            None => self.flood(b, p, &classified),
        };
        if egress.is_empty() {
            Err(DropReason::NoMember)
        } else {
            Ok((classified, egress))
        }
    }

    fn unicast(
        &self,
        b: usize,
        p: usize,
        to: OfPort,
        frame: &Classified<'_>,
    ) -> Result<usize, DropReason> {
        let ports = &self.bridges[b].ports;
        let e = ports
            .iter()
            .position(|port| port.ofport == to)
            .ok_or(DropReason::PortDown)?;
        if e == p {
            return Err(DropReason::SamePort);
        }
        if !self.can_send(b, e) {
            return Err(DropReason::PortDown);
        }
        if !ports[e].vlan.carries(frame.vid) {
            return Err(DropReason::EgressVlan);
        }
        if !fits(&ports[e].attachment, frame) {
            return Err(DropReason::ExceedsMtu);
        }
        Ok(e)
    }

    fn flood(&self, b: usize, p: usize, frame: &Classified<'_>) -> Vec<usize> {
        let ports = &self.bridges[b].ports;
        let member = |e: &usize| {
            *e != p
                && ports[*e].vlan.carries(frame.vid)
                && self.can_send(b, *e)
                && fits(&ports[*e].attachment, frame)
        };
        (0..ports.len()).filter(member).collect()
    }

    fn can_send(&self, b: usize, e: usize) -> bool {
        match &self.bridges[b].ports[e].attachment {
            Attachment::Netdev { up, .. } => *up,
            Attachment::Patch { .. } => self.peer(b, e).is_some(),
            Attachment::Absent => false,
        }
    }

    /// The port that a patch port leads to: one that leads back.
    fn peer(&self, b: usize, e: usize) -> Option<(usize, usize)> {
        let port = &self.bridges[b].ports[e];
        let Attachment::Patch { peer } = &port.attachment else {
            return None;
        };
        let &(pb, pp) = self.home.get(peer)?;
        match &self.bridges[pb].ports[pp].attachment {
            Attachment::Patch { peer: back } if *back == port.name => Some((pb, pp)),
            _ => None,
        }
    }
}

fn classify<'a>(
    port: &crate::Port,
    header: &EthernetHeader,
    frame: &'a [u8],
) -> Result<Classified<'a>, DropReason> {
    let wire = header.tag.unwrap_or(VlanTag {
        tpid: TPID_8021Q,
        tci: Tci(0),
    });
    let vid = port
        .vlan
        .classify(wire.tci.vid())
        .ok_or(DropReason::IngressVlan)?;
    let untagged = match header.tag {
        Some(_) => VlanTag::pop(frame).into(),
        None => frame.into(),
    };
    let tag = VlanTag {
        tpid: wire.tpid,
        tci: wire.tci.with_vid(vid),
    };
    Ok(Classified { vid, tag, untagged })
}

fn leave(port: &crate::Port, frame: &Classified<'_>) -> Vec<u8> {
    if port.vlan.tags(frame.vid) {
        frame.tag.push(&frame.untagged)
    } else {
        frame.untagged.to_vec()
    }
}

/// Whether the device takes a frame of this size. As in the kernel, the outer tag isn't counted.
fn fits(attachment: &Attachment, frame: &Classified<'_>) -> bool {
    match attachment {
        Attachment::Netdev { mtu_bytes, .. } => {
            frame.untagged.len() as u64 <= u64::from(*mtu_bytes) + u64::from(LINK_HEADER_BYTES)
        }
        _ => true,
    }
}
