//! Changes of flows, groups and meters. Those that come one after the other are one change of the
//! datapath.

use aorta_flow::table::{GroupMod, MeterMod, Modification};
use aorta_openflow::Message;
use aorta_openflow::error::ErrorCode;
use tracing::debug;

use super::*;

/// Changes that come one after the other.
#[derive(Debug)]
pub(super) struct Run {
    pub conn: ConnId,
    waiting: Vec<Wanted>,
}

/// A change that was asked for.
#[derive(Debug)]
struct Wanted {
    modification: Modification,
    xid: u32,
    quote: Quote,
}

impl Run {
    pub fn new(conn: ConnId) -> Run {
        Run {
            conn,
            waiting: Vec::new(),
        }
    }

    pub fn push(&mut self, modification: Modification, xid: u32, quote: Quote) {
        self.waiting.push(Wanted {
            modification,
            xid,
            quote,
        });
    }
}

/// The change of tables that a message asks for.
///
/// # Errors
/// With the message, if it asks for something else.
pub(super) fn modification(message: Message) -> Result<Modification, Box<Message>> {
    match message {
        Message::FlowMod(change) if change.buffer_id.is_none() => {
            Ok(Modification::Flow(change.change))
        }
        Message::GroupMod(change) => Ok(Modification::Group(change)),
        Message::MeterMod(change) => Ok(Modification::Meter(change)),
        other => Err(Box::new(other)),
    }
}

impl<E: Effects, D: Datapath> Switch<E, D> {
    /// Does the changes that wait.
    pub(super) fn finish(&mut self, run: &mut Run) {
        let waiting = std::mem::take(&mut run.waiting);
        if waiting.is_empty() {
            return;
        }
        if let Ok(bridge) = self.bridge_of(run.conn) {
            self.modify_each(&bridge, run.conn, &waiting);
        }
    }

    /// Does changes, each for itself: what one is refused is nothing to the others.
    fn modify_each(&mut self, bridge: &BridgeName, conn: ConnId, wanted: &[Wanted]) {
        self.mirror = None;
        let Some(flows) = self.flows.get_mut(bridge) else {
            return;
        };
        let mut changes = Vec::new();
        let mut asked = Asked::by(conn);
        let mut refused = Vec::new();
        for (at, one) in wanted.iter().enumerate() {
            match flows.tables.try_one(&one.modification) {
                Ok(more) => {
                    changes.extend(more);
                    asked.until(changes.len(), one.xid);
                }
                Err(error) => {
                    debug!("{bridge}: {conn}: {error}");
                    refused.push((at, ErrorCode::from(&error)));
                }
            }
        }
        flows.tables.settle(&mut changes);
        let gone = self.of_gone(bridge, &changes);
        let Some(flows) = self.flows.get_mut(bridge) else {
            return;
        };
        match flows.install(bridge, &changes, &mut self.datapath) {
            Ok(()) => {
                for (at, error) in refused {
                    self.refuse(wanted[at].request(conn), error);
                }
                self.follow_changes(bridge, &changes, &asked, &gone);
                for one in wanted {
                    self.forward_request(bridge, conn, one.xid, &one.modification);
                }
            }
            // Nothing of it was done: which of them can't be is found by halves.
            Err(error) if wanted.len() > 1 => {
                debug!(
                    "{bridge}: {} changes are tried in parts: {error}",
                    wanted.len()
                );
                let (first, second) = wanted.split_at(wanted.len() / 2);
                self.modify_each(bridge, conn, first);
                self.modify_each(bridge, conn, second);
            }
            Err(error) => {
                warn!("{bridge}: {conn}: refused: {error}");
                for one in wanted {
                    let code = not_to_be_had(&one.modification);
                    self.refuse(one.request(conn), code);
                }
            }
        }
    }

    /// Does changes all or nothing, and in order.
    ///
    /// # Errors
    /// With the first that can't be done and why; none has been done then.
    pub(super) fn modify_together(
        &mut self,
        bridge: &BridgeName,
        conn: ConnId,
        wanted: &[(u32, Modification)],
    ) -> Result<(), (usize, ErrorCode)> {
        self.mirror = None;
        let Some(flows) = self.flows.get_mut(bridge) else {
            return Err((0, ErrorCode::OFPBRC_EPERM));
        };
        let mut changes = Vec::new();
        let mut asked = Asked::by(conn);
        for (at, (xid, modification)) in wanted.iter().enumerate() {
            match flows.tables.try_one(modification) {
                Ok(more) => {
                    changes.extend(more);
                    asked.until(changes.len(), *xid);
                }
                Err(error) => {
                    debug!("{bridge}: {conn}: change {} of a bundle: {error}", at + 1);
                    flows.tables.revert(&changes);
                    return Err((at, ErrorCode::from(&error)));
                }
            }
        }
        flows.tables.settle(&mut changes);
        let gone = self.of_gone(bridge, &changes);
        let Some(flows) = self.flows.get_mut(bridge) else {
            return Ok(());
        };
        if let Err(error) = flows.install(bridge, &changes, &mut self.datapath) {
            warn!("{bridge}: {conn}: a bundle is refused: {error}");
            let last = wanted.len().saturating_sub(1);
            let code = wanted.last().map(|(_, m)| not_to_be_had(m));
            return Err((last, code.unwrap_or(ErrorCode::OFPFMFC_UNKNOWN)));
        }
        self.follow_changes(bridge, &changes, &asked, &gone);
        Ok(())
    }
}

impl Wanted {
    fn request(&self, conn: ConnId) -> Request<'_> {
        Request {
            conn,
            xid: self.xid,
            quote: &self.quote,
        }
    }
}

/// What is told of a change that the datapath refuses.
fn not_to_be_had(modification: &Modification) -> ErrorCode {
    match modification {
        Modification::Flow(_) => ErrorCode::OFPFMFC_TABLE_FULL,
        Modification::Group(GroupMod::Delete(_)) | Modification::Meter(MeterMod::Delete(_)) => {
            ErrorCode::OFPBRC_EPERM
        }
        Modification::Group(_) => ErrorCode::OFPGMFC_OUT_OF_GROUPS,
        Modification::Meter(_) => ErrorCode::OFPMMFC_OUT_OF_METERS,
    }
}
