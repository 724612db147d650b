//! Rows of tables QoS and Queue, and what is told of them, beside the real ovs-vswitchd: both have a
//! device of the same name in a namespace of their own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use aorta_integration::lab::{Netns, Output, Switch, run};
use common::real_switch::RealSwitch;
use common::{done, eventually, station};

/// Both switches with their port `va`.
struct Both {
    // Dropped first, while their devices are there.
    ours: Switch,
    theirs: RealSwitch,
    _stations: [Netns; 2],
    spaces: [Netns; 2],
}

impl Both {
    fn new() -> Both {
        let spaces = ["qos-ours", "qos-theirs"].map(|label| {
            let ns = Netns::new(label).unwrap();
            ns.disable_ipv6().unwrap();
            ns
        });
        let stations = [(&spaces[0], "192.0.2.1/24"), (&spaces[1], "192.0.2.2/24")];
        let stations = stations.map(|(ns, address)| station(ns, "va", address));
        let ours = Switch::start(&spaces[0]).unwrap();
        done(
            &ours,
            "add-br br0 -- add-port br0 va -- set Interface va ofport_request=1",
        );
        Both {
            ours,
            theirs: RealSwitch::start_in(&spaces[1], &["va"]),
            _stations: stations,
            spaces,
        }
    }

    /// Runs a command on both: ours, theirs.
    fn run(&self, program: &str, words: &[&str]) -> [Output; 2] {
        let ours = self.ours.client(program, words).unwrap();
        let target = self.theirs.path("vs.ctl").display().to_string();
        let bridge = self.theirs.path("br0.mgmt").display().to_string();
        let words: Vec<&str> = match program {
            "ovs-appctl" => [&["-t", &target], words].concat(),
            _ => words
                .iter()
                .map(|word| if *word == "br0" { &bridge } else { *word })
                .collect(),
        };
        let theirs = run(self.theirs.command(program).args(words)).unwrap();
        [ours, theirs]
    }

    /// Has both write rows.
    fn write(&self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.ours.ovs_vsctl(&words).unwrap().ok().unwrap();
        let db = format!("--db=unix:{}", self.theirs.path("db.sock").display());
        let mut command = self.theirs.command("ovs-vsctl");
        run(command.arg("--timeout=20").arg(db).args(words))
            .unwrap()
            .ok()
            .unwrap();
    }

    /// Both answer `ovs-appctl` alike, after `normal`.
    fn same_answer(&self, words: &[&str], normal: fn(&str) -> String) {
        let [ours, theirs] = self.run("ovs-appctl", words);
        assert_eq!(ours.status, theirs.status, "{words:?}");
        assert_eq!(normal(&ours.stdout), normal(&theirs.stdout), "{words:?}");
    }

    /// Kind of discipline, and the classes with rates and priorities, in order.
    fn classes(&self, ns: &Netns) -> Vec<String> {
        let tc = |what: &str| {
            let shown = ns.run(&["tc", what, "show", "dev", "va"]).unwrap();
            shown.ok().unwrap().stdout
        };
        let roots = tc("qdisc");
        let kind = roots.split(' ').nth(1).unwrap().to_owned();
        let listed = tc("class");
        let before_burst = |line: &str| line.split(" burst").next().unwrap().to_owned();
        let mut classes: Vec<String> = listed.lines().map(before_burst).collect();
        classes.sort();
        [vec![kind], classes].concat()
    }

    /// Both tell the same of the port and have the same classes.
    fn same(&self, normal: fn(&str) -> String) {
        self.same_answer(&["qos/show", "va"], normal);
        let [ours, theirs] = self.spaces.each_ref().map(|ns| self.classes(ns));
        assert_eq!(ours, theirs);
        let [ours, theirs] = self.run("ovs-ofctl", &["-OOpenFlow10", "queue-stats", "br0"]);
        assert_eq!(counted(&ours.stdout), counted(&theirs.stdout));
    }
}

/// Blocks of queues in an order of their own, without what frames did.
fn blocks(text: &str) -> String {
    let mut blocks: Vec<&str> = text.trim_end().split("\n\n").collect();
    blocks.sort_unstable();
    let lines = blocks.join("\n");
    let lines = lines.lines().filter(|line| !line.contains("  tx_"));
    lines.map(|line| format!("{line}\n")).collect()
}

/// The same without bursts, which last longer here.
fn without_bursts(text: &str) -> String {
    let text = blocks(text);
    let lines = text.lines().filter(|line| !line.contains("  burst:"));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Queues without transaction ids and what frames did.
fn counted(text: &str) -> Vec<String> {
    let queue = |line: &str| line.split(": bytes").next().unwrap().trim().to_owned();
    text.lines().skip(1).map(queue).collect()
}

fn lines(text: &str) -> String {
    common::pair::lines(text)
}

#[test]
fn rows_make_the_same_classes_and_texts() {
    let both = Both::new();
    for words in [
        ["qos/show", "va"],
        ["qos/show", "nope"],
        ["qos/show-types", "nope"],
    ] {
        both.same_answer(&words, lines);
    }
    let clear = "clear Port va qos -- --all destroy QoS -- --all destroy Queue";
    let create = "set Port va qos=@q -- --id=@q create QoS";
    let libvirt = "other_config:min-rate=8000000 other_config:burst=4096000 \
                   other_config:max-rate=16000000";
    let made =
        format!("{create} type=linux-htb {libvirt} queues:0=@a -- --id=@a create Queue {libvirt}");
    let queues = format!(
        "{create} type=linux-htb other_config:max-rate=100000000 queues:1=@a queues:5=@b \
         -- --id=@a create Queue other_config:max-rate=1000000 other_config:priority=3 \
         -- --id=@b create Queue other_config:burst=80000 other_config:min-rate=10 \
         other_config:max-rate=500000000"
    );
    let junk = format!("{create} type=linux-htb other_config:max-rate=junk");
    let plain = format!("{create} type=linux-htb");
    let noop = format!("{create} type=linux-noop");
    let unknown = format!("{create} type=nonsense");
    for line in [made, queues, junk, plain, noop, unknown] {
        both.write(&line);
        both.same(blocks);
        both.write(clear);
        both.same(blocks);
    }
    let fast = format!(
        "{create} type=linux-htb other_config:max-rate=100000000 queues:2=@a \
         -- --id=@a create Queue other_config:min-rate=200000000 other_config:priority=7"
    );
    both.write(&fast);
    both.same(without_bursts);
    let types = both.run("ovs-appctl", &["qos/show-types", "va"]);
    let [ours, theirs] = types.map(|types| types.stdout);
    let missing: Vec<&str> = theirs.lines().filter(|kind| !ours.contains(kind)).collect();
    assert_eq!(missing, [""; 0]);
    eventually("classes go with the port", || {
        done(&both.ours, "--if-exists del-port va");
        both.classes(&both.spaces[0]).len() == 1
    });
}
