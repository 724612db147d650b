//! Queues of ports. Devices have none that the switch knows of, but those in memory have the one
//! that everything leaves by.

use aorta_flow::OfPort;
use aorta_openflow::Message;
use aorta_openflow::error::ErrorCode;
use aorta_openflow::message::{MultipartReply, QueueDesc, QueueFilter, QueueStats};

use super::*;
use crate::config::Wanted;

/// The queue that everything leaves by.
const DEFAULT_QUEUE: u32 = 0;

impl<E: Effects, D: Datapath> Switch<E, D> {
    /// What queues have counted: nothing is known of it.
    pub(super) fn queue_stats(
        &mut self,
        bridge: &BridgeName,
        filter: QueueFilter,
    ) -> Answer<MultipartReply> {
        let ports = self.ports_with_queue(bridge, filter)?;
        let stats = ports.into_iter().map(|port| QueueStats {
            port,
            queue: DEFAULT_QUEUE,
            duration: None,
            tx_bytes: None,
            tx_packets: None,
            tx_errors: None,
        });
        Ok(MultipartReply::Queue(stats.collect()))
    }

    /// How queues are configured.
    pub(super) fn queue_descs(
        &mut self,
        bridge: &BridgeName,
        filter: QueueFilter,
    ) -> Answer<Vec<QueueDesc>> {
        let ports = self.ports_with_queue(bridge, filter)?;
        let descs = ports.into_iter().map(|port| QueueDesc {
            port,
            queue: DEFAULT_QUEUE,
            min_rate_permille: None,
            max_rate_permille: None,
        });
        Ok(descs.collect())
    }

    /// Answers what queues a port has.
    pub(super) fn queues_of(
        &mut self,
        request: Request<'_>,
        bridge: &BridgeName,
        port: OfPort,
    ) -> Answer<()> {
        let queues = self.queue_descs(bridge, QueueFilter { port, queue: None })?;
        self.reply(request, Message::QueueGetConfigReply { port, queues });
        Ok(())
    }

    /// Ports that have a queue; an error for a queue or a port that isn't there.
    fn ports_with_queue(
        &mut self,
        bridge: &BridgeName,
        filter: QueueFilter,
    ) -> Answer<Vec<OfPort>> {
        let known = &self.openflow.bridge(bridge).ports;
        if filter.port != OfPort::ANY && !known.contains_key(&filter.port) {
            return Err(ErrorCode::OFPQOFC_BAD_PORT);
        }
        let asked = known.keys().copied();
        let asked: BTreeSet<OfPort> = asked
            .filter(|port| filter.port == OfPort::ANY || filter.port == *port)
            .collect();
        let bridges = self.desired.bridges.iter().filter(|b| b.name == *bridge);
        let ports = bridges.flat_map(|bridge| &bridge.ports);
        let simulated = ports.filter(|port| matches!(port.wanted, Wanted::Dummy(_)));
        let mut ports: Vec<OfPort> = simulated
            .filter_map(|port| port.ofport)
            .filter(|port| asked.contains(port))
            .collect();
        ports.sort();
        match filter.queue {
            Some(queue) if queue != DEFAULT_QUEUE || ports.is_empty() => {
                Err(ErrorCode::OFPQOFC_BAD_QUEUE)
            }
            _ => Ok(ports),
        }
    }
}
