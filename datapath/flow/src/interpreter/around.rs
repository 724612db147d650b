//! What is around a frame in a bridge.

use aorta_packet::{ETH_HEADER_LEN, Headers, VLAN_TAG_LEN};

use super::normal::{Classified, leave};
use super::pipeline::{Learned, PacketIn, Pipeline};
use super::{Interpreter, Journey, Verdict, fits, untagged_bytes};
use crate::action::Ct;
use crate::field::FieldId;
use crate::table::TableFlow;
use crate::translate::{CtOutcome, Effect, Env, Packet, Trace};
use crate::{
    Attachment, BridgeName, Bucket, DropReason, Flow, Group, MeterId, MeterVerdict, OfPort, Port,
    PortName,
};

/// What is around a frame in a bridge: the switch, in which things happen.
pub(super) struct Around<'a> {
    pub switch: &'a mut Interpreter,
    pub b: usize,
    /// The port that it came from.
    pub from: PortName,
    pub journey: Journey,
    pub verdict: &'a mut Verdict,
    /// Whether the packet is one that a controller sends, which may come from no port.
    pub sent_by_controller: bool,
    /// What NORMAL decided last.
    pub decided: Option<Result<(Classified, Vec<usize>), DropReason>>,
}

/// Bytes that no copy is cut to less than: the Ethernet header with the outer tag.
fn link_bytes(frame: &[u8]) -> usize {
    let tag = Headers::parse(frame).is_ok_and(|headers| headers.outer.is_some());
    ETH_HEADER_LEN + if tag { VLAN_TAG_LEN } else { 0 }
}

impl Around<'_> {
    fn drop(&mut self, reason: DropReason) {
        self.verdict.drops.push((self.from.clone(), reason));
    }

    fn send(&mut self, e: usize, frame: Vec<u8>, queue: Option<u32>) {
        let journey = Journey {
            queue: queue.or(self.journey.queue),
            ..self.journey
        };
        self.switch.send(self.b, e, frame, journey, self.verdict);
    }

    fn output(
        &mut self,
        to: OfPort,
        packet: &Packet,
        (queue, max_len_bytes): (Option<u32>, Option<u32>),
    ) {
        let egress = self.switch.port_number(self.b, to);
        let egress = egress.filter(|e| self.switch.can_send(self.b, *e));
        let (Some(e), Some(mut frame)) = (egress, packet.frame()) else {
            return self.drop(DropReason::PortDown);
        };
        let attachment = &self.switch.bridges[self.b].ports[e].attachment;
        if let Some(max) = max_len_bytes {
            if matches!(attachment, Attachment::Patch { .. }) {
                return self.drop(DropReason::PortDown);
            }
            frame.truncate((max as usize).max(link_bytes(&frame)));
        }
        if !fits(attachment, untagged_bytes(&frame)) {
            return self.drop(DropReason::ExceedsMtu);
        }
        self.send(e, frame, queue);
    }

    fn leave_normally(&mut self, queue: Option<u32>, max_len_bytes: Option<u32>) {
        match self.decided.take() {
            Some(Ok((classified, egress))) => {
                for e in egress {
                    let mut frame = leave(&self.switch.bridges[self.b].ports[e], &classified);
                    frame.truncate(max_len_bytes.map_or(usize::MAX, |max| max as usize));
                    self.send(e, frame, queue);
                }
            }
            Some(Err(reason)) => self.drop(reason),
            None => {}
        }
    }

    fn pipeline(&mut self) -> Option<&mut Pipeline> {
        self.switch.pipelines[self.b].as_mut()
    }

    /// Whether a flow will be there that the packet teaches.
    fn may_learn(&self, flow: &Flow, limit: u32) -> bool {
        let Some(pipeline) = &self.switch.pipelines[self.b] else {
            return true;
        };
        let bridge = &self.switch.bridges[self.b].name;
        let same =
            |other: &Flow| other.priority == flow.priority && other.matching == flow.matching;
        let before = self.verdict.learned.iter().filter(|learned| {
            let other = &learned.flow;
            learned.bridge == *bridge && (other.table, other.cookie) == (flow.table, flow.cookie)
        });
        let mut asked: Vec<&Flow> = Vec::new();
        for other in before.map(|learned| &learned.flow) {
            let table = pipeline.tables.table(other.table);
            let there = table.and_then(|table| table.exact(other.priority, &other.matching));
            let known =
                |flow: &&Flow| flow.priority == other.priority && flow.matching == other.matching;
            if there.is_none() && !asked.iter().any(known) {
                asked.push(other);
            }
        }
        asked.iter().any(|other| same(other)) || pipeline.tables.may_learn(flow, limit, asked.len())
    }

    fn bridge(&self) -> BridgeName {
        self.switch.bridges[self.b].name.clone()
    }
}

impl Env for Around<'_> {
    fn traces(&self) -> bool {
        self.journey.traced
    }

    fn followed(&mut self) -> Trace {
        std::mem::take(&mut self.verdict.followed)
    }

    fn normal(&mut self, packet: &Packet) -> Vec<OfPort> {
        let in_port = OfPort(packet.key.get(FieldId::IN_PORT) as u16);
        let from = self.switch.port_number(self.b, in_port);
        let now_s = self.journey.now.as_secs();
        let anywhere =
            self.sent_by_controller && matches!(in_port, OfPort::ANY | OfPort::CONTROLLER);
        let decided = match packet.frame().filter(|_| from.is_some() || anywhere) {
            Some(frame) => {
                self.verdict.asked_normal = true;
                let decided = self.switch.normal(self.b, from, &frame, self.journey);
                if self.journey.traced {
                    let note = match &decided {
                        Ok((classified, _)) => {
                            self.switch.how(self.b, classified.vid, &frame, now_s)
                        }
                        Err(reason) => reason.help(),
                    };
                    self.verdict.followed.detail(note);
                }
                decided
            }
            None => Err(DropReason::PortDown),
        };
        let ports = &self.switch.bridges[self.b].ports;
        let egress = decided.as_ref().map_or(&[][..], |(_, egress)| egress);
        let to = egress.iter().map(|e| ports[*e].ofport).collect();
        self.decided = Some(decided);
        to
    }

    fn ports(&mut self, packet: &Packet) -> Vec<(OfPort, bool)> {
        let untagged_bytes = packet.frame().map_or(0, |frame| untagged_bytes(&frame));
        let ports = self.switch.bridges[self.b].ports.iter().enumerate();
        let takes = ports.filter(|(e, port)| {
            self.switch.can_send(self.b, *e) && fits(&port.attachment, untagged_bytes)
        });
        let floods = |port: &Port| !port.restrictions.no_flood;
        takes.map(|(_, port)| (port.ofport, floods(port))).collect()
    }

    fn has_port(&mut self, port: OfPort) -> bool {
        self.switch.port_number(self.b, port).is_some()
    }

    fn is_live(&mut self, port: OfPort) -> bool {
        let port = self.switch.port_number(self.b, port);
        port.is_some_and(|e| self.switch.can_send(self.b, e))
    }

    fn ct(&mut self, _ct: &Ct, _packet: &Packet) -> Option<CtOutcome> {
        None
    }

    fn meter(&mut self, id: MeterId, packet: &Packet) -> MeterVerdict {
        let now_ns = self.journey.now.as_nanos() as u64;
        let Some(pipeline) = self.pipeline() else {
            return MeterVerdict::Pass;
        };
        let Some(meter) = pipeline.tables.meter(id).cloned() else {
            return MeterVerdict::Pass;
        };
        let state = pipeline.meters.entry(id).or_default();
        state.measure(&meter, packet.received_bytes(), now_ns)
    }

    fn found(&mut self, flow: &TableFlow, packet: &Packet) {
        let now = self.journey.now;
        if let Some(pipeline) = self.pipeline() {
            let count = pipeline.flows.entry(flow.id).or_default();
            count.add(packet.received_bytes(), now);
        }
    }

    fn grouped(&mut self, group: &Group, buckets: &[&Bucket], packet: &Packet) {
        let (now, bytes) = (self.journey.now, packet.received_bytes());
        if let Some(pipeline) = self.pipeline() {
            let count = pipeline.groups.entry(group.id).or_default();
            count.all.add(bytes, now);
            for bucket in buckets {
                count.buckets.entry(bucket.id).or_default().add(bytes, now);
            }
        }
    }

    fn happens(&mut self, effect: &Effect) -> bool {
        match effect {
            Effect::Output {
                port,
                queue,
                max_len_bytes,
                packet,
            } => self.output(*port, packet, (*queue, *max_len_bytes)),
            Effect::Normal {
                queue,
                max_len_bytes,
                ..
            } => self.leave_normally(*queue, *max_len_bytes),
            Effect::Controller {
                how,
                table,
                cookie,
                flow,
                packet,
                left,
            } => {
                let frame = packet.frame().unwrap_or_default();
                let frame_bytes = frame.len() as u32;
                self.verdict.packet_ins.push(PacketIn {
                    bridge: self.bridge(),
                    how: how.clone(),
                    table: *table,
                    cookie: *cookie,
                    flow: *flow,
                    fields: packet.key.clone(),
                    frame,
                    frame_bytes,
                    left: left.clone(),
                    noted: None,
                });
            }
            Effect::Learn {
                flow,
                limit,
                by,
                delete_learned,
            } => {
                let there = self.may_learn(flow, *limit);
                self.verdict.learned.push(Learned {
                    bridge: self.bridge(),
                    flow: (**flow).clone(),
                    limit: *limit,
                    by: *by,
                    delete_learned: *delete_learned,
                });
                return there;
            }
            Effect::Sample { .. } | Effect::Ct { .. } | Effect::FinTimeout { .. } => {}
        }
        true
    }
}
