//! Filters as values.

use aorta_flow::IfIndex;
use aorta_placement::PolicedRate;

use super::Keys;

/// Where filters of a device are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Side {
    /// Where frames come in.
    Ingress,
    /// Where they leave.
    Egress,
}

impl Side {
    /// The parent of such filters, whether the discipline is `clsact` or `ingress`.
    pub(super) fn parent(self) -> u32 {
        match self {
            Side::Ingress => 0xffff_fff2,
            Side::Egress => 0xffff_fff3,
        }
    }
}

/// Where a filter is. There is one at most at each place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place {
    /// The device on whose ingress it is.
    pub device: IfIndex,
    /// The chain. Packets begin in chain 0.
    pub chain: u32,
    /// The order within the chain, from 1; the lowest that matches is taken.
    pub pref: u16,
    /// The number within these, from 1.
    pub handle: u32,
}

/// Who is to run a filter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Running {
    /// The card alone (`skip_sw`): it refuses what it can't do.
    InHardware,
    /// The kernel alone (`skip_hw`).
    InSoftware,
}

/// Sixteen bytes that the kernel keeps with a filter's first action (TC_COOKIE_MAX_SIZE): by whom and
/// for what it was put there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Cookie(pub [u8; 16]);

/// A filter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter {
    /// Where.
    pub place: Place,
    /// Which packets.
    pub keys: Keys,
    /// What is done, in order.
    pub actions: Vec<TcAction>,
    /// By whom.
    pub running: Running,
    /// For what.
    pub cookie: Cookie,
}

impl Filter {
    /// The bucket that it names.
    pub fn police(&self) -> Option<Police> {
        self.actions.iter().find_map(|action| match action {
            TcAction::Police(police) => Some(*police),
            _ => None,
        })
    }
}

/// One thing that a filter does (tc-actions(8)).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum TcAction {
    /// Sends the packet out of a device, and is done with it (tc-mirred(8)).
    Redirect(IfIndex),
    /// Sends a copy out of a device.
    Mirror(IfIndex),
    /// Drops it.
    Drop,
    /// Leaves it to software as it is now; software itself drops what it is told to trap.
    Trap,
    /// Ends the filters: the stack goes on with the packet.
    Pass,
    /// Goes on in a chain.
    Goto(u32),
    /// Adds a VLAN tag in front of all others (tc-vlan(8)).
    VlanPush {
        /// Its protocol: 0x8100 or 0x88a8.
        tpid: u16,
        /// VLAN.
        vid: u16,
        /// Priority.
        pcp: u8,
    },
    /// Removes the outer VLAN tag.
    VlanPop,
    /// Changes the outer VLAN tag.
    VlanModify {
        /// Its protocol.
        tpid: u16,
        /// VLAN.
        vid: u16,
        /// Priority; none to leave it.
        pcp: Option<u8>,
    },
    /// Changes bytes of headers (tc-pedit(8)).
    Pedit(Vec<Pedit>),
    /// Makes these checksums anew (tc-csum(8)).
    Csum(Csum),
    /// Adds an MPLS label in front of all others and behind the VLAN tags (tc-mpls(8)); it is the bottom
    /// of the stack if there was none.
    MplsPush {
        /// Type of the frame then: 0x8847 or 0x8848.
        ethertype: u16,
        /// What the label says.
        label: MplsLabel,
    },
    /// Removes the outermost MPLS label.
    MplsPop {
        /// Type of the frame then.
        ethertype: u16,
    },
    /// Changes the outermost MPLS label.
    MplsModify(MplsChange),
    /// Drops what is over a rate (tc-police(8)).
    Police(Police),
}

/// What an MPLS label says that is pushed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MplsLabel {
    /// Its number, 20 bits.
    pub label: u32,
    /// Its class, 3 bits.
    pub class: u8,
    /// Its time to live; not 0.
    pub ttl: u8,
}

/// Changes of an MPLS label; what is none stays.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct MplsChange {
    /// Its number, 20 bits.
    pub label: Option<u32>,
    /// Its class, 3 bits.
    pub class: Option<u8>,
    /// Its time to live; not 0.
    pub ttl: Option<u8>,
}

/// A bucket. Filters that name the same number share it: the first one makes it, and it goes with the
/// last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Police {
    /// Its number among all of the network namespace.
    pub index: u32,
    /// What may pass in a second.
    pub rate: PolicedRate,
    /// How long packets that come at once may last at this rate, in nanoseconds.
    pub burst_ns: u64,
}

/// Header in which bytes are changed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Header {
    /// Ethernet.
    Ethernet = 1,
    /// IPv4.
    Ipv4 = 2,
    /// IPv6.
    Ipv6 = 3,
    /// TCP.
    Tcp = 4,
    /// UDP.
    Udp = 5,
    /// Whatever is behind the type.
    Network = 0,
}

/// A change of bits in four bytes of a header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Pedit {
    /// In which header.
    pub header: Header,
    /// Offset of the four bytes, a multiple of 4.
    pub at: u32,
    /// New bits, the first byte being the most significant; 0 outside of the mask.
    pub value: u32,
    /// Bits that change.
    pub mask: u32,
    /// Whether the value is added, what is carried out of the mask being lost, or set. Values of a byte
    /// only are added: the rest depends on the order of bytes.
    pub adds: bool,
}

/// Which checksums (TCA_CSUM_UPDATE_FLAG_*).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Csum(pub u32);

impl Csum {
    /// That of the IPv4 header.
    pub const IPV4: Csum = Csum(1);
    /// That of ICMP, and of ICMPv6.
    pub const ICMP: Csum = Csum(2);
    /// That of TCP.
    pub const TCP: Csum = Csum(8);
    /// That of UDP, where there is one.
    pub const UDP: Csum = Csum(16);

    /// These and others.
    #[must_use]
    pub fn with(self, other: Csum) -> Csum {
        Csum(self.0 | other.0)
    }

    /// Whether these are among them.
    pub fn contains(self, other: Csum) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What a filter has counted since it is there, whoever runs it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FilterCounters {
    /// Packets.
    pub packets: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Nanoseconds since the last one or, without any, since the filter is there; none if that wasn't
    /// told.
    pub used_ns_ago: Option<u64>,
    /// The bucket that it names, and what that has counted of all filters that do.
    pub policed: Option<(u32, PoliceCounters)>,
}

/// What a bucket has counted since it is there.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PoliceCounters {
    /// Packets that came.
    pub packets: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Packets that were over the rate.
    pub dropped: u64,
}

/// A filter that is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Where.
    pub place: Place,
    /// Its kind: `flower`, `u32`, `bpf`, …
    pub kind: String,
    /// What makes it a filter that the switch could have made.
    pub own: Option<OwnListed>,
}

/// What there is to know of a flower filter with a cookie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OwnListed {
    /// For what it is there.
    pub cookie: Cookie,
    /// What it has counted.
    pub counters: FilterCounters,
    /// Whether it decides about packets, instead of leaving them to software.
    pub decides: bool,
    /// Whether a card has it.
    pub in_hardware: bool,
}
