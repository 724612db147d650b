//! What ports' rows of tables QoS and Queue ask for (ovs-vswitchd.conf.db(5)). Values that can't
//! be read are left out as Open vSwitch leaves them out, but told.

use std::collections::BTreeMap;

use aorta_flow::PortHook;
use aorta_kernel::netdev::qdisc::MAX_QUEUES;

use super::{Model, PortRow, QosRow, Wanted};

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
    /// DSCP with which IP packets leave that chose a queue, by queue.
    pub dscp: BTreeMap<u32, u8>,
    /// What is not done as it was written, one sentence each.
    pub problems: Vec<String>,
}

impl PortQos {
    /// Where frames may enter by a port that asks for a hook: what XDP sends to a port with XDP
    /// passes its queues by, so a port that is shaped has none.
    pub fn hook(&mut self, interface: &str, asked: PortHook) -> PortHook {
        match asked {
            PortHook::XdpNative | PortHook::XdpGeneric
                if self.asked.shapes() || !self.dscp.is_empty() =>
            {
                self.problems.push(format!(
                    "{interface}: QoS: other_config:aorta-hook is taken as tc while the port is \
                     shaped or has queues with a dscp: what XDP sends passes queues by"
                ));
                PortHook::Tc
            }
            other => other,
        }
    }
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
    /// Queues that share a rate, each with a part of it that it has at once.
    Hfsc {
        /// Bits a second of all of them; as fast as the device, if there is none.
        max_rate_bps: Option<u64>,
        /// The queues by number, the default one among them.
        queues: BTreeMap<u32, HfscQueue>,
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

/// A queue of [`Qos::Hfsc`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HfscQueue {
    /// Bits a second that it has in any case.
    pub min_rate_bps: u64,
    /// Bits a second that it has at most.
    pub max_rate_bps: Option<u64>,
}

impl Qos {
    /// The types that there are.
    pub const TYPES: [&str; 8] = [
        "egress-policer",
        "linux-codel",
        "linux-fq_codel",
        "linux-hfsc",
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
            Qos::Hfsc { .. } => "linux-hfsc",
            Qos::Policer { .. } => "egress-policer",
            Qos::Sfq { .. } => "linux-sfq",
            Qos::Codel(_) => "linux-codel",
            Qos::FqCodel { .. } => "linux-fq_codel",
            Qos::Netem { .. } => "linux-netem",
        })
    }

    /// The numbers of its queues.
    pub fn queues(&self) -> Vec<u32> {
        match self {
            Qos::Htb { queues, .. } => queues.keys().copied().collect(),
            Qos::Hfsc { queues, .. } => queues.keys().copied().collect(),
            _ => Vec::new(),
        }
    }

    /// The rate that its queues share, if it has queues and the rate was asked for, in bits a second.
    pub fn max_rate_bps(&self) -> Option<u64> {
        match self {
            Qos::Htb { max_rate_bps, .. } | Qos::Hfsc { max_rate_bps, .. } => *max_rate_bps,
            _ => None,
        }
    }

    /// Whether it has queues.
    pub fn has_queues(&self) -> bool {
        matches!(self, Qos::Htb { .. } | Qos::Hfsc { .. })
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
    let has_device = !matches!(wanted, Wanted::Patch { .. } | Wanted::Refused(_));
    PortQos {
        asked,
        dscp: match has_device && !qos.kind.is_empty() {
            true => queue_dscp(qos, model),
            false => BTreeMap::new(),
        },
        problems: reader.problems,
    }
}

/// The DSCP of each queue that has one, whatever the type; that of a number which no packet can choose
/// is left out.
fn queue_dscp(row: &QosRow, model: &Model) -> BTreeMap<u32, u8> {
    let known = row.queues.iter().filter_map(|(number, id)| {
        let number = u32::try_from(*number).ok().filter(|n| *n < MAX_QUEUES)?;
        let dscp = model.queues.get(id)?.dscp?;
        Some((number, u8::try_from(dscp).ok()?))
    });
    known.collect()
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
                queues: self.queues(row, model, Self::htb_queue),
            },
            "linux-hfsc" => Qos::Hfsc {
                max_rate_bps: self.rate("", settings, "max-rate"),
                queues: self.queues(row, model, Self::hfsc_queue),
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
        let queues_matter = asked.shapes() && !asked.has_queues();
        if queues_matter && !row.queues.is_empty() {
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
    fn queues<Q: Default>(
        &mut self,
        row: &QosRow,
        model: &Model,
        read: fn(&mut Self, &str, &Settings) -> Q,
    ) -> BTreeMap<u32, Q> {
        let mut queues = BTreeMap::from([(DEFAULT_QUEUE, Q::default())]);
        for (number, id) in &row.queues {
            let known = u32::try_from(*number).ok().filter(|n| *n < MAX_QUEUES);
            let Some(number) = known else {
                self.problem(format!(
                    "queue {number} is left out: numbers of queues are below {MAX_QUEUES}"
                ));
                continue;
            };
            if let Some(queue) = model.queues.get(id) {
                let of = format!(" of queue {number}");
                queues.insert(number, read(self, &of, &queue.other_config));
            }
        }
        queues
    }

    fn htb_queue(&mut self, of: &str, settings: &Settings) -> HtbQueue {
        HtbQueue {
            min_rate_bps: self.amount(of, settings, "min-rate").unwrap_or(0),
            max_rate_bps: self.rate(of, settings, "max-rate"),
            burst_bits: self.amount(of, settings, "burst").unwrap_or(0),
            priority: {
                let priority = self.amount(of, settings, "priority").unwrap_or(0);
                u32::try_from(priority).unwrap_or(u32::MAX)
            },
        }
    }

    fn hfsc_queue(&mut self, of: &str, settings: &Settings) -> HfscQueue {
        HfscQueue {
            min_rate_bps: self.amount(of, settings, "min-rate").unwrap_or(0),
            max_rate_bps: self.rate(of, settings, "max-rate"),
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
#[path = "qos_tests.rs"]
mod tests;
