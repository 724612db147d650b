//! What `ovs-ofctl` asks of a switch, as packets between namespaces feel it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;

use aorta_integration::lab::Output;
use common::{Bed, RIGHT, eventually, pings};

fn ofctl(bed: &Bed, words: &str) -> Output {
    let words: Vec<&str> = words.split(' ').collect();
    bed.switch.client("ovs-ofctl", &words).unwrap()
}

fn done(bed: &Bed, words: &str) -> String {
    ofctl(bed, words).ok().unwrap().stdout
}

#[test]
fn ports_that_are_down_or_send_nothing() {
    let bed = Bed::new("portmod");
    for (off, on) in [("down", "up"), ("no-forward", "forward")] {
        done(&bed, &format!("mod-port br0 vb {off}"));
        assert!(!pings(&bed.left, RIGHT), "{off}");
        done(&bed, &format!("mod-port br0 vb {on}"));
        bed.wait_connected();
    }
}

#[test]
fn flows_direct_packets_as_soon_as_the_barrier_is_answered() {
    let bed = Bed::new("ofctl");
    for version in ["OpenFlow10", "OpenFlow13", "OpenFlow15"] {
        let o = |words: &str| done(&bed, &format!("-O {version} {words}"));
        o("add-flow br0 priority=9,icmp,actions=drop");
        assert!(!pings(&bed.left, RIGHT));
        o("--strict mod-flows br0 priority=9,icmp,actions=NORMAL");
        assert!(pings(&bed.left, RIGHT));
        let counted = o("dump-flows br0 icmp");
        assert!(!counted.contains("n_packets=0,"), "{counted}");
        o("del-flows br0 icmp");
        assert!(pings(&bed.left, RIGHT));
    }
}

/// Runs `ovs-ofctl monitor`, does something, and tells what the monitor printed once that has all
/// these words.
fn monitored(bed: &Bed, options: &str, act: impl Fn(), words: &[&str]) -> String {
    let log = bed.switch.rundir().join("monitor.log");
    let command = format!("exec ovs-ofctl {options} > {} 2>&1", log.display());
    let rundir = bed.switch.rundir().display().to_string();
    let mut shell = bed.ns.command("sh");
    shell.env("OVS_RUNDIR", rundir).args(["-c", &command]);
    let mut child = shell.spawn().unwrap();
    let printed = || fs::read_to_string(&log).unwrap_or_default();
    eventually(&format!("{options} prints {words:?}"), || {
        act();
        let text = printed();
        words.iter().all(|word| text.contains(word))
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let text = printed();
    fs::remove_file(&log).unwrap();
    text
}

#[test]
fn packets_come_to_whoever_watches_and_flows_are_told_when_they_go() {
    let bed = Bed::new("monitor");
    let asked = "add-flow br0 cookie=0x77,priority=9,icmp,actions=load:5->NXM_NX_REG3[],\
                 controller(userdata=01.02),NORMAL";
    done(&bed, asked);
    let ping = || assert!(pings(&bed.left, RIGHT));
    let words = [
        "cookie=0x77",
        "reg3=0x5",
        "userdata=01.02",
        "(via action)",
        "icmp",
    ];
    monitored(&bed, "monitor br0 65534 -P nxt_packet_in2", ping, &words);
    let flow = "cookie=0x78,priority=8,udp,hard_timeout=1,send_flow_rem,actions=drop";
    let expire = || {
        if !done(&bed, "dump-flows br0").contains("cookie=0x78") {
            done(&bed, &format!("add-flow br0 {flow}"));
        }
    };
    let words = ["FLOW_REMOVED", "reason=hard"];
    monitored(&bed, "-O OpenFlow13 monitor br0 65534", expire, &words);
}

#[test]
fn packets_of_controllers_arrive() {
    let bed = Bed::new("packetout");
    let capture = bed.switch.rundir().join("seen.txt");
    let command = format!(
        "exec tcpdump -n -l -c 1 -i eth0 ether proto 0x88b5 > {} 2>/dev/null",
        capture.display()
    );
    let mut child = bed
        .right
        .command("sh")
        .args(["-c", &command])
        .spawn()
        .unwrap();
    let frame = format!("ffffffffffff02000000000188b5{}", "00".repeat(50));
    let actions = "in_port=controller,actions=NORMAL";
    eventually("the frame arrives", || {
        done(&bed, &format!("packet-out br0 packet={frame},{actions}"));
        fs::read_to_string(&capture).is_ok_and(|text| !text.is_empty())
    });
    child.wait().unwrap();
}
