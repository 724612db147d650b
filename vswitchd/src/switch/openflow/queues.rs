//! Queues of ports: those that a row of table QoS asks for. Devices in memory have the one that
//! everything leaves by.

use aorta_flow::OfPort;
use aorta_openflow::Message;
use aorta_openflow::error::ErrorCode;
use aorta_openflow::message::{MultipartReply, QueueDesc, QueueFilter, QueueStats};

use super::*;
use crate::config::{DEFAULT_QUEUE, DesiredPort, Wanted};
use crate::switch::{QosReport, QueueReport};

/// A queue: its port, its number, the rate of all queues of the port in bits a second, and what is
/// known of it.
type Queue = (OfPort, u32, Option<(u64, QueueReport)>);

impl<E: Effects, D: Datapath> Switch<E, D> {
    /// What queues have counted.
    pub(super) async fn queue_stats(
        &mut self,
        bridge: &BridgeName,
        filter: QueueFilter,
    ) -> Answer<MultipartReply> {
        let queues = self.queues(bridge, filter).await?;
        let stats = queues.into_iter().map(|(port, queue, known)| {
            let known = known.as_ref().map(|(_, known)| known);
            QueueStats {
                port,
                queue,
                duration: known.map(|known| known.duration),
                tx_bytes: known.map(|known| known.stats.bytes),
                tx_packets: known.map(|known| known.stats.packets),
                tx_errors: known.map(|known| known.stats.dropped),
            }
        });
        Ok(MultipartReply::Queue(stats.collect()))
    }

    /// How queues are configured.
    pub(super) async fn queue_descs(
        &mut self,
        bridge: &BridgeName,
        filter: QueueFilter,
    ) -> Answer<Vec<QueueDesc>> {
        let queues = self.queues(bridge, filter).await?;
        let descs = queues.into_iter().map(|(port, queue, known)| {
            let share = |bytes_s: u64, of_bps: u64| {
                let permille = u128::from(bytes_s) * 8000 / u128::from(of_bps.max(1));
                u16::try_from(permille.min(1000)).unwrap_or(1000)
            };
            let known = known.as_ref();
            QueueDesc {
                port,
                queue,
                min_rate_permille: known.map(|(all, q)| share(q.class.min_rate_bytes_s(), *all)),
                max_rate_permille: known.map(|(all, q)| share(q.class.max_rate_bytes_s(), *all)),
            }
        });
        Ok(descs.collect())
    }

    /// Answers what queues a port has.
    pub(super) async fn queues_of(
        &mut self,
        request: Request<'_>,
        bridge: &BridgeName,
        port: OfPort,
    ) -> Answer<()> {
        let filter = QueueFilter { port, queue: None };
        let queues = self.queue_descs(bridge, filter).await?;
        self.reply(request, Message::QueueGetConfigReply { port, queues });
        Ok(())
    }

    /// The queues of a filter, by port; an error for a queue or a port that isn't there.
    async fn queues(&mut self, bridge: &BridgeName, filter: QueueFilter) -> Answer<Vec<Queue>> {
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
        let ports = ports.filter_map(|port| Some((port.ofport?, port)));
        let ports: BTreeMap<OfPort, DesiredPort> = ports
            .filter(|(number, _)| asked.contains(number))
            .map(|(number, port)| (number, port.clone()))
            .collect();
        let mut queues: Vec<Queue> = Vec::new();
        for (number, port) in ports {
            match port.wanted {
                Wanted::Dummy(_) => queues.push((number, DEFAULT_QUEUE, None)),
                _ => queues.extend(of_port(number, self.qos_of(&port).await)),
            }
        }
        let Some(queue) = filter.queue else {
            return Ok(queues);
        };
        queues.retain(|(_, number, _)| *number == queue);
        match queues.is_empty() {
            true => Err(ErrorCode::OFPQOFC_BAD_QUEUE),
            false => Ok(queues),
        }
    }
}

fn of_port(port: OfPort, report: QosReport) -> impl Iterator<Item = Queue> {
    let all = report.max_rate_bps.unwrap_or(0);
    let queues = report.queues.into_iter();
    queues.map(move |(number, queue)| (port, number, Some((all, queue))))
}
