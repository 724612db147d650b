//! Questions and orders of everybody else.

use std::thread;
use std::time::Instant;

use tokio::task::yield_now;

use super::Daemon;
use crate::control::Request;
use crate::reconcile::{Datapath, Effects};
use crate::remotes::Order;

impl<E: Effects, D: Datapath> Daemon<E, D> {
    /// Answers a question, and those behind it that come at once. True if the daemon is to end.
    pub(super) async fn answer_all(&mut self, first: Request) -> bool {
        self.awake.begin(Instant::now());
        let mut next = Some(first);
        loop {
            if let Some(request) = next {
                if self.answer(request).await {
                    return true;
                }
                self.awake.done(Instant::now());
            }
            yield_now().await;
            let now = Instant::now();
            if self.awake.is_over(now) {
                return false;
            }
            next = self.requests.try_recv().ok();
            match next {
                Some(_) => self.awake.came(now),
                // Whoever shares the processor may have the next one to send.
                None if self.awake.stays(now) => thread::yield_now(),
                None => return false,
            }
        }
    }

    /// Answers a question. True if the daemon is to end.
    async fn answer(&mut self, request: Request) -> bool {
        match request {
            Request::Status(to) => drop(to.send(self.switch.status())),
            Request::Metrics(to) => drop(to.send(Box::new(self.switch.metrics()))),
            Request::Bridges(to) => drop(to.send(self.switch.bridges())),
            request @ (Request::Fdb(..)
            | Request::FlushFdb(..)
            | Request::FdbReport(..)
            | Request::ClearFdbCounts(..)
            | Request::FixStation { .. }
            | Request::Datapath(_)
            | Request::CardFlows(_)) => self.answer_about_datapath(request),
            Request::Qos(port, to) => drop(to.send(self.switch.qos(&port).await)),
            Request::Flows(bridge, request) => self.switch.answer_flows(&bridge, request),
            Request::OpenFlow(order) => self.switch.openflow(order).await,
            Request::CleanUp(to) => {
                let result = self.clean_up().await;
                drop(to.send(result.map_err(|error| crate::errors::line(&error))));
            }
            Request::Sim(order, to) => drop(to.send(self.follow_sim(order).await)),
            Request::AddRemote(remote, to) => self.order(Order::Add(remote, to)).await,
            Request::RemoveRemote(remote, to) => self.order(Order::Remove(remote, to)).await,
            Request::ListRemotes(to) => self.order(Order::List(to)).await,
            Request::Reconnect(to) => self.order(Order::Reconnect(to)).await,
            Request::ReconnectBridges(bridge, to) => self.openflow.reconnect(bridge, to).await,
            Request::End(to) => {
                let _ = to.send(());
                return true;
            }
        }
        false
    }

    async fn order(&self, order: Order) {
        if let Some(remotes) = &self.remotes {
            remotes.order(order).await;
        }
    }
}
