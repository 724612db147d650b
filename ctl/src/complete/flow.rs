//! What may stand at the end of a flow's text.

use aorta_flow::text::{action_words, field_words, protocol_words};

/// Options of a flow, which take a value.
const OPTIONS: [&str; 8] = [
    "table",
    "priority",
    "cookie",
    "idle_timeout",
    "hard_timeout",
    "importance",
    "out_port",
    "out_group",
];

/// Actions that stand alone.
const ALONE: [&str; 17] = [
    "drop",
    "NORMAL",
    "FLOOD",
    "ALL",
    "LOCAL",
    "IN_PORT",
    "CONTROLLER",
    "strip_vlan",
    "pop_vlan",
    "dec_ttl",
    "dec_mpls_ttl",
    "exit",
    "ct_clear",
    "pop_queue",
    "clear_actions",
    "decap",
    "controller",
];

/// Actions with parentheses.
const CALLS: [&str; 12] = [
    "bundle",
    "bundle_load",
    "check_pkt_larger",
    "clone",
    "conjunction",
    "ct",
    "encap",
    "learn",
    "multipath",
    "resubmit",
    "sample",
    "write_actions",
];

/// The text in front of the last word, and that word. The words are those of a match, or of
/// actions if `true` comes with them.
fn last_word(current: &str) -> (&str, &str, bool) {
    let actions = current.rfind("actions=").map(|at| at + "actions=".len());
    let separators = match actions {
        None => &[',', ' '][..],
        Some(_) => &[',', '(', ' '][..],
    };
    let from = actions.unwrap_or(0);
    let rest = current.get(from..).unwrap_or_default();
    let at = from + rest.rfind(separators).map_or(0, |at| at + 1);
    let (before, word) = current.split_at(at);
    (before, word, actions.is_some())
}

/// What is to be completed to a port: the text in front of it.
fn before_port(current: &str) -> Option<&str> {
    let (before, word, _) = last_word(current);
    let name = ["in_port=", "out_port=", "output:", "watch_port:"]
        .iter()
        .find(|name| word.starts_with(*name))?;
    current.get(..before.len() + name.len())
}

/// Whether ports must be known to complete the text.
pub fn wants_port(current: &str) -> bool {
    before_port(current).is_some()
}

/// Texts that go on as this one begins, with actions if they belong to it.
pub fn candidates(current: &str, actions: bool, ports: &[String]) -> Vec<String> {
    if let Some(before) = before_port(current) {
        return ports.iter().map(|port| format!("{before}{port}")).collect();
    }
    let (before, _, in_actions) = last_word(current);
    let words: Vec<String> = match in_actions {
        true => actions_with_ends().collect(),
        false => {
            let valued = field_words().chain(OPTIONS);
            let valued = valued.chain(actions.then_some("actions"));
            let valued = valued.map(|word| format!("{word}="));
            let alone = protocol_words().map(|word| format!("{word},"));
            valued.chain(alone).collect()
        }
    };
    words.iter().map(|word| format!("{before}{word}")).collect()
}

/// Actions with what follows their names.
fn actions_with_ends() -> impl Iterator<Item = String> {
    let valued = action_words().filter(|word| !ALONE.contains(word) && !CALLS.contains(word));
    let valued = valued.map(|word| format!("{word}:"));
    let calls = CALLS.iter().map(|word| format!("{word}("));
    let alone = ALONE.iter().map(|word| (*word).to_owned());
    valued.chain(calls).chain(alone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(current: &str) -> Vec<String> {
        let ports = ["tap0".to_owned(), "eth1".to_owned()];
        let mut all = candidates(current, true, &ports);
        all.retain(|candidate| candidate.starts_with(current));
        all.sort_unstable();
        all.dedup();
        all
    }

    #[test]
    fn fields_and_options_come_before_actions() {
        assert_eq!(offered("in_port=1,tcp_d"), ["in_port=1,tcp_dst="]);
        assert_eq!(
            offered("tc"),
            ["tcp,", "tcp6,", "tcp_dst=", "tcp_flags=", "tcp_src="]
        );
        assert_eq!(offered("ip,act"), ["ip,actions=", "ip,actset_output="]);
        assert_eq!(offered("prio"), ["priority="]);
        assert!(!candidates("", false, &[]).contains(&"actions=".to_owned()));
    }

    #[test]
    fn actions_come_with_what_follows_them() {
        assert_eq!(offered("tcp,actions=res"), ["tcp,actions=resubmit("]);
        assert_eq!(
            offered("actions=dec_ttl,set_f"),
            ["actions=dec_ttl,set_field:"]
        );
        assert_eq!(offered("actions=clone(outp"), ["actions=clone(output:"]);
        assert_eq!(offered("actions=NOR"), ["actions=NORMAL"]);
        assert!(action_words().any(|word| word == "resubmit"));
    }

    #[test]
    fn ports_are_offered_where_they_belong() {
        assert!(wants_port("tcp,in_port=") && !wants_port("tcp,tp_dst="));
        assert_eq!(offered("in_port=t"), ["in_port=tap0"]);
        assert_eq!(
            offered("ip,actions=dec_ttl,output:"),
            [
                "ip,actions=dec_ttl,output:eth1",
                "ip,actions=dec_ttl,output:tap0"
            ]
        );
    }
}
