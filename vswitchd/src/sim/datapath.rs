//! The reference interpreter behind the reconciler's trait.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use aorta_api::{Counted, FlowExplain, TableExplain};
use aorta_flow::meter::MeterState;
use aorta_flow::table::{Change, FlowId, Tables};
use aorta_flow::{
    Attachment, BridgeName, Bucket, FlowCount, Interpreter, MeterId, OfPort, Output, Port,
    PortName, Snapshot, StationCounts, Verdict,
};
use aorta_packet::{MacAddr, Vid};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

use super::SimNet;
use crate::clock;
use crate::ofproto::Moment;
use crate::reconcile::{
    Applied, Counters, Datapath, DatapathError, Fdb, FlowCounters, GroupCounters, Hook, Upcall,
};

/// Where frames enter.
const HOOK: &str = "sim";
/// Why there.
const WHY: &str = "frames are switched by the interpreter, in the daemon's memory";

/// A switch in memory.
#[derive(Debug)]
pub struct SimDatapath {
    net: SimNet,
    switch: Interpreter,
    /// Tables of bridges that no snapshot has had yet.
    early: HashMap<BridgeName, Tables>,
    counters: BTreeMap<PortName, Counters>,
    upcalls: Vec<Upcall>,
    /// Readable while packets ask for something.
    asked: OwnedFd,
}

impl SimDatapath {
    /// A switch without bridges.
    ///
    /// # Errors
    /// If the process can't have another descriptor.
    pub fn new(net: SimNet) -> Result<SimDatapath, Errno> {
        Ok(SimDatapath {
            net,
            switch: Interpreter::new(&Snapshot::default()),
            early: HashMap::new(),
            counters: BTreeMap::new(),
            upcalls: Vec::new(),
            asked: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        })
    }

    fn count(&mut self, from: &PortName, frame: &[u8], verdict: &Verdict) {
        let counters = &mut self.counters;
        let mut receive = |port: &PortName, bytes: u64| {
            let count = counters.entry(port.clone()).or_default();
            count.rx_packets += 1;
            count.rx_bytes += bytes;
        };
        receive(from, frame.len() as u64);
        for jump in &verdict.jumps {
            receive(&jump.to, jump.bytes);
        }
        let outputs = verdict.outputs.iter();
        let outputs = outputs.map(|output| (&output.port, output.frame.len() as u64));
        let jumps = verdict.jumps.iter().map(|jump| (&jump.from, jump.bytes));
        for (port, bytes) in outputs.chain(jumps) {
            let count = counters.entry(port.clone()).or_default();
            count.tx_packets += 1;
            count.tx_bytes += bytes;
        }
        for (port, reason) in &verdict.drops {
            let count = counters.entry(port.clone()).or_default();
            *count.drops.entry(reason.name().to_owned()).or_default() += 1;
        }
    }

    /// Has what became of a frame happen.
    fn happen(&mut self, verdict: Verdict) {
        for output in &verdict.outputs {
            self.net.send(output.port.as_str(), &output.frame);
        }
        let before = self.upcalls.len();
        let learned = verdict.learned.into_iter().map(Upcall::Learned);
        self.upcalls.extend(learned);
        let packet_ins = verdict.packet_ins.into_iter();
        self.upcalls
            .extend(packet_ins.map(|packet| Upcall::PacketIn(Box::new(packet))));
        if self.upcalls.len() > before {
            // It can only be full, which is readable, too.
            let _ = rustix::io::write(&self.asked, &1u64.to_ne_bytes());
        }
        if self.switch.has_too_many_stations() {
            self.switch.tidy_stations(now().as_secs());
        }
    }
}

fn now() -> Duration {
    Duration::from_millis(clock::now().0)
}

impl Datapath for SimDatapath {
    fn apply(&mut self, snapshot: &Snapshot) -> Result<Applied, DatapathError> {
        self.switch.update(snapshot);
        for bridge in &snapshot.bridges {
            if let Some(tables) = self.early.remove(&bridge.name) {
                self.switch.follow_tables(&bridge.name, &tables, None);
            }
        }
        let ports = || snapshot.bridges.iter().flat_map(|b| &b.ports);
        self.counters
            .retain(|name, _| ports().any(|port| port.name == *name));
        let hook = |port: &Port| match port.attachment {
            Attachment::Absent => None,
            _ => Some((
                port.name.clone(),
                Hook {
                    name: HOOK.to_owned(),
                    reason: WHY.to_owned(),
                },
            )),
        };
        Ok(Applied {
            failed: BTreeMap::new(),
            hooks: ports().filter_map(hook).collect(),
        })
    }

    fn receive(&mut self, port: &PortName, frame: &[u8]) -> Result<(), DatapathError> {
        if !self.net.received(port.as_str(), frame) {
            return Err(DatapathError(format!("{port}: no such device")));
        }
        let verdict = self.switch.receive_at(port, frame, now());
        self.count(port, frame, &verdict);
        self.happen(verdict);
        Ok(())
    }

    fn counters(&self) -> Result<BTreeMap<PortName, Counters>, DatapathError> {
        Ok(self.counters.clone())
    }

    fn fdb(&self, bridge: &BridgeName) -> Result<Vec<Fdb>, DatapathError> {
        let now_s = now().as_secs();
        let ports = self.switch.ports(bridge);
        let mut stations = self.switch.stations(bridge, now_s);
        // As Open vSwitch has them.
        stations.sort_by_key(|(.., station)| station.turn);
        Ok(stations
            .into_iter()
            .map(|(vid, mac, station)| {
                let port = ports.iter().find(|port| port.ofport == station.ofport);
                Fdb {
                    port: port.map_or_else(String::new, |port| port.name.to_string()),
                    ofport: station.ofport.0,
                    vlan: vid.get(),
                    mac: mac.to_string(),
                    age_s: now_s.saturating_sub(station.seen_s),
                }
            })
            .collect())
    }

    fn fdb_counts(&mut self, bridge: &BridgeName) -> Option<StationCounts> {
        self.switch.tidy_stations(now().as_secs());
        Some(self.switch.station_counts(bridge))
    }

    fn clear_fdb_counts(&mut self, bridge: &BridgeName) {
        self.switch.clear_station_counts(bridge);
    }

    fn fixed_stations(&self, bridge: &BridgeName) -> Vec<(Vid, MacAddr)> {
        let stations = self.switch.stations(bridge, now().as_secs()).into_iter();
        let fixed = stations.filter(|(.., station)| station.fixed);
        fixed.map(|(vid, mac, _)| (vid, mac)).collect()
    }

    fn fix_station(
        &mut self,
        bridge: &BridgeName,
        station: (Vid, MacAddr),
        port: Option<OfPort>,
    ) -> Result<(), DatapathError> {
        let done = match port {
            Some(port) => self.switch.fix_station(bridge, station, port),
            None => self.switch.unfix_station(bridge, station),
        };
        let why = || DatapathError("could not find static mac entry".to_owned());
        done.then_some(()).ok_or_else(why)
    }

    fn flush_fdb(&mut self, bridge: &BridgeName) -> Result<(), DatapathError> {
        self.switch.forget_stations(bridge);
        Ok(())
    }

    fn apply_flows(
        &mut self,
        bridge: &BridgeName,
        tables: &Tables,
        changes: Option<&[Change]>,
    ) -> Result<(), DatapathError> {
        if !self.switch.follow_tables(bridge, tables, changes) {
            self.early.insert(bridge.clone(), tables.clone());
        }
        Ok(())
    }

    // Counters are lost with the memory.
    fn adopt_flows(&mut self, _bridge: &BridgeName, _rules: HashMap<FlowId, u32>) {}

    fn flow_rule(&self, _bridge: &BridgeName, _flow: FlowId) -> Option<u32> {
        None
    }

    fn flow_counters(
        &self,
        bridge: &BridgeName,
    ) -> Result<HashMap<FlowId, FlowCounters>, DatapathError> {
        let counted = self.switch.flow_counts(bridge);
        let counters = counted.map(|(flow, count)| {
            let counters = FlowCounters {
                packets: count.packets,
                bytes: count.bytes,
                used: count.last_used.map(|used| Moment(millis(used))),
            };
            (flow, counters)
        });
        Ok(counters.collect())
    }

    fn upcalls(&self) -> Option<BorrowedFd<'_>> {
        Some(self.asked.as_fd())
    }

    fn take_upcalls(&mut self) -> Vec<Upcall> {
        // Empty, if nobody asked.
        let _ = rustix::io::read(&self.asked, &mut [0; 8]);
        std::mem::take(&mut self.upcalls)
    }

    fn send(&mut self, frames: &[Output]) {
        for Output { port, frame } in frames {
            let count = self.counters.entry(port.clone()).or_default();
            count.tx_packets += 1;
            count.tx_bytes += frame.len() as u64;
            self.net.send(port.as_str(), frame);
        }
    }

    fn group_counters(
        &self,
        bridge: &BridgeName,
    ) -> Result<BTreeMap<u32, GroupCounters>, DatapathError> {
        let groups = self.switch.tables(bridge).into_iter();
        let counters = groups.flat_map(Tables::groups).map(|group| {
            let count = self.switch.group_count(bridge, group.id);
            let of_bucket = |bucket: &Bucket| {
                let count = count.buckets.get(&bucket.id);
                count.map_or_else(Counted::default, counted)
            };
            let counters = GroupCounters {
                all: counted(&count.all),
                buckets: group.buckets.iter().map(of_bucket).collect(),
            };
            (group.id, counters)
        });
        Ok(counters.collect())
    }

    fn meter_states(&self, bridge: &BridgeName) -> BTreeMap<MeterId, MeterState> {
        let tables = self.switch.tables(bridge);
        let meters = tables.into_iter().flat_map(Tables::meters);
        meters
            .map(|meter| (meter.id, self.switch.meter_state(bridge, meter.id)))
            .collect()
    }

    fn explain(&self, bridge: &BridgeName) -> Result<FlowExplain, DatapathError> {
        let mut tables: BTreeMap<u8, u64> = BTreeMap::new();
        let flows = self
            .switch
            .tables(bridge)
            .into_iter()
            .flat_map(Tables::flows);
        for entry in flows {
            *tables.entry(entry.flow.table).or_default() += 1;
        }
        let table = |(table, flows)| TableExplain {
            table,
            flows,
            template: "interpreted".to_owned(),
            why: WHY.to_owned(),
            ..TableExplain::default()
        };
        Ok(FlowExplain {
            tables: tables.into_iter().map(table).collect(),
            hook: HOOK.to_owned(),
            why: WHY.to_owned(),
            ..FlowExplain::default()
        })
    }
}

fn counted(count: &FlowCount) -> Counted {
    Counted {
        packets: count.packets,
        bytes: count.bytes,
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
