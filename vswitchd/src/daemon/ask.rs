//! Questions about the datapath.

use super::Daemon;
use crate::control::{FdbError, Request};
use crate::reconcile::{Datapath, Effects};

impl<E: Effects, D: Datapath> Daemon<E, D> {
    /// Answers a question about ports or learned addresses; others are dropped.
    pub(super) fn answer_about_datapath(&mut self, request: Request) {
        let switch = &mut self.switch;
        match request {
            Request::Datapath(to) => drop(to.send(switch.report())),
            Request::CardFlows(to) => drop(to.send(switch.card_flows())),
            Request::Fdb(bridge, to) => drop(to.send(match switch.fdb(&bridge) {
                None => Err(FdbError::NoBridge(bridge)),
                Some(entries) => entries.map_err(|error| FdbError::Datapath(error.to_string())),
            })),
            Request::FlushFdb(bridge, to) => drop(to.send(switch.flush_fdb(bridge.as_deref()))),
            Request::FdbReport(bridge, to) => drop(to.send(switch.fdb_report(&bridge))),
            Request::ClearFdbCounts(bridge, to) => {
                drop(to.send(switch.clear_fdb_counts(bridge.as_deref())));
            }
            Request::FixStation {
                bridge,
                station,
                port,
                to,
            } => drop(to.send(switch.fix_station(&bridge, station, port.as_deref()))),
            _ => {}
        }
    }
}
