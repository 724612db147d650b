//! Messages as values, the same for all versions; one file for each family.
//!
//! Where a version has two encodings of the same meaning, the value has a [`Form`] that says which
//! one it came in and is to go out in.

mod asynchronous;
mod bundle;
mod connection;
mod ct;
mod flow;
mod group;
mod meter;
mod monitor;
mod multipart;
mod packet;
mod port;
mod queue;
mod switch;
mod table;
mod tlv;

pub use asynchronous::{AsyncConfig, AsyncForm, AsyncMasks};
pub use bundle::{BundleAdd, BundleControl, BundleControlKind, BundleFlags, RequestForward};
pub use connection::{
    ErrorMessage, FlowFormat, Hello, PacketInFormat, ReportedError, Role, RoleReason, RoleRequest,
    RoleStatus,
};
pub use ct::{CtEndpoint, CtFlush};
pub use flow::{
    AggregateStats, FlowFilter, FlowModMessage, FlowRecord, FlowRemoved, FlowStatsReply,
};
pub use group::{GroupBucketStats, GroupFeatures, GroupStats};
pub use meter::{MeterBandStats, MeterFeatures, MeterStats};
pub use monitor::{
    FlowMonitorCommand, FlowMonitorFlags, FlowMonitorRequest, FlowUpdate, FlowUpdateEvent,
};
pub use multipart::{IpfixStats, MultipartReply, MultipartRequest, SwitchDesc};
pub use packet::{PacketIn, PacketInForm, PacketOut};
pub use port::{
    CustomCounter, EtherCounters, PortChange, PortConfig, PortDesc, PortFeatures, PortMod,
    PortState, PortStats, PortStatus,
};
pub use queue::{QueueDesc, QueueFilter, QueueStats};
pub use switch::{Capabilities, Features, FragmentHandling, SwitchConfig};
pub use table::{
    Eviction, TableAbilities, TableDesc, TableFeatures, TableFeaturesRequest, TableMiss, TableMod,
    TableReason, TableStats, TableStatus, Vacancy,
};
pub use tlv::{TlvMapping, TlvTable, TlvTableMod};

use aorta_flow::OfPort;
use aorta_flow::table::{GroupMod, MeterMod};

use crate::version::Version;

/// Which of two encodings of the same meaning.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Form {
    /// The version's own.
    #[default]
    Standard,
    /// Nicira's extension.
    Nicira,
}

/// One message with its header's version and transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Envelope {
    /// Version that it is written in.
    pub version: Version,
    /// Transaction: a reply has that of its request.
    pub xid: u32,
    /// What it says.
    pub message: Message,
}

/// What a message says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// Which versions the sender has.
    Hello(Hello),
    /// A request can't be done.
    Error(ErrorMessage),
    /// Asks for the same bytes back.
    EchoRequest(Vec<u8>),
    /// The bytes of a request.
    EchoReply(Vec<u8>),
    /// Asks what the switch is.
    FeaturesRequest,
    /// What the switch is.
    FeaturesReply(Features),
    /// Asks for the configuration.
    GetConfigRequest,
    /// The configuration.
    GetConfigReply(SwitchConfig),
    /// Changes the configuration.
    SetConfig(SwitchConfig),
    /// A packet for controllers.
    PacketIn(PacketIn),
    /// A flow is gone.
    FlowRemoved(FlowRemoved),
    /// A port is new, other or gone.
    PortStatus(PortStatus),
    /// Sends a packet.
    PacketOut(PacketOut),
    /// Changes flows.
    FlowMod(FlowModMessage),
    /// Changes groups.
    GroupMod(GroupMod),
    /// Changes a port.
    PortMod(PortMod),
    /// Changes a table's settings.
    TableMod(TableMod),
    /// Changes meters.
    MeterMod(MeterMod),
    /// Asks to be told when all before it is done.
    BarrierRequest,
    /// All before the request is done.
    BarrierReply,
    /// Asks for the queues of a port; of all with [`OfPort::ANY`] (to OpenFlow 1.3).
    QueueGetConfigRequest(OfPort),
    /// The queues of a port (to OpenFlow 1.3).
    QueueGetConfigReply {
        /// The port that was asked for.
        port: OfPort,
        /// Its queues.
        queues: Vec<QueueDesc>,
    },
    /// Asks for a role, or for which it is.
    RoleRequest(RoleRequest),
    /// The role.
    RoleReply(RoleRequest),
    /// The role was changed by another's request.
    RoleStatus(RoleStatus),
    /// Asks which asynchronous messages come.
    GetAsyncRequest,
    /// Which asynchronous messages come.
    GetAsyncReply(AsyncConfig),
    /// Chooses which asynchronous messages come.
    SetAsync(AsyncConfig),
    /// A table is nearly full, or not any more (OpenFlow 1.4).
    TableStatus(TableStatus),
    /// A change that another controller asked for.
    RequestForward(RequestForward),
    /// Opens, closes, commits or discards a bundle.
    BundleControl(BundleControl),
    /// Adds a message to a bundle.
    BundleAdd(Box<BundleAdd>),
    /// Asks for something that may be long.
    Request(MultipartRequest),
    /// Part of what was asked for.
    Reply {
        /// The part.
        reply: MultipartReply,
        /// Whether more parts follow.
        more: bool,
    },
    /// How flows of OpenFlow 1.0 are written from now on (NXT_SET_FLOW_FORMAT).
    SetFlowFormat(FlowFormat),
    /// Whether commands of flow changes have the table in their upper byte from now on
    /// (NXT_FLOW_MOD_TABLE_ID).
    FlowModTableId(bool),
    /// How packets are sent to this controller from now on (NXT_SET_PACKET_IN_FORMAT).
    SetPacketInFormat(PacketInFormat),
    /// Obsolete; nothing is done (NXT_FLOW_AGE).
    FlowAge,
    /// Number of this controller from now on (NXT_SET_CONTROLLER_ID).
    SetControllerId(u16),
    /// Changes which tunnel options are which fields (NXT_TLV_TABLE_MOD).
    TlvTableMod(TlvTableMod),
    /// Asks which they are (NXT_TLV_TABLE_REQUEST).
    TlvTableRequest,
    /// Which they are (NXT_TLV_TABLE_REPLY).
    TlvTableReply(TlvTable),
    /// Goes on with a packet that was paused (NXT_RESUME).
    Resume(PacketIn),
    /// Forgets the connections of a zone (NXT_CT_FLUSH_ZONE).
    CtFlushZone(u16),
    /// Forgets some connections (NXT_CT_FLUSH).
    CtFlush(CtFlush),
    /// Ends a flow monitor (to OpenFlow 1.3).
    FlowMonitorCancel(u32),
    /// Flow monitors send nothing until they are resumed.
    FlowMonitorPaused,
    /// Flow monitors send again.
    FlowMonitorResumed,
}
