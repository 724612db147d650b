//! What a network card has been given, as Open vSwitch writes flows of its datapath. Pure.
//!
//! A table is a `recirc_id`, as with Open vSwitch one is a chain of TC.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use aorta_flow::action::Action;
use aorta_flow::field::{EtherType, FieldId, IpProto};
use aorta_flow::{Match, OfPort};
use aorta_placement::{Rule, Verdict};

use crate::reconcile::FlowCounters;

use super::Moment;

/// How flows are written.
#[derive(Clone, Copy)]
pub struct OdpStyle<'p> {
    /// A port's number in the datapath, or its name.
    pub port: &'p dyn Fn(OfPort) -> String,
    /// With an identifier, and whether it is offloaded and to which layer (`-m`).
    pub detailed: bool,
    /// What runs it there.
    pub layer: &'p str,
    /// The present.
    pub now: Moment,
}

/// How a field's value is written.
#[derive(Clone, Copy)]
enum Form {
    Mac,
    Ipv4,
    Ipv6,
    Number,
}

/// Where a field stands, its name there, and how it is written.
type Place = (&'static str, &'static str, Form);

/// Bit of `vlan_tci` that says that there is a tag.
const PRESENT: u128 = 0x1000;

/// A rule as a line, if the card decides by it.
pub fn odp_line(rule: &Rule, counted: &FlowCounters, style: &OdpStyle) -> Option<String> {
    let Verdict::Forward { actions, goto } = &rule.verdict else {
        return None;
    };
    let mut line = String::new();
    if style.detailed {
        let flow = rule.flow.map_or(0, |flow| flow.0);
        let (high, low) = (flow >> 48, flow & 0xffff_ffff_ffff);
        // Writing to a string never fails.
        let _ = write!(
            line,
            "ufid:{:08x}-0000-0000-{high:04x}-{low:012x}, ",
            rule.table
        );
    }
    line += &key(rule, style);
    let used = match counted.used {
        Some(used) => {
            let ms = style.now.since_ms(used);
            format!("{}.{:03}s", ms / 1000, ms % 1000)
        }
        None => "never".to_owned(),
    };
    let (packets, bytes) = (counted.packets, counted.bytes);
    let _ = write!(line, ", packets:{packets}, bytes:{bytes}, used:{used}");
    if style.detailed {
        let _ = write!(line, ", offloaded:yes, dp:{}", style.layer);
    }
    let done = done(actions, *goto, &rule.matching, style);
    let _ = write!(line, ", actions:{done}");
    Some(line)
}

/// Parts of a key with what stands in them, in order.
#[derive(Default)]
struct Groups(Vec<(&'static str, Vec<String>)>);

impl Groups {
    fn put(&mut self, (group, name, form): Place, value: u128, mask: u128, full: u128) {
        let text = format!("{name}={}", masked(form, value, mask, full));
        match self.0.iter_mut().find(|(known, _)| *known == group) {
            Some((_, there)) => there.push(text),
            None => self.0.push((group, vec![text])),
        }
    }

    fn text(&self) -> String {
        let groups = self.0.iter();
        let groups = groups.map(|(name, inside)| format!("{name}({})", inside.join(",")));
        groups.collect::<Vec<_>>().join(",")
    }
}

/// Fields in the order in which they stand.
const ORDER: [FieldId; 19] = [
    FieldId::ETH_SRC,
    FieldId::ETH_DST,
    FieldId::MPLS_LABEL,
    FieldId::MPLS_TC,
    FieldId::MPLS_TTL,
    FieldId::MPLS_BOS,
    FieldId::IP_SRC,
    FieldId::IP_DST,
    FieldId::IPV6_SRC,
    FieldId::IPV6_DST,
    FieldId::IPV6_LABEL,
    FieldId::NW_PROTO,
    FieldId::NW_TOS,
    FieldId::NW_TTL,
    FieldId::ARP_SHA,
    FieldId::ARP_THA,
    FieldId::TCP_SRC,
    FieldId::TCP_DST,
    FieldId::TCP_FLAGS,
];

fn key(rule: &Rule, style: &OdpStyle) -> String {
    let matching = &rule.matching;
    let mut parts = vec![format!("recirc_id({})", number(rule.table.into()))];
    if let Some(port) = matching.exact(FieldId::IN_PORT) {
        parts.push(format!("in_port({})", (style.port)(OfPort(port as u16))));
    }
    let (mut ethernet, mut behind) = (Groups::default(), Groups::default());
    for field in ORDER {
        let (value, mask) = matching.get(field);
        if let Some(place) = place(field, matching).filter(|_| mask != 0) {
            let groups = if place.0 == "eth" {
                &mut ethernet
            } else {
                &mut behind
            };
            groups.put(place, value, mask, field.field().full_mask());
        }
    }
    parts.push(match ethernet.0.is_empty() {
        true => "eth()".to_owned(),
        false => ethernet.text(),
    });
    let mut inner: Vec<String> = Vec::new();
    let ethertype = matching.exact(FieldId::ETH_TYPE);
    inner.extend(ethertype.map(|kind| format!("eth_type({kind:#06x})")));
    inner.extend(fragment(matching, &mut behind));
    if !behind.0.is_empty() {
        inner.push(behind.text());
    }
    parts.extend(in_tag(matching, inner));
    parts.join(",")
}

/// What is said of fragments, in the part of IP; or that part, if nothing else stands there.
fn fragment(matching: &Match, behind: &mut Groups) -> Option<String> {
    let (value, mask) = matching.get(FieldId::IP_FRAG);
    let kind = match (value, mask) {
        (_, 0) => return None,
        (0, _) => "no",
        (1, 3) => "first",
        (1, _) => "yes",
        _ => "later",
    };
    let group = ip_group(matching)?;
    match behind.0.iter_mut().find(|(known, _)| *known == group) {
        Some((_, there)) => {
            there.push(format!("frag={kind}"));
            None
        }
        None => Some(format!("{group}(frag={kind})")),
    }
}

/// What is behind a tag stands in it.
fn in_tag(matching: &Match, inner: Vec<String>) -> Vec<String> {
    let (tci, known) = matching.get(FieldId::VLAN_TCI);
    if known & PRESENT == 0 || tci & PRESENT == 0 {
        return inner;
    }
    let mut said = Vec::new();
    if known & 0xfff == 0xfff {
        said.push(format!("vid={}", tci & 0xfff));
    }
    if known & 0xe000 == 0xe000 {
        said.push(format!("pcp={}", tci >> 13));
    }
    let (tag, inner) = (said.join(","), inner.join(","));
    let all = [
        "eth_type(0x8100)".to_owned(),
        format!("vlan({tag})"),
        format!("encap({inner})"),
    ];
    all.into()
}

fn ip_group(matching: &Match) -> Option<&'static str> {
    match matching.exact(FieldId::ETH_TYPE)? as u16 {
        EtherType::IPV4 => Some("ipv4"),
        EtherType::IPV6 => Some("ipv6"),
        _ => None,
    }
}

/// Where a field stands in packets of this kind.
fn place(field: FieldId, matching: &Match) -> Option<Place> {
    let ethertype = matching.exact(FieldId::ETH_TYPE).unwrap_or(0) as u16;
    let arp = [EtherType::ARP, EtherType::RARP].contains(&ethertype);
    let v6 = ethertype == EtherType::IPV6;
    let ip = if v6 { "ipv6" } else { "ipv4" };
    Some(match field {
        FieldId::ETH_SRC => ("eth", "src", Form::Mac),
        FieldId::ETH_DST => ("eth", "dst", Form::Mac),
        FieldId::MPLS_LABEL => ("mpls", "label", Form::Number),
        FieldId::MPLS_TC => ("mpls", "tc", Form::Number),
        FieldId::MPLS_TTL => ("mpls", "ttl", Form::Number),
        FieldId::MPLS_BOS => ("mpls", "bos", Form::Number),
        FieldId::IP_SRC if arp => ("arp", "sip", Form::Ipv4),
        FieldId::IP_DST if arp => ("arp", "tip", Form::Ipv4),
        FieldId::NW_PROTO if arp => ("arp", "op", Form::Number),
        FieldId::ARP_SHA => ("arp", "sha", Form::Mac),
        FieldId::ARP_THA => ("arp", "tha", Form::Mac),
        FieldId::IP_SRC => (ip, "src", Form::Ipv4),
        FieldId::IP_DST => (ip, "dst", Form::Ipv4),
        FieldId::IPV6_SRC => (ip, "src", Form::Ipv6),
        FieldId::IPV6_DST => (ip, "dst", Form::Ipv6),
        FieldId::IPV6_LABEL => (ip, "label", Form::Number),
        FieldId::NW_PROTO => (ip, "proto", Form::Number),
        FieldId::NW_TOS => (ip, if v6 { "tclass" } else { "tos" }, Form::Number),
        FieldId::NW_TTL => (ip, if v6 { "hlimit" } else { "ttl" }, Form::Number),
        FieldId::TCP_FLAGS => ("tcp_flags", "flags", Form::Number),
        FieldId::TCP_SRC | FieldId::TCP_DST => return transport(field, matching),
        _ => return None,
    })
}

fn transport(field: FieldId, matching: &Match) -> Option<Place> {
    let source = field == FieldId::TCP_SRC;
    let group = match matching.exact(FieldId::NW_PROTO)? as u8 {
        IpProto::TCP => "tcp",
        IpProto::UDP => "udp",
        IpProto::SCTP => "sctp",
        IpProto::ICMP => "icmp",
        IpProto::ICMPV6 => "icmpv6",
        _ => return None,
    };
    let name = match (group, source) {
        ("icmp" | "icmpv6", true) => "type",
        ("icmp" | "icmpv6", false) => "code",
        (_, true) => "src",
        (_, false) => "dst",
    };
    Some((group, name, Form::Number))
}

fn value(form: Form, value: u128) -> String {
    match form {
        Form::Mac => {
            let bytes = (0..6)
                .rev()
                .map(|at| format!("{:02x}", value >> (8 * at) & 0xff));
            bytes.collect::<Vec<_>>().join(":")
        }
        Form::Ipv4 => Ipv4Addr::from(value as u32).to_string(),
        Form::Ipv6 => Ipv6Addr::from(value).to_string(),
        Form::Number => value.to_string(),
    }
}

fn masked(form: Form, bits: u128, mask: u128, full: u128) -> String {
    match (form, mask == full) {
        (_, true) => value(form, bits),
        (Form::Number, false) => format!("{}/{}", number(bits), number(mask)),
        (_, false) => format!("{}/{}", value(form, bits), value(form, mask)),
    }
}

/// As C's `%#x` has it.
fn number(number: u128) -> String {
    match number {
        0 => "0".to_owned(),
        number => format!("{number:#x}"),
    }
}

/// What is done, in order.
fn done(actions: &[Action], goto: Option<u8>, matching: &Match, style: &OdpStyle) -> String {
    let mut done: Vec<String> = Vec::new();
    for action in actions {
        done.push(match action {
            Action::Output(OfPort::IN_PORT) => {
                let port = matching.exact(FieldId::IN_PORT).unwrap_or(0) as u16;
                (style.port)(OfPort(port))
            }
            Action::Output(port) => (style.port)(*port),
            Action::Meter(id) => format!("meter({id})"),
            Action::PopVlan | Action::StripVlan => "pop_vlan".to_owned(),
            Action::PushVlan(tpid) => format!("push_vlan(tpid={tpid:#06x})"),
            Action::PushMpls(kind) => format!("push_mpls(eth_type={kind:#06x})"),
            Action::PopMpls(kind) => format!("pop_mpls(eth_type={kind:#06x})"),
            Action::SetField { field, value, mask } => set(*field, *value, *mask, matching),
            Action::Modify { field, value } => {
                set(*field, *value, field.field().wire_mask(), matching)
            }
            other => other.to_string(),
        });
    }
    done.extend(goto.map(|table| format!("recirc({})", number(table.into()))));
    match done.is_empty() {
        true => "drop".to_owned(),
        false => done.join(","),
    }
}

/// A change of a field.
fn set(field: FieldId, value: u128, mask: u128, matching: &Match) -> String {
    let known = field.field();
    let home = known.home;
    let full = known.full_mask();
    if home == FieldId::VLAN_TCI {
        let name = if field == FieldId::VLAN_PCP {
            "pcp"
        } else {
            "vid"
        };
        return format!("set(vlan({name}={}))", value & 0xfff);
    }
    let labels = [FieldId::MPLS_LABEL, FieldId::MPLS_TC, FieldId::MPLS_TTL];
    match place(home, matching).filter(|_| known.shift == 0 || labels.contains(&home)) {
        Some((group, name, form)) => {
            format!(
                "set({group}({name}={}))",
                masked(form, value & mask, mask & full, full)
            )
        }
        None => Action::SetField { field, value, mask }.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use aorta_flow::table::FlowId;
    use aorta_flow::text::{NoNames, parse_flow_line};

    use super::*;

    fn rule(line: &str) -> Rule {
        let (_, text) = parse_flow_line(line, &NoNames).unwrap();
        let flow = text.into_flow();
        Rule {
            table: flow.table,
            priority: flow.priority,
            flow: Some(FlowId(0x1_0000_0000_0007)),
            matching: flow.matching.clone(),
            verdict: Verdict::Forward {
                actions: flow.instructions.apply.clone(),
                goto: flow.instructions.goto_table,
            },
            policer: None,
        }
    }

    fn line(of: &str, detailed: bool) -> String {
        let port = |port: OfPort| (100 + port.0).to_string();
        let style = OdpStyle {
            port: &port,
            detailed,
            layer: "tc",
            now: Moment(9_300),
        };
        let counted = FlowCounters {
            packets: 3,
            bytes: 294,
            used: Some(Moment(8_100)),
        };
        odp_line(&rule(of), &counted, &style).unwrap()
    }

    #[test]
    fn rules_are_lines_as_open_vswitch_has_them() {
        let count = "packets:3, bytes:294, used:1.200s";
        for (rule, expected) in [
            (
                "in_port=2,ip,nw_dst=10.0.0.0/24,ip_frag=no actions=output:3",
                format!(
                    "recirc_id(0),in_port(102),eth(),eth_type(0x0800),\
                     ipv4(dst=10.0.0.0/255.255.255.0,frag=no), {count}, actions:103"
                ),
            ),
            (
                "table=1,dl_src=02:00:00:00:00:01,tcp,tp_dst=80 \
                 actions=set_field:10.9.8.7->ip_dst,goto_table:2",
                format!(
                    "recirc_id(0x1),eth(src=02:00:00:00:00:01),eth_type(0x0800),\
                     ipv4(proto=6),tcp(dst=80), {count}, actions:set(ipv4(dst=10.9.8.7)),recirc(0x2)"
                ),
            ),
            (
                "dl_vlan=5,arp,arp_op=1 actions=drop",
                format!(
                    "recirc_id(0),eth(),eth_type(0x8100),vlan(vid=5),\
                     encap(eth_type(0x0806),arp(op=1)), {count}, actions:drop"
                ),
            ),
            (
                "ip,ip_frag=no actions=meter:3,output:1,output:2",
                format!(
                    "recirc_id(0),eth(),eth_type(0x0800),ipv4(frag=no), {count}, \
                     actions:meter(3),101,102"
                ),
            ),
        ] {
            assert_eq!(line(rule, false), expected, "{rule}");
        }
        assert_eq!(
            line("in_port=1 actions=output:2", true),
            format!(
                "ufid:00000000-0000-0000-0001-000000000007, recirc_id(0),in_port(101),eth(), \
                 {count}, offloaded:yes, dp:tc, actions:102"
            )
        );
    }

    #[test]
    fn what_is_left_to_software_is_no_flow_of_the_card() {
        let trap = Rule {
            verdict: Verdict::Trap,
            ..rule("ip actions=drop")
        };
        let port = |_: OfPort| String::new();
        let style = OdpStyle {
            port: &port,
            detailed: false,
            layer: "tc",
            now: Moment(0),
        };
        assert_eq!(odp_line(&trap, &FlowCounters::default(), &style), None);
    }
}
