//! NORMAL: what a learning bridge does with a frame.

use aorta_packet::{EthernetHeader, MacAddr, TPID_8021Q, Tci, Vid, VlanTag};

use super::{Interpreter, Journey, fits};
use crate::{DropReason, OfPort, PortVlan};

/// A frame inside a bridge: its VLAN is known, its outer tag is off.
pub(super) struct Classified {
    pub vid: Vid,
    /// Priority and drop-eligible bits, and the protocol its tag has if it leaves with one.
    tag: VlanTag,
    /// Whether it came with one.
    came_tagged: bool,
    untagged: Vec<u8>,
}

impl Interpreter {
    /// Decides where `frame` goes within one bridge, and learns its source unless this is a trace. A
    /// frame from no port is one that a controller sends: it comes as from a trunk, and nothing is
    /// learned.
    pub(super) fn normal(
        &mut self,
        b: usize,
        p: Option<usize>,
        frame: &[u8],
        journey: Journey,
    ) -> Result<(Classified, Vec<usize>), DropReason> {
        let header = EthernetHeader::parse(frame).map_err(|_| DropReason::Malformed)?;
        let now_s = journey.now.as_secs();
        let bridge = &self.bridges[b];
        let vlan = p.map_or(&PortVlan::DEFAULT, |p| &bridge.ports[p].vlan);
        let classified = classify(vlan, &header, frame)?;
        if header.dst.is_link_local_reserved() && !bridge.forward_bpdu {
            return Err(DropReason::Reserved);
        }
        let learns = !header.src.is_multicast() && !journey.traced;
        if let Some(p) = p.filter(|_| learns) {
            let station = (classified.vid, header.src);
            self.fdb[b].learn(station, bridge.ports[p].ofport, now_s);
        }
        let known = self.known(b, classified.vid, header.dst, now_s);
        let egress = match known {
            Some(ofport) => vec![self.unicast(b, p, ofport, &classified)?],
            None => {
                self.limit_flooding(b, p, header.dst, journey.now)?;
                self.flood(b, p, &classified)
            }
        };
        if egress.is_empty() {
            Err(DropReason::NoMember)
        } else {
            Ok((classified, egress))
        }
    }

    /// Behind which port a station is, if that is known.
    fn known(&self, b: usize, vid: Vid, mac: MacAddr, now_s: u64) -> Option<OfPort> {
        let aging_s = self.bridges[b].mac_aging_s;
        let station = self.fdb[b].fresh((vid, mac), now_s, aging_s)?;
        (!mac.is_multicast()).then_some(station.ofport)
    }

    /// How NORMAL finds the ports for a frame, in words.
    pub(super) fn how(&self, b: usize, vid: Vid, frame: &[u8], now_s: u64) -> &'static str {
        let dst = EthernetHeader::parse(frame).map(|header| header.dst);
        match dst {
            Ok(dst) if dst.is_multicast() => "multicast traffic, flooding",
            Ok(dst) if self.known(b, vid, dst, now_s).is_some() => "forwarding to learned port",
            _ => "no learned MAC for destination, flooding",
        }
    }

    fn unicast(
        &self,
        b: usize,
        p: Option<usize>,
        to: OfPort,
        frame: &Classified,
    ) -> Result<usize, DropReason> {
        let ports = &self.bridges[b].ports;
        let e = ports
            .iter()
            .position(|port| port.ofport == to)
            .ok_or(DropReason::PortDown)?;
        if Some(e) == p {
            return Err(DropReason::SamePort);
        }
        if self.both_protected(b, p, e) {
            return Err(DropReason::Protected);
        }
        if !self.can_send(b, e) {
            return Err(DropReason::PortDown);
        }
        if !ports[e].vlan.carries(frame.vid) {
            return Err(DropReason::EgressVlan);
        }
        if !fits(&ports[e].attachment, frame.untagged.len()) {
            return Err(DropReason::ExceedsMtu);
        }
        Ok(e)
    }

    fn flood(&self, b: usize, p: Option<usize>, frame: &Classified) -> Vec<usize> {
        let ports = &self.bridges[b].ports;
        let member = |e: &usize| {
            Some(*e) != p
                && !ports[*e].restrictions.no_flood
                && !self.both_protected(b, p, *e)
                && ports[*e].vlan.carries(frame.vid)
                && self.can_send(b, *e)
                && fits(&ports[*e].attachment, frame.untagged.len())
        };
        (0..ports.len()).filter(member).collect()
    }
}

fn classify(
    vlan: &PortVlan,
    header: &EthernetHeader,
    frame: &[u8],
) -> Result<Classified, DropReason> {
    let wire = header.tag.unwrap_or(VlanTag {
        tpid: TPID_8021Q,
        tci: Tci(0),
    });
    let vid = vlan
        .classify(wire.tci.vid())
        .ok_or(DropReason::IngressVlan)?;
    let untagged = match header.tag {
        Some(_) => VlanTag::pop(frame),
        None => frame.to_vec(),
    };
    let tag = VlanTag {
        tpid: wire.tpid,
        tci: wire.tci.with_vid(vid),
    };
    Ok(Classified {
        vid,
        tag,
        came_tagged: header.tag.is_some(),
        untagged,
    })
}

/// The frame as it leaves by a port.
pub(super) fn leave(port: &crate::Port, frame: &Classified) -> Vec<u8> {
    let (tag, came_tagged) = (frame.tag, frame.came_tagged);
    match port.vlan.leaving(tag, came_tagged, port.priority_tags) {
        Some(tag) => tag.push(&frame.untagged),
        None => frame.untagged.to_vec(),
    }
}
