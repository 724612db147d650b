//! ovs-vsctl and vsctl, tried with the same words.

use std::collections::BTreeSet;

use aorta_integration::lab::{Netns, Switch};

/// A daemon, a namespace with two taps and a veth, and the tool that is tried.
pub struct Client {
    pub switch: Switch,
    pub ns: Netns,
    own: bool,
}

impl Client {
    /// Everything set up; vsctl is the tool if `own`.
    pub fn new(label: &str, own: bool) -> Client {
        let ns = Netns::new(label).unwrap();
        ns.tap("tap0").unwrap();
        ns.tap("tap1").unwrap();
        let switch = Switch::start(&ns).unwrap();
        Client { switch, ns, own }
    }

    /// Runs the tool: its status and what it printed.
    pub fn run(&self, words: &[&str]) -> (i32, String) {
        let output = if self.own {
            self.switch.vsctl(words)
        } else {
            self.switch.ovs_vsctl(words)
        };
        let output = output.unwrap();
        (output.status, output.stdout.trim_end().to_owned())
    }

    /// Runs a command line without quotes, which must succeed.
    pub fn done(&self, line: &str) -> String {
        let (status, stdout) = self.run(&line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(status, 0, "{line}");
        stdout
    }

    /// The status of a command line without quotes.
    pub fn status(&self, line: &str) -> i32 {
        self.run(&line.split_whitespace().collect::<Vec<_>>()).0
    }
}

/// Runs a test with both tools.
pub fn with_both(label: &str, test: impl Fn(&Client)) {
    for own in [false, true] {
        test(&Client::new(label, own));
    }
}

/// The lines of a text, without what is around them.
pub fn lines(text: &str) -> BTreeSet<&str> {
    text.lines().map(str::trim).collect()
}
