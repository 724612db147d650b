//! What flows call their actions.

use aorta_flow::action::Action;

/// What flows call an action that no card does.
pub fn name(action: &Action) -> &'static str {
    match action {
        Action::Output(_) => "output",
        Action::OutputTruncated { .. } => "output(max_len)",
        Action::OutputField(_) => "output to the port of a field",
        Action::Controller(_) => "controller",
        Action::Enqueue { .. } => "enqueue",
        Action::Group(_) => "group",
        Action::Meter(_) => "meter",
        Action::SetField { .. } | Action::Modify { .. } => "set_field",
        Action::Load { .. } => "load",
        Action::Move { .. } => "move",
        Action::Push(_) | Action::Pop(_) => "the stack",
        Action::SetVlanVid { .. } | Action::SetVlanPcp { .. } => "mod_vlan",
        Action::PushVlan(_) => "push_vlan",
        Action::PopVlan | Action::StripVlan => "pop_vlan",
        Action::PushMpls(_) | Action::PopMpls(_) => "MPLS labels",
        Action::DecMplsTtl => "dec_mpls_ttl",
        Action::DecTtl(_) => "dec_ttl",
        Action::SetTunnel { .. } => "set_tunnel",
        Action::SetQueue(_) | Action::PopQueue => "set_queue",
        Action::Resubmit { .. } => "a resubmit that comes back",
        Action::Learn(_) => "learn",
        Action::Conjunction { .. } => "conjunction",
        Action::Multipath(_) => "multipath",
        Action::Bundle(_) => "bundle",
        Action::FinTimeout { .. } => "fin_timeout",
        Action::Sample(_) => "sample",
        Action::Ct(_) | Action::CtClear => "ct",
        Action::Clone(_) => "clone",
        Action::CheckPktLarger { .. } => "check_pkt_larger",
        Action::DeleteField(_) => "delete_field",
        Action::DecNshTtl => "dec_nsh_ttl",
        Action::Note(_) | Action::Exit | Action::DebugRecirc | Action::DebugSlow => {
            "an action for tests"
        }
    }
}
