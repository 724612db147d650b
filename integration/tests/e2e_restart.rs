//! Forwarding outlives the daemon: restart, crash, upgrade, and what teardown leaves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use aorta_integration::lab::{Netns, Switch, Wire, own_bin_dir, run, run_within};
use common::{Bed, devices, done, eventually, fdb, frame, is_ours, pings, status};
use serde_json::Value;

/// Time to build the daemon once more, with every crate that it needs.
const BUILD_LIMIT: Duration = Duration::from_secs(900);
/// Address of a station that says one word and is silent afterwards.
const SILENT: &str = "02:00:00:00:00:77";

/// What the switch must not forget.
#[derive(Debug)]
struct Memory {
    stations: BTreeSet<(String, String, u16)>,
    counters: BTreeMap<String, u64>,
}

impl Memory {
    fn of(switch: &Switch) -> Memory {
        let stations = fdb(switch, "br0").into_iter();
        let mut counters = BTreeMap::new();
        for port in status(switch).bridges.into_iter().flat_map(|b| b.ports) {
            let drops = port.drops.into_iter();
            let all = [
                ("rx_packets".to_owned(), port.rx_packets),
                ("rx_bytes".to_owned(), port.rx_bytes),
                ("tx_packets".to_owned(), port.tx_packets),
                ("tx_bytes".to_owned(), port.tx_bytes),
            ];
            for (what, count) in all.into_iter().chain(drops) {
                counters.insert(format!("{} {what}", port.name), count);
            }
        }
        Memory {
            stations: stations.map(|e| (e.mac, e.port, e.vlan)).collect(),
            counters,
        }
    }

    fn must_live_on_in(&self, later: &Memory) {
        let forgotten: Vec<_> = self.stations.difference(&later.stations).collect();
        assert!(forgotten.is_empty(), "{forgotten:?} of {self:?}");
        for (what, count) in &self.counters {
            let now = later.counters.get(what).copied().unwrap_or(0);
            assert!(now >= *count, "{what} fell from {count} to {now}");
        }
    }
}

/// Runs `change` under traffic: no packet may be lost, nothing learned or counted forgotten.
fn nothing_is_lost(bed: &mut Bed, change: impl FnOnce(&mut Switch)) {
    let before = Memory::of(&bed.switch);
    assert!(
        before.stations.iter().any(|(mac, ..)| mac == SILENT),
        "{before:?}"
    );
    bed.undisturbed(|bed| change(&mut bed.switch));
    let after = Memory::of(&bed.switch);
    before.must_live_on_in(&after);
    let received = |memory: &Memory| memory.counters["va rx_packets"];
    assert!(received(&after) >= received(&before) + 100, "{after:?}");
    assert!(status(&bed.switch).problems.is_empty());
}

/// A bed that has learned a station which is silent from now on, and has counted a drop. The
/// wire keeps the station's port.
fn bed_with_a_past(label: &str) -> (Bed, Wire) {
    let bed = Bed::new(label);
    let wire = Wire::new(&bed.ns, "tq").unwrap();
    done(&bed.switch, "add-port br0 tq");
    wire.send(&frame(0xff, 0x77, None)).unwrap();
    // To a station behind the port that it came from.
    wire.send(&frame(0x77, 0x78, None)).unwrap();
    (bed, wire)
}

#[test]
fn a_restart_and_a_crash_lose_no_packet_and_forget_nothing() {
    let (mut bed, _wire) = bed_with_a_past("restart");
    let pid = bed.switch.pid();
    nothing_is_lost(&mut bed, |switch| {
        switch.terminate().unwrap();
        switch.restart().unwrap();
    });
    assert_ne!(bed.switch.pid(), pid);
    nothing_is_lost(&mut bed, |switch| {
        switch.kill().unwrap();
        switch.restart().unwrap();
    });
}

#[test]
fn an_upgrade_to_another_layout_and_back_loses_no_packet_and_forgets_nothing() {
    let old = own_bin_dir().unwrap();
    // Before the bed, which needs them to the end of its life.
    let new = programs_with_wide_records(&old);
    let (mut bed, _wire) = bed_with_a_past("upgrade");
    nothing_is_lost(&mut bed, |switch| switch.restart_from(new.path()).unwrap());
    nothing_is_lost(&mut bed, |switch| switch.restart_from(&old).unwrap());
    // After a crash, too.
    nothing_is_lost(&mut bed, |switch| {
        switch.kill().unwrap();
        switch.restart_from(new.path()).unwrap();
    });
}

#[test]
fn upgrades_that_die_half_way_lose_no_packet_and_forget_nothing() {
    let old = own_bin_dir().unwrap();
    // Before the bed, which needs them to the end of its life.
    let new = programs_with_wide_records(&old);
    let (mut bed, _wire) = bed_with_a_past("half");
    let (ns, pins) = (bed.ns.path(), pin_dir(&bed.switch));
    nothing_is_lost(&mut bed, |switch| {
        switch.terminate().unwrap();
        for programs in [new.path(), new.path(), &old, new.path()] {
            die_half_way(&ns, programs, switch, &pins);
        }
        switch.restart_from(new.path()).unwrap();
    });
    let state = std::fs::read_dir(pins.join("state")).unwrap().flatten();
    let names = state.map(|entry| entry.file_name().into_string().unwrap());
    let aside: Vec<String> = names.filter(|name| name.contains("old")).collect();
    assert!(aside.is_empty(), "{aside:?}");
}

/// Starts the daemon and kills it as soon as it has made its own maps, before its programs are
/// all in place.
fn die_half_way(ns: &Path, programs: &Path, switch: &Switch, pins: &Path) {
    let generations = || -> BTreeSet<_> {
        let entries = std::fs::read_dir(pins).unwrap().flatten();
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("gen-")).collect()
    };
    let before = generations();
    let mut daemon = Command::new("nsenter");
    daemon.arg(format!("--net={}", ns.display())).arg("--");
    daemon.arg(programs.join("vswitchd"));
    daemon.arg("--rundir").arg(switch.rundir());
    daemon.arg("--db").arg(switch.db());
    daemon.stdout(Stdio::null()).stderr(Stdio::null());
    let mut daemon = daemon.spawn().unwrap();
    let started = Instant::now();
    // Without a pause between looks: the moment is short.
    while generations().is_subset(&before) {
        assert!(started.elapsed() < common::LIMIT, "no generation appears");
    }
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

/// The daemon built with larger map records, as a later version may have them.
fn programs_with_wide_records(usual: &Path) -> tempfile::TempDir {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let (target, shared) = (target.join("wide"), target);
    let build = [
        "build",
        "--quiet",
        "-p",
        "aorta-vswitchd",
        "--features",
        "wide-records",
    ];
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(build)
        .arg("--target-dir")
        .arg(&target)
        // What the two builds have in common is built once.
        .env("CARGO_BUILD_BUILD_DIR", shared)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    run_within(&mut cargo, BUILD_LIMIT).unwrap().ok().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let link = |from: PathBuf, name: &str| {
        let from = from.canonicalize().unwrap();
        std::os::unix::fs::symlink(from, dir.path().join(name)).unwrap();
    };
    link(target.join("debug/vswitchd"), "vswitchd");
    link(usual.join("vsctl"), "vsctl");
    dir
}

#[test]
fn forwarding_goes_on_while_no_daemon_runs() {
    let mut bed = Bed::new("alone");
    bed.undisturbed(|bed| bed.switch.kill().unwrap());
    // Nobody is there to see the stream begin and end.
    bed.undisturbed(|_| ());
    bed.undisturbed(|bed| bed.switch.restart().unwrap());
}

#[test]
fn what_changed_while_no_daemon_ran_is_made_true_at_the_next_start() {
    let mut bed = Bed::new("changed");
    let silent = Wire::new(&bed.ns, "tq").unwrap();
    common::vsctl(&bed.switch, "add-port br0 tq -- add-port br0 vc");
    bed.switch.kill().unwrap();
    // One device is made anew, one comes, one goes.
    bed.ns.ip(&["link", "del", "dev", "vb"]).unwrap();
    bed.right = common::station(&bed.ns, "vb", "192.0.2.2/24");
    let third = common::station(&bed.ns, "vc", "192.0.2.3/24");
    drop(silent);
    bed.switch.restart().unwrap();
    for station in [&bed.right, &third] {
        eventually("the new station reaches left", || {
            pings(station, "192.0.2.1")
        });
    }
    let problems = status(&bed.switch).problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("tq"), "{problems:?}");
}

#[test]
fn teardown_leaves_the_machine_as_it_was_found() {
    let ns = Netns::new("teardown").unwrap();
    // Its addresses come and change by themselves.
    ns.disable_ipv6().unwrap();
    let left = common::station(&ns, "va", "192.0.2.1/24");
    let right = common::station(&ns, "vb", "192.0.2.2/24");
    ns.tap("ta").unwrap();
    ns.address("va", "198.51.100.7/24").unwrap();
    ns.ip(&["link", "set", "dev", "va", "promisc", "on"])
        .unwrap();
    ns.ip(&["link", "set", "dev", "vb", "mtu", "1600"]).unwrap();
    ns.ip(&["link", "set", "dev", "ta", "down"]).unwrap();
    let before = devices(&ns);

    let mut switch = Switch::start(&ns).unwrap();
    done(
        &switch,
        "add-br br0 -- add-br br1 -- add-port br0 va -- add-port br0 vb -- add-port br0 ta \
         -- add-port br0 in0 -- set Interface in0 type=internal",
    );
    eventually("left reaches right", || pings(&left, common::RIGHT));
    assert_ne!(devices(&ns), before, "the switch has devices of its own");
    let pins = pin_dir(&switch);
    let kernel = objects(&pins);
    assert!(kernel.len() >= 5, "a link for each device: {kernel:?}");

    switch.teardown().unwrap();
    assert!(!pins.exists());
    eventually("links and programs are gone", || {
        kernel.is_disjoint(&all_objects())
    });
    assert_eq!(devices(&ns), before);
    assert!(!pings(&left, common::RIGHT));
    switch.teardown().unwrap();

    // And the database still knows it all.
    switch.restart().unwrap();
    eventually("left reaches right", || pings(&left, common::RIGHT));
    drop(right);
}

#[test]
fn exit_with_cleanup_is_a_teardown() {
    let bed = Bed::new("cleanup");
    let pid = bed.switch.pid().unwrap();
    let pins = pin_dir(&bed.switch);
    let kernel = objects(&pins);
    let appctl = bed.switch.client("ovs-appctl", &["exit", "--cleanup"]);
    appctl.unwrap().ok().unwrap();
    eventually("the daemon ends", || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    });
    assert!(!pins.exists());
    eventually("links and programs are gone", || {
        kernel.is_disjoint(&all_objects())
    });
    let names: Vec<String> = devices(&bed.ns).into_keys().collect();
    assert_eq!(names, ["lo", "va", "vb"]);
}

#[test]
fn teardown_is_refused_while_the_daemon_runs() {
    let mut bed = Bed::new("refused");
    bed.undisturbed(|bed| {
        let mut teardown = bed.ns.command(bed.switch.bin_dir().join("vswitchd"));
        teardown.arg("--teardown").arg("--rundir");
        let output = run(teardown.arg(bed.switch.rundir())).unwrap();
        assert_ne!(output.status, 0);
        let pid = bed.switch.pid().unwrap().to_string();
        assert!(output.stderr.contains(&pid), "{}", output.stderr);
        assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    });
}

/// Where the daemon keeps its pins: the one directory whose links are of its devices.
fn pin_dir(switch: &Switch) -> PathBuf {
    let marker = switch.rundir();
    let marker = marker.parent().unwrap().file_name().unwrap();
    let marker = marker.to_str().unwrap().rsplit('-').next().unwrap();
    let mut dirs = std::fs::read_dir("/sys/fs/bpf/aorta").unwrap().flatten();
    let found = dirs.find(|dir| dir.file_name().to_string_lossy().contains(marker));
    found
        .unwrap_or_else(|| panic!("no pins of {marker}"))
        .path()
}

/// Links of a pin directory and their programs, as bpftool numbers them.
fn objects(pin_dir: &Path) -> BTreeSet<(&'static str, u64)> {
    let links = std::fs::read_dir(pin_dir.join("links")).unwrap().flatten();
    let mut found = BTreeSet::new();
    for link in links {
        let shown = bpftool(&["link", "show", "pinned", link.path().to_str().unwrap()]);
        found.insert(("link", shown["id"].as_u64().unwrap()));
        found.insert(("prog", shown["prog_id"].as_u64().unwrap()));
    }
    found
}

/// All links and programs of the machine.
fn all_objects() -> BTreeSet<(&'static str, u64)> {
    let ids = |what: &'static str| {
        let shown = bpftool(&[what, "show"]);
        let list = shown.as_array().unwrap().clone();
        list.into_iter()
            .map(move |o| (what, o["id"].as_u64().unwrap()))
    };
    ids("link").chain(ids("prog")).collect()
}

fn bpftool(args: &[&str]) -> Value {
    let output = run(Command::new("bpftool").arg("-j").args(args)).unwrap();
    serde_json::from_str(&output.ok().unwrap().stdout).unwrap()
}

#[test]
fn a_silent_station_is_still_found_after_a_restart() {
    let (mut bed, wire) = bed_with_a_past("silent");
    let other = Wire::new(&bed.ns, "tr").unwrap();
    let third = Wire::new(&bed.ns, "ts").unwrap();
    done(&bed.switch, "add-port br0 tr -- add-port br0 ts");
    bed.switch.kill().unwrap();
    bed.switch.restart().unwrap();
    wire.receive_all();
    other.send(&frame(0x77, 0x79, None)).unwrap();
    wire.wait_frame("the frame", common::LIMIT, is_ours)
        .unwrap();
    let flooded = third.receive_all().into_iter().any(|f| is_ours(&f));
    assert!(!flooded, "it is known where the station is");
}

/// What libvirtd says of each card when it starts again, and what else asks for what is there.
const SAME_AGAIN: [&str; 6] = [
    "--timeout=5 -- --may-exist add-port br0 va -- set Interface va \
     external-ids:attached-mac=\"52:54:00:00:00:0a\" -- set Interface va external-ids:iface-id=\"i\" \
     -- set Interface va external-ids:vm-id=\"u\" -- set Interface va external-ids:iface-status=active",
    "--may-exist add-br br0",
    "set Interface va ingress_policing_rate=0 ingress_policing_burst=0",
    "--if-exists clear Port va tag -- --if-exists clear Port va trunk \
     -- --if-exists clear Port va vlan_mode",
    "set Port va external-ids:who=me -- set Open_vSwitch . external-ids:where=here",
    "set Interface va external-ids:iface-status=inactive",
];

#[test]
fn what_changes_nothing_makes_no_program_anew() {
    let mut bed = Bed::new("same");
    let flow = bed
        .switch
        .vsctl(&["add-flow", "br0", "priority=9,icmp,actions=NORMAL"]);
    flow.unwrap().ok().unwrap();
    let pins = pin_dir(&bed.switch);
    // Each port's own program comes when the bridge has been quiet for a while.
    let first = objects(&pins);
    let is_new = |object: &(&str, u64)| object.0 == "link" || !first.contains(object);
    eventually("programs of single ports", || {
        objects(&pins).iter().all(is_new)
    });
    let before = objects(&pins);
    let applies = |bed: &Bed| {
        let words = ["coverage/read-counter", "datapath_apply"];
        let told = bed.switch.client("ovs-appctl", &words).unwrap();
        told.ok().unwrap().stdout
    };
    let applied = applies(&bed);
    bed.undisturbed(|bed| {
        for line in SAME_AGAIN.iter().cycle().take(60) {
            done(&bed.switch, line);
        }
    });
    assert_eq!(objects(&pins), before);
    assert_eq!(applies(&bed), applied);
}
