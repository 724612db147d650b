//! Which metrics there are. Pure.

/// What values of a metric mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the daemon starts anew.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts of durations by size.
    Histogram,
}

impl Kind {
    /// The word for it in the text format.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// A metric with all its labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// Its name, with the unit at the end.
    pub name: &'static str,
    /// What its values mean.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it tells, in a sentence.
    pub help: &'static str,
}

macro_rules! families {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal)*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Family = Family {
                name: $name,
                kind: Kind::$kind,
                labels: &[$($label),*],
                help: $help,
            };
        )*

        /// All metrics, in the order in which they are told.
        pub const ALL: &[Family] = &[$($constant),*];
    };
}

families! {
    BUILD_INFO = Gauge "aorta_build_info" ["version" "datapath"]
        "Always 1; the labels tell the daemon's version and what switches the frames.";
    PROBLEMS = Gauge "aorta_problems" []
        "Things that don't work as configured, as vsctl status lists them.";
    BRIDGE_PORTS = Gauge "aorta_bridge_ports" ["bridge"]
        "Ports of the bridge.";
    BRIDGE_FLOWS = Gauge "aorta_bridge_flows" ["bridge"]
        "Flows in the bridge's tables.";
    CARD_USED = Gauge "aorta_card_used" ["bridge" "card" "language"]
        "1 if the network card takes over flows of the bridge, 0 if it can't; vsctl explain tells why.";
    CARD_FLOWS = Gauge "aorta_card_flows" ["bridge" "card"]
        "Flows of the bridge that are on the card.";
    CARD_RULES = Gauge "aorta_card_rules" ["bridge" "card" "kind"]
        "Rules on the card: those that decide (forward), those that leave packets to software (trap).";
    CARD_REFUSALS = Counter "aorta_card_refusals_total" ["bridge" "card"]
        "Rules that the card has refused since it is in use.";
    BRIDGE_FDB_ENTRIES = Gauge "aorta_bridge_fdb_entries" ["bridge"]
        "Addresses learned and not aged out.";
    BRIDGE_FDB_SIZE = Gauge "aorta_bridge_fdb_size" ["bridge"]
        "Addresses that the bridge can remember.";
    BRIDGE_PROGRAM = Gauge "aorta_bridge_program_instructions" ["bridge"]
        "Instructions of the program that the bridge's tables are compiled to.";
    BRIDGE_LOAD = Gauge "aorta_bridge_program_load_seconds" ["bridge"]
        "Time that the kernel took to check and load that program.";
    TABLE_FLOWS = Gauge "aorta_table_flows" ["bridge" "table" "template"]
        "Flows of a table; the label template tells the form it is compiled to.";
    TABLE_PACKETS = Gauge "aorta_table_matched_packets" ["bridge" "table"]
        "Packets that the table's flows have matched, of those flows that are there now.";
    TABLE_BYTES = Gauge "aorta_table_matched_bytes" ["bridge" "table"]
        "Bytes of these packets.";
    TABLE_PROGRAM = Gauge "aorta_table_program_instructions" ["bridge" "table"]
        "Instructions of the table's part of the program.";
    TABLE_MEMORY = Gauge "aorta_table_memory_bytes" ["bridge" "table"]
        "Kernel memory of the table.";
    TABLE_PROBES = Gauge "aorta_table_lookup_probes" ["bridge" "table"]
        "Places that a lookup in the table looks at, on average.";
    PORT_INFO = Gauge "aorta_port_info" ["bridge" "port" "ofport" "type" "hook"]
        "Always 1; the labels tell the port's number, type, and where its frames enter the switch.";
    PORT_ATTACHED = Gauge "aorta_port_attached" ["bridge" "port"]
        "1 if the switch serves the port, 0 if it can't; vsctl status tells why.";
    PORT_RX_PACKETS = Counter "aorta_port_receive_packets_total" ["bridge" "port"]
        "Frames taken from the port.";
    PORT_RX_BYTES = Counter "aorta_port_receive_bytes_total" ["bridge" "port"]
        "Bytes taken from the port.";
    PORT_TX_PACKETS = Counter "aorta_port_transmit_packets_total" ["bridge" "port"]
        "Frames sent to the port.";
    PORT_TX_BYTES = Counter "aorta_port_transmit_bytes_total" ["bridge" "port"]
        "Bytes sent to the port.";
    PORT_DROPS = Counter "aorta_port_drops_total" ["bridge" "port" "reason"]
        "Frames that entered by the port and went nowhere, by reason; reasons without a frame are left out.";
    UPCALLS = Counter "aorta_upcalls_total" []
        "Packets that flows sent to the daemon: for controllers, to be learned from.";
    UPCALLS_LOST = Counter "aorta_upcalls_lost_total" []
        "Packets for the daemon that were lost because they came faster than it takes them.";
    FLOWS_LEARNED = Counter "aorta_flows_learned_total" []
        "Flows that packets asked for.";
    PACKET_INS_DROPPED = Counter "aorta_packet_ins_dropped_total" ["reason"]
        "Packets for controllers that were dropped: too many waited to be sent (queue), or more than the rate limit (rate).";
    OPENFLOW_CONNECTIONS = Gauge "aorta_openflow_connections" ["bridge"]
        "Connections of OpenFlow, of controllers and of tools.";
    OPENFLOW_RECEIVED = Counter "aorta_openflow_messages_received_total" []
        "Messages of OpenFlow taken from controllers and tools.";
    OPENFLOW_SENT = Counter "aorta_openflow_messages_sent_total" []
        "Messages of OpenFlow sent to controllers and tools, but for echoes and greetings.";
    FLOW_CHANGE = Histogram "aorta_flow_change_seconds" []
        "Time for a change of flows, however many, until packets obey it.";
    RECONCILE = Histogram "aorta_reconcile_seconds" []
        "Time from a changed configuration until devices and datapath are as it says.";
    DATAPATH_APPLIES = Counter "aorta_datapath_applies_total" []
        "Configurations handed to the datapath.";
    NETLINK_EVENTS = Counter "aorta_netlink_events_total" []
        "Batches of events of network devices.";
    OVSDB_TRANSACTIONS = Counter "aorta_ovsdb_transactions_total" ["result"]
        "Transactions of the database that were committed or failed.";
    OVSDB_COMMIT = Histogram "aorta_ovsdb_commit_seconds" []
        "Time from a transaction's execution to its answer, without waiting for the disk.";
    OVSDB_FLUSH = Histogram "aorta_ovsdb_flush_seconds" []
        "Time for a flush of the database's file to stable storage, which all transactions that wait share.";
    OVSDB_REQUESTS = Counter "aorta_ovsdb_requests_total" []
        "Messages taken from clients of the database.";
    OVSDB_SESSIONS = Gauge "aorta_ovsdb_sessions" []
        "Clients of the database, the daemon's own among them.";
    OVSDB_OPENED = Counter "aorta_ovsdb_sessions_opened_total" []
        "Clients that have connected to the database.";
    OVSDB_MONITORS = Gauge "aorta_ovsdb_monitors" []
        "Monitors of all clients.";
    OVSDB_UPDATES = Counter "aorta_ovsdb_monitor_updates_total" []
        "Updates queued for monitors.";
    OVSDB_BACKLOG = Gauge "aorta_ovsdb_backlog_bytes" []
        "Bytes that clients have yet to read.";
    OVSDB_WAITING = Gauge "aorta_ovsdb_waiting_transactions" []
        "Transactions that wait for something to become true.";
    OVSDB_FILE = Gauge "aorta_ovsdb_file_bytes" []
        "Size of the database's file.";
    OVSDB_WRITTEN = Counter "aorta_ovsdb_log_bytes_total" []
        "Bytes appended to the database's file.";
    OVSDB_COMPACTIONS = Counter "aorta_ovsdb_compactions_total" []
        "Times that the database's file was written anew without its history.";
    API_CALLS = Counter "aorta_api_calls_total" []
        "Calls of the management API.";
    REFUSED = Counter "aorta_connections_refused_total" []
        "Connections that were refused because there were too many.";
    CONTROL_COMMANDS = Counter "aorta_unixctl_commands_total" []
        "Commands of ovs-appctl.";
    START_TIME = Gauge "process_start_time_seconds" []
        "When the daemon started, in seconds since 1970.";
    RESIDENT = Gauge "process_resident_memory_bytes" []
        "Memory of the daemon.";
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// The metrics as a table of the manual.
    fn table() -> String {
        let mut text = String::from("| Metric | Kind | Labels | |\n|---|---|---|---|\n");
        for family in ALL {
            let labels = family.labels.join(", ");
            let (name, kind) = (family.name, family.kind.word());
            let _ = writeln!(text, "| `{name}` | {kind} | {labels} | {} |", family.help);
        }
        text
    }

    #[test]
    fn names_are_as_prometheus_wants_them() {
        let mut names: Vec<&str> = ALL.iter().map(|family| family.name).collect();
        for family in ALL {
            let name = family.name;
            let total = name.ends_with("_total");
            assert_eq!(total, family.kind == Kind::Counter, "{name}");
            if family.kind == Kind::Histogram {
                assert!(name.ends_with("_seconds"), "{name}");
            }
            let standard = name.starts_with("aorta_") || name.starts_with("process_");
            assert!(standard && family.help.ends_with('.'), "{name}");
            assert!(!family.help.contains(['\n', '\\']), "{name}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn the_manual_lists_them() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
        let manual = std::fs::read_to_string(path).unwrap();
        let (head, rest) = manual.split_once("<!-- metrics -->\n").unwrap();
        let (listed, tail) = rest.split_once("<!-- end -->\n").unwrap();
        if std::env::var_os("AORTA_WRITE_DOCS").is_some() {
            let text = format!("{head}<!-- metrics -->\n{}<!-- end -->\n{tail}", table());
            return std::fs::write(path, text).unwrap();
        }
        let remedy =
            "docs/metrics.md is old: AORTA_WRITE_DOCS=1 cargo test -p aorta-vswitchd metrics";
        assert!(listed == table(), "{remedy}");
    }
}
