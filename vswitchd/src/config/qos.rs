//! What ports' rows of tables QoS and Queue ask for (ovs-vswitchd.conf.db(5)). Values that can't
//! be read are left out as Open vSwitch leaves them out, but told.

use std::collections::BTreeMap;

use aorta_kernel::netdev::qdisc::MAX_QUEUES;

use super::{Model, PortRow, QosRow, QueueRow, Wanted};

/// The queue that everything leaves by that no other was chosen for.
pub const DEFAULT_QUEUE: u32 = 0;
/// Packets that wait at most, unless configured.
const CODEL_LIMIT_PACKETS: u32 = 10_240;
const NETEM_LIMIT_PACKETS: u32 = 1000;
/// Delay that is accepted, in microseconds, unless configured.
const CODEL_TARGET_US: u32 = 5000;
/// Time over which delays are watched, in microseconds, unless configured.
const CODEL_INTERVAL_US: u32 = 100_000;
const FQ_CODEL_FLOWS: u32 = 1024;
const FQ_CODEL_QUANTUM_BYTES: u32 = 1514;
const SFQ_PERTURB_S: u32 = 10;

/// What a port asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortQos {
    /// How its device shapes what leaves.
    pub asked: Qos,
    /// What is not done as it was written, one sentence each.
    pub problems: Vec<String>,
}

/// How a device shapes what leaves by it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Qos {
    /// As the administrator or the kernel has set it up.
    #[default]
    None,
    /// The same, because a row says so.
    Noop,
    /// Queues that share a rate.
    Htb {
        /// Bits a second of all of them; as fast as the device, if there is none.
        max_rate_bps: Option<u64>,
        /// The queues by number, the default one among them.
        queues: BTreeMap<u32, HtbQueue>,
    },
    /// One rate; what is above it is dropped.
    Policer {
        /// Bytes a second.
        cir_bytes_s: u64,
        /// Bytes at once.
        cbs_bytes: u64,
    },
    /// Flows by turns.
    Sfq {
        /// Seconds between two changes of what is a flow.
        perturb_s: u32,
        /// Bytes in each turn; the device's MTU, if there is none.
        quantum_bytes: Option<u32>,
    },
    /// Bounded delay.
    Codel(Codel),
    /// Bounded delay of flows by turns.
    FqCodel {
        /// The delay.
        codel: Codel,
        /// Flows that are told apart.
        flows: u32,
        /// Bytes in each turn.
        quantum_bytes: u32,
    },
    /// Delay and loss, for tests.
    Netem {
        /// Microseconds.
        latency_us: u32,
        /// Packets that wait at most.
        limit_packets: u32,
        /// Packets of a hundred.
        loss_percent: u32,
    },
}

/// Settings of bounded delay, as a row has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Codel {
    /// Delay that is accepted, in microseconds.
    pub target_us: u32,
    /// Time over which the delay is watched, in microseconds.
    pub interval_us: u32,
    /// Packets that wait at most.
    pub limit_packets: u32,
}

/// A queue of [`Qos::Htb`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HtbQueue {
    /// Bits a second that it has in any case.
    pub min_rate_bps: u64,
    /// Bits a second that it has at most.
    pub max_rate_bps: Option<u64>,
    /// Bits that it may send at once.
    pub burst_bits: u64,
    /// Lower numbers get what is left first.
    pub priority: u32,
}

impl Qos {
    /// The types that there are.
    pub const TYPES: [&str; 7] = [
        "egress-policer",
        "linux-codel",
        "linux-fq_codel",
        "linux-htb",
        "linux-netem",
        "linux-noop",
        "linux-sfq",
    ];

    /// Its type's name; none of [`Qos::None`].
    pub fn name(&self) -> Option<&'static str> {
        Some(match self {
            Qos::None => return None,
            Qos::Noop => "linux-noop",
            Qos::Htb { .. } => "linux-htb",
            Qos::Policer { .. } => "egress-policer",
            Qos::Sfq { .. } => "linux-sfq",
            Qos::Codel(_) => "linux-codel",
            Qos::FqCodel { .. } => "linux-fq_codel",
            Qos::Netem { .. } => "linux-netem",
        })
    }

    /// Whether the device has to be changed for it.
    pub fn shapes(&self) -> bool {
        !matches!(self, Qos::None | Qos::Noop)
    }
}

/// What a port's rows ask for of an interface.
pub fn port_qos(row: &PortRow, interface: &str, wanted: &Wanted, model: &Model) -> PortQos {
    let Some(qos) = row.qos.and_then(|id| model.qos.get(&id)) else {
        return PortQos::default();
    };
    let mut reader = Reader {
        interface,
        problems: Vec::new(),
    };
    let asked = match wanted {
        Wanted::System | Wanted::Internal { .. } => reader.qos(qos, model),
        Wanted::Refused(_) => Qos::None,
        _ if qos.kind == "linux-noop" => Qos::None,
        Wanted::Patch { .. } => {
            reader.problem("a patch port has no device, so nothing shapes what leaves by it");
            Qos::None
        }
        Wanted::Dummy(_) => {
            reader.problem("a simulated device has no queues, so nothing shapes what leaves by it");
            Qos::None
        }
    };
    PortQos {
        asked,
        problems: reader.problems,
    }
}

struct Reader<'a> {
    interface: &'a str,
    problems: Vec<String>,
}

type Settings = BTreeMap<String, String>;

impl Reader<'_> {
    fn problem(&mut self, what: impl AsRef<str>) {
        let text = format!("{}: QoS: {}", self.interface, what.as_ref());
        self.problems.push(text);
    }

    fn qos(&mut self, row: &QosRow, model: &Model) -> Qos {
        let settings = &row.other_config;
        let asked = match row.kind.as_str() {
            "" => Qos::None,
            "linux-noop" => Qos::Noop,
            "linux-htb" => Qos::Htb {
                max_rate_bps: self.rate("", settings, "max-rate"),
                queues: self.queues(row, model),
            },
            "egress-policer" => self.policer(settings),
            "linux-sfq" => Qos::Sfq {
                perturb_s: self.number(settings, "perturb").unwrap_or(SFQ_PERTURB_S),
                quantum_bytes: self.number(settings, "quantum"),
            },
            "linux-codel" => Qos::Codel(self.codel(settings)),
            "linux-fq_codel" => Qos::FqCodel {
                codel: self.codel(settings),
                flows: self.number(settings, "flows").unwrap_or(FQ_CODEL_FLOWS),
                quantum_bytes: {
                    let quantum = self.number(settings, "quantum");
                    quantum.unwrap_or(FQ_CODEL_QUANTUM_BYTES)
                },
            },
            "linux-netem" => Qos::Netem {
                latency_us: self.number(settings, "latency").unwrap_or(0),
                limit_packets: self
                    .number(settings, "limit")
                    .unwrap_or(NETEM_LIMIT_PACKETS),
                loss_percent: self.number(settings, "loss").unwrap_or(0).min(100),
            },
            other => {
                let types = Qos::TYPES.join(", ");
                self.problem(format!(
                    "type \"{other}\" is not supported, so nothing is shaped; there are {types}"
                ));
                Qos::None
            }
        };
        let has_queues = matches!(asked, Qos::Htb { .. } | Qos::None | Qos::Noop);
        if !has_queues && !row.queues.is_empty() {
            self.problem(format!(
                "type {} has no queues; they are left out",
                row.kind
            ));
        }
        asked
    }

    fn policer(&mut self, settings: &Settings) -> Qos {
        let cir = self.rate("", settings, "cir");
        let cbs = self.rate("", settings, "cbs");
        match cir {
            Some(cir_bytes_s) => Qos::Policer {
                cir_bytes_s,
                cbs_bytes: cbs.unwrap_or(0),
            },
            None => {
                self.problem(
                    "egress-policer needs other_config:cir (bytes a second), so nothing is policed",
                );
                Qos::None
            }
        }
    }

    fn codel(&mut self, settings: &Settings) -> Codel {
        let mut value = |key, default| self.number(settings, key).unwrap_or(default);
        Codel {
            target_us: value("target", CODEL_TARGET_US),
            interval_us: value("interval", CODEL_INTERVAL_US),
            limit_packets: value("limit", CODEL_LIMIT_PACKETS),
        }
    }

    /// The queues, without those that can't be had; the default one is always there.
    fn queues(&mut self, row: &QosRow, model: &Model) -> BTreeMap<u32, HtbQueue> {
        let mut queues = BTreeMap::from([(DEFAULT_QUEUE, HtbQueue::default())]);
        for (number, id) in &row.queues {
            let known = u32::try_from(*number).ok().filter(|n| *n < MAX_QUEUES);
            let Some(number) = known else {
                self.problem(format!(
                    "queue {number} is left out: numbers of queues are below {MAX_QUEUES}"
                ));
                continue;
            };
            if let Some(queue) = model.queues.get(id) {
                queues.insert(number, self.queue(number, queue));
            }
        }
        queues
    }

    fn queue(&mut self, number: u32, row: &QueueRow) -> HtbQueue {
        let settings = &row.other_config;
        let of = format!(" of queue {number}");
        if row.dscp.is_some() {
            self.problem(format!(
                "dscp{of} is not applied; let the flows that choose the queue set the field with \
                 mod_nw_tos"
            ));
        }
        HtbQueue {
            min_rate_bps: self.amount(&of, settings, "min-rate").unwrap_or(0),
            max_rate_bps: self.rate(&of, settings, "max-rate"),
            burst_bits: self.amount(&of, settings, "burst").unwrap_or(0),
            priority: {
                let priority = self.amount(&of, settings, "priority").unwrap_or(0);
                u32::try_from(priority).unwrap_or(u32::MAX)
            },
        }
    }

    /// A number that may not be zero.
    fn rate(&mut self, of: &str, settings: &Settings, key: &str) -> Option<u64> {
        let value = self.amount(of, settings, key)?;
        if value == 0 {
            self.problem(format!(
                "other_config:{key}{of} is 0 and left out; the least is 1, and without the key \
                 there is no limit but the device's"
            ));
        }
        Some(value).filter(|value| *value != 0)
    }

    fn amount(&mut self, of: &str, settings: &Settings, key: &str) -> Option<u64> {
        let text = settings.get(key)?;
        let value = text.trim().parse().ok();
        if value.is_none() {
            self.problem(format!(
                "other_config:{key}{of} is \"{text}\" and left out: not a number from 0 to {}",
                u64::MAX
            ));
        }
        value
    }

    fn number(&mut self, settings: &Settings, key: &str) -> Option<u32> {
        let value = self.amount("", settings, key)?;
        Some(u32::try_from(value).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use aorta_ovsdb::Uuid;

    use super::*;
    use crate::config::Devices;
    use crate::testing::Rows;

    fn settings(pairs: Pairs) -> Settings {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    /// What a port with such rows asks for.
    fn asked(kind: &str, config: Pairs, queues: &[(i64, Option<i64>, Pairs)]) -> PortQos {
        let mut rows = Rows::default();
        let bridge = rows.bridge("br0");
        let port = rows.simple(bridge, "tap0", "");
        let mut qos = QosRow {
            kind: kind.to_owned(),
            other_config: settings(config),
            ..QosRow::default()
        };
        for (number, dscp, config) in queues {
            let id = rows.id();
            let queue = QueueRow {
                dscp: *dscp,
                other_config: settings(config),
            };
            rows.model.queues.insert(id, queue);
            qos.queues.insert(*number, id);
        }
        let id = Uuid::from_u128(9999);
        rows.model.qos.insert(id, qos);
        rows.model.ports.get_mut(&port).unwrap().qos = Some(id);
        let desired = rows.desired();
        let mut ports = desired.bridges[0].ports.iter();
        let tap = ports.find(|port| port.name.as_str() == "tap0").unwrap();
        assert_eq!(desired.notes, tap.qos.problems);
        tap.qos.clone()
    }

    #[test]
    fn what_libvirt_writes() {
        let config = [
            ("min-rate", "8000000"),
            ("burst", "4096000"),
            ("max-rate", "16000000"),
        ];
        let qos = asked("linux-htb", &config, &[(0, None, &config)]);
        let queue = HtbQueue {
            min_rate_bps: 8_000_000,
            max_rate_bps: Some(16_000_000),
            burst_bits: 4_096_000,
            priority: 0,
        };
        let wanted = Qos::Htb {
            max_rate_bps: Some(16_000_000),
            queues: BTreeMap::from([(0, queue)]),
        };
        assert_eq!((qos.asked, qos.problems), (wanted, vec![]));
    }

    #[test]
    fn the_default_queue_is_always_there() {
        let qos = asked("linux-htb", &[], &[(7, None, &[("priority", "2")])]);
        let Qos::Htb {
            max_rate_bps,
            queues,
        } = qos.asked
        else {
            panic!("{qos:?}");
        };
        assert_eq!(max_rate_bps, None);
        assert_eq!(queues[&0], HtbQueue::default());
        assert_eq!(queues[&7].priority, 2);
    }

    #[test]
    fn values_that_cannot_be_are_left_out_and_told() {
        let bad: &[(&str, &str)] = &[("max-rate", "0"), ("min-rate", "much")];
        let qos = asked(
            "linux-htb",
            &[("max-rate", "-5")],
            &[(1, Some(12), bad), (61_440, None, &[]), (70_000, None, &[])],
        );
        let Qos::Htb {
            max_rate_bps,
            queues,
        } = &qos.asked
        else {
            panic!("{qos:?}");
        };
        assert_eq!((*max_rate_bps, queues.len()), (None, 2));
        assert_eq!(queues[&1], HtbQueue::default());
        let told = qos.problems.join("\n");
        for part in [
            "tap0: QoS: other_config:max-rate is \"-5\"",
            "dscp of queue 1",
            "max-rate of queue 1 is 0",
            "min-rate of queue 1 is \"much\"",
            "queue 61440 is left out",
            "queue 70000 is left out",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
        assert_eq!(qos.problems.len(), 6);
    }

    #[test]
    fn types() {
        for kind in Qos::TYPES {
            let qos = asked(kind, &[("cir", "1000")], &[]);
            assert_eq!(qos.asked.name(), Some(kind));
            assert_eq!(qos.problems, Vec::<String>::new());
        }
        assert_eq!(asked("", &[], &[]), PortQos::default());
        for (kind, part) in [
            ("linux-hfsc", "type \"linux-hfsc\" is not supported"),
            ("egress-policer", "needs other_config:cir"),
        ] {
            let qos = asked(kind, &[], &[]);
            assert_eq!(qos.asked, Qos::None);
            assert!(qos.problems[0].contains(part), "{qos:?}");
        }
        let queues = asked("linux-sfq", &[], &[(0, None, &[])]);
        assert!(queues.problems[0].contains("has no queues"), "{queues:?}");
    }

    #[test]
    fn ports_without_a_device_are_told() {
        let mut rows = Rows::default();
        let bridge = rows.bridge("br0");
        let id = rows.id();
        let qos = QosRow {
            kind: "linux-htb".into(),
            ..QosRow::default()
        };
        rows.model.qos.insert(id, qos);
        let mut patch = rows.interface("p", "patch");
        patch.peer = Some("q".into());
        let port = rows.port(bridge, vec![patch]);
        rows.model.ports.get_mut(&port).unwrap().qos = Some(id);
        let notes = rows.desired().notes;
        assert!(notes[0].contains("p: QoS: a patch port"), "{notes:?}");
        rows.model.devices = Devices::Simulated { system: true };
        let port = rows.simple(bridge, "d", "dummy");
        rows.model.ports.get_mut(&port).unwrap().qos = Some(id);
        let notes = rows.desired().notes;
        assert!(
            notes
                .iter()
                .any(|note| note.contains("d: QoS: a simulated"))
        );
    }
}
