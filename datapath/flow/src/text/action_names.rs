//! Names of actions.

use crate::field::FieldId;

/// Actions that set a header field by an older name: name, field, and whether the value is
/// printed in parentheses.
pub(super) const MODIFY: [(&str, FieldId, bool); 12] = [
    ("mod_dl_src", FieldId::ETH_SRC, false),
    ("mod_dl_dst", FieldId::ETH_DST, false),
    ("mod_nw_src", FieldId::IP_SRC, false),
    ("mod_nw_dst", FieldId::IP_DST, false),
    ("mod_nw_tos", FieldId::NW_TOS, false),
    ("mod_nw_ecn", FieldId::NW_ECN, false),
    ("mod_nw_ttl", FieldId::NW_TTL, false),
    ("mod_tp_src", FieldId::TCP_SRC, false),
    ("mod_tp_dst", FieldId::TCP_DST, false),
    ("set_mpls_label", FieldId::MPLS_LABEL, true),
    ("set_mpls_tc", FieldId::MPLS_TC, true),
    ("set_mpls_ttl", FieldId::MPLS_TTL, true),
];

/// All others, for suggestions.
pub(super) const OTHERS: [&str; 50] = [
    "output",
    "group",
    "controller",
    "enqueue",
    "bundle",
    "bundle_load",
    "set_field",
    "load",
    "move",
    "push",
    "pop",
    "set_vlan_vid",
    "mod_vlan_vid",
    "set_vlan_pcp",
    "mod_vlan_pcp",
    "strip_vlan",
    "pop_vlan",
    "push_vlan",
    "push_mpls",
    "pop_mpls",
    "dec_mpls_ttl",
    "dec_ttl",
    "set_tunnel",
    "set_tunnel64",
    "set_queue",
    "pop_queue",
    "fin_timeout",
    "resubmit",
    "learn",
    "conjunction",
    "multipath",
    "note",
    "exit",
    "sample",
    "ct",
    "ct_clear",
    "clone",
    "check_pkt_larger",
    "delete_field",
    "dec_nsh_ttl",
    "debug_recirc",
    "debug_slow",
    "meter",
    "clear_actions",
    "write_actions",
    "write_metadata",
    "goto_table",
    "drop",
    "NORMAL",
    "FLOOD",
];

/// All names.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    OTHERS.into_iter().chain(MODIFY.into_iter().map(|m| m.0))
}
