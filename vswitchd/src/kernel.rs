//! The kernel's datapath behind the reconciler's trait.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use aorta_api::{Counted, FlowExplain, TableExplain};
use aorta_compiler::pipeline::record::RuleId;
use aorta_compiler::pipeline::{TableReport, xdp_takes};
use aorta_flow::action::Action;
use aorta_flow::meter::MeterState;
use aorta_flow::table::{Change, FlowId, Tables};
use aorta_flow::translate::learned_flow;
use aorta_flow::{
    Attachment, BridgeName, IfIndex, Learned, MeterId, Output, PacketIn, Port, PortName, Snapshot,
};
use aorta_kernel::{
    Asked, Datapath as Kernel, Explained, FrameSender, Upcall as KernelUpcall, Upcalls, XdpForm,
};
use tracing::{debug, error, warn};

use crate::clock;
use crate::errors;
use crate::expedite::Expedite;
use crate::ofproto::Moment;
use crate::reconcile::{
    Applied, Counters, Datapath, DatapathError, Fdb, FlowCounters, GroupCounters, Hook, Shorten,
    Upcall, XdpTakes,
};

/// Why programs run at tcx.
const TCX: &str = "keeps GSO frames whole and checksums offloaded";

/// Ports get programs of their own when no tables or ports have changed for so long, and then one
/// after the other with pauses, in which everything else has its turn.
const QUIET_MS: u64 = 1000;
/// How much longer it is to be quiet than making a program takes.
const QUIET_FOR_EACH: u64 = 30;
const PAUSE_MS: u64 = 20;

/// Upcalls that are taken before others have their turn: those who send them on, above all.
const UPCALLS_AT_ONCE: usize = 256;

/// The datapath in the kernel.
#[derive(Debug)]
pub struct KernelDatapath {
    kernel: Kernel,
    /// What packets ask for, once a flow can have them ask.
    upcalls: Option<Upcalls>,
    expedite: Expedite,
    /// When the next port may get a program of its own.
    tailor_at: Option<Moment>,
    /// How long it took to make the one that took longest lately.
    tailor_ms: u64,
    /// Devices of the ports that frames can be sent by.
    devices: HashMap<PortName, IfIndex>,
    /// Sends frames, once there was one.
    sender: Option<FrameSender>,
}

impl KernelDatapath {
    /// Takes an open datapath.
    pub fn new(kernel: Kernel, expedite: Expedite) -> KernelDatapath {
        KernelDatapath {
            kernel,
            upcalls: None,
            expedite,
            tailor_at: None,
            tailor_ms: 0,
            devices: HashMap::new(),
            sender: None,
        }
    }
}

impl KernelDatapath {
    fn tailor_when_quiet(&mut self) {
        let Moment(now) = clock::now();
        // However often tables change, making programs for them takes a small part of the time.
        let quiet_ms = QUIET_MS.max(QUIET_FOR_EACH * self.tailor_ms);
        self.tailor_at = Some(Moment(now + quiet_ms));
    }
}

/// One line for the database; the whole text, with what the verifier said, goes to the log.
fn brief(error: &dyn std::error::Error) -> String {
    let text = aorta_kernel::chain(error);
    if text.contains('\n') {
        error!("{text}");
    }
    errors::first_line(&text)
}

fn refused(error: aorta_kernel::DatapathError) -> DatapathError {
    DatapathError(brief(&error))
}

impl Datapath for KernelDatapath {
    fn apply(&mut self, snapshot: &Snapshot) -> Result<Applied, DatapathError> {
        let applied = {
            let _expedited = self.expedite.begin();
            crate::coverage::DATAPATH_APPLY.hit();
            self.kernel.apply(snapshot).map_err(refused)?
        };
        self.devices = devices(snapshot);
        self.tailor_when_quiet();
        let failed: BTreeMap<PortName, String> = applied
            .failed
            .into_iter()
            .map(|(port, error)| {
                let line = format!("{port}: {}", brief(&error));
                (port, line)
            })
            .collect();
        let ports = snapshot.bridges.iter().flat_map(|b| &b.ports);
        let served = ports.filter(|port| !failed.contains_key(&port.name));
        let hooks = served
            .filter_map(|port| Some((port.name.clone(), hook(port)?)))
            .collect();
        Ok(Applied { failed, hooks })
    }

    fn hook(&self, port: &PortName) -> Option<Hook> {
        let hook = self.kernel.hook(port)?;
        (hook.name != "patch").then(|| Hook {
            name: hook.name.to_owned(),
            reason: errors::first_line(&hook.reason),
        })
    }

    fn counters(&self) -> Result<BTreeMap<PortName, Counters>, DatapathError> {
        let all = self.kernel.counters().map_err(refused)?;
        Ok(all
            .into_iter()
            .map(|c| {
                let drops = c
                    .drops
                    .iter()
                    .map(|(why, n)| (why.name().to_owned(), *n))
                    .collect();
                let counters = Counters {
                    rx_packets: c.rx_packets,
                    rx_bytes: c.rx_bytes,
                    tx_packets: c.tx_packets,
                    tx_bytes: c.tx_bytes,
                    drops,
                };
                (c.port, counters)
            })
            .collect())
    }

    fn flush_fdb(&mut self, bridge: &BridgeName) -> Result<(), DatapathError> {
        self.kernel.flush_fdb(bridge).map_err(refused)
    }

    fn apply_flows(
        &mut self,
        bridge: &BridgeName,
        tables: &Tables,
        changes: Option<&[Change]>,
    ) -> Result<(), DatapathError> {
        let applied = self.kernel.apply_flows(bridge, tables, changes);
        let applied = applied.map_err(|error| DatapathError(brief(&error)))?;
        if self.upcalls.is_none() {
            self.upcalls = self.kernel.upcalls().map_err(refused)?;
        }
        if let Some(why) = applied.why_rebuilt {
            let load_ms = applied.load_time.as_millis();
            debug!("{bridge}: flow tables compiled anew in {load_ms} ms: {why}");
        }
        if applied.untailored {
            self.tailor_when_quiet();
        }
        Ok(())
    }

    fn next_upkeep(&self) -> Option<Moment> {
        self.tailor_at
    }

    fn upkeep(&mut self) {
        let Moment(began) = clock::now();
        let tailored = self.kernel.tailor_port();
        let Moment(now) = clock::now();
        let took_ms = now.saturating_sub(began);
        self.tailor_ms = took_ms.max(self.tailor_ms - self.tailor_ms / 8);
        self.tailor_at = match tailored {
            Ok(true) => Some(Moment(now + PAUSE_MS)),
            Ok(false) => None,
            Err(error) => {
                // The port goes on with the program that it has.
                debug!("a port's program can't be exchanged: {}", brief(&error));
                None
            }
        };
    }

    fn adopt_flows(&mut self, bridge: &BridgeName, rules: HashMap<FlowId, u32>) {
        let rules = rules.into_iter().map(|(flow, rule)| (flow, RuleId(rule)));
        self.kernel.adopt_rules(bridge, &rules.collect());
    }

    fn flow_rule(&self, bridge: &BridgeName, flow: FlowId) -> Option<u32> {
        self.kernel.rule(bridge, flow).map(|rule| rule.0)
    }

    fn flow_counters(
        &self,
        bridge: &BridgeName,
    ) -> Result<HashMap<FlowId, FlowCounters>, DatapathError> {
        let counted = self.kernel.flow_stats(bridge).map_err(refused)?;
        let now = clock::now();
        let counters = counted.into_iter().map(|(flow, counted)| {
            let counters = FlowCounters {
                packets: counted.packets,
                bytes: counted.bytes,
                used: counted.idle.map(|idle| now - idle),
            };
            (flow, counters)
        });
        Ok(counters.collect())
    }

    fn add_flow_counters(
        &self,
        bridge: &BridgeName,
        counted: Vec<(FlowId, FlowCounters)>,
    ) -> Vec<(FlowId, FlowCounters)> {
        let now = clock::now();
        let is_left = |(flow, counters): &(FlowId, FlowCounters)| {
            let since = |used| Duration::from_millis(now.since_ms(used));
            let counted = aorta_kernel::FlowCounters {
                packets: counters.packets,
                bytes: counters.bytes,
                idle: counters.used.map(since),
            };
            let added = self.kernel.add_flow_stats(bridge, *flow, counted);
            added.is_err()
        };
        counted.into_iter().filter(is_left).collect()
    }

    fn group_counters(
        &self,
        bridge: &BridgeName,
    ) -> Result<BTreeMap<u32, GroupCounters>, DatapathError> {
        let counted = self.kernel.group_stats(bridge).map_err(refused)?;
        let told = |counters: &aorta_kernel::FlowCounters| Counted {
            packets: counters.packets,
            bytes: counters.bytes,
        };
        let group = |group: aorta_kernel::GroupCounters| GroupCounters {
            all: told(&group.all),
            buckets: group.buckets.iter().map(told).collect(),
        };
        let groups = counted.into_iter();
        Ok(groups.map(|(id, counted)| (id, group(counted))).collect())
    }

    fn lost_upcalls(&self) -> Result<u64, DatapathError> {
        self.kernel.lost_upcalls().map_err(refused)
    }

    fn upcalls(&self) -> Option<BorrowedFd<'_>> {
        self.upcalls.as_ref().map(AsFd::as_fd)
    }

    fn take_upcalls(&mut self) -> Vec<Upcall> {
        let mut taken = Vec::new();
        while taken.len() < UPCALLS_AT_ONCE
            && let Some(upcall) = self.upcalls.as_mut().and_then(Upcalls::next_upcall)
        {
            let asked = self.kernel.asked(&upcall);
            taken.extend(asked.and_then(|asked| told_upcall(asked, upcall)));
        }
        taken
    }

    fn send(&mut self, frames: &[Output]) {
        let device = |output: &Output| Some(*self.devices.get(&output.port)?);
        let frames = frames.iter();
        let frames: Vec<(IfIndex, &[u8])> = frames
            .filter_map(|output| Some((device(output)?, &*output.frame)))
            .collect();
        if self.sender.is_none() && !frames.is_empty() {
            match FrameSender::open() {
                Ok(sender) => self.sender = Some(sender),
                Err(error) => return warn!("controllers' packets can't be sent: {error}"),
            }
        }
        let refused = self
            .sender
            .as_ref()
            .map_or(0, |sender| sender.send(&frames));
        if refused > 0 {
            debug!("{refused} packets of controllers were not taken by their devices");
        }
    }

    fn meter_states(&self, bridge: &BridgeName) -> BTreeMap<MeterId, MeterState> {
        self.kernel.meter_stats(bridge)
    }

    fn xdp(&self, bridge: &BridgeName) -> Option<Result<XdpTakes, String>> {
        match self.kernel.explain_flows(bridge)?.xdp {
            XdpForm::Unwanted => None,
            XdpForm::Nothing => Some(Err("no flow of the bridge can be done there".to_owned())),
            XdpForm::Refused(why) => Some(Err(errors::first_line(&why))),
            XdpForm::Runs(_) => Some(Ok(xdp_takes)),
        }
    }

    fn explain(&self, bridge: &BridgeName) -> Result<FlowExplain, DatapathError> {
        let explained = self.kernel.explain_flows(bridge);
        Ok(explained.map_or_else(normal, |explained| told(&explained)))
    }

    fn fdb(&self, bridge: &BridgeName) -> Result<Vec<Fdb>, DatapathError> {
        let entries = self.kernel.fdb(bridge).map_err(refused)?;
        Ok(entries
            .into_iter()
            .map(|e| Fdb {
                port: e.port.to_string(),
                ofport: e.ofport.0,
                vlan: e.vid.get(),
                mac: e.mac.to_string(),
                age_s: e.age_s,
            })
            .collect())
    }
}

/// What a packet asks for, if that is for the switch.
fn told_upcall(asked: Asked, upcall: KernelUpcall) -> Option<Upcall> {
    match &asked.action {
        Action::Learn(learn) => Some(Upcall::Learned(Learned {
            bridge: asked.bridge,
            flow: learned_flow(learn, &asked.packet),
            limit: learn.limit,
            by: asked.flow,
            delete_learned: learn.delete_learned,
        })),
        Action::Controller(how) => Some(Upcall::PacketIn(Box::new(PacketIn {
            bridge: asked.bridge,
            how: (**how).clone(),
            table: asked.table,
            // The switch knows it by the flow; what no flow sent is a miss.
            cookie: upcall.rule.is_none().then_some(0),
            flow: asked.flow,
            fields: asked.packet.key,
            frame: upcall.frame,
            frame_bytes: upcall.frame_len,
            left: None,
            noted: asked.noted.map(Box::new),
        }))),
        Action::FinTimeout {
            idle_timeout_s,
            hard_timeout_s,
        } => Some(Upcall::Shorten(Shorten {
            bridge: asked.bridge,
            table: asked.table,
            flow: asked.flow?,
            idle_timeout_s: *idle_timeout_s,
            hard_timeout_s: *hard_timeout_s,
        })),
        _ => None,
    }
}

/// A bridge whose only flow is NORMAL.
fn normal() -> FlowExplain {
    let why = "NORMAL is the only flow: the programs of the ports do it themselves";
    FlowExplain {
        tables: vec![TableExplain {
            flows: 1,
            template: "normal".to_owned(),
            why: why.to_owned(),
            ..TableExplain::default()
        }],
        hook: "tcx".to_owned(),
        why: TCX.to_owned(),
        ..FlowExplain::default()
    }
}

/// What became of tables, as the management API has it.
fn told(explained: &Explained) -> FlowExplain {
    let table = |table: &TableReport| TableExplain {
        table: table.table,
        flows: table.rules as u64,
        template: table.template.to_owned(),
        why: table.why.clone(),
        masks: table.masks as u64,
        probes_per_packet: table.probes as f64,
        program_insns: table.insns as u64,
        memory_bytes: table.bytes.into(),
        cheaper: table.cheaper.clone(),
        ..TableExplain::default()
    };
    FlowExplain {
        tables: explained.report.tables.iter().map(table).collect(),
        program_insns: explained.program_insns as u64,
        load_ms: explained.load_time.as_secs_f64() * 1000.0,
        hook: "tcx".to_owned(),
        why: why(explained),
        ..FlowExplain::default()
    }
}

/// Where a bridge's tables run, and why there.
fn why(explained: &Explained) -> String {
    let own = match explained.own_programs {
        0 => String::new(),
        1 => "; one port has them in a program of its own".to_owned(),
        ports => format!("; {ports} ports have them in programs of their own"),
    };
    let fixed = match explained.fixed {
        true => "; small tables are code until they change",
        false => "",
    };
    let xdp = match &explained.xdp {
        XdpForm::Unwanted => String::new(),
        XdpForm::Nothing => "; no flow is such that ports with XDP could do it".to_owned(),
        XdpForm::Refused(why) => {
            let why = errors::first_line(why);
            format!("; the kernel refused what ports with XDP are to run: {why}")
        }
        XdpForm::Runs(insns) => format!(
            "; in front of it, ports with XDP run {insns} instructions for drops and single outputs"
        ),
    };
    format!("{TCX}{own}{fixed}{xdp}")
}

/// Devices of ports.
fn devices(snapshot: &Snapshot) -> HashMap<PortName, IfIndex> {
    let ports = snapshot.bridges.iter().flat_map(|bridge| &bridge.ports);
    let device = |port: &Port| match port.attachment {
        Attachment::Netdev { ifindex, .. } => Some((port.name.clone(), ifindex)),
        _ => None,
    };
    ports.filter_map(device).collect()
}

/// Where a served port's frames enter.
fn hook(port: &Port) -> Option<Hook> {
    let (name, reason) = match &port.attachment {
        Attachment::Netdev { .. } => ("tcx", TCX.to_owned()),
        Attachment::Patch { peer } => ("patch", format!("frames jump to {peer}, without a device")),
        Attachment::Absent => return None,
    };
    Some(Hook {
        name: name.to_owned(),
        reason,
    })
}
