//! Counters of what the switch does (`coverage/show`).

use aorta_ovsdb::coverage::{COUNTERS, Counter, Reading};

/// Calls of the management API.
pub static API_CALL: Counter = Counter::new("api_call");
/// Connections that were refused because there were too many.
pub static CONNECTION_REFUSED: Counter = Counter::new("connection_refused");
/// Configurations handed to the datapath.
pub static DATAPATH_APPLY: Counter = Counter::new("datapath_apply");
/// Flows that packets asked for.
pub static FLOW_LEARNED: Counter = Counter::new("flow_learned");
/// Events of network devices.
pub static NETLINK_EVENT: Counter = Counter::new("netlink_event");
/// Messages of OpenFlow taken from controllers and tools.
pub static OPENFLOW_RECEIVED: Counter = Counter::new("openflow_received");
/// Messages of OpenFlow sent to them.
pub static OPENFLOW_SENT: Counter = Counter::new("openflow_sent");
/// Packets for controllers that were dropped because too many waited to be sent.
pub static PACKET_IN_DROPPED: Counter = Counter::new("packet_in_dropped");
/// Packets for controllers that were dropped because their rate limit's queue was full.
pub static PACKET_IN_LIMITED: Counter = Counter::new("packet_in_limited");
/// Packets that flows sent to the daemon.
pub static UPCALL: Counter = Counter::new("upcall");
/// Commands taken from control sockets.
pub static UNIXCTL_RECEIVED: Counter = Counter::new("unixctl_received");
/// Answers given to them.
pub static UNIXCTL_REPLIED: Counter = Counter::new("unixctl_replied");

/// Every counter of the process now.
pub fn read() -> Vec<Reading> {
    let own: [&Counter; 12] = [
        &API_CALL,
        &CONNECTION_REFUSED,
        &DATAPATH_APPLY,
        &FLOW_LEARNED,
        &NETLINK_EVENT,
        &OPENFLOW_RECEIVED,
        &OPENFLOW_SENT,
        &PACKET_IN_DROPPED,
        &PACKET_IN_LIMITED,
        &UNIXCTL_RECEIVED,
        &UNIXCTL_REPLIED,
        &UPCALL,
    ];
    own.iter()
        .chain(COUNTERS)
        .map(|counter| counter.read())
        .collect()
}
