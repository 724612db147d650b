//! Cases of the Python clients, each a function of a script in `tests/python`.

use std::path::{Path, PathBuf};
use std::process::Command;

use aorta_integration::lab::{Netns, Output, Switch, SwitchOptions, run_within};

use super::LIMIT;

/// Where the database listens besides its socket; the namespace is the test's own.
pub const TCP: &str = "ptcp:6640:127.0.0.1";

/// A switch that Python clients can reach, in a namespace with two taps.
pub struct Served {
    pub switch: Switch,
    pub ns: Netns,
}

impl Served {
    /// Everything set up.
    pub fn new(label: &str) -> Served {
        let ns = Netns::new(label).unwrap();
        ns.tap("tap0").unwrap();
        ns.tap("tap1").unwrap();
        let options = SwitchOptions {
            args: vec![format!("--remote={TCP}")],
            ..SwitchOptions::default()
        };
        Served {
            switch: Switch::start_with(Some(&ns), options).unwrap(),
            ns,
        }
    }

    /// How clients connect, by socket and by TCP.
    pub fn remotes(&self) -> [String; 2] {
        [self.socket(), "tcp:127.0.0.1:6640".to_owned()]
    }

    /// How clients connect on the same machine.
    pub fn socket(&self) -> String {
        format!("unix:{}", self.switch.rundir().join("db.sock").display())
    }

    /// A script's case, ready to run.
    pub fn case(&self, python: &Path, script: &str, words: &[&str]) -> Command {
        let mut command = self.ns.command(python);
        command.arg(scripts().join(script)).args(words);
        // The sources stay as they are.
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// Runs a case, which must succeed, and shows what it prints.
    pub fn run(&self, python: &Path, script: &str, words: &[&str]) -> Output {
        let mut command = self.case(python, script, words);
        let output = run_within(&mut command, 2 * LIMIT).unwrap();
        let output = output.ok().unwrap_or_else(|error| panic!("{error}"));
        print!("{}", output.stdout);
        output
    }
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python")
}
