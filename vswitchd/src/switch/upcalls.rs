//! What packets ask for: to be told to controllers, flows to be learned, timeouts to be shortened.

use std::os::fd::BorrowedFd;

use aorta_flow::Learned;
use aorta_flow::table::Change;

use super::openflow::{Asked, Gone};
use super::*;
use crate::clock;
use crate::coverage;
use crate::reconcile::{Shorten, Upcall};

impl<E: Effects, D: Datapath> Switch<E, D> {
    /// What is readable when packets ask for something; none while no flow can have them ask.
    pub fn upcalls(&self) -> Option<BorrowedFd<'_>> {
        self.datapath.upcalls()
    }

    /// Does what packets ask for; true if there may be more of it.
    pub fn take_upcalls(&mut self) -> bool {
        let upcalls = self.datapath.take_upcalls();
        let some = !upcalls.is_empty();
        coverage::UPCALL.add(upcalls.len() as u64);
        let (mut learned, mut ended) = (Vec::new(), Vec::new());
        for upcall in upcalls {
            match upcall {
                Upcall::Learned(flow) => learned.push(flow),
                Upcall::PacketIn(packet) => self.packet_in(*packet),
                Upcall::Shorten(shorten) => ended.push(shorten),
            }
        }
        self.learn_flows(learned);
        self.shorten_timeouts(&ended);
        some
    }

    /// Shortens timeouts of flows whose connections end.
    fn shorten_timeouts(&mut self, ended: &[Shorten]) {
        if !ended.is_empty() {
            self.mirror = None;
        }
        let now = clock::now();
        let mut changes: BTreeMap<&BridgeName, Vec<Change>> = BTreeMap::new();
        for it in ended {
            let Some(flows) = self.flows.get_mut(&it.bridge) else {
                continue;
            };
            let to = (it.idle_timeout_s, it.hard_timeout_s);
            let change = flows.tables.shorten(it.flow, it.table, to, now);
            changes.entry(&it.bridge).or_default().extend(change);
        }
        for (name, changes) in changes {
            self.remember(name, &changes);
        }
    }

    /// Makes the flows that packets ask for, all of a bridge at once.
    pub(super) fn learn_flows(&mut self, learned: Vec<Learned>) {
        if !learned.is_empty() {
            self.mirror = None;
        }
        let now = clock::now();
        let mut asked: BTreeMap<BridgeName, Vec<Learned>> = BTreeMap::new();
        for learned in learned {
            coverage::FLOW_LEARNED.hit();
            asked
                .entry(learned.bridge.clone())
                .or_default()
                .push(learned);
        }
        for (name, asked) in asked {
            let Some(flows) = self.flows.get_mut(&name) else {
                continue;
            };
            match flows.learn(&name, &asked, &mut self.datapath, now) {
                Ok(changes) => {
                    self.follow_changes(&name, &changes, &Asked::otherwise(), &Gone::new());
                }
                Err(error) => warn!("{name}: flows can't be learned: {error}"),
            }
        }
    }
}
