//! Neighbour discovery, and what is behind extension headers of IPv6. This is rare: the frame is read
//! by helper calls.

use aorta_ebpf::{Cond, Label, Reg, Size};
use aorta_flow::DropReason;
use aorta_flow::guard::Allowed;
use aorta_flow::guard::check::{DHCPV6_PORTS, MAX_EXTENSIONS, MAX_ND_OPTIONS, extension, icmpv6};
use aorta_packet::{ETH_HEADER_LEN, proto};

use super::Gate;
use super::addresses::Sets;
use super::allowed::{EXTENSIONS, IPV6_LEN, both_ports};
use crate::emit::CTX;
use crate::skb;

use Reg::{R1, R2, R3, R7, R8, R9, R10};

/// Stack frame: u32, 1 if the packet is from nobody.
const NOBODY: i16 = -8;
/// Stack frame: u32, 1 if it is, or may be, in fragments.
const FRAGMENT: i16 = -12;
/// Stack frame: u32 number of the host's set.
const SET: i16 = -16;
/// Stack frame: what was read of the frame.
const READ: i16 = -40;

const ETH: i32 = ETH_HEADER_LEN as i32;
const PAYLOAD_LENGTH_AT: i32 = ETH + 4;
/// Offset of a fragment, in the word as it is on the wire.
const FRAGMENT_OFFSET: i32 = 0xfff8_u16.to_be() as i32;
/// A message of neighbour discovery with its target (RFC 4861 §4.3).
const ND_LEN: i32 = 24;
/// One that has none.
const SOLICITATION_LEN: i32 = 8;

/// Where code that goes through the headers leads to.
struct Exits {
    fine: Label,
    spoofed: Label,
    upper: Label,
    later: Label,
}

impl Gate<'_> {
    /// Begins at `deep`, or at `nobody` if the source is nobody's; goes to `fine`, or drops. R7 is the
    /// protocol, R8 the set of the host, R9 its address.
    pub(super) fn deep_v6(
        &mut self,
        allowed: &Allowed,
        sets: &Sets,
        (deep, nobody): (Label, Label),
        fine: Label,
    ) {
        let spoofed = self.drop(DropReason::SpoofedIpv6);
        let labels = ["headers", "upper_header", "later_fragment"];
        let [headers, upper, later] = labels.map(|name| self.a.label(name));
        let exits = Exits {
            fine,
            spoofed,
            upper,
            later,
        };
        let a = &mut *self.a;
        a.bind(nobody);
        a.store(Size::W, R10, NOBODY, 1);
        a.jump(headers);
        a.bind(deep);
        a.store(Size::W, R10, NOBODY, 0);
        a.bind(headers);
        a.store(Size::W, R10, FRAGMENT, 0);
        if sets.differ() {
            a.store(Size::W, R10, SET, R8);
        }
        a.mov(R8, ETH + IPV6_LEN);
        for _ in 0..MAX_EXTENSIONS {
            self.extension(&exits);
        }
        for protocol in EXTENSIONS {
            self.a.jump_if(Cond::Eq, R7, i32::from(protocol), spoofed);
        }
        self.a.bind(upper);
        self.upper(allowed, sets, &exits);
        self.a.bind(later);
        self.unless_nobody(fine, spoofed);
    }

    fn unless_nobody(&mut self, fine: Label, spoofed: Label) {
        self.a.load(Size::W, R1, R10, NOBODY);
        self.a.jump_if(Cond::Ne, R1, 0, spoofed);
        self.a.jump(fine);
    }

    /// Goes behind the header of kind R7 at R8, if it is one that others follow.
    fn extension(&mut self, exits: &Exits) {
        let labels = ["extension", "short_units", "fragment", "behind"];
        let [found, authentication, fragment, behind] = labels.map(|name| self.a.label(name));
        for protocol in EXTENSIONS {
            self.a.jump_if(Cond::Eq, R7, i32::from(protocol), found);
        }
        self.a.jump(exits.upper);
        self.a.bind(found);
        self.read(R8, READ, 8, exits.spoofed);
        let a = &mut *self.a;
        a.load(Size::B, R1, R10, READ + 1);
        a.jump_if(Cond::Eq, R7, i32::from(extension::FRAGMENT), fragment);
        let of_words = i32::from(extension::AUTHENTICATION);
        a.jump_if(Cond::Eq, R7, of_words, authentication);
        a.lsh(R1, 1);
        a.bind(authentication);
        a.lsh(R1, 2);
        a.add(R8, R1);
        a.jump(behind);
        a.bind(fragment);
        a.store(Size::W, R10, FRAGMENT, 1);
        a.load(Size::H, R1, R10, READ + 2);
        a.jump_if(Cond::Set, R1, FRAGMENT_OFFSET, exits.later);
        a.bind(behind);
        a.add(R8, 8);
        a.load(Size::B, R7, R10, READ);
    }

    /// What is carried, of kind R7, is at R8.
    fn upper(&mut self, allowed: &Allowed, sets: &Sets, exits: &Exits) {
        let icmpv6 = self.a.label("icmpv6");
        let from_nobody = self.a.label("not_from_nobody");
        self.a
            .jump_if(Cond::Eq, R7, i32::from(proto::ICMPV6), icmpv6);
        if allowed.dhcp_server {
            self.unless_nobody(exits.fine, exits.spoofed);
        } else {
            let answer = self.drop(DropReason::DhcpServer);
            self.unless_nobody(from_nobody, exits.spoofed);
            self.a.bind(from_nobody);
            let udp = i32::from(proto::UDP);
            self.a.jump_if(Cond::Ne, R7, udp, exits.fine);
            self.read(R8, READ, 4, answer);
            self.a.load(Size::W, R1, R10, READ);
            self.a.be32(R1);
            let (client, server) = DHCPV6_PORTS;
            let both = both_ports(server, client);
            self.a.jump_if32(Cond::Eq, R1, both, answer);
            self.a.jump(exits.fine);
        }
        self.a.bind(icmpv6);
        self.icmpv6(allowed, sets, exits);
    }

    fn icmpv6(&mut self, allowed: &Allowed, sets: &Sets, exits: &Exits) {
        let spoofed = self.drop(DropReason::SpoofedNd);
        let labels = ["kind", "solicitation", "target", "nd"];
        let [kind, solicitation, target, nd] = labels.map(|name| self.a.label(name));
        self.read(R8, READ, 1, spoofed);
        let a = &mut *self.a;
        a.load(Size::B, R7, R10, READ);
        a.load(Size::W, R1, R10, NOBODY);
        a.jump_if(Cond::Eq, R1, 0, kind);
        for asks in [
            icmpv6::MLD.0,
            icmpv6::MLD.1,
            icmpv6::MLDV2_REPORT,
            icmpv6::ROUTER_SOLICITATION,
            icmpv6::NEIGHBOUR_SOLICITATION,
        ] {
            a.jump_if(Cond::Eq, R7, i32::from(asks), kind);
        }
        a.jump(exits.spoofed);
        a.bind(kind);
        if !allowed.router {
            let router = self.drop(DropReason::RouterAdvertisement);
            for kind in [icmpv6::ROUTER_ADVERTISEMENT, icmpv6::REDIRECT] {
                self.a.jump_if(Cond::Eq, R7, i32::from(kind), router);
            }
        }
        let a = &mut *self.a;
        let of = |kind: u8| i32::from(kind);
        a.jump_if(
            Cond::Eq,
            R7,
            of(icmpv6::NEIGHBOUR_SOLICITATION),
            solicitation,
        );
        a.jump_if(Cond::Eq, R7, of(icmpv6::NEIGHBOUR_ADVERTISEMENT), target);
        a.jump_if(Cond::Ne, R7, of(icmpv6::ROUTER_SOLICITATION), exits.fine);
        self.nd_ends_behind(SOLICITATION_LEN, spoofed);
        self.a.jump(nd);
        self.a.bind(solicitation);
        self.nd_ends_behind(ND_LEN, spoofed);
        self.a.load(Size::W, R1, R10, NOBODY);
        self.a.jump_if(Cond::Eq, R1, 0, nd);
        let own = self.a.label("own_target");
        self.a.jump(own);
        self.a.bind(target);
        self.nd_ends_behind(ND_LEN, spoofed);
        self.a.bind(own);
        self.nd_target(sets, nd, spoofed);
        self.a.bind(nd);
        self.nd_options(exits.fine, spoofed);
    }

    /// R7 = end of the packet, R8 = where options begin: behind `len` bytes of the message at R8, which
    /// is to be there, and in no fragment.
    fn nd_ends_behind(&mut self, len: i32, spoofed: Label) {
        let a = &mut *self.a;
        a.load(Size::W, R1, R10, FRAGMENT);
        a.jump_if(Cond::Ne, R1, 0, spoofed);
        self.read(PAYLOAD_LENGTH_AT, READ, 2, spoofed);
        let a = &mut *self.a;
        a.load(Size::H, R7, R10, READ);
        a.be16(R7);
        a.add(R7, ETH + IPV6_LEN);
        a.load(Size::W, R1, CTX, skb::LEN);
        a.jump_if(Cond::Gt, R7, R1, spoofed);
        a.add(R8, len);
        a.jump_if(Cond::Gt, R8, R7, spoofed);
    }

    /// Goes to `own` if the target, right in front of R8, may be used by the host.
    fn nd_target(&mut self, sets: &Sets, own: Label, spoofed: Label) {
        let other = self.a.label("other_target");
        self.a.mov(R2, R8);
        self.a.sub(R2, 16);
        self.read(R2, READ, 16, spoofed);
        let a = &mut *self.a;
        a.load(Size::Dw, R2, R10, READ);
        a.be64(R2);
        a.load(Size::Dw, R3, R10, READ + 8);
        a.be64(R3);
        if sets.differ() {
            a.load(Size::W, R1, R10, SET);
        }
        self.find_v6(sets, own, other);
        self.a.bind(other);
        self.jump_if_link_local(own);
        self.a.jump(spoofed);
    }

    /// Goes to `fine` if the link-layer addresses among the options, which are from R8 to R7, are the
    /// host's.
    fn nd_options(&mut self, fine: Label, spoofed: Label) {
        for _ in 0..MAX_ND_OPTIONS {
            let [address, next] = ["link_layer_address", "next_option"].map(|n| self.a.label(n));
            self.a.jump_if(Cond::Eq, R8, R7, fine);
            self.a.mov(R1, R8);
            self.a.add(R1, 8);
            self.a.jump_if(Cond::Gt, R1, R7, spoofed);
            self.read(R8, READ, 8, spoofed);
            let a = &mut *self.a;
            a.load(Size::B, R1, R10, READ + 1);
            a.jump_if(Cond::Eq, R1, 0, spoofed);
            a.load(Size::B, R2, R10, READ);
            // Of the source, and of the target.
            a.jump_if(Cond::Eq, R2, 1, address);
            a.jump_if(Cond::Ne, R2, 2, next);
            a.bind(address);
            a.jump_if(Cond::Ne, R1, 1, spoofed);
            a.load(Size::Dw, R3, R10, READ);
            a.rsh(R3, 16);
            a.jump_if(Cond::Ne, R3, R9, spoofed);
            a.bind(next);
            a.lsh(R1, 3);
            a.add(R8, R1);
            a.jump_if(Cond::Gt, R8, R7, spoofed);
        }
        self.a.jump_if(Cond::Eq, R8, R7, fine);
        self.a.jump(spoofed);
    }
}
