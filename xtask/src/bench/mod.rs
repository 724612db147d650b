//! Measurements: `cargo xtask bench NAME`. Each prints a table and writes it as JSON below
//! `target/bench`. A bench is a function from options to a [`Report`]; to add one, write a
//! module and put it into [`BENCHES`].

mod attach;
mod bare;
mod flows;
mod guests;
mod lab;
mod normal;
mod offload;
mod openflow;
mod ovsdb;
mod peers;
mod ports;
mod qos;
mod report;
mod rounds;
mod scrape;
mod twins;

use crate::error::TaskError;
use crate::proc::{root, say};

pub use report::{Report, Series};
pub use rounds::{Variant, interleaved};

/// What a bench is told.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// Which bench, or the first part of several's names (`ovsdb`), or `all`.
    name: Option<String>,
    /// Rounds in which every variant is measured once, in turns.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
}

/// A measurement that can be asked for by name.
struct Bench {
    name: &'static str,
    about: &'static str,
    run: fn(rounds: u32) -> Result<Report, TaskError>,
}

/// Everything that can be measured.
const BENCHES: &[Bench] = &[
    Bench {
        name: "normal",
        about: "ns a packet of NORMAL, compiled and written by hand",
        run: normal::run,
    },
    Bench {
        name: "flows",
        about: "ns a packet of flow tables against programs written by hand; growth; changes",
        run: flows::run,
    },
    Bench {
        name: "add-port",
        about: "from `vsctl add-port` to the first packet; a thousand ports at once; memory",
        run: ports::add_port,
    },
    Bench {
        name: "attach",
        about: "50 taps attached one after the other as libvirt does it, against ovs-vswitchd",
        run: attach::run,
    },
    Bench {
        name: "idle",
        about: "CPU time of an idle daemon, a minute a round",
        run: ports::idle,
    },
    Bench {
        name: "qos",
        about: "how well rates of egress QoS and ingress policing are kept, 10 s a measurement",
        run: qos::run,
    },
    Bench {
        name: "scrape",
        about: "/metrics of switches with 1,000 ports, of the kernel and in memory",
        run: scrape::run,
    },
    Bench {
        name: "ovsdb-commits",
        about: "transactions of 64 connections, against ovsdb-server",
        run: ovsdb::commits,
    },
    Bench {
        name: "ovsdb-initial",
        about: "a monitor's first reply with 10,000 ports, against ovsdb-server",
        run: ovsdb::initial,
    },
    Bench {
        name: "ovsdb-fan-out",
        about: "CPU time while 1,000 ports are added and 100 clients watch, against ovsdb-server",
        run: ovsdb::fan_out,
    },
    Bench {
        name: "ovsdb-add-port",
        about: "ovs-vsctl add-port with the real attach, against ovs-vswitchd",
        run: ovsdb::add_port,
    },
    Bench {
        name: "openflow-tables",
        about: "100,000 flows with ovs-ofctl: added, as a bundle, dumped, against ovs-vswitchd",
        run: openflow::tables,
    },
    Bench {
        name: "openflow-bundles",
        about: "1,000 small bundles with a barrier each, against ovs-vswitchd",
        run: openflow::bundles,
    },
    Bench {
        name: "openflow-crowd",
        about: "barriers of 63 controllers while another floods, against ovs-vswitchd",
        run: openflow::crowd,
    },
    Bench {
        name: "openflow-packets",
        about: "frames that a controller sends, against ovs-vswitchd",
        run: openflow::packets,
    },
    Bench {
        name: "openflow-packets-in",
        about: "frames that a flow sends to a controller, against ovs-vswitchd",
        run: openflow::packets_in,
    },
    Bench {
        name: "openflow-idle",
        about: "CPU time of an idle switch with 8 controllers, 20 s a round, against ovs-vswitchd",
        run: openflow::idle,
    },
    Bench {
        name: "offload",
        about: "rules put as TC filters in a machine of its own, against tc -batch",
        run: offload::run,
    },
    Bench {
        name: "guests",
        about: "two guests, against a Linux bridge and Open vSwitch's userspace datapath",
        run: guests::run,
    },
    Bench {
        name: "peers",
        about: "side by side with a Linux bridge and the bare hooks (needs AORTA_PEERS_BENCH)",
        run: peers::run,
    },
    Bench {
        name: "lab",
        about: "TCP between namespaces, directly and through a Linux bridge: the lab's own yardstick",
        run: lab::run,
    },
];

/// Runs the quickest bench briefly, to show that benches work; what it finds on a busy machine
/// proves nothing.
///
/// # Errors
/// When the measurement fails.
pub fn short_form() -> Result<(), TaskError> {
    print!("{}", normal::run(1)?);
    Ok(())
}

/// Whether a bench is meant by its name, or by all of it before a dash.
fn is_part_of(bench: &str, name: &str) -> bool {
    bench
        .strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Runs one bench, a group, all, or lists them.
///
/// # Errors
/// When a measurement fails or no bench has that name.
pub fn run(args: &BenchArgs) -> Result<(), TaskError> {
    let Some(name) = &args.name else {
        for bench in BENCHES {
            println!("{:<19} {}", bench.name, bench.about);
        }
        return Ok(());
    };
    let chosen: Vec<&Bench> = BENCHES
        .iter()
        .filter(|bench| name == "all" || is_part_of(bench.name, name))
        .collect();
    if chosen.is_empty() {
        return Err(TaskError::NoBench(name.clone()));
    }
    for bench in chosen {
        say(&format!("bench {}: {}", bench.name, bench.about));
        let report = (bench.run)(args.rounds.max(1))?;
        print!("{report}");
        let path = report.write(&root().join("target/bench"))?;
        println!("written to {}", path.display());
    }
    Ok(())
}
