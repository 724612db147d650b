//! Actions that change the packet, send it somewhere, or ask what is around.

use super::action_set::in_order;
use super::apply::{change, forget_connection, in_port};
use super::machine::Machine;
use super::trace::NoteKind;
use super::{Effect, groups, learned_flow};
use crate::action::{
    Action, Bundle, BundleAlgorithm, Controller, Ct, CtZone, Learn, Multipath, MultipathAlgorithm,
    PacketInReason,
};
use crate::field::{FieldId, Prereq};
use crate::hash::mixed;
use crate::meter::remarked;
use crate::{DropReason, MeterId, MeterVerdict, OfPort};

/// Flags of TCP that end a connection: FIN and RST.
const TCP_END: u128 = 0x5;

impl<'a> Machine<'a> {
    pub(super) fn effect(&mut self, action: &'a Action) {
        self.traced(|| action.to_string());
        self.changing(|machine| machine.change(action));
        if let Action::Move { to, .. } = action {
            self.told_subfield(*to);
        }
    }

    fn change(&mut self, action: &'a Action) {
        match change(&mut self.state.packet, action) {
            Some(true) => {}
            Some(false) => self.noted(NoteKind::Own, || "the packet has no such field"),
            None => self.other(action),
        }
    }

    fn other(&mut self, action: &'a Action) {
        match action {
            Action::Output(port) => self.output(*port, None),
            Action::OutputTruncated {
                port: OfPort::FLOOD | OfPort::ALL | OfPort::NORMAL | OfPort::CONTROLLER,
                ..
            } => self.note(|| "copies for this port can't be cut: none is sent"),
            Action::OutputTruncated {
                port,
                max_len_bytes,
            } => self.output(*port, Some(*max_len_bytes)),
            Action::OutputField(from) => {
                let number = self.state.packet.key.read(*from) as u32;
                self.noted(NoteKind::Detail, || format!("output port is {number}"));
                match OfPort::from_u32(number) {
                    Some(port) => self.output(port, None),
                    None => self.note(|| "no port has this number"),
                }
            }
            Action::Enqueue { port, queue } => {
                let before = self.state.queue.replace(*queue);
                self.output(*port, None);
                self.state.queue = before;
            }
            Action::SetQueue(queue) => self.state.queue = Some(*queue),
            Action::PopQueue => self.state.queue = None,
            Action::Controller(how) => self.controller((**how).clone()),
            Action::Group(id) => self.group(*id),
            Action::Meter(id) => self.meter(*id),
            Action::DecTtl(ids) => {
                let ids = ids.as_deref().unwrap_or(&[0]);
                self.dec_ttl(FieldId::NW_TTL, Prereq::Ip, ids);
            }
            Action::DecMplsTtl => self.dec_ttl(FieldId::MPLS_TTL, Prereq::Mpls, &[0]),
            Action::DecNshTtl => self.dec_ttl(FieldId::NSH_TTL, Prereq::Nsh, &[0]),
            Action::Learn(learn) => self.learn(learn),
            Action::Multipath(multipath) => self.multipath(multipath),
            Action::Bundle(bundle) => self.bundle(bundle),
            Action::FinTimeout {
                idle_timeout_s,
                hard_timeout_s,
            } => {
                let flags = self.state.packet.key.get(FieldId::TCP_FLAGS);
                if self.state.packet.has(Prereq::Tcp) && flags & TCP_END != 0 {
                    self.happens(Effect::FinTimeout {
                        flow: self.place.flow,
                        table: self.place.table,
                        idle_timeout_s: *idle_timeout_s,
                        hard_timeout_s: *hard_timeout_s,
                    });
                }
            }
            Action::Sample(how) => {
                let (how, packet) = ((**how).clone(), self.state.packet.clone());
                self.happens(Effect::Sample { how, packet });
            }
            Action::Ct(ct) => self.ct(ct),
            _ => {}
        }
    }

    fn output(&mut self, port: OfPort, max_len_bytes: Option<u32>) {
        let from = in_port(&self.state.packet);
        match port {
            OfPort::IN_PORT => self.send(from, max_len_bytes),
            OfPort::CONTROLLER => self.controller(Controller {
                reason: self.output_reason(),
                ..Controller::default()
            }),
            OfPort::NORMAL => {
                let ports = self.env.normal(&self.state.packet);
                self.copies += 1;
                self.happens(Effect::Normal {
                    ports,
                    queue: self.state.queue,
                    max_len_bytes,
                    packet: self.state.packet.clone(),
                });
            }
            OfPort::FLOOD | OfPort::ALL => {
                for (to, floods) in self.env.ports(&self.state.packet) {
                    if to != from && (floods || port == OfPort::ALL) {
                        self.send(to, max_len_bytes);
                    }
                }
            }
            OfPort::ANY | OfPort::UNSET | OfPort::TABLE => self.note(|| "not a port to send to"),
            port if port == from => self.note(|| "skipping output to input port"),
            port => {
                if !self.env.has_port(port) {
                    self.note(|| "Nonexistent output port");
                }
                self.send(port, max_len_bytes);
            }
        }
    }

    /// Why an output to controllers is told (OpenFlow 1.5.1 §7.4.1).
    fn output_reason(&self) -> PacketInReason {
        match self.sent_by_controller {
            true => PacketInReason::PacketOut,
            false => PacketInReason::Action,
        }
    }

    fn send(&mut self, port: OfPort, max_len_bytes: Option<u32>) {
        self.copies += 1;
        self.happens(Effect::Output {
            port,
            queue: self.state.queue,
            max_len_bytes,
            packet: self.state.packet.clone(),
        });
    }

    pub(super) fn controller(&mut self, how: Controller) {
        let pause = how.pause;
        let meters = [how.meter.map(MeterId::Number), Some(MeterId::Controller)];
        for meter in meters.into_iter().flatten() {
            let there = self.tables.meter(meter).is_some();
            if there && self.env.meter(meter, &self.state.packet) == MeterVerdict::Drop {
                self.note(|| "not sent, by its meter");
                self.lost = Some(DropReason::Meter);
                return;
            }
        }
        self.copies += 1;
        self.happens(Effect::Controller {
            how,
            table: self.place.table,
            cookie: self.place.cookie,
            flow: self.place.flow,
            packet: self.state.packet.clone(),
            left: pause.then(|| Box::new(self.left())),
        });
        if pause {
            self.noted(NoteKind::Own, || "waits for the controller");
            self.drop_packet();
        }
    }

    fn group(&mut self, id: u32) {
        let tables = self.tables;
        let Some(group) = tables.group(id) else {
            self.note(|| "there is no such group");
            return;
        };
        let buckets = groups::chosen(group, tables, &self.state.packet, self.env);
        self.env.grouped(group, &buckets, &self.state.packet);
        if buckets.is_empty() {
            self.note(|| "no bucket is live");
        }
        // The first bucket must come out on top of what is still to be done.
        for bucket in buckets.into_iter().rev() {
            let actions: Vec<&Action> = bucket.actions.iter().collect();
            self.bucket(in_order(&actions), bucket.id);
        }
    }

    fn meter(&mut self, id: u32) {
        match self.env.meter(MeterId::Number(id), &self.state.packet) {
            MeterVerdict::Pass => {}
            MeterVerdict::Drop => {
                self.note(|| "dropped by the meter");
                self.lost = Some(DropReason::Meter);
                self.drop_packet();
            }
            MeterVerdict::Remark(levels) => {
                let packet = &mut self.state.packet;
                let dscp = remarked(packet.key.get(FieldId::IP_DSCP) as u8, levels);
                packet.set(FieldId::IP_DSCP, dscp.into(), 0x3f);
            }
        }
    }

    fn learn(&mut self, learn: &Learn) {
        let flow = Box::new(learned_flow(learn, &self.state.packet));
        self.noted(NoteKind::Own, || {
            format!("learns table={}, {flow}", flow.table)
        });
        let there = self.happens(Effect::Learn {
            flow,
            limit: learn.limit,
            by: self.place.flow,
            delete_learned: learn.delete_learned,
        });
        if let Some(result) = learn.result {
            self.state.packet.write(result, there.into());
        }
    }

    /// Lowers a time to live; where it ends, tells controllers instead of going on.
    fn dec_ttl(&mut self, field: FieldId, prereq: Prereq, controllers: &[u16]) {
        if !self.state.packet.has(prereq) {
            self.noted(NoteKind::Own, || "the packet has no such field");
            return;
        }
        let ttl = self.state.packet.key.get(field);
        if ttl > 1 {
            self.state.packet.key.set(field, ttl - 1);
            return;
        }
        let protocol = match field {
            FieldId::MPLS_TTL => "MPLS",
            FieldId::NSH_TTL => "NSH",
            _ if self.state.packet.has(Prereq::Ipv6) => "IPv6",
            _ => "IPv4",
        };
        self.note(|| format!("{protocol} decrement TTL exception"));
        for id in controllers {
            self.controller(Controller {
                id: *id,
                reason: PacketInReason::InvalidTtl,
                ..Controller::default()
            });
        }
        self.end_list();
    }

    fn multipath(&mut self, multipath: &Multipath) {
        let (fields, basis) = (multipath.fields, multipath.basis);
        let hash = self.env.hash(fields, basis, &self.state.packet);
        let n = multipath.n_links.max(1);
        let link = match multipath.algorithm {
            MultipathAlgorithm::ModuloN => hash % n,
            MultipathAlgorithm::HashThreshold => ((u64::from(hash) * u64::from(n)) >> 32) as u32,
            MultipathAlgorithm::Hrw | MultipathAlgorithm::IterHash => {
                (0..n).max_by_key(|link| mixed(hash, *link)).unwrap_or(0)
            }
        };
        self.state.packet.write(multipath.to, link.into());
    }

    fn bundle(&mut self, bundle: &Bundle) {
        let mut live = Vec::new();
        for port in &bundle.members {
            if self.env.is_live(*port) {
                live.push(*port);
            }
        }
        let chosen = match bundle.algorithm {
            BundleAlgorithm::ActiveBackup => live.first().copied(),
            BundleAlgorithm::Hrw => {
                let packet = &self.state.packet;
                let hash = self.env.hash(bundle.fields, bundle.basis, packet);
                live.into_iter()
                    .max_by_key(|port| mixed(hash, port.0.into()))
            }
        };
        match (bundle.to, chosen) {
            (Some(to), chosen) => {
                let number = chosen.unwrap_or(OfPort::ANY).0;
                self.state.packet.write(to, number.into());
            }
            (None, Some(port)) => self.output(port, None),
            (None, None) => self.note(|| "no member is live"),
        }
    }

    fn ct(&mut self, ct: &Ct) {
        let (how, packet) = (ct.clone(), self.state.packet.clone());
        self.happens(Effect::Ct { how, packet });
        let mut packet = self.state.packet.clone();
        // What connection tracking finds is only known in the table where the packet goes on.
        forget_connection(&mut self.state.packet);
        let Some(table) = ct.table else { return };
        let Some(known) = self.env.ct(ct, &packet) else {
            self.note(|| "there is no connection tracking: this copy ends here");
            self.lost = Some(DropReason::Untracked);
            return;
        };
        let zone = match ct.zone {
            CtZone::Number(zone) => zone.into(),
            CtZone::Field(from) => packet.key.read(from),
        };
        for (field, value) in [
            (FieldId::CT_STATE, known.state.into()),
            (FieldId::CT_ZONE, zone),
            (FieldId::CT_MARK, known.mark.into()),
            (FieldId::CT_LABEL, known.label),
        ] {
            packet.key.set(field, value);
        }
        for action in &ct.exec {
            change(&mut packet, action);
        }
        self.continue_later(packet, table);
    }
}
