//! What the reconciler needs of a datapath.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::BorrowedFd;

use aorta_api::{Counted, FlowExplain};
use aorta_flow::meter::MeterState;
use aorta_flow::table::{Change, FlowId, Tables};
use aorta_flow::{
    BridgeName, Flow, Learned, MeterId, OfPort, Output, PacketIn, PortName, Snapshot, StationCounts,
};
use aorta_packet::{MacAddr, Vid};

use super::CardRule;
use crate::config::OffloadWanted;
use crate::offload::Places;
use crate::ofproto::Moment;

/// The datapath refused, with the whole chain of causes in one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DatapathError(pub String);

/// Where a port's frames enter the switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// `tcx`, `xdp-native`, `xdp-generic`, `patch` or `none`.
    pub name: String,
    /// Why that one.
    pub reason: String,
}

/// How a snapshot was taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Ports that could not be attached, and why.
    pub failed: BTreeMap<PortName, String>,
    /// Hooks of the others.
    pub hooks: BTreeMap<PortName, Hook>,
}

/// Counters of one port since it is attached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames taken from the port.
    pub rx_packets: u64,
    /// Bytes taken from the port.
    pub rx_bytes: u64,
    /// Frames sent to the port.
    pub tx_packets: u64,
    /// Bytes sent to the port.
    pub tx_bytes: u64,
    /// Frames that entered here and went nowhere, by reason.
    pub drops: BTreeMap<String, u64>,
}

/// What packets did to one flow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FlowCounters {
    /// Packets that it matched.
    pub packets: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// When the last one came, if one did.
    pub used: Option<Moment>,
}

impl FlowCounters {
    /// Adds what others did.
    pub fn add(&mut self, other: &FlowCounters) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.used = self.used.max(other.used);
    }
}

/// What packets did to one group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupCounters {
    /// All of them.
    pub all: Counted,
    /// Those of each bucket, in the order of the buckets; what is missing at the end is 0.
    pub buckets: Vec<Counted>,
}

/// What a packet asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upcall {
    /// A flow.
    Learned(Learned),
    /// To be told to controllers.
    PacketIn(Box<PacketIn>),
    /// Shorter timeouts of a flow.
    Shorten(Shorten),
}

/// The end of a connection, which shortens the timeouts of a flow (`fin_timeout`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shorten {
    /// Bridge of the flow.
    pub bridge: BridgeName,
    /// Table of the flow.
    pub table: u8,
    /// The flow.
    pub flow: FlowId,
    /// Seconds of the idle timeout at most, 0 to leave it.
    pub idle_timeout_s: u16,
    /// Seconds of the hard timeout at most, 0 to leave it.
    pub hard_timeout_s: u16,
}

/// Whether XDP programs can do what a flow does.
pub type XdpTakes = fn(&Flow) -> bool;

/// One learned address.
pub type Fdb = aorta_api::FdbEntry;

/// Switches frames as a snapshot says.
pub trait Datapath: Send {
    /// Makes the snapshot the truth. Ports that can't be attached don't keep the others back.
    fn apply(&mut self, snapshot: &Snapshot) -> Result<Applied, DatapathError>;

    /// Where frames of a port with a device enter now, if that isn't as it was when the snapshot was
    /// taken: flows can change it.
    fn hook(&self, _port: &PortName) -> Option<Hook> {
        None
    }

    /// Takes a frame as if it had come from a port's device.
    ///
    /// # Errors
    /// If there is no such device, or devices can't be made to send frames.
    fn receive(&mut self, port: &PortName, _frame: &[u8]) -> Result<(), DatapathError> {
        let why = format!("{port}: frames can be invented with `vswitchd --datapath sim` only");
        Err(DatapathError(why))
    }

    /// Counters of every port.
    fn counters(&self) -> Result<BTreeMap<PortName, Counters>, DatapathError>;

    /// Addresses that a bridge has learned.
    fn fdb(&self, bridge: &BridgeName) -> Result<Vec<Fdb>, DatapathError>;

    /// What became of the addresses that a bridge has learned, if that is counted.
    fn fdb_counts(&mut self, _bridge: &BridgeName) -> Option<StationCounts> {
        None
    }

    /// Has what [`Datapath::fdb_counts`] tells start anew.
    fn clear_fdb_counts(&mut self, _bridge: &BridgeName) {}

    /// The addresses of a bridge that an administrator has put there.
    fn fixed_stations(&self, _bridge: &BridgeName) -> Vec<(Vid, MacAddr)> {
        Vec::new()
    }

    /// Has a bridge know for good where a station is; without a port, forget that.
    ///
    /// # Errors
    /// If the datapath can't, or there was nothing to forget.
    fn fix_station(
        &mut self,
        _bridge: &BridgeName,
        _station: (Vid, MacAddr),
        _port: Option<OfPort>,
    ) -> Result<(), DatapathError> {
        let why = "the kernel's datapath knows learned addresses only; add a flow instead, or use \
                   `vswitchd --datapath sim`";
        Err(DatapathError(why.to_owned()))
    }

    /// Forgets the addresses that a bridge has learned.
    fn flush_fdb(&mut self, bridge: &BridgeName) -> Result<(), DatapathError>;

    /// Makes the tables of a bridge the truth: at the return packets obey them, and none obeys a
    /// part. `changes` is what is different since the last call for the bridge, if that is known.
    /// A bridge may be told before it is in a snapshot.
    ///
    /// # Errors
    /// If they can't be had; packets obey the tables of before.
    fn apply_flows(
        &mut self,
        bridge: &BridgeName,
        tables: &Tables,
        changes: Option<&[Change]>,
    ) -> Result<(), DatapathError>;

    /// Gives flows of a bridge the numbers under which they were counted by an earlier daemon, so
    /// that counters go on. For a bridge whose tables were not applied yet.
    fn adopt_flows(&mut self, bridge: &BridgeName, rules: HashMap<FlowId, u32>);

    /// Under which number a flow of a bridge is counted, if it is.
    fn flow_rule(&self, bridge: &BridgeName, flow: FlowId) -> Option<u32>;

    /// Counters of the flows of a bridge; a flow that is left out has matched nothing.
    fn flow_counters(
        &self,
        bridge: &BridgeName,
    ) -> Result<HashMap<FlowId, FlowCounters>, DatapathError>;

    /// Adds to what flows of a bridge have counted, for good, what a network card has counted of them.
    /// Gives those back of which it keeps no counters; of flows that aren't there it forgets it.
    fn add_flow_counters(
        &self,
        _bridge: &BridgeName,
        counted: Vec<(FlowId, FlowCounters)>,
    ) -> Vec<(FlowId, FlowCounters)> {
        counted
    }

    /// Counters of the groups of a bridge; a group that is left out has counted nothing.
    fn group_counters(
        &self,
        _bridge: &BridgeName,
    ) -> Result<BTreeMap<u32, GroupCounters>, DatapathError> {
        Ok(BTreeMap::new())
    }

    /// Packets for the daemon that were lost because it was too slow, since it started.
    fn lost_upcalls(&self) -> Result<u64, DatapathError> {
        Ok(0)
    }

    /// What is readable when packets ask for something; none while no flow can have them ask.
    fn upcalls(&self) -> Option<BorrowedFd<'_>>;

    /// What packets have asked for since the last call, in order.
    fn take_upcalls(&mut self) -> Vec<Upcall>;

    /// Sends frames by ports with devices, in order. One that its device doesn't take is lost.
    fn send(&mut self, frames: &[Output]);

    /// What the meters of a bridge have counted.
    fn meter_states(&self, bridge: &BridgeName) -> BTreeMap<MeterId, MeterState>;

    /// Rules that network cards have for a bridge.
    fn card_rules(&self, _bridge: &BridgeName) -> Vec<CardRule> {
        Vec::new()
    }

    /// Whether any event about a port's device matters, also one after which the device is as before: its
    /// card may not be.
    fn watches(&self, _port: &str) -> bool {
        false
    }

    /// When to call [`Datapath::upkeep`]; never if there is nothing to do.
    fn next_upkeep(&self) -> Option<Moment> {
        None
    }

    /// Does a small part of what makes packets cheaper and nobody waits for.
    fn upkeep(&mut self) {}

    /// Says what network cards are to take over, before the snapshot is applied. They have no rules of
    /// bridges and ports any more for which that isn't so.
    fn offload(&mut self, _wanted: &OffloadWanted, _snapshot: &Snapshot) {}

    /// Whether [`Datapath::place_flows`] has something to do although no tables have changed.
    fn wants_placing(&self) -> bool {
        false
    }

    /// Has cards do nothing that contradicts tables which the next [`Datapath::apply`] may have packets
    /// obey.
    fn prepare_flows(&mut self, _bridge: &BridgeName, _tables: &Tables) {}

    /// Has cards take over what they can of tables that packets obey.
    fn place_flows(&mut self, _bridge: &BridgeName, _tables: &Tables) {}

    /// Where cards have the flows of a bridge, or at least what cards there are; nothing while they
    /// are to have none.
    fn places(&self, _bridge: &BridgeName, _flows: bool) -> Option<Places> {
        None
    }

    /// Which flows of a bridge ports with XDP do there, or why none; nothing if there are no such
    /// ports.
    fn xdp(&self, _bridge: &BridgeName) -> Option<Result<XdpTakes, String>> {
        None
    }

    /// How the tables of a bridge are compiled.
    fn explain(&self, bridge: &BridgeName) -> Result<FlowExplain, DatapathError>;
}
