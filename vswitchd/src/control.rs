//! Questions and orders to the switch from its other tasks.

use std::sync::Arc;
use std::time::Duration;

use aorta_api::{
    BridgeStatus, Counted, EntryModAnswer, FlowExplain, FlowModAnswer, FlowReplaceAnswer,
    FlowTraceParams,
};
use aorta_flow::table::{FlowMod, Modification};
use aorta_flow::{Flow, MeterId};
use aorta_packet::{MacAddr, Vid};
use tokio::sync::{mpsc, oneshot};

use crate::metrics::SwitchValues;
use crate::ofproto::{FlowDumped, FlowError, GroupDumped, MeterDumped, PortNames, TraceJob};
use crate::openflow::Order;
use crate::reconcile::Fdb;
use crate::switch::{CardFlow, DatapathReport, FdbReport, QosReport};

/// One question, with where the answer goes.
#[derive(Debug)]
pub enum Request {
    /// All bridges, and the problems.
    Status(oneshot::Sender<(Vec<BridgeStatus>, Vec<String>)>),
    /// What metrics tell of the switch.
    Metrics(oneshot::Sender<Box<SwitchValues>>),
    /// Learned addresses of a bridge.
    Fdb(String, oneshot::Sender<Result<Vec<Fdb>, FdbError>>),
    /// Forget the learned addresses of a bridge, or of all.
    FlushFdb(Option<String>, oneshot::Sender<Result<(), FdbError>>),
    /// How a port is shaped; nothing if there is no such port.
    Qos(String, oneshot::Sender<Option<QosReport>>),
    /// The datapath's ports.
    Datapath(oneshot::Sender<DatapathReport>),
    /// What network cards have been given of the flows of all bridges.
    CardFlows(oneshot::Sender<Vec<CardFlow>>),
    /// What is known of the learned addresses of a bridge.
    FdbReport(String, oneshot::Sender<Result<FdbReport, FdbError>>),
    /// Count learned addresses anew: those of a bridge, or of all.
    ClearFdbCounts(Option<String>, oneshot::Sender<Result<(), FdbError>>),
    /// Have a bridge know for good where a station is; without a port, forget that.
    FixStation {
        /// The bridge.
        bridge: String,
        /// The station.
        station: (Vid, MacAddr),
        /// Name of the port.
        port: Option<String>,
        /// Where the answer goes.
        to: oneshot::Sender<Result<(), String>>,
    },
    /// Names of all bridges.
    Bridges(oneshot::Sender<Vec<String>>),
    /// About the flow tables of a bridge.
    Flows(String, FlowRequest),
    /// Of a connection of OpenFlow.
    #[allow(dead_code)]
    OpenFlow(Order),
    /// End forwarding and give all devices back; nothing is switched any more until the end.
    CleanUp(oneshot::Sender<Result<(), String>>),
    /// One more remote for clients of the database.
    AddRemote(String, oneshot::Sender<Result<(), String>>),
    /// One remote less.
    RemoveRemote(String, oneshot::Sender<Result<(), String>>),
    /// All remotes, as they were given, in alphabetical order.
    ListRemotes(oneshot::Sender<Vec<String>>),
    /// Close all connections of clients of the database.
    Reconnect(oneshot::Sender<()>),
    /// Close the connections of OpenFlow of a bridge, or of all, and make them anew; whether there
    /// is such a bridge.
    ReconnectBridges(Option<String>, oneshot::Sender<bool>),
    /// About devices in memory.
    Sim(SimOrder, oneshot::Sender<SimAnswer>),
    /// End the daemon.
    End(oneshot::Sender<()>),
}

/// Where the answer about flow tables goes.
pub type FlowAnswer<T> = oneshot::Sender<Result<T, FlowError>>;

/// The flow that stands in for all others while no controller can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailOpen {
    /// Since when, in milliseconds.
    pub duration_ms: u64,
    /// What was switched so.
    pub counters: Counted,
}

/// One question or order about the flow tables of a bridge.
#[derive(Debug)]
pub enum FlowRequest {
    /// Names of the ports, as texts use them.
    Names(FlowAnswer<Arc<PortNames>>),
    /// Change flows: all or nothing, or up to the first that is refused.
    ModifyFlows(Vec<Modification>, Atomic, FlowAnswer<FlowModAnswer>),
    /// Change groups or meters: all or nothing.
    ModifyEntries(Vec<Modification>, FlowAnswer<EntryModAnswer>),
    /// Have these flows and no other.
    Replace(Vec<Flow>, FlowAnswer<FlowReplaceAnswer>),
    /// Flows that this would delete, with their counters.
    Flows(Box<FlowMod>, FlowAnswer<Vec<FlowDumped>>),
    /// The same, and where each of them runs.
    PlacedFlows(Box<FlowMod>, FlowAnswer<Vec<FlowDumped>>),
    /// What a bridge did so far that switches by itself until a controller is back; none if it obeys
    /// its tables.
    FailOpen(FlowAnswer<Option<FailOpen>>),
    /// One group, or all.
    Groups(Option<u32>, FlowAnswer<Vec<GroupDumped>>),
    /// One meter, or all.
    Meters(Option<MeterId>, FlowAnswer<Vec<MeterDumped>>),
    /// What is needed to follow a packet through the tables.
    Trace(FlowTraceParams, FlowAnswer<Box<TraceJob>>),
    /// How the tables are compiled.
    Explain(FlowAnswer<FlowExplain>),
}

/// The text that `ovs-appctl` prints, or what is wrong.
pub type SimAnswer = Result<String, String>;

/// One order about devices in memory.
#[derive(Debug)]
pub enum SimOrder {
    /// Have frames come from a device, in order.
    Receive {
        /// Name of the device.
        device: String,
        /// By which queue, from 0.
        queue: u32,
        /// The frames.
        frames: Vec<Vec<u8>>,
    },
    /// Set a device up or down, or all.
    SetUp {
        /// Name of the device.
        device: Option<String>,
        /// Up, or down.
        up: bool,
    },
    /// Tell whether the wires of devices lead to another end.
    Wires {
        /// Name of the device, or all.
        device: Option<String>,
    },
    /// Stop the clock.
    StopTime,
    /// Put the clock forward, and do what is due then.
    Warp(Duration),
}

/// Whether several changes are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Atomic {
    /// All or nothing.
    Yes,
    /// One after the other up to the first that is refused.
    No,
}

/// Learned addresses can't be told or forgotten.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FdbError {
    /// There is no such bridge.
    #[error("no such bridge: {0}")]
    NoBridge(String),
    /// The datapath can't be read.
    #[error("{0}")]
    Datapath(String),
}

/// The switch doesn't answer any more, because it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the switch is shutting down")]
pub struct Gone;

/// Where other tasks send their questions.
#[derive(Debug, Clone)]
pub struct Control(mpsc::Sender<Request>);

impl Control {
    /// The sender and what the switch reads from.
    pub fn new() -> (Control, mpsc::Receiver<Request>) {
        let (sender, receiver) = mpsc::channel(16);
        (Control(sender), receiver)
    }

    /// Gives an order of a connection of OpenFlow.
    pub async fn order(&self, order: Order) -> Result<(), Gone> {
        let sent = self.0.send(Request::OpenFlow(order)).await;
        sent.map_err(|_| Gone)
    }

    /// Room for one more request, once there is some; `None` if the switch has ended.
    pub async fn reserve(&self) -> Option<mpsc::Permit<'_, Request>> {
        self.0.reserve().await.ok()
    }

    /// Gives an order without waiting, even if all room is taken at the moment.
    pub fn order_later(&self, order: Order) {
        let sent = self.0.try_send(Request::OpenFlow(order));
        if let Err(mpsc::error::TrySendError::Full(request)) = sent
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let sender = self.0.clone();
            runtime.spawn(async move { sender.send(request).await.is_ok() });
        }
    }

    /// Asks, and waits for the answer.
    pub async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, Gone> {
        let (sender, receiver) = oneshot::channel();
        self.0.send(question(sender)).await.map_err(|_| Gone)?;
        receiver.await.map_err(|_| Gone)
    }
}
