//! The commands, with how many arguments they take and what they do.

use super::error::OfctlError;
use super::{Done, Ofctl};
use super::{
    bundle, capture, flows, groups, help, messages, meters, monitor, parse, ports, sets, switch,
    tables, times, tunnel,
};

/// A command.
pub struct Command {
    pub name: &'static str,
    /// Arguments, as they are shown.
    pub usage: &'static str,
    min: usize,
    max: usize,
    /// Whether it changes something.
    writes: bool,
    run: fn(&Ofctl, &[&str]) -> Done,
}

const fn reads(
    name: &'static str,
    usage: &'static str,
    (min, max): (usize, usize),
    run: fn(&Ofctl, &[&str]) -> Done,
) -> Command {
    Command {
        name,
        usage,
        min,
        max,
        writes: false,
        run,
    }
}

const fn writes(
    name: &'static str,
    usage: &'static str,
    count: (usize, usize),
    run: fn(&Ofctl, &[&str]) -> Done,
) -> Command {
    Command {
        writes: true,
        ..reads(name, usage, count, run)
    }
}

const MANY: usize = usize::MAX;

/// All commands.
pub const COMMANDS: &[Command] = &[
    reads("show", "switch", (1, 1), switch::show),
    reads(
        "monitor",
        "switch [misslen] [invalid_ttl] [watch:[...]]",
        (1, 3),
        monitor::monitor,
    ),
    reads("snoop", "switch", (1, 1), monitor::snoop),
    reads("dump-desc", "switch", (1, 1), switch::desc),
    reads("dump-tables", "switch", (1, 1), tables::dump),
    reads(
        "dump-table-features",
        "switch",
        (1, 1),
        tables::dump_features,
    ),
    reads("dump-table-desc", "switch", (1, 1), tables::dump_desc),
    reads("dump-flows", "switch", (1, 2), flows::dump),
    reads("dump-aggregate", "switch", (1, 2), flows::aggregate),
    reads(
        "queue-stats",
        "switch [port [queue]]",
        (1, 3),
        ports::queue_stats,
    ),
    reads(
        "queue-get-config",
        "switch [port [queue]]",
        (1, 3),
        ports::queue_config,
    ),
    writes("add-flow", "switch flow", (2, 2), flows::add),
    writes("add-flows", "switch file", (2, 2), flows::add_file),
    writes("mod-flows", "switch flow", (2, 2), flows::modify),
    writes("del-flows", "switch [flow]", (1, 2), flows::delete),
    writes("replace-flows", "switch file", (2, 2), sets::replace),
    reads("diff-flows", "source1 source2", (2, 2), sets::diff),
    writes("add-meter", "switch meter", (2, 2), meters::add),
    writes("mod-meter", "switch meter", (2, 2), meters::modify),
    writes("del-meter", "switch meter", (1, 2), meters::delete),
    writes("del-meters", "switch", (1, 2), meters::delete),
    reads("dump-meter", "switch meter", (1, 2), meters::dump),
    reads("dump-meters", "switch", (1, 2), meters::dump),
    reads("meter-stats", "switch [meter]", (1, 2), meters::stats),
    reads("meter-features", "switch", (1, 1), meters::features),
    writes(
        "packet-out",
        "switch \"in_port=<port> packet=<hex data> actions=...\"",
        (2, MANY),
        switch::packet_out,
    ),
    reads("dump-ports", "switch [port]", (1, 2), ports::stats),
    reads("dump-ports-desc", "switch [port]", (1, 2), ports::desc),
    writes("mod-port", "switch iface act", (3, 3), ports::modify),
    writes("mod-table", "switch mod", (3, 3), tables::modify),
    reads("get-frags", "switch", (1, 1), switch::get_frags),
    writes("set-frags", "switch frag_mode", (2, 2), switch::set_frags),
    reads("probe", "target", (1, 1), times::probe),
    reads("ping", "target [n]", (1, 2), times::ping),
    reads("benchmark", "target n count", (3, 3), times::benchmark),
    reads("dump-ipfix-bridge", "switch", (1, 1), switch::ipfix_bridge),
    reads("dump-ipfix-flow", "switch", (1, 1), switch::ipfix_flow),
    writes(
        "ct-flush-zone",
        "switch zone",
        (2, 2),
        switch::ct_flush_zone,
    ),
    writes(
        "ct-flush",
        "switch [zone=N] [ct-orig-tuple [ct-reply-tuple]]",
        (1, 4),
        switch::ct_flush,
    ),
    reads("ofp-parse", "file", (1, 1), messages::parse_file),
    reads(
        "ofp-parse-pcap",
        "file [port...]",
        (1, MANY),
        capture::parse_file,
    ),
    writes("add-group", "switch group", (1, 2), groups::add),
    writes("add-groups", "switch file", (1, 2), groups::add_file),
    writes("mod-group", "switch group", (1, 2), groups::modify),
    writes("del-groups", "switch [group]", (1, 2), groups::delete),
    writes(
        "insert-buckets",
        "switch [group]",
        (1, 2),
        groups::insert_buckets,
    ),
    writes(
        "remove-buckets",
        "switch [group]",
        (1, 2),
        groups::remove_buckets,
    ),
    reads("dump-groups", "switch [group]", (1, 2), groups::dump),
    reads("dump-group-stats", "switch [group]", (1, 2), groups::stats),
    reads("dump-group-features", "switch", (1, 1), groups::features),
    writes("bundle", "switch file", (2, 2), bundle::run_file),
    writes("add-tlv-map", "switch map", (2, 2), tunnel::add),
    writes("del-tlv-map", "switch [map]", (1, 2), tunnel::delete),
    reads("dump-tlv-map", "switch", (1, 1), tunnel::dump),
    reads("help", "", (0, MANY), help::run),
    reads("list-commands", "", (0, MANY), help::list),
    reads("parse-flow", "", (1, 1), parse::flow),
    reads("parse-flows", "", (1, 1), parse::flows),
    reads("parse-group", "", (1, 1), parse::group),
    reads("print-error", "", (1, 1), messages::print_error),
    reads("ofp-print", "", (1, 2), messages::print_hex),
];

/// Runs the command that the words ask for.
pub fn run(ofctl: &Ofctl, words: &[String]) -> Done {
    let (name, rest) = words.split_first().ok_or(OfctlError::NoCommand)?;
    let command = COMMANDS.iter().find(|command| command.name == name);
    let command = command.ok_or_else(|| OfctlError::UnknownCommand(name.clone()))?;
    let arguments: Vec<&str> = rest.iter().map(String::as_str).collect();
    if arguments.len() < command.min {
        return Err(OfctlError::TooFew {
            command: command.name,
            min: command.min,
        });
    }
    if arguments.len() > command.max {
        return Err(OfctlError::TooMany {
            command: command.name,
            max: command.max,
        });
    }
    if command.writes && ofctl.settings.read_only {
        return Err(OfctlError::ReadOnly(command.name));
    }
    (command.run)(ofctl, &arguments)
}
