//! Packets as their headers' values, and the frames that these make, checksums computed from
//! nothing.

use aorta_flow::field::FieldId;
use proptest::prelude::*;

const ETH: u32 = 14;

/// A frame.
#[derive(Clone, Debug, Default)]
pub struct Packet {
    pub dst: [u8; 6],
    pub src: [u8; 6],
    /// Protocol identifier and control information, outermost first.
    pub tags: Vec<(u16, u16)>,
    pub l3: L3,
    pub payload: Vec<u8>,
}

#[derive(Clone, Debug)]
pub enum L3 {
    V4(V4),
    V6(V6),
    Arp(Arp),
    /// The outermost label, and one behind it.
    Mpls(Label),
    Other(u16),
}

impl Default for L3 {
    fn default() -> L3 {
        L3::Other(0x88b5)
    }
}

#[derive(Clone, Debug, Default)]
pub struct V4 {
    pub src: u32,
    pub dst: u32,
    pub tos: u8,
    pub ttl: u8,
    /// Flags and offset.
    pub fragment: u16,
    /// Words of options.
    pub options: u8,
    pub l4: L4,
}

#[derive(Clone, Debug, Default)]
pub struct V6 {
    pub src: u128,
    pub dst: u128,
    pub class: u8,
    pub label: u32,
    pub hop_limit: u8,
    /// Extension headers of 8 bytes.
    pub extensions: u8,
    pub l4: L4,
}

#[derive(Clone, Debug, Default)]
pub struct Arp {
    pub op: u16,
    pub sha: [u8; 6],
    pub spa: u32,
    pub tha: [u8; 6],
    pub tpa: u32,
}

#[derive(Clone, Debug, Default)]
pub struct Label {
    pub label: u32,
    pub class: u8,
    pub ttl: u8,
}

#[derive(Clone, Debug, Default)]
pub enum L4 {
    Tcp(u16, u16),
    /// With a checksum or without.
    Udp(u16, u16, bool),
    Sctp(u16, u16),
    Icmp(u8, u8),
    /// Solicitation (with source) or advertisement (with target).
    Nd(bool, u128, Option<[u8; 6]>),
    #[default]
    Other,
}

/// Ones' complement sum of 16-bit numbers.
pub fn add(a: u16, b: u16) -> u16 {
    let sum = u32::from(a) + u32::from(b);
    (sum & 0xffff) as u16 + (sum >> 16) as u16
}

fn sum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2);
    words.fold(0, |sum, word| {
        add(
            sum,
            u16::from_be_bytes([word[0], word.get(1).copied().unwrap_or(0)]),
        )
    })
}

fn mac(mac: [u8; 6]) -> u128 {
    mac.iter().fold(0, |n, byte| n << 8 | u128::from(*byte))
}

impl Packet {
    pub fn encode(&self) -> Vec<u8> {
        let mut frame = [self.dst, self.src].concat();
        for (tpid, tci) in &self.tags {
            frame.extend(tpid.to_be_bytes());
            frame.extend(tci.to_be_bytes());
        }
        frame.extend(self.ethertype().to_be_bytes());
        frame.extend(match &self.l3 {
            L3::V4(ip) => ip.encode(&self.payload),
            L3::V6(ip) => ip.encode(&self.payload),
            L3::Arp(arp) => [arp.encode(), self.payload.clone()].concat(),
            L3::Mpls(label) => [label.encode(), self.payload.clone()].concat(),
            L3::Other(_) => self.payload.clone(),
        });
        frame
    }

    fn ethertype(&self) -> u16 {
        match &self.l3 {
            L3::V4(_) => 0x0800,
            L3::V6(_) => 0x86dd,
            L3::Arp(_) => 0x0806,
            L3::Mpls(_) => 0x8847,
            L3::Other(kind) => *kind,
        }
    }

    pub fn l3_offset(&self, tags_in_frame: usize) -> u32 {
        match self.l3 {
            L3::Other(_) => 0,
            _ => ETH + 4 * tags_in_frame as u32,
        }
    }

    pub fn l4_offset(&self, tags_in_frame: usize) -> u32 {
        let header = match &self.l3 {
            L3::V4(ip) if ip.fragment & 0x1fff == 0 && ip.l4.is_known() => {
                20 + 4 * u32::from(ip.options)
            }
            L3::V6(ip) if ip.l4.is_known() => 40 + 8 * u32::from(ip.extensions),
            _ => return 0,
        };
        self.l3_offset(tags_in_frame) + header
    }

    /// The fields of its key, without those of tags.
    pub fn fields(&self) -> Vec<(FieldId, u128)> {
        let mut fields = vec![
            (FieldId::ETH_DST, mac(self.dst)),
            (FieldId::ETH_SRC, mac(self.src)),
            (FieldId::ETH_TYPE, self.ethertype().into()),
        ];
        fields.extend(match &self.l3 {
            L3::V4(ip) => vec![
                (FieldId::IP_SRC, ip.src.into()),
                (FieldId::IP_DST, ip.dst.into()),
                (FieldId::NW_TOS, ip.tos.into()),
                (FieldId::NW_TTL, ip.ttl.into()),
            ],
            L3::V6(ip) => vec![
                (FieldId::IPV6_SRC, ip.src),
                (FieldId::IPV6_DST, ip.dst),
                (FieldId::NW_TOS, ip.class.into()),
                (FieldId::NW_TTL, ip.hop_limit.into()),
                (FieldId::IPV6_LABEL, ip.label.into()),
            ],
            L3::Arp(arp) => vec![
                (
                    FieldId::NW_PROTO,
                    if arp.op < 256 { arp.op.into() } else { 0 },
                ),
                (FieldId::ARP_SHA, mac(arp.sha)),
                (FieldId::IP_SRC, arp.spa.into()),
                (FieldId::ARP_THA, mac(arp.tha)),
                (FieldId::IP_DST, arp.tpa.into()),
            ],
            L3::Mpls(label) => vec![
                (FieldId::MPLS_LABEL, label.label.into()),
                (FieldId::MPLS_TC, label.class.into()),
                (FieldId::MPLS_TTL, label.ttl.into()),
            ],
            L3::Other(_) => Vec::new(),
        });
        if let L3::V4(V4 { l4, .. }) | L3::V6(V6 { l4, .. }) = &self.l3 {
            let proto = l4.proto(matches!(self.l3, L3::V6(_)));
            fields.push((FieldId::NW_PROTO, proto.into()));
            if self.l4_offset(0) != 0 {
                fields.extend(l4.fields());
            }
        }
        fields
    }
}

impl V4 {
    fn encode(&self, payload: &[u8]) -> Vec<u8> {
        let mut pseudo = [self.src.to_be_bytes(), self.dst.to_be_bytes()].concat();
        let proto = self.l4.proto(false);
        pseudo.extend([0, proto]);
        let body = self.l4.encode(&pseudo, payload, false);
        let header_bytes = 20 + 4 * usize::from(self.options);
        let mut ip = vec![0x40 | (header_bytes / 4) as u8, self.tos];
        ip.extend(((header_bytes + body.len()) as u16).to_be_bytes());
        ip.extend([0xab, 0xcd]);
        ip.extend(self.fragment.to_be_bytes());
        ip.extend([self.ttl, proto, 0, 0]);
        ip.extend(self.src.to_be_bytes());
        ip.extend(self.dst.to_be_bytes());
        ip.resize(header_bytes, 1);
        let checksum = !sum(&ip);
        ip[10..12].copy_from_slice(&checksum.to_be_bytes());
        [ip, body].concat()
    }
}

impl V6 {
    fn encode(&self, payload: &[u8]) -> Vec<u8> {
        let mut pseudo = [self.src.to_be_bytes(), self.dst.to_be_bytes()].concat();
        let proto = self.l4.proto(true);
        pseudo.extend([0, proto]);
        let body = self.l4.encode(&pseudo, payload, true);
        let first = 6 << 28 | u32::from(self.class) << 20 | self.label;
        let mut ip = first.to_be_bytes().to_vec();
        let extensions = usize::from(self.extensions);
        ip.extend(((8 * extensions + body.len()) as u16).to_be_bytes());
        ip.extend([if extensions == 0 { proto } else { 60 }, self.hop_limit]);
        ip.extend(self.src.to_be_bytes());
        ip.extend(self.dst.to_be_bytes());
        for n in 1..=extensions {
            let next = if n == extensions { proto } else { 60 };
            ip.extend([next, 0, 1, 4, 0, 0, 0, 0]);
        }
        [ip, body].concat()
    }
}

impl Arp {
    fn encode(&self) -> Vec<u8> {
        let mut arp = vec![0, 1, 8, 0, 6, 4];
        arp.extend(self.op.to_be_bytes());
        arp.extend(self.sha);
        arp.extend(self.spa.to_be_bytes());
        arp.extend(self.tha);
        arp.extend(self.tpa.to_be_bytes());
        arp
    }
}

impl Label {
    fn encode(&self) -> Vec<u8> {
        let entry = self.label << 12 | u32::from(self.class) << 9 | u32::from(self.ttl);
        entry.to_be_bytes().to_vec()
    }
}

impl L4 {
    fn is_known(&self) -> bool {
        !matches!(self, L4::Other)
    }

    fn proto(&self, v6: bool) -> u8 {
        match self {
            L4::Tcp(..) => 6,
            L4::Udp(..) => 17,
            L4::Sctp(..) => 132,
            L4::Icmp(..) | L4::Nd(..) if v6 => 58,
            L4::Icmp(..) | L4::Nd(..) => 1,
            L4::Other => 47,
        }
    }

    fn fields(&self) -> Vec<(FieldId, u128)> {
        let ports = |src: u16, dst: u16| {
            vec![
                (FieldId::TCP_SRC, src.into()),
                (FieldId::TCP_DST, dst.into()),
            ]
        };
        match *self {
            L4::Tcp(src, dst) | L4::Udp(src, dst, _) | L4::Sctp(src, dst) => ports(src, dst),
            L4::Icmp(kind, code) => ports(kind.into(), code.into()),
            L4::Nd(solicits, target, link) => {
                let mut fields = ports(if solicits { 135 } else { 136 }, 0);
                fields.push((FieldId::ND_TARGET, target));
                let field = if solicits {
                    FieldId::ARP_SHA
                } else {
                    FieldId::ARP_THA
                };
                fields.push((field, link.map_or(0, mac)));
                fields
            }
            L4::Other => Vec::new(),
        }
    }

    /// Header and payload; `pseudo` is the pseudo header without the length.
    fn encode(&self, pseudo: &[u8], payload: &[u8], v6: bool) -> Vec<u8> {
        let mut body = Vec::new();
        let ports = |src: u16, dst: u16| [src.to_be_bytes(), dst.to_be_bytes()].concat();
        let checksum_at = match *self {
            L4::Tcp(src, dst) => {
                body.extend(ports(src, dst));
                body.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 1, 0, 0, 0, 0, 0]);
                Some(16)
            }
            L4::Udp(src, dst, checksum) => {
                body.extend(ports(src, dst));
                body.extend(((8 + payload.len()) as u16).to_be_bytes());
                body.extend([0, 0]);
                checksum.then_some(6)
            }
            L4::Sctp(src, dst) => {
                body.extend(ports(src, dst));
                body.extend([0; 8]);
                None
            }
            L4::Icmp(kind, code) => {
                body.extend([kind, code, 0, 0, 0, 9, 0, 7]);
                Some(2)
            }
            L4::Nd(solicits, target, link) => {
                body.extend([if solicits { 135 } else { 136 }, 0, 0, 0, 0x60, 0, 0, 0]);
                body.extend(target.to_be_bytes());
                if let Some(link) = link {
                    body.extend([14, 1, 1, 2, 3, 4, 5, 6]);
                    body.extend([if solicits { 1 } else { 2 }, 1]);
                    body.extend(link);
                }
                Some(2)
            }
            L4::Other => None,
        };
        if !matches!(self, L4::Nd(..)) {
            body.extend(payload);
        }
        if let L4::Sctp(..) = self {
            let checksum = crc32c(&body);
            body[8..12].copy_from_slice(&checksum.to_le_bytes());
        }
        if let Some(at) = checksum_at {
            let mut all = sum(&body);
            if v6 || !matches!(self, L4::Icmp(..) | L4::Nd(..)) {
                all = add(all, add(sum(pseudo), body.len() as u16));
            }
            let checksum = match !all {
                0 if matches!(self, L4::Udp(..)) => 0xffff,
                checksum => checksum,
            };
            body[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
        }
        body
    }
}

/// CRC-32C as SCTP has it (RFC 9260 appendix A).
fn crc32c(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let step = |crc: u32| (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg());
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc))
    })
}

/// Often a number at the edge.
fn number<T: Clone + std::fmt::Debug + 'static>(
    edges: Vec<T>,
    any: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<T> {
    prop_oneof![1 => proptest::sample::select(edges), 2 => any].boxed()
}

fn port() -> BoxedStrategy<u16> {
    number(vec![0, 1, 0xffff], any::<u16>())
}

fn ipv4() -> BoxedStrategy<u32> {
    number(vec![0, u32::MAX, 0xffff], any::<u32>())
}

fn ipv6() -> BoxedStrategy<u128> {
    let edges = vec![0, u128::MAX, u64::MAX.into(), 0xffff_ffff << 64];
    number(edges, any::<u128>())
}

fn tags() -> impl Strategy<Value = Vec<(u16, u16)>> {
    let tag = (prop_oneof![Just(0x8100u16), Just(0x88a8)], any::<u16>());
    proptest::collection::vec(tag, 0..=4)
}

/// Two transport headers of the same kind.
fn l4(v6: bool) -> impl Strategy<Value = (L4, L4)> {
    let ports = || (port(), port(), port(), port());
    prop_oneof![
        3 => ports().prop_map(|(a, b, c, d)| (L4::Tcp(a, b), L4::Tcp(c, d))),
        3 => (ports(), any::<bool>()).prop_map(|((a, b, c, d), sum)| (
            L4::Udp(a, b, sum),
            L4::Udp(c, d, sum)
        )),
        1 => any::<[u8; 4]>().prop_map(|[a, b, c, d]| {
            // Neighbour discovery has more fields than these.
            let plain = |kind: u8| if kind == 135 || kind == 136 { 8 } else { kind };
            (L4::Icmp(plain(a), b), L4::Icmp(plain(c), d))
        }),
        1 => Just((L4::Other, L4::Other)),
        1 => ports().prop_map(|(a, b, c, d)| (L4::Sctp(a, b), L4::Sctp(c, d))),
        u32::from(v6) => nd(),
    ]
}

fn nd() -> impl Strategy<Value = (L4, L4)> {
    let link = any::<[u8; 6]>();
    (any::<bool>(), any::<bool>(), ipv6(), ipv6(), link, link).prop_map(
        |(solicits, has_link, a, b, from, to)| {
            let nd = |target, link| L4::Nd(solicits, target, has_link.then_some(link));
            (nd(a, from), nd(b, to))
        },
    )
}

fn v4() -> impl Strategy<Value = (L3, L3)> {
    let fragment = prop_oneof![3 => Just(0u16), 1 => Just(0x2000), 1 => Just(0x0010)];
    (
        (ipv4(), ipv4(), ipv4(), ipv4()),
        any::<[u8; 4]>(),
        fragment,
        0u8..3,
        l4(false),
    )
        .prop_map(|((a, b, c, d), [e, f, g, h], fragment, options, l4)| {
            let same = fragment & 0x1fff != 0;
            let ip = |src, dst, tos, ttl, l4| {
                L3::V4(V4 {
                    src,
                    dst,
                    tos,
                    ttl,
                    fragment,
                    options,
                    l4,
                })
            };
            let (before, after) = l4;
            // Later fragments have no transport header: what stands there doesn't change.
            if same {
                (ip(a, b, e, f, L4::Other), ip(c, d, g, h, L4::Other))
            } else {
                (ip(a, b, e, f, before), ip(c, d, g, h, after))
            }
        })
}

fn v6() -> impl Strategy<Value = (L3, L3)> {
    let label = || 0u32..=0xfffff;
    (
        (ipv6(), ipv6(), ipv6(), ipv6()),
        any::<[u8; 4]>(),
        (label(), label()),
        0u8..3,
        l4(true),
    )
        .prop_map(|((a, b, c, d), [e, f, g, h], (i, j), extensions, l4)| {
            let ip = |src, dst, class, hop_limit, label, l4| {
                L3::V6(V6 {
                    src,
                    dst,
                    class,
                    label,
                    hop_limit,
                    extensions,
                    l4,
                })
            };
            (ip(a, b, e, f, i, l4.0), ip(c, d, g, h, j, l4.1))
        })
}

fn arp() -> impl Strategy<Value = (L3, L3)> {
    let op = || prop_oneof![3 => 1u16..=255, 1 => 256u16..];
    let one = || (any::<[u8; 6]>(), ipv4(), any::<[u8; 6]>(), ipv4());
    (op(), 1u16..=255, any::<bool>(), one(), one()).prop_map(|(op, new, changes, a, b)| {
        let arp = |op, (sha, spa, tha, tpa)| {
            L3::Arp(Arp {
                op,
                sha,
                spa,
                tha,
                tpa,
            })
        };
        (arp(op, a), arp(if changes { new } else { op }, b))
    })
}

fn mpls() -> impl Strategy<Value = (L3, L3)> {
    let label = || {
        (0u32..=0xfffff, 0u8..8, any::<u8>())
            .prop_map(|(label, class, ttl)| L3::Mpls(Label { label, class, ttl }))
    };
    (label(), label())
}

/// A packet before and after changes.
pub fn pair() -> impl Strategy<Value = (Packet, Packet)> {
    let l3 = prop_oneof![
        4 => v4(),
        4 => v6(),
        1 => arp(),
        1 => mpls(),
        1 => Just((L3::Other(0x88b5), L3::Other(0x88b5))),
    ];
    let payload = proptest::collection::vec(any::<u8>(), 20..100);
    let macs = || (any::<[u8; 6]>(), any::<[u8; 6]>());
    (l3, payload, macs(), macs(), tags(), tags(), 0usize..5).prop_map(
        |((from, to), payload, before, after, tags, new, keep)| {
            let packet = |(dst, src), l3, tags| Packet {
                dst,
                src,
                tags,
                l3,
                payload: payload.clone(),
            };
            // Some of the innermost tags are often still there.
            let keep = keep.min(tags.len());
            let mut later = new;
            later.truncate(4 - keep);
            later.extend_from_slice(&tags[tags.len() - keep..]);
            (packet(before, from, tags), packet(after, to, later))
        },
    )
}
