//! What packets ask the daemon for.

use aorta_compiler::pipeline::upcall::Copy;
use aorta_flow::BridgeName;
use aorta_flow::action::Action;
use aorta_flow::translate::Packet;

use crate::datapath::Datapath;
use crate::flows::Upcall;

/// What a packet asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// The bridge whose flows sent it.
    pub bridge: BridgeName,
    /// The action that did.
    pub action: Action,
    /// The packet as it was then.
    pub packet: Packet,
}

impl Datapath {
    /// What a packet asks for; none if the flows that sent it are no more.
    pub fn asked(&self, upcall: &Upcall) -> Option<Asked> {
        let copy = Copy {
            what: upcall.what,
            version: upcall.version,
            in_port: upcall.in_port,
            words: &upcall.words,
            frame: &upcall.frame,
            frame_bytes: upcall.frame_len,
        };
        let (action, packet) = self.flows.pipeline(upcall.bridge_slot)?.asked(&copy)?;
        Some(Asked {
            bridge: self.bridge_in(upcall.bridge_slot)?.clone(),
            action: action.clone(),
            packet,
        })
    }
}
