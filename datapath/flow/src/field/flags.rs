//! Names of flags.

/// Names of a field's flags, with the value of each.
pub type FlagNames = &'static [(&'static str, u16)];

/// Flags of `ct_state`.
pub const CT_STATE_FLAGS: FlagNames = &[
    ("new", 0x01),
    ("est", 0x02),
    ("rel", 0x04),
    ("rpl", 0x08),
    ("inv", 0x10),
    ("trk", 0x20),
    ("snat", 0x40),
    ("dnat", 0x80),
];

/// Flags of `tcp_flags` (RFC 9293 §3.1; `ns` of RFC 3540).
pub const TCP_FLAGS: FlagNames = &[
    ("fin", 0x001),
    ("syn", 0x002),
    ("rst", 0x004),
    ("psh", 0x008),
    ("ack", 0x010),
    ("urg", 0x020),
    ("ece", 0x040),
    ("cwr", 0x080),
    ("ns", 0x100),
    ("[200]", 0x200),
    ("[400]", 0x400),
    ("[800]", 0x800),
];

/// Flags of `tun_flags`.
pub const TUN_FLAGS: FlagNames = &[("oam", 0x1)];
