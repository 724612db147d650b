//! What shapes ports, and what their queues have counted.

use aorta_flow::IfIndex;
use aorta_kernel::netdev::qdisc::{Class, QueueStats, Root, SHARED_CLASS, class_of};

use super::*;
use crate::clock;
use crate::config::{DesiredPort, Qos};
use crate::ofproto::Moment;
use crate::reconcile::{Effect, concerns, egress, wanted};

/// How a port is shaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QosReport {
    /// What was asked for.
    pub asked: Qos,
    /// Bits a second of all queues together, if there are queues.
    pub max_rate_bps: Option<u64>,
    /// Its queues by number.
    pub queues: BTreeMap<u32, QueueReport>,
}

/// A queue of a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueReport {
    /// Its class.
    pub class: Class,
    /// What it has counted.
    pub stats: QueueStats,
    /// How long it is known.
    pub duration: Duration,
}

/// Since when queues are known, by device and class.
pub type QueueTimes = BTreeMap<(IfIndex, u16), Moment>;

impl<E: Effects, D: Datapath> Switch<E, D> {
    /// Reads the queueing disciplines and the speed of devices, if any of these is to be shaped or
    /// was.
    pub(super) async fn look_at_qdiscs(&mut self) {
        if !concerns(&self.desired, &self.actual) {
            return;
        }
        self.read_qdiscs().await;
        let mut speeds = BTreeMap::new();
        for port in self.desired.bridges.iter().flat_map(|b| &b.ports) {
            if port.qos.asked.has_queues()
                && let Some(link) = egress(port, &self.actual)
                && link.is_physical()
                && let Some(speed) = self.effects.hardware(&link.name).speed_bps
            {
                speeds.insert(link.ifindex, speed);
            }
        }
        self.actual.speeds_bps = speeds;
    }

    /// Reads the queueing disciplines.
    pub(super) async fn read_qdiscs(&mut self) {
        match self.effects.qdiscs().await {
            Ok(qdiscs) => self.actual.qdiscs = qdiscs,
            Err(error) => warn!("{}", error.line()),
        }
    }

    /// Notes which queues are new.
    pub(super) fn note_queues(&mut self) {
        let mut known = std::mem::take(&mut self.queue_times);
        let now = clock::now();
        for (device, root) in &self.actual.qdiscs {
            let Root::Own(qdisc) = root else {
                continue;
            };
            for class in qdisc.classes().into_keys() {
                let key = (*device, class);
                let since = known.remove(&key).unwrap_or(now);
                self.queue_times.insert(key, since);
            }
        }
    }

    /// What is not as a port's row of table QoS says, if something isn't.
    pub(super) fn qos_problem(&self, port: &DesiredPort) -> Option<String> {
        let mut problems = port.qos.problems.clone();
        if let Some(link) = egress(port, &self.actual) {
            let speed_bps = self.actual.speeds_bps.get(&link.ifindex);
            let asked_bps = port.qos.asked.max_rate_bps();
            if let (Some(rate), Some(speed)) = (asked_bps, speed_bps)
                && rate > *speed
            {
                problems.push(format!(
                    "{}: QoS: other_config:max-rate is {rate}, which the link's {speed} bit/s are \
                     less than: the link is the limit, and queues don't share it as they are to",
                    port.name
                ));
            }
            let failed = self.actual.failed.iter();
            let failed = failed.filter(|(effect, _)| match effect {
                Effect::Shape(device, _) => device.ifindex == link.ifindex,
                _ => false,
            });
            problems.extend(failed.map(|(_, why)| why.clone()));
        }
        (!problems.is_empty()).then(|| problems.join("; "))
    }

    /// How a port is shaped; `None` if there is no such port.
    pub async fn qos(&mut self, port: &str) -> Option<QosReport> {
        let mut ports = self.desired.bridges.iter().flat_map(|b| &b.ports);
        let found = ports.find(|other| other.name.as_str() == port)?.clone();
        Some(self.qos_of(&found).await)
    }

    /// How a port is shaped.
    pub(super) async fn qos_of(&mut self, port: &DesiredPort) -> QosReport {
        let mut report = QosReport {
            asked: Qos::None,
            max_rate_bps: None,
            queues: BTreeMap::new(),
        };
        let Some((device, _)) = wanted(port, &self.actual) else {
            return report;
        };
        let device = device.ifindex;
        let Some(Root::Own(root)) = self.actual.qdiscs.get(&device) else {
            return report;
        };
        report.asked = port.qos.asked.clone();
        if !port.qos.asked.has_queues() {
            return report;
        }
        let classes = root.classes();
        let shared = classes.get(&SHARED_CLASS);
        report.max_rate_bps = shared.map(|class| class.min_rate_bytes_s().saturating_mul(8));
        let stats = self.effects.queue_stats(device).await;
        let stats = stats.unwrap_or_else(|error| {
            warn!("{}", error.line());
            BTreeMap::new()
        });
        let now = clock::now();
        for queue in port.qos.asked.queues() {
            let known = class_of(queue).and_then(|n| Some((n, classes.get(&n)?)));
            let Some((number, class)) = known else {
                continue;
            };
            let since = self.queue_times.get(&(device, number));
            let queued = QueueReport {
                class: *class,
                stats: stats.get(&number).copied().unwrap_or_default(),
                duration: {
                    let ms = since.map_or(0, |since| now.since_ms(*since));
                    Duration::from_millis(ms)
                },
            };
            report.queues.insert(queue, queued);
        }
        report
    }
}

#[cfg(test)]
#[path = "qos_tests.rs"]
mod tests;
