//! Packets for controllers and from them.

use aorta_flow::action::PacketInReason;
use aorta_flow::field::{FieldId, Prereq};
use aorta_flow::table::{TableError, TableFlow, Tables};
use aorta_flow::translate::Continuation;
use aorta_flow::{
    Attachment, FlowKey, Interpreter, Match, OfPort, Output, PacketIn, PacketOut, Port, Verdict,
};
use aorta_openflow::error::ErrorCode;
use aorta_openflow::message::{
    PacketIn as PacketInMessage, PacketInForm, PacketInFormat, PacketOut as PacketOutMessage,
    PortConfig, PortDesc, TableMiss,
};
use aorta_openflow::{Message, Version};
use aorta_packet::Vid;

use super::*;
use crate::openflow::Cause;
use crate::openflow::state::{Unasked, continuation, misses};
use crate::reconcile::FlowCounters;

/// The switch as it is, for packets that controllers send. It is made anew when something changes.
#[derive(Debug)]
pub(in crate::switch) struct Mirror {
    switch: Interpreter,
    /// Whether it has the stations as the datapath knows them now.
    knows_stations: bool,
}

impl<E: Effects, D: Datapath> Switch<E, D> {
    /// Does with a packet what a controller says.
    ///
    /// # Errors
    /// With what the other side is told.
    pub(super) fn packet_out(&mut self, bridge: &BridgeName, sent: PacketOutMessage) -> Answer<()> {
        self.check_frame(bridge, &sent)?;
        let fields = sent.metadata.parts().map(|part| (part.field, part.value));
        let packet = PacketOut {
            in_port: sent.in_port,
            fields: fields.collect(),
            frame: sent.frame,
            actions: sent.actions,
        };
        let tables = self.tables_of(bridge)?;
        let checked = tables.check_sent(&packet);
        checked.map_err(|error: TableError| ErrorCode::from(&error))?;
        self.run_packet(bridge, &packet, None, PacketInReason::PacketOut);
        Ok(())
    }

    /// Refuses a packet that can't be one.
    pub(super) fn check_frame(
        &mut self,
        bridge: &BridgeName,
        sent: &PacketOutMessage,
    ) -> Answer<()> {
        if sent.buffer_id.is_some() {
            return Err(ErrorCode::OFPBRC_BUFFER_UNKNOWN);
        }
        if sent.frame.len() < aorta_packet::ETH_HEADER_LEN {
            return Err(ErrorCode::OFPBRC_BAD_PACKET);
        }
        let _ = bridge;
        let port = sent.in_port;
        let reserved = port.reserved_name().is_some();
        let known = [OfPort::LOCAL, OfPort::CONTROLLER, OfPort::ANY].contains(&port);
        match (reserved && !known) || (!reserved && port > OfPort::MAX) {
            true => Err(ErrorCode::OFPBRC_BAD_PORT),
            false => Ok(()),
        }
    }

    /// Goes on with a packet that waited.
    pub(super) fn resume(&mut self, bridge: &BridgeName, packet: &PacketInMessage) -> Answer<()> {
        let left = packet.continuation.as_deref().and_then(continuation::read);
        let left = left.ok_or(ErrorCode::NXR_STALE)?;
        let (in_port, _) = packet.metadata.get(FieldId::IN_PORT);
        let fields = packet.metadata.parts().map(|part| (part.field, part.value));
        let packet = PacketOut {
            in_port: OfPort(in_port as u16),
            fields: fields.collect(),
            frame: packet.frame.clone(),
            actions: Vec::new(),
        };
        self.run_packet(bridge, &packet, Some(&left), PacketInReason::Action);
        Ok(())
    }

    /// Does a packet's actions, or what is left of its way; why controllers get it that these send it
    /// to, and no flow.
    fn run_packet(
        &mut self,
        bridge: &BridgeName,
        packet: &PacketOut,
        left: Option<&Continuation>,
        why: PacketInReason,
    ) {
        let now = Duration::from_millis(clock::now().0);
        let mut mirror = match self.mirror.take() {
            Some(mirror) => mirror,
            None => self.mirror_now(),
        };
        let mut verdict = mirror.run(bridge, packet, left, now);
        if verdict.asked_normal && !mirror.knows_stations {
            // Nothing of the first try has happened.
            drop(mirror.switch.take_flow_counts());
            self.tell_stations(&mut mirror);
            verdict = mirror.run(bridge, packet, left, now);
        }
        self.count_sent(&mut mirror);
        self.mirror = Some(mirror);
        self.frames.append(&mut verdict.outputs);
        for mut packet in verdict.packet_ins {
            let how = &mut packet.how;
            if packet.flow.is_none() && how.reason == PacketInReason::Action && how.id == 0 {
                how.reason = why;
            }
            self.packet_in(packet);
        }
        if !verdict.learned.is_empty() {
            self.learn_flows(verdict.learned);
        }
    }

    /// Has the tables of a bridge do with packets that no flow matches as its controllers expect.
    pub(super) fn settle_misses(&mut self, bridge: &BridgeName) {
        let expected = self
            .openflow
            .of_bridge(bridge)
            .any(Connection::expects_misses);
        let settings = &self.openflow.bridge(bridge).tables;
        let misses = misses(settings, expected);
        let Some(flows) = self.flows.get_mut(bridge) else {
            return;
        };
        if flows.tables.set_misses(misses) {
            self.mirror = None;
            flows.given = false;
            flows.give(bridge, &mut self.datapath);
        }
    }

    fn mirror_now(&self) -> Mirror {
        let mut switch = Interpreter::new(&self.applied);
        for (name, flows) in &self.flows {
            switch.set_tables(name, flows.tables.shared());
        }
        Mirror {
            switch,
            knows_stations: false,
        }
    }

    fn tell_stations(&self, mirror: &mut Mirror) {
        let now = Duration::from_millis(clock::now().0);
        for name in self.flows.keys() {
            mirror.switch.clear_stations(name);
            for station in self.datapath.fdb(name).unwrap_or_default() {
                let seen_s = now.as_secs().saturating_sub(station.age_s);
                if let (Ok(vid), Ok(mac)) = (Vid::new(station.vlan), station.mac.parse()) {
                    let port = OfPort(station.ofport);
                    mirror.switch.add_station(name, (vid, mac), port, seen_s);
                }
            }
        }
        mirror.knows_stations = true;
    }

    /// Adds what flows did with packets of controllers to what they did with others.
    fn count_sent(&mut self, mirror: &mut Mirror) {
        for (bridge, counts) in mirror.switch.take_flow_counts() {
            let Some(flows) = self.flows.get_mut(&bridge) else {
                continue;
            };
            for (flow, count) in counts {
                let used = count.last_used.map(|at| Moment(at.as_millis() as u64));
                flows.sent.entry(flow).or_default().add(&FlowCounters {
                    packets: count.packets,
                    bytes: count.bytes,
                    used,
                });
            }
        }
    }

    /// Sends the frames that wait. What is learned meanwhile is asked for anew.
    pub(in crate::switch) fn send_frames(&mut self) {
        if !self.frames.is_empty() {
            let frames: Vec<Output> = std::mem::take(&mut self.frames);
            self.datapath.send(&frames);
        }
        if let Some(mirror) = &mut self.mirror {
            mirror.knows_stations = false;
        }
    }

    /// Tells controllers of a packet.
    pub(in crate::switch) fn packet_in(&mut self, packet: PacketIn) {
        let in_port = OfPort(packet.fields.get(FieldId::IN_PORT) as u16);
        let state = self.openflow.bridges.get(&packet.bridge);
        let port = state.and_then(|state| state.ports.get(&in_port));
        let Some(flows) = self.flows.get(&packet.bridge) else {
            return;
        };
        let table = flows.tables.tables().table(packet.table);
        let flow = packet.flow.and_then(|id| table?.entry(id));
        let cookie = packet.cookie.or(flow.map(|entry| entry.flow.cookie));
        let is_miss = flow.is_some_and(|entry| {
            entry.flow.priority == 0 && entry.flow.matching.parts().next().is_none()
        });
        let silent = |port: &PortDesc| port.config.contains(PortConfig::NO_PACKET_IN);
        // What controllers send by themselves has no cookie.
        let missed = packet.flow.is_none()
            && packet.cookie.is_some()
            && packet.how.reason == PacketInReason::NoMatch;
        if missed && port.is_some_and(silent) {
            return;
        }
        let by_default = missed
            && state.is_none_or(|state| state.tables.miss(packet.table) == TableMiss::Default);
        let mut told = None;
        for connection in self.openflow.of_bridge(&packet.bridge) {
            let reason = reason(packet.how.reason, is_miss, connection.version);
            let wanted = connection.wants(Unasked::PacketIn(reason as u8));
            let expected = !by_default || connection.version < Version::OpenFlow13;
            if connection.controller_id != packet.how.id || !wanted || !expected {
                continue;
            }
            let told = told.get_or_insert_with(|| {
                let left = continuation_of(&packet, flow, flows.tables.tables());
                message(&packet, cookie, left)
            });
            let message = Message::PacketIn(PacketInMessage {
                form: form(connection.packet_in_format),
                reason,
                ..told.clone()
            });
            let cause = match reason {
                PacketInReason::NoMatch => Cause::NoMatch,
                _ => Cause::Action,
            };
            connection.tell_packet(message, cause);
        }
    }

    /// Whether frames can leave by a port.
    pub(in crate::switch) fn has_port(&self, bridge: &BridgeName, number: OfPort) -> bool {
        let bridges = self.applied.bridges.iter();
        let mut bridges = bridges.filter(|other| other.name == *bridge);
        let absent = |port: &Port| port.attachment == Attachment::Absent;
        bridges.any(|b| b.ports.iter().any(|p| p.ofport == number && !absent(p)))
    }
}

impl Mirror {
    fn run(
        &mut self,
        bridge: &BridgeName,
        packet: &PacketOut,
        left: Option<&Continuation>,
        now: Duration,
    ) -> Verdict {
        let verdict = match left {
            Some(left) => self.switch.resume(bridge, packet, left, now),
            None => self.switch.packet_out(bridge, packet, now),
        };
        verdict.unwrap_or_default()
    }
}

/// What is left to be done with a packet that waits: as its datapath says, or as the flows of its way do.
fn continuation_of(
    packet: &PacketIn,
    flow: Option<&TableFlow>,
    tables: &Tables,
) -> Option<Vec<u8>> {
    if let Some(left) = &packet.left {
        return continuation::write(left);
    }
    let flow = &flow.filter(|_| packet.how.pause)?.flow;
    let find = |id| {
        let entry = tables.numbered().find_map(|table| table.entry(id));
        entry.map(|entry| &*entry.flow)
    };
    let notes = packet.noted.clone().unwrap_or_default();
    continuation::write(&notes.continuation(flow, &packet.how, find)?)
}

/// Why a packet comes, as a version tells it: an output of the flow that has what no other matched
/// is a miss from OpenFlow 1.3 on, and outputs are told apart from 1.4 on.
fn reason(reason: PacketInReason, is_miss: bool, version: Version) -> PacketInReason {
    match reason {
        PacketInReason::Action if is_miss && version >= Version::OpenFlow13 => {
            PacketInReason::NoMatch
        }
        PacketInReason::ActionSet | PacketInReason::Group | PacketInReason::PacketOut
            if version < Version::OpenFlow14 =>
        {
            PacketInReason::Action
        }
        reason => reason,
    }
}

fn form(format: PacketInFormat) -> PacketInForm {
    match format {
        PacketInFormat::Standard => PacketInForm::Standard,
        PacketInFormat::Nicira => PacketInForm::Nicira,
        PacketInFormat::Nicira2 => PacketInForm::Nicira2,
    }
}

fn message(packet: &PacketIn, cookie: Option<u64>, left: Option<Vec<u8>>) -> PacketInMessage {
    PacketInMessage {
        form: PacketInForm::Standard,
        frame: packet.frame.clone(),
        total_len_bytes: packet.frame_bytes,
        buffer_id: None,
        reason: packet.how.reason,
        table: Some(packet.table),
        cookie: Some(cookie.unwrap_or(u64::MAX)),
        metadata: metadata(&packet.fields),
        userdata: packet.how.userdata.clone(),
        continuation: left,
    }
}

/// What a packet has besides its bytes.
fn metadata(key: &FlowKey) -> Match {
    const REGISTERS: u8 = 16;
    let mut metadata = Match::default();
    let own = |id: &FieldId| {
        let field = id.field();
        field.home == *id && field.prereq == Prereq::None && field.code().is_some()
    };
    let registers = (0..REGISTERS).map(FieldId::reg);
    let wide = |id: &FieldId| (0..REGISTERS / 4).any(|n| FieldId::xxreg(n) == *id);
    let left_out = [FieldId::CONJ_ID, FieldId::DP_HASH, FieldId::RECIRC_ID];
    let others = FieldId::all().filter(|id| own(id) && !wide(id) && !left_out.contains(id));
    for id in others.chain(registers) {
        let value = key.get(id);
        if value != 0 {
            // A key has no value that its field can't have.
            let _ = metadata.set(id, value);
        }
    }
    metadata
}
