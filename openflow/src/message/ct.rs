//! Which connections are forgotten.

use std::net::IpAddr;

/// Which connections are forgotten (NXT_CT_FLUSH). What isn't given is any.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CtFlush {
    /// Their IP protocol; 0 for any.
    pub ip_proto: u8,
    /// Their zone.
    pub zone: Option<u16>,
    /// Their mark under a mask.
    pub mark: Option<(u32, u32)>,
    /// Their label under a mask.
    pub label: Option<(u128, u128)>,
    /// Their original direction.
    pub original: CtEndpoint,
    /// Their reply direction.
    pub reply: CtEndpoint,
}

/// One direction of connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CtEndpoint {
    /// Source.
    pub src: Option<IpAddr>,
    /// Destination.
    pub dst: Option<IpAddr>,
    /// Source port.
    pub src_port: Option<u16>,
    /// Destination port.
    pub dst_port: Option<u16>,
    /// Type of ICMP.
    pub icmp_type: Option<u8>,
    /// Code of ICMP.
    pub icmp_code: Option<u8>,
    /// Identifier of ICMP.
    pub icmp_id: Option<u16>,
}
