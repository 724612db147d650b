//! Requests whose replies may be long, and these replies (OpenFlow 1.3.5 §7.3.5).

use aorta_flow::{Group, Meter, MeterId, OfPort};

use super::{
    AggregateStats, FlowFilter, FlowMonitorRequest, FlowStatsReply, FlowUpdate, GroupFeatures,
    GroupStats, MeterFeatures, MeterStats, PortDesc, PortStats, QueueDesc, QueueFilter, QueueStats,
    TableDesc, TableFeatures, TableFeaturesRequest, TableStats,
};

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MultipartRequest {
    /// What the switch is called.
    Desc,
    /// Flows.
    Flow(FlowFilter),
    /// What was counted of flows together.
    Aggregate(FlowFilter),
    /// Tables.
    Table,
    /// What a port has counted; [`OfPort::ANY`] for all.
    Port(OfPort),
    /// What queues have counted.
    Queue(QueueFilter),
    /// What a group has counted; all if none.
    Group(Option<u32>),
    /// A group; all if none, and always to OpenFlow 1.4.
    GroupDesc(Option<u32>),
    /// What the switch can do with groups.
    GroupFeatures,
    /// What a meter has counted; all if none.
    Meter(Option<MeterId>),
    /// A meter; all if none.
    MeterConfig(Option<MeterId>),
    /// What the switch can do with meters.
    MeterFeatures,
    /// What tables can do; or changes that.
    TableFeatures(TableFeaturesRequest),
    /// Ports; [`OfPort::ANY`] for all, and always to OpenFlow 1.4.
    PortDesc(OfPort),
    /// Settings of tables (from OpenFlow 1.4).
    TableDesc,
    /// Queues (from OpenFlow 1.4).
    QueueDesc(QueueFilter),
    /// Changes of flows from now on.
    FlowMonitor(Vec<FlowMonitorRequest>),
    /// What IPFIX of the bridge has counted (NXST_IPFIX_BRIDGE).
    IpfixBridge,
    /// What IPFIX of flows has counted (NXST_IPFIX_FLOW).
    IpfixFlow,
}

/// What was asked for, or a part of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MultipartReply {
    /// What the switch is called.
    Desc(SwitchDesc),
    /// Flows.
    Flow(FlowStatsReply),
    /// What was counted of flows together.
    Aggregate(AggregateStats),
    /// Tables.
    Table(Vec<TableStats>),
    /// What ports have counted.
    Port(Vec<PortStats>),
    /// What queues have counted.
    Queue(Vec<QueueStats>),
    /// What groups have counted.
    Group(Vec<GroupStats>),
    /// Groups.
    GroupDesc(Vec<Group>),
    /// What the switch can do with groups.
    GroupFeatures(GroupFeatures),
    /// What meters have counted.
    Meter(Vec<MeterStats>),
    /// Meters.
    MeterConfig(Vec<Meter>),
    /// What the switch can do with meters.
    MeterFeatures(MeterFeatures),
    /// What tables can do.
    TableFeatures(Vec<TableFeatures>),
    /// Ports.
    PortDesc(Vec<PortDesc>),
    /// Settings of tables.
    TableDesc(Vec<TableDesc>),
    /// Queues.
    QueueDesc(Vec<QueueDesc>),
    /// Changes of flows.
    FlowMonitor(Vec<FlowUpdate>),
    /// What IPFIX of the bridge has counted.
    IpfixBridge(IpfixStats),
    /// What IPFIX of flows has counted, by collector set.
    IpfixFlow(Vec<IpfixStats>),
}

/// What a switch is called; of each text so many bytes are sent as the standard has room for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SwitchDesc {
    /// Who made it; 255 bytes.
    pub manufacturer: String,
    /// Hardware; 255 bytes.
    pub hardware: String,
    /// Software; 255 bytes.
    pub software: String,
    /// Serial number; 31 bytes.
    pub serial: String,
    /// What people call this bridge; 255 bytes.
    pub description: String,
}

/// What IPFIX has counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct IpfixStats {
    /// Flows.
    pub total_flows: u64,
    /// Flows now.
    pub current_flows: u64,
    /// Packets.
    pub packets: u64,
    /// Of IPv4.
    pub ipv4_packets: u64,
    /// Of IPv6.
    pub ipv6_packets: u64,
    /// Packets that couldn't be sampled.
    pub error_packets: u64,
    /// Of IPv4.
    pub ipv4_error_packets: u64,
    /// Of IPv6.
    pub ipv6_error_packets: u64,
    /// Packets that were sent to collectors.
    pub tx_packets: u64,
    /// Packets that couldn't be sent.
    pub tx_errors: u64,
    /// The collector set; 0 of the bridge's.
    pub collector_set: u32,
}
