//! Flows as the datapath of Open vSwitch writes them, `in_port(1),eth(src=…,dst=…),eth_type(0x0800)`,
//! said as a match of OpenFlow. Pure.

use std::fmt::Write as _;

/// A flow of the datapath.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OdpFlow {
    /// Where it comes in: the datapath's number of a port, or its name.
    pub in_port: Option<String>,
    /// The other fields, as a match of OpenFlow.
    pub matching: String,
}

/// EtherTypes of VLAN tags: what is behind says the flow's.
const TAGS: [u16; 2] = [0x8100, 0x88a8];

/// How an address that isn't there is written.
const NO_ADDRESS: &str = "00:00:00:00:00:00";

/// Whether a text looks like a flow of the datapath: those of OpenFlow have no parentheses at the
/// end of their first word.
pub fn looks_like_odp(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let rest = text.trim_start().trim_start_matches(word);
    rest.len() < text.len() && rest.starts_with('(')
}

/// Reads a flow.
///
/// # Errors
/// With the rest of the text from where it can't be read.
pub fn parse(text: &str) -> Result<OdpFlow, String> {
    let mut reader = Reader {
        flow: OdpFlow::default(),
        ipv6: false,
        depth: 0,
    };
    reader.list(text)?;
    Ok(reader.flow)
}

/// How many parts of the kind `encap(…)` may stand in each other.
const MAX_DEPTH: u8 = 4;

struct Reader {
    flow: OdpFlow,
    ipv6: bool,
    depth: u8,
}

impl Reader {
    fn list(&mut self, mut rest: &str) -> Result<(), String> {
        let separates = |c: char| c == ',' || c.is_whitespace();
        loop {
            rest = rest.trim_start_matches(separates);
            if rest.is_empty() {
                return Ok(());
            }
            let failed = || rest.to_owned();
            let open = rest.find('(').ok_or_else(failed)?;
            let (name, behind) = rest.split_at(open);
            let end = closing(behind).ok_or_else(failed)?;
            self.part(name.trim(), &behind[1..end]).ok_or_else(failed)?;
            rest = &behind[end + 1..];
        }
    }

    /// One part; `None` if it can't be read.
    fn part(&mut self, name: &str, inside: &str) -> Option<()> {
        match name {
            "in_port" => self.flow.in_port = Some(inside.trim().to_owned()),
            "recirc_id" | "skb_priority" | "packet_type" => {}
            "skb_mark" => self.field("pkt_mark", inside),
            "dp_hash" | "ct_state" | "ct_zone" | "ct_mark" | "ct_label" => self.field(name, inside),
            "eth_type" => {
                let number = number(inside)?;
                self.ipv6 = number == 0x86dd;
                if !TAGS.contains(&number) {
                    self.field("dl_type", &format!("{number:#06x}"));
                }
            }
            "encap" if self.depth < MAX_DEPTH => {
                self.depth += 1;
                self.list(inside).ok()?;
            }
            "tcp_flags" => self.field(name, inside),
            _ => {
                let pairs = pairs(inside)?;
                for (key, value) in pairs {
                    self.pair(name, key, value)?;
                }
            }
        }
        Some(())
    }

    fn pair(&mut self, name: &str, key: &str, value: &str) -> Option<()> {
        let field = match (name, key) {
            ("eth", "src") => "dl_src",
            ("eth", "dst") => "dl_dst",
            ("vlan", "vid") => "dl_vlan",
            ("vlan", "pcp") => "dl_vlan_pcp",
            ("vlan", "cfi") => return Some(()),
            ("ipv4" | "ipv6", "src") => self.by_version("nw_src", "ipv6_src"),
            ("ipv4" | "ipv6", "dst") => self.by_version("nw_dst", "ipv6_dst"),
            ("ipv6", "label") => "ipv6_label",
            ("ipv4" | "ipv6", "proto") => "nw_proto",
            ("ipv4", "tos") | ("ipv6", "tclass") => return self.tos(value),
            ("ipv4", "ttl") | ("ipv6", "hlimit") => "nw_ttl",
            ("ipv4" | "ipv6", "frag") => "ip_frag",
            ("tcp" | "udp" | "sctp", "src") => "tp_src",
            ("tcp" | "udp" | "sctp", "dst") => "tp_dst",
            ("icmp", "type") => "icmp_type",
            ("icmp", "code") => "icmp_code",
            ("icmpv6", "type") => "icmpv6_type",
            ("icmpv6", "code") => "icmpv6_code",
            ("nd", "target") => "nd_target",
            // An option that isn't there.
            ("nd", "sll" | "tll") if value == NO_ADDRESS => return Some(()),
            ("nd", "sll") => "nd_sll",
            ("nd", "tll") => "nd_tll",
            ("arp", "sip") => "arp_spa",
            ("arp", "tip") => "arp_tpa",
            ("arp", "op") => "arp_op",
            ("arp", "sha") => "arp_sha",
            ("arp", "tha") => "arp_tha",
            ("mpls", "label") => "mpls_label",
            ("mpls", "tc") => "mpls_tc",
            ("mpls", "ttl") => "mpls_ttl",
            ("mpls", "bos") => "mpls_bos",
            ("tunnel", "tun_id") => "tun_id",
            ("tunnel", "src") => "tun_src",
            ("tunnel", "dst") => "tun_dst",
            ("tunnel", "ipv6_src") => "tun_ipv6_src",
            ("tunnel", "ipv6_dst") => "tun_ipv6_dst",
            ("tunnel", "tos") => "tun_tos",
            ("tunnel", "ttl") => "tun_ttl",
            _ => return None,
        };
        self.field(field, value);
        Some(())
    }

    fn by_version(&self, ipv4: &'static str, ipv6: &'static str) -> &'static str {
        if self.ipv6 { ipv6 } else { ipv4 }
    }

    /// Both parts of the type of service.
    fn tos(&mut self, value: &str) -> Option<()> {
        let tos = number(value)?;
        self.field("nw_tos", &(tos & 0xfc).to_string());
        self.field("nw_ecn", &(tos & 3).to_string());
        Some(())
    }

    fn field(&mut self, name: &str, value: &str) {
        let matching = &mut self.flow.matching;
        let comma = if matching.is_empty() { "" } else { "," };
        // Writing to a string never fails.
        let _ = write!(matching, "{comma}{name}={}", value.trim());
    }
}

/// Where the parenthesis is closed with which the text begins.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 1 => return Some(at),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// `KEY=VALUE` and commas. A flag without a value (`tunnel(…,flags(df))`) is left out.
fn pairs(text: &str) -> Option<Vec<(&str, &str)>> {
    let words = text.split(',').map(str::trim);
    let words = words.filter(|word| !word.is_empty() && !word.starts_with("flags("));
    words
        .map(|word| {
            let (key, value) = word.split_once('=')?;
            Some((key.trim(), value.trim()))
        })
        .collect()
}

/// A number, decimal or hexadecimal, without its mask.
fn number(text: &str) -> Option<u16> {
    let text = text.split('/').next()?.trim();
    match text.strip_prefix("0x") {
        Some(digits) => u16::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_of_the_datapath_is_a_match() {
        let read = |text| parse(text).map(|flow| flow.matching);
        let flow = parse(
            "recirc_id(0),in_port(3),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),\
             eth_type(0x8100),vlan(vid=9,pcp=3),encap(eth_type(0x0800),ipv4(src=10.0.0.2,\
             dst=10.0.0.1,proto=17,tos=5,ttl=64,frag=no),udp(src=8,dst=9))",
        );
        let wanted = OdpFlow {
            in_port: Some("3".into()),
            matching: "dl_src=50:54:00:00:00:09,dl_dst=50:54:00:00:00:0a,dl_vlan=9,dl_vlan_pcp=3,\
                       dl_type=0x0800,nw_src=10.0.0.2,nw_dst=10.0.0.1,nw_proto=17,nw_tos=4,\
                       nw_ecn=1,nw_ttl=64,ip_frag=no,tp_src=8,tp_dst=9"
                .into(),
        };
        assert_eq!(flow, Ok(wanted));
        assert_eq!(
            read("eth_type(0x86dd),ipv6(src=::1,tclass=0),icmpv6(type=135)").unwrap(),
            "dl_type=0x86dd,ipv6_src=::1,nw_tos=0,nw_ecn=0,icmpv6_type=135"
        );
        assert_eq!(
            read("skb_mark(3) tcp_flags(+ack)").unwrap(),
            "pkt_mark=3,tcp_flags=+ack"
        );
    }

    #[test]
    fn what_cannot_be_read_is_told_from_where() {
        for (text, rest) in [
            ("y", "y"),
            ("in_port(1),foo(1)", "foo(1)"),
            ("in_port(1", "in_port(1"),
            ("in_port(1),eth(src=1", "eth(src=1"),
            ("eth_type(x)", "eth_type(x)"),
            ("encap(foo(1))", "encap(foo(1))"),
            ("ipv4(tos=x)", "ipv4(tos=x)"),
            ("eth(src)", "eth(src)"),
        ] {
            assert_eq!(parse(text), Err(rest.to_owned()), "{text}");
        }
        assert!(looks_like_odp("in_port(1),eth()") && looks_like_odp(" eth()"));
        for text in ["in_port=1", "", "(1)", "ip,nw_src=1"] {
            assert!(!looks_like_odp(text), "{text}");
        }
    }
}
