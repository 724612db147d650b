//! Why a frame went nowhere.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $help:literal;)*) => {
        /// Why a frame went nowhere. Every dropped frame has exactly one reason.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum DropReason {
            $($(#[$doc])* $variant,)*
        }

        impl DropReason {
            /// All reasons; the position of each is its index in the counters.
            pub const ALL: &[DropReason] = &[$(DropReason::$variant),*];

            /// Short name, as printed and exported.
            pub fn name(self) -> &'static str {
                match self { $(DropReason::$variant => $name,)* }
            }

            /// One sentence for an operator.
            pub fn help(self) -> &'static str {
                match self { $(DropReason::$variant => $help,)* }
            }
        }
    };
}

reasons! {
    /// Shorter than its own headers.
    Malformed = "malformed", "the frame ends inside its Ethernet header or VLAN tag";
    /// To 01:80:c2:00:00:0x.
    Reserved = "reserved-multicast",
        "link-local control traffic; forwarded if other_config:forward-bpdu is true";
    /// The ingress port refuses the VLAN.
    IngressVlan = "ingress-vlan", "the port it came from does not carry its VLAN";
    /// The destination is where it came from.
    SamePort = "same-port", "the destination is behind the port it came from";
    /// The egress port refuses the VLAN.
    EgressVlan = "egress-vlan", "the port of the destination does not carry its VLAN";
    /// The egress port can't send.
    PortDown = "port-down", "the port of the destination is down or has no device";
    /// Larger than the egress device takes.
    ExceedsMtu = "exceeds-mtu", "larger than the MTU of the port of the destination";
    /// Flooded, but there is no other port.
    NoMember = "no-member", "flooded, and no other port carries its VLAN";
    /// Through too many patch ports.
    PatchLoop = "patch-loop", "it went through too many patch ports: is there a loop?";
    /// The kernel refused an operation on the frame.
    Failed = "failed", "the kernel refused to change or to send the frame";
    /// The flows that matched send it nowhere.
    FlowDrop = "flow-drop", "the flows that it matched send it nowhere";
    /// A table has no flow for it, and those of other tables send it nowhere.
    TableMiss = "table-miss", "it matched no flow of a table, and nothing else sends it anywhere";
    /// Too much work, or too many tags.
    PipelineLimit = "pipeline-limit",
        "more resubmits, table lookups, values pushed or VLAN tags than a frame may take: is there a loop?";
    /// Over a meter's rate.
    Meter = "meter", "a meter found it over its rate";
    /// Its flows want connection tracking.
    Untracked = "untracked",
        "its flows send it through connection tracking (ct), which this version doesn't do";
    /// From a MAC address that the port doesn't allow.
    SpoofedMac = "spoofed-mac", "its source MAC address is none that aorta-allowed of the port lists";
    /// An ARP or RARP message for an address that the port doesn't allow.
    SpoofedArp = "spoofed-arp",
        "an ARP message whose sender addresses are none that aorta-allowed of the port lists";
    /// From an IPv4 address that the port doesn't allow.
    SpoofedIpv4 = "spoofed-ipv4",
        "its source IPv4 address is none that aorta-allowed of the port lists, or can't be read";
    /// From an IPv6 address that the port doesn't allow.
    SpoofedIpv6 = "spoofed-ipv6",
        "its source IPv6 address is none that aorta-allowed of the port lists, or can't be read";
    /// Neighbour discovery for an address that the port doesn't allow.
    SpoofedNd = "spoofed-nd",
        "neighbour discovery for an address that aorta-allowed of the port doesn't list";
    /// From a DHCP server, and the port allows none.
    DhcpServer = "dhcp-server",
        "a DHCP server's answer; allowed if aorta-allowed of the port has dhcp-server";
    /// From a router, and the port allows none.
    RouterAdvertisement = "router-advertisement",
        "a router advertisement or redirect; allowed if aorta-allowed of the port has router";
    /// Tags within tags, from a port whose frames are looked into.
    NestedTags = "nested-tags",
        "more than one VLAN tag, which hides its addresses from aorta-allowed of the port";
    /// Over the rate of its port.
    Policed = "policed", "over the ingress policing rate of the port it came from";
    /// Too many broadcasts from its port.
    StormBroadcast = "storm-broadcast",
        "over other_config:aorta-storm-broadcast-pps of the port it came from";
    /// Too many other frames from its port are flooded.
    StormUnknown = "storm-unknown",
        "to be flooded, over other_config:aorta-storm-unknown-pps of the port it came from";
    /// From a protected port to a protected port.
    Protected = "protected", "both the port it came from and that of the destination are protected";
    /// The port that it came from is not to receive.
    NotReceived = "not-received",
        "a controller has the port that it came from not receive (no-receive, no-receive-stp)";
}

impl DropReason {
    /// Position in the counters.
    pub fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
