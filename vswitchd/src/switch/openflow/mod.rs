//! What messages of OpenFlow mean: which question is answered how, and what changes.

mod bundles;
mod events;
mod modify;
mod packets;
mod ports;
mod queues;
mod requests;
mod stats;
#[cfg(test)]
mod tests;

use aorta_openflow::error::ErrorCode;
use aorta_openflow::message::Role;
use aorta_openflow::{Envelope, Message};

use super::*;
use crate::clock;
use crate::ofproto::Moment;
use crate::openflow::state::{BridgeState, Connection};
use crate::openflow::{Batch, ConnId, Incoming, Order, Outgoing, Quote};
use modify::Run;

pub(super) use events::{Asked, Gone};
pub(super) use packets::Mirror;

/// All connections, and what bridges are to them.
#[derive(Debug, Default)]
pub(super) struct OpenFlow {
    connections: BTreeMap<ConnId, Connection>,
    bridges: BTreeMap<BridgeName, BridgeState>,
}

impl OpenFlow {
    /// The connections of a bridge.
    fn of_bridge(&self, bridge: &BridgeName) -> impl Iterator<Item = &Connection> {
        self.connections
            .values()
            .filter(move |connection| connection.bridge == *bridge)
    }

    pub(super) fn bridge(&mut self, name: &BridgeName) -> &mut BridgeState {
        if !self.bridges.contains_key(name) {
            self.bridges.insert(name.clone(), BridgeState::default());
        }
        // It is there now.
        self.bridges.entry(name.clone()).or_default()
    }

    /// Forgets bridges that are gone.
    pub(super) fn retain(&mut self, wanted: impl Fn(&BridgeName) -> bool) {
        self.bridges.retain(|name, _| wanted(name));
    }
}

/// A request, as answers to it need it.
#[derive(Debug, Clone, Copy)]
struct Request<'a> {
    conn: ConnId,
    xid: u32,
    quote: &'a [u8],
}

/// Why a request is refused, as the other side is told.
type Answer<T> = Result<T, ErrorCode>;

impl<E: Effects, D: Datapath> Switch<E, D> {
    /// How many connections a bridge has.
    pub(super) fn connections_of(&self, bridge: &BridgeName) -> u64 {
        self.openflow.of_bridge(bridge).count() as u64
    }

    /// Follows an order.
    pub async fn openflow(&mut self, order: Order) {
        let bridge = self.bridge_of_order(&order);
        match order {
            Order::Connected(connected) => {
                let connection = Connection::new(*connected);
                let known = self.openflow.bridges.get(&connection.bridge);
                if let Some(options) = known.map(|bridge| bridge.options.lengths()) {
                    connection.send(Outgoing::TunnelOptions(Box::new(options)));
                }
                self.openflow.connections.insert(connection.id, connection);
            }
            Order::Disconnected(conn) => drop(self.openflow.connections.remove(&conn)),
            Order::FailOpen { bridge, open } => self.fail_open(&bridge.into(), open),
            Order::Messages(batch) => self.batch(batch).await,
        }
        if let Some(bridge) = bridge {
            self.settle_misses(&bridge);
        }
    }

    fn bridge_of_order(&self, order: &Order) -> Option<BridgeName> {
        match order {
            Order::Connected(connected) => Some(connected.bridge.as_str().into()),
            Order::Disconnected(conn) => self.bridge_of(*conn).ok(),
            Order::FailOpen { bridge, .. } => Some(bridge.as_str().into()),
            Order::Messages(batch) => self.bridge_of(batch.conn).ok(),
        }
    }

    async fn batch(&mut self, batch: Batch) {
        let mut run = Run::new(batch.conn);
        for incoming in batch.messages {
            match incoming {
                Incoming::Message(envelope, quote) => self.message(&mut run, envelope, quote).await,
                Incoming::Unreadable(error) => {
                    self.finish(&mut run);
                    if let Some(connection) = self.openflow.connections.get(&batch.conn) {
                        connection.send(Outgoing::Message(error));
                    }
                }
            }
        }
        self.finish(&mut run);
        self.send_frames();
        // Whoever waits for it wakes up.
        drop(batch.done);
    }

    /// Does what a message says. Changes wait for those that follow.
    async fn message(&mut self, run: &mut Run, envelope: Envelope, quote: Quote) {
        let Some(connection) = self.openflow.connections.get(&run.conn) else {
            return;
        };
        let secondary = connection.role == Role::Secondary;
        let xid = envelope.xid;
        let request = Request {
            conn: run.conn,
            xid,
            quote: &quote,
        };
        if secondary && changes_something(&envelope.message) {
            self.finish(run);
            return self.refuse(request, ErrorCode::OFPBRC_IS_SLAVE);
        }
        match modify::modification(envelope.message) {
            Ok(modification) => run.push(modification, xid, quote),
            Err(message) => {
                self.finish(run);
                if !matches!(*message, Message::PacketOut(_)) {
                    self.send_frames();
                }
                if let Err(error) = self.request(request, *message).await {
                    self.refuse(request, error);
                }
            }
        }
    }

    fn connection(&self, conn: ConnId) -> Answer<&Connection> {
        let connection = self.openflow.connections.get(&conn);
        connection.ok_or(ErrorCode::OFPBRC_EPERM)
    }

    fn connection_mut(&mut self, conn: ConnId) -> Answer<&mut Connection> {
        let connection = self.openflow.connections.get_mut(&conn);
        connection.ok_or(ErrorCode::OFPBRC_EPERM)
    }

    fn bridge_of(&self, conn: ConnId) -> Answer<BridgeName> {
        Ok(self.connection(conn)?.bridge.clone())
    }

    fn reply(&self, request: Request<'_>, message: Message) {
        if let Some(connection) = self.openflow.connections.get(&request.conn) {
            connection.reply(request.xid, message);
        }
    }

    fn refuse(&self, request: Request<'_>, error: ErrorCode) {
        if let Some(connection) = self.openflow.connections.get(&request.conn) {
            connection.refuse(request.xid, request.quote, error);
        }
    }

    /// When something of connections is to be looked after; never if there is nothing.
    pub(super) fn next_openflow(&self) -> Option<Moment> {
        let connections = self.openflow.connections.values();
        connections.filter_map(Connection::next_timeout).min()
    }

    /// Looks after what waits.
    pub(super) fn look_after_openflow(&mut self) {
        let now = clock::now();
        for connection in self.openflow.connections.values_mut() {
            if connection.next_timeout().is_some_and(|next| next <= now) {
                connection.time_out(now);
            }
        }
    }
}

/// Whether only primaries and equals may ask for it.
fn changes_something(message: &Message) -> bool {
    matches!(
        message,
        Message::FlowMod(_)
            | Message::GroupMod(_)
            | Message::MeterMod(_)
            | Message::PortMod(_)
            | Message::TableMod(_)
            | Message::PacketOut(_)
            | Message::BundleControl(_)
            | Message::BundleAdd(_)
            | Message::TlvTableMod(_)
            | Message::Resume(_)
            | Message::CtFlush(_)
            | Message::CtFlushZone(_)
    )
}
