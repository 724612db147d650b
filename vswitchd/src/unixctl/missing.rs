//! Commands of Open vSwitch that this switch doesn't have, and why. Pure.

/// Beginnings of names, and what is missing.
const MISSING: &[(&str, &str)] = &[
    (
        "autoattach/",
        "auto attach (IEEE 802.1Qcj) is not supported",
    ),
    ("bfd/", "BFD is not supported"),
    ("bond/", "bonds are not supported yet"),
    ("cfm/", "CFM (IEEE 802.1ag) is not supported"),
    ("dpctl/ct-", NO_CONNTRACK),
    ("dpctl/dump-conntrack", NO_CONNTRACK),
    ("dpctl/flush-conntrack", NO_CONNTRACK),
    ("dpctl/ipf-", "fragments are not put together"),
    ("dpctl/offload-", "no flow is offloaded"),
    ("dpctl/cache-", NO_CACHE),
    ("dpctl/", NO_FLOWS),
    (
        "dpif-dummy/",
        "use `ovs-vsctl set interface PORT ofport_request=NUMBER`",
    ),
    (
        "dpif-netdev/",
        "there are no threads that poll, and no caches to look into",
    ),
    ("dpif-netlink/", "this is not Open vSwitch's kernel module"),
    ("dpif/", NO_FLOWS),
    ("lacp/", "LACP is not supported: bonds are not, yet"),
    ("mdb/", "multicast snooping is not supported"),
    (
        "netdev-dummy/ip",
        "simulated devices answer no ARP; send a frame with netdev-dummy/receive",
    ),
    ("odp-execute/", "there is one implementation of actions"),
    ("ofproto/list-tunnels", NO_TUNNELS),
    ("ofproto/tnl-push-pop", NO_TUNNELS),
    (
        "ofproto/trace-packet-out",
        "use ofproto/trace, with the flows that the actions would be",
    ),
    (
        "ovs/route/",
        "there are no tunnels to route; `ip route` shows the host's table",
    ),
    ("rstp/", "spanning trees are not supported"),
    ("stp/", "spanning trees are not supported"),
    ("tnl/", NO_TUNNELS),
    ("upcall/", NO_CACHE),
];

const NO_CONNTRACK: &str =
    "connection tracking is not supported yet; `conntrack -L` shows the host's";
const NO_TUNNELS: &str = "tunnels are not supported yet";
const NO_CACHE: &str =
    "no packet waits for a flow to be made: all run through the tables themselves";
const NO_FLOWS: &str = "the datapath has no flows but those of the tables: `ovs-ofctl dump-flows`";

/// Why there is no such command, if Open vSwitch has it.
pub fn why(name: &str) -> Option<String> {
    let mut known = MISSING.iter();
    let (_, why) = known.find(|(start, _)| name.starts_with(start))?;
    Some(format!("{name}: {why}"))
}
