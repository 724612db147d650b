//! The kernel's datapath behind the reconciler's trait.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd, BorrowedFd};

use aorta_api::{Counted, FlowExplain, TableExplain};
use aorta_compiler::pipeline::TableReport;
use aorta_compiler::pipeline::record::RuleId;
use aorta_flow::action::Action;
use aorta_flow::meter::MeterState;
use aorta_flow::table::{Change, FlowId, Tables};
use aorta_flow::translate::learned_flow;
use aorta_flow::{Attachment, BridgeName, Learned, MeterId, Port, PortName, Snapshot};
use aorta_kernel::{Asked, Datapath as Kernel, Explained, Upcalls, XdpForm};
use tracing::{debug, error};

use crate::clock;
use crate::errors;
use crate::expedite::Expedite;
use crate::reconcile::{
    Applied, Counters, Datapath, DatapathError, Fdb, FlowCounters, GroupCounters, Hook,
};

/// Why programs run at tcx.
const TCX: &str = "keeps GSO frames whole and checksums offloaded";

/// The datapath in the kernel.
#[derive(Debug)]
pub struct KernelDatapath {
    kernel: Kernel,
    /// What packets ask for, once a flow can have them ask.
    upcalls: Option<Upcalls>,
    expedite: Expedite,
}

impl KernelDatapath {
    /// Takes an open datapath.
    pub fn new(kernel: Kernel, expedite: Expedite) -> KernelDatapath {
        KernelDatapath {
            kernel,
            upcalls: None,
            expedite,
        }
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
        Ok(())
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

    fn take_learned(&mut self) -> Vec<Learned> {
        let mut learned = Vec::new();
        while let Some(upcall) = self.upcalls.as_mut().and_then(Upcalls::next_upcall) {
            learned.extend(self.kernel.asked(&upcall).and_then(|asked| flow_of(&asked)));
        }
        learned
    }

    fn meter_states(&self, bridge: &BridgeName) -> BTreeMap<MeterId, MeterState> {
        self.kernel.meter_stats(bridge)
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

/// The flow that a packet asks for, if that is what it asks for.
fn flow_of(asked: &Asked) -> Option<Learned> {
    let Action::Learn(learn) = &asked.action else {
        return None;
    };
    Some(Learned {
        bridge: asked.bridge.clone(),
        flow: learned_flow(learn, &asked.packet),
        limit: learn.limit,
        by: asked.flow,
        delete_learned: learn.delete_learned,
    })
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
    };
    FlowExplain {
        tables: explained.report.tables.iter().map(table).collect(),
        program_insns: explained.program_insns as u64,
        load_ms: explained.load_time.as_secs_f64() * 1000.0,
        hook: "tcx".to_owned(),
        why: match &explained.xdp {
            XdpForm::Unwanted => TCX.to_owned(),
            XdpForm::Nothing => format!("{TCX}; no flow is such that ports with XDP could do it"),
            XdpForm::Refused(why) => {
                let why = errors::first_line(why);
                format!("{TCX}; the kernel refused what ports with XDP are to run: {why}")
            }
            XdpForm::Runs(insns) => format!(
                "{TCX}; in front of it, ports with XDP run {insns} instructions for drops and \
                 single outputs of packets as they came"
            ),
        },
    }
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
