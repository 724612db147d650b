//! The kernel's datapath behind the reconciler's trait.

use std::collections::{BTreeMap, HashMap};

use aorta_api::FlowExplain;
use aorta_flow::table::{Change, FlowId, Tables};
use aorta_flow::{Attachment, BridgeName, Port, PortName, Snapshot};
use aorta_kernel::Datapath as Kernel;
use tracing::error;

use crate::errors;
use crate::expedite::Expedite;
use crate::reconcile::{Applied, Counters, Datapath, DatapathError, Fdb, FlowCounters, Hook};

/// The datapath in the kernel.
#[derive(Debug)]
pub struct KernelDatapath {
    kernel: Kernel,
    expedite: Expedite,
}

impl KernelDatapath {
    /// Takes an open datapath.
    pub fn new(kernel: Kernel, expedite: Expedite) -> KernelDatapath {
        KernelDatapath { kernel, expedite }
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
        _bridge: &BridgeName,
        _tables: &Tables,
        _changes: Option<&[Change]>,
    ) -> Result<(), DatapathError> {
        Ok(())
    }

    fn adopt_flows(&mut self, _bridge: &BridgeName, _rules: HashMap<FlowId, u32>) {}

    fn flow_rule(&self, _bridge: &BridgeName, _flow: FlowId) -> Option<u32> {
        None
    }

    fn flow_counters(
        &self,
        _bridge: &BridgeName,
    ) -> Result<HashMap<FlowId, FlowCounters>, DatapathError> {
        Ok(HashMap::new())
    }

    fn explain(&self, _bridge: &BridgeName) -> Result<FlowExplain, DatapathError> {
        Ok(FlowExplain {
            hook: "none".to_owned(),
            why: "flow tables aren't compiled yet".to_owned(),
            ..FlowExplain::default()
        })
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

/// Where a served port's frames enter.
fn hook(port: &Port) -> Option<Hook> {
    let (name, reason) = match &port.attachment {
        Attachment::Netdev { .. } => (
            "tcx",
            "keeps GSO frames whole and checksums offloaded".to_owned(),
        ),
        Attachment::Patch { peer } => ("patch", format!("frames jump to {peer}, without a device")),
        Attachment::Absent => return None,
    };
    Some(Hook {
        name: name.to_owned(),
        reason,
    })
}
