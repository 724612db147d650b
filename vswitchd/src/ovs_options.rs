//! Options of Open vSwitch's own daemon, so that scripts that start it start this one.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::config::Devices;

/// Options of ovs-vswitchd.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "As ovs-vswitchd has them")]
pub struct OvsOptions {
    /// The same as --datapath sim, but ports of type system have no device; with override or
    /// system they have a simulated one, too
    #[arg(long, value_name = "KIND", num_args = 0..=1, require_equals = true)]
    pub enable_dummy: Option<Option<DummyMode>>,

    /// With --detach: stay in the directory instead of going to /
    #[arg(long)]
    pub no_chdir: bool,

    /// One more path for the control socket, for `ovs-appctl -t PATH`; none means none
    #[arg(long, value_name = "PATH")]
    pub unixctl: Option<PathBuf>,

    /// What is logged, as `ovs-appctl vlog/set` has it (repeat for more)
    #[arg(short = 'v', long, value_name = "SPEC")]
    pub verbose: Vec<String>,

    /// The socket of the database, unix:PATH. The switch serves the database itself, so it makes
    /// this socket; it refuses to start if another server answers there
    #[arg(value_name = "DATABASE")]
    pub database: Option<String>,

    #[command(flatten)]
    ignored: Ignored,
}

/// Options that have nothing to do here.
#[derive(Debug, Clone, Default, Args)]
pub struct Ignored {
    #[arg(long, hide = true)]
    disable_system: bool,
    #[arg(long, hide = true)]
    disable_system_route: bool,
    #[arg(long, hide = true)]
    monitor: bool,
    #[arg(long, hide = true)]
    overwrite_pidfile: bool,
    #[arg(long, hide = true)]
    mlockall: bool,
    #[arg(long, hide = true)]
    no_mlockall: bool,
    #[arg(long, hide = true)]
    no_self_confinement: bool,
    #[arg(long, hide = true, value_name = "METHOD")]
    syslog_method: Option<String>,
    #[arg(long, hide = true, value_name = "HOST:PORT")]
    syslog_target: Option<String>,
}

/// Open vSwitch's kinds of simulation. Here, both give ports of type system a simulated device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DummyMode {
    /// Everything is simulated.
    Override,
    /// What the system has is simulated.
    System,
}

impl OvsOptions {
    /// Which devices ports get, if they are simulated.
    pub fn devices(&self) -> Option<Devices> {
        let mode = self.enable_dummy?;
        Some(Devices::Simulated {
            system: mode.is_some(),
        })
    }
}

/// The command line as the parser takes it: `-v` and `--verbose` have their value in the same word,
/// or none, which asks for everything.
pub fn normal(arguments: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    arguments.map(|argument| {
        let text = argument.to_str().unwrap_or_default();
        let spec = match text.strip_prefix("-v") {
            Some(spec) => spec,
            None if text == "--verbose" => "",
            None => return argument,
        };
        let spec = if spec.is_empty() { "dbg" } else { spec };
        format!("--verbose={spec}").into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbose_needs_no_value() {
        let words = ["x", "-v", "-vconsole:off", "--verbose", "--verbose=a", "-V"];
        let normal: Vec<_> = normal(words.map(OsString::from).into_iter()).collect();
        let wanted = [
            "x",
            "--verbose=dbg",
            "--verbose=console:off",
            "--verbose=dbg",
            "--verbose=a",
            "-V",
        ];
        assert_eq!(normal, wanted.map(OsString::from));
    }
}
