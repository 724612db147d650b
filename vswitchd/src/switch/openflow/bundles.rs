//! Bundles that are committed.

use aorta_flow::table::Modification;
use aorta_openflow::Message;
use aorta_openflow::error::ErrorCode;
use aorta_openflow::message::{BundleAdd, BundleControl, PacketOut, PortMod};

use super::*;
use crate::openflow::state::{Bundle, Controlled};

/// What a bundle asks for besides changes of tables.
enum Other {
    Port(PortMod),
    Packet(PacketOut),
}

impl<E: Effects, D: Datapath> Switch<E, D> {
    pub(super) async fn control_bundle(
        &mut self,
        request: Request<'_>,
        control: BundleControl,
    ) -> Answer<()> {
        let now = clock::now();
        let connection = self.connection_mut(request.conn)?;
        let place = (request.xid, request.quote);
        match connection.control_bundle(control, place, now)? {
            Controlled::Done => {}
            Controlled::Commit(bundle) => {
                self.commit_bundle(request, bundle).await?;
                let kind = control.kind.reply();
                let reply = BundleControl { kind, ..control };
                self.reply(request, Message::BundleControl(reply));
            }
        }
        Ok(())
    }

    pub(super) fn add_to_bundle(&mut self, request: Request<'_>, add: BundleAdd) -> Answer<()> {
        let now = clock::now();
        let place = (request.xid, request.quote);
        self.connection_mut(request.conn)?
            .add_to_bundle(add, place, now)
    }

    /// Does all of a bundle or nothing. The error of the message that can't be done is told by
    /// itself.
    async fn commit_bundle(&mut self, request: Request<'_>, bundle: Bundle) -> Answer<()> {
        let bridge = self.bridge_of(request.conn)?;
        let mut quotes = Vec::with_capacity(bundle.entries.len());
        let mut changes: Vec<(u32, Modification)> = Vec::with_capacity(bundle.entries.len());
        let mut of_change = Vec::with_capacity(bundle.entries.len());
        let mut others = Vec::new();
        for (at, entry) in bundle.entries.into_iter().enumerate() {
            quotes.push((entry.xid, entry.quote));
            match modify::modification(entry.message) {
                Ok(modification) => {
                    changes.push((entry.xid, modification));
                    of_change.push(at);
                }
                Err(message) => match *message {
                    Message::PortMod(port_mod) => others.push((at, Other::Port(port_mod))),
                    Message::PacketOut(packet) => others.push((at, Other::Packet(packet))),
                    _ => return Err(ErrorCode::OFPBFC_MSG_UNSUP),
                },
            }
        }
        let failed = |at: usize, error: ErrorCode| {
            let (xid, quote) = &quotes[at];
            let place = Request {
                xid: *xid,
                quote,
                ..request
            };
            (place, error)
        };
        for (at, other) in &others {
            let checked = match other {
                Other::Port(port_mod) => self.check_port_mod(&bridge, port_mod).map(drop),
                // What its actions lead to may be made by the bundle itself.
                Other::Packet(packet) => self.check_frame(&bridge, packet),
            };
            if let Err(error) = checked {
                let (place, error) = failed(*at, error);
                self.refuse(place, error);
                return Err(ErrorCode::OFPBFC_MSG_FAILED);
            }
        }
        if let Err((at, error)) = self.modify_together(&bridge, request.conn, &changes) {
            let at = of_change.get(at).copied().unwrap_or(0);
            if at < quotes.len() {
                let (place, error) = failed(at, error);
                self.refuse(place, error);
            }
            return Err(ErrorCode::OFPBFC_MSG_FAILED);
        }
        for (xid, modification) in &changes {
            self.forward_request(&bridge, request.conn, *xid, modification);
        }
        for (_, other) in others {
            match other {
                Other::Port(port_mod) => {
                    self.port_mod(&bridge, &port_mod, request.conn).await?;
                }
                Other::Packet(packet) => self.packet_out(&bridge, packet)?,
            }
        }
        Ok(())
    }
}
