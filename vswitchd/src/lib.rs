//! The switch's daemon: reads the configuration from the database it serves, keeps the datapath
//! and the host's devices as configured, and writes their state back. [`main`] is the program;
//! [`fuzzing`] has entries for fuzzers, and everything else is the daemon's own.
#![forbid(unsafe_code)]

mod cards;
mod clock;
mod config;
mod control;
mod coverage;
mod daemon;
mod detach;
mod devices;
mod errors;
mod expedite;
pub mod fuzzing;
mod heap;
mod identity;
mod kernel;
mod logging;
mod metrics;
mod mgmt;
mod notify;
mod offload;
mod ofproto;
mod openflow;
mod options;
mod ovs_options;
mod pidfile;
mod place;
mod promisc;
mod reconcile;
mod remotes;
mod sim;
mod switch;
mod teardown;
#[cfg(test)]
mod testing;
mod unixctl;
mod writeback;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use tokio::runtime::Builder;

use crate::options::Options;

/// The database and its clients run on so many threads; the switch and who speaks OpenFlow with it
/// have the main one. One is enough for serialised transactions, and each more keeps its own pool
/// of freed memory.
const WORKERS: usize = 1;
/// After so many turns of tasks on the main thread, it looks for what has come meanwhile.
const TURNS: u32 = 2;

/// What is said when somebody without privileges was refused something.
const NEEDS_ROOT: &str = "the kernel's datapath needs root, or the capabilities that the package's \
                          aorta.service gives; `vswitchd --datapath sim` needs neither, in \
                          directories of one's own (--rundir, --db)";

/// The program, from its command line to its end.
pub fn main() -> ExitCode {
    let options = Arc::new(Options::of_process());
    match start(&options) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("vswitchd: {}", errors::line(&*error));
            if errors::is_refused(&*error) && !rustix::process::geteuid().is_root() {
                eprintln!("vswitchd: {NEEDS_ROOT}");
            }
            ExitCode::FAILURE
        }
    }
}

fn start(options: &Arc<Options>) -> Result<ExitCode, Box<dyn Error>> {
    if let Some(to) = &options.salvage_db {
        let (records, rest) = aorta_ovsdb::log::salvage(&options.db(), to)?;
        println!(
            "{}: {records} intact records; {rest} bytes left behind",
            to.display()
        );
        return Ok(ExitCode::SUCCESS);
    }
    if options.detach && !detach::is_background() {
        return Ok(detach::launch()?);
    }
    if options.detach {
        detach::leave_session(!options.ovs.no_chdir)?;
    }
    let log = logging::start(options.log_file().as_deref())?;
    log.set(&options.ovs.verbose)?;
    aorta_kernel::keep_heap_small();
    let clients = Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()?;
    let switch = Builder::new_current_thread()
        .event_interval(TURNS)
        .enable_all()
        .build()?;
    if options.teardown {
        switch.block_on(daemon::tear_down(options))?;
        println!("vswitchd: everything is removed");
        return Ok(ExitCode::SUCCESS);
    }
    if options.release_open_vswitch {
        for name in switch.block_on(teardown::release_open_vswitch())? {
            println!("vswitchd: Open vSwitch's datapath {name} is deleted");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let (clients, own) = (clients.handle().clone(), Arc::clone(options));
    let ready = move |line: &str| ready(&own, line);
    let daemon = daemon::run(Arc::clone(options), log, clients, ready);
    // A task is woken by others of its thread without a system call, unlike what a runtime blocks
    // on.
    switch.block_on(async { tokio::spawn(daemon).await })??;
    Ok(ExitCode::SUCCESS)
}

/// Tells whoever waits that clients can connect now.
fn ready(options: &Options, line: &str) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{line}")?;
    out.flush()?;
    notify::ready()?;
    if options.detach {
        detach::leave_terminal()
    } else {
        Ok(())
    }
}
