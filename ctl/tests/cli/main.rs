//! `vsctl` as a program, against real database servers.
//!
//! Most tests run the same commands through Open vSwitch's `ovs-vsctl` and through `vsctl` under
//! that name, each against an `ovsdb-server` of its own: output, exit status and database must be
//! the same. They need Debian's `openvswitch-switch`; without it they say so and check nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod appctl;
mod completion;
mod contents;
mod flow_switch;
mod flows;
mod lab;
mod libvirt;
mod lines;
mod logging;
mod manage;
mod ofctl;
mod ofctl_background;
mod ofctl_tls;
mod random;
mod real_switch;
mod records;
mod remotes;
mod scenarios;
mod server;
mod switch;
mod words;

use lab::Lab;

/// Runs a scenario in which no command line has an argument with spaces.
fn compare(lines: &[&str]) {
    let split: Vec<Vec<&str>> = lines
        .iter()
        .map(|line| line.split_whitespace().collect())
        .collect();
    compare_words(&split);
}

/// Runs command lines one after the other, comparing after each.
fn compare_words(lines: &[Vec<&str>]) {
    let lab = Lab::start();
    for words in lines {
        lab.step(words);
    }
}
