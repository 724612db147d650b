//! Which commands there are. Pure.

use std::fmt::Write as _;

use super::{Target, missing};

/// A command: its name, its arguments as `list-commands` has them, their least and greatest
/// number.
type Command = (&'static str, &'static str, usize, usize);

const ANY: usize = usize::MAX;

const COMMON: &[Command] = &[
    ("coverage/read-counter", "COUNTER", 1, 1),
    ("coverage/show", "", 0, 0),
    ("list-commands", "", 0, 0),
    ("memory/show", "", 0, 0),
    ("version", "", 0, 0),
    ("vlog/close", "", 0, 0),
    ("vlog/disable-rate-limit", "[module]...", 0, ANY),
    ("vlog/enable-rate-limit", "[module]...", 0, ANY),
    ("vlog/list", "", 0, 0),
    ("vlog/list-pattern", "", 0, 0),
    ("vlog/reopen", "", 0, 0),
    ("vlog/set", "{spec | PATTERN:destination:pattern}", 0, ANY),
];

const SWITCH: &[Command] = &[
    ("bridge/dump-flows", "[--offload-stats] bridge", 1, 2),
    ("bridge/reconnect", "[bridge]", 0, 1),
    ("dpctl/dump-dps", "", 0, 0),
    (
        "dpctl/dump-flows",
        "[-m] [--names] [dp] [filter=..] [type=..] [pmd=..]",
        0,
        6,
    ),
    ("dpctl/show", "[-s] [dp...]", 0, ANY),
    ("dpif/dump-dps", "", 0, 0),
    (
        "dpif/dump-flows",
        "[-m] [--names | --no-names] bridge",
        1,
        ANY,
    ),
    ("dpif/show", "", 0, 0),
    ("dpif/show-dp-features", "bridge", 1, 1),
    ("exit", "[--cleanup]", 0, 1),
    ("fdb/add", "bridge port vlan mac", 4, 4),
    ("fdb/del", "bridge vlan mac", 3, 3),
    ("fdb/flush", "[bridge]", 0, 1),
    ("fdb/show", "bridge", 1, 1),
    ("fdb/stats-clear", "[bridge]", 0, 1),
    ("fdb/stats-show", "bridge", 1, 1),
    ("ofproto/list", "", 0, 0),
    (
        "ofproto/trace",
        "{[dp_name] odp_flow | bridge br_flow} [OPTIONS...] [-generate|packet]",
        1,
        ANY,
    ),
    ("qos/show", "interface", 1, 1),
    ("qos/show-types", "interface", 1, 1),
    ("revalidator/purge", "", 0, 0),
    ("revalidator/wait", "", 0, 0),
];

/// Of devices in memory.
const SIMULATED: &[Command] = &[
    ("netdev-dummy/conn-state", "[netdev]", 0, 1),
    (
        "netdev-dummy/receive",
        "name [--qid queue_id] packet|flow [--len packet_len]",
        2,
        ANY,
    ),
    ("netdev-dummy/set-admin-state", "[netdev] up|down", 1, 2),
    ("time/stop", "", 0, 0),
    ("time/warp", "[large_msecs] msecs", 1, 2),
];

const DATABASE: &[Command] = &[
    ("exit", "", 0, 0),
    ("ovsdb-server/add-db", "DB", 1, 1),
    ("ovsdb-server/add-remote", "REMOTE", 1, 1),
    ("ovsdb-server/compact", "", 0, 1),
    ("ovsdb-server/connect-active-ovsdb-server", "", 0, 0),
    ("ovsdb-server/disconnect-active-ovsdb-server", "", 0, 0),
    ("ovsdb-server/get-active-ovsdb-server", "", 0, 0),
    ("ovsdb-server/get-db-storage-status", "DB", 1, 1),
    ("ovsdb-server/list-dbs", "", 0, 0),
    ("ovsdb-server/list-remotes", "", 0, 0),
    ("ovsdb-server/memory-trim-on-compaction", "on|off", 1, 1),
    ("ovsdb-server/perf-counters-clear", "", 0, 0),
    ("ovsdb-server/perf-counters-show", "", 0, 0),
    ("ovsdb-server/reconnect", "", 0, 0),
    ("ovsdb-server/remove-db", "DB", 1, 1),
    ("ovsdb-server/remove-remote", "REMOTE", 1, 1),
    ("ovsdb-server/set-active-ovsdb-server", "", 1, 1),
    ("ovsdb-server/sync-status", "", 0, 0),
    ("ovsdb-server/tlog-list", "", 0, 0),
    ("ovsdb-server/tlog-set", "DB:TABLE on|off", 2, 2),
];

/// Which commands there are.
#[derive(Debug, Clone, Copy)]
pub struct Set {
    /// Of which daemon.
    pub target: Target,
    /// Whether devices are in memory.
    pub simulated: bool,
}

impl Set {
    fn commands(self) -> Vec<Command> {
        let own: &[&[Command]] = match (self.target, self.simulated) {
            (Target::Switch, true) => &[COMMON, SWITCH, SIMULATED],
            (Target::Switch, false) => &[COMMON, SWITCH],
            (Target::Database, _) => &[COMMON, DATABASE],
        };
        let mut all = own.concat();
        all.sort_unstable();
        all
    }

    /// Whether there is such a command and it takes so many arguments.
    ///
    /// # Errors
    /// With Open vSwitch's words for why not, or what is missing here.
    pub fn check(self, name: &str, arguments: usize) -> Result<(), String> {
        let all = self.commands();
        let Some((_, _, least, most)) = all.iter().find(|(known, ..)| *known == name) else {
            return Err(self.unknown(name));
        };
        if arguments < *least {
            return Err(format!(
                "\"{name}\" command requires at least {least} arguments"
            ));
        }
        if arguments > *most {
            return Err(format!("\"{name}\" command takes at most {most} arguments"));
        }
        Ok(())
    }

    fn unknown(self, name: &str) -> String {
        let missing = match self.target {
            Target::Switch if SIMULATED.iter().any(|(known, ..)| *known == name) => {
                Some(format!("{name}: needs `vswitchd --datapath sim`"))
            }
            Target::Switch => missing::why(name),
            Target::Database => None,
        };
        missing.unwrap_or_else(|| {
            format!(
                "{name:?} is not a valid command (use \"list-commands\" to see a list of valid \
                 commands)"
            )
        })
    }

    /// The answer to `list-commands`.
    pub fn list(self) -> String {
        let mut text = "The available commands are:\n".to_owned();
        for (name, usage, ..) in self.commands() {
            // Writing to a string never fails.
            let _ = writeln!(text, "  {name:<23} {usage}");
        }
        text
    }
}
