//! The switch is killed at any moment while a card is attached with libvirt's command line.
//!
//! `AORTA_ATTACH_KILLS` says how often, 8 by default.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aorta_integration::lab::{Card, Domain, Netns, Switch, binary};
use common::libvirt::attach_line;
use common::{done, eventually, pings, station, wait_interface};

/// The station whose port is attached.
const GUEST: &str = "192.0.2.1";
/// Milliseconds from the start of the tool until the switch is killed: less than `SPAN`, and the
/// next is `STEP` later, until all have been.
const STEP: u32 = 13;
const SPAN: u32 = 97;
/// Time in which the tool ends, whatever happens: libvirt's five seconds, on a busy machine.
const TOOL_LIMIT: Duration = Duration::from_secs(20);
/// Keys of the row that libvirt writes.
const KEYS: [&str; 4] = ["attached-mac", "iface-id", "vm-id", "iface-status"];

fn kills() -> u32 {
    let kills = std::env::var("AORTA_ATTACH_KILLS").ok();
    kills.map_or(8, |kills| kills.parse().unwrap())
}

#[test]
fn switch_killed_while_a_card_is_attached() {
    let ns = Netns::new("killed").unwrap();
    ns.disable_ipv6().unwrap();
    let mut switch = Switch::start(&ns).unwrap();
    let _guest = station(&ns, "lva", "192.0.2.1/24");
    let other = station(&ns, "st", "192.0.2.9/24");
    done(&switch, "add-br br-int -- add-port br-int st");
    let domain = Domain::new("a", "lva", 0x0a);
    let line = attach_line(&domain, &domain.cards[0], "");
    let (mut attached, mut complete) = (0, 0);
    for n in 0..kills() {
        let begin = Instant::now();
        let mut tool = begin_tool(&ns, &switch, &line);
        let moment = Duration::from_millis(u64::from(n * STEP % SPAN));
        // The moment is what is tried: there is nothing to wait for.
        std::thread::sleep(moment.saturating_sub(begin.elapsed()));
        switch.kill().unwrap();
        let status = tool.wait().unwrap();
        assert!(begin.elapsed() < TOOL_LIMIT, "{:?}", begin.elapsed());
        switch.restart().unwrap();
        let there = has_port(&switch);
        attached += u32::from(status.success());
        complete += u32::from(there);
        assert!(there || !status.success(), "what was promised is there");
        if there {
            check(&switch, &domain.cards[0], &other);
        }
        // What libvirt does when the operator tries again.
        let words: Vec<&str> = line.split_whitespace().collect();
        switch.ovs_vsctl(&words).unwrap().ok().unwrap();
        check(&switch, &domain.cards[0], &other);
        done(&switch, "--timeout=5 -- --if-exists del-port lva");
        assert!(!has_port(&switch));
    }
    println!(
        "{} kills: {attached} attachments done, {complete} ports there",
        kills()
    );
}

/// Starts the tool under libvirt's name for it.
fn begin_tool(ns: &Netns, switch: &Switch, line: &str) -> Child {
    let tool = binary(switch.bin_dir(), "vsctl").unwrap();
    let mut command: Command = ns.command(tool);
    command
        .args(line.split_whitespace())
        .env("OVS_RUNDIR", switch.rundir())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().unwrap()
}

fn has_port(switch: &Switch) -> bool {
    done(switch, "list-ports br-int")
        .lines()
        .any(|line| line == "lva")
}

/// Requires that the port is as libvirt wants it, and frames pass.
fn check(switch: &Switch, card: &Card, other: &Netns) {
    let ids = done(switch, "get Interface lva external_ids");
    for key in KEYS {
        assert!(ids.contains(key), "{ids}");
    }
    assert!(ids.contains(&card.mac), "{ids}");
    wait_interface(switch, "lva", "error", "[]");
    wait_interface(switch, "lva", "status:aorta-hook", "tcx");
    eventually("frames pass", || pings(other, GUEST));
}
