//! Ports that can't be had: each says why in one line, and the others never notice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::os::fd::OwnedFd;

use aorta_ebpf::Program;
use aorta_integration::lab::{Netns, Switch, Wire};
use aorta_kernel::Loader;
use common::{
    Bed, column, devices, done, eventually, frame, is_ours, pings, port, station, status, vsctl,
    wait_interface,
};

/// A program that leaves each frame to the next one (`TCX_NEXT`).
const PASS_ON: &str = "program pass_on
    r0 = -1
    exit
";

/// More programs than the kernel takes at one hook of one device.
const MANY_PROGRAMS: usize = 100;

/// The error of an interface that has no number: one line that names it, with these words.
fn refused(switch: &Switch, name: &str, words: &[&str]) {
    assert_eq!(column(switch, "Interface", name, "ofport"), "-1");
    let error = column(switch, "Interface", name, "error");
    assert!(!error.contains("\\n"), "{error}");
    for word in [&[name], words].concat() {
        assert!(error.contains(word), "{word}: {error}");
    }
    let told = status(switch).problems;
    let told: Vec<_> = told.iter().filter(|line| line.contains(name)).collect();
    assert_eq!(told.len(), 1, "told once: {told:?}");
    assert!(!told[0].contains('\n'), "{told:?}");
}

#[test]
fn ports_that_cannot_be_had_say_why_and_disturb_nobody() {
    let mut bed = Bed::new("refused");
    bed.ns.ip(&["link", "add", "vz", "type", "bridge"]).unwrap();
    bed.undisturbed(|bed| {
        for (name, settings, words) in [
            ("ghost", "", &["No such device"][..]),
            ("sixteen-bytes-xx", "", &["15 bytes"]),
            ("a/b", "", &["name of a network device"]),
            ("lo", "", &["loopback"]),
            (
                "tunnel0",
                "type=vxlan options:remote_ip=192.0.2.9",
                &["vxlan"],
            ),
            ("nopeer", "type=patch", &["options:peer"]),
            ("self", "type=patch options:peer=self", &["itself"]),
            (
                "inmac",
                "type=internal mac=\"01:00:5e:00:00:01\"",
                &["01:00:5e"],
            ),
            ("vz", "type=internal", &["already"]),
        ] {
            let set = if settings.is_empty() {
                String::new()
            } else {
                format!(" -- set Interface {name} {settings}")
            };
            let added = vsctl(&bed.switch, &format!("add-port br0 {name}{set}"));
            assert_eq!(added.status, 65, "{added:?}");
            assert_eq!(added.stderr.lines().count(), 1, "{}", added.stderr);
            assert!(added.stderr.contains(name), "{}", added.stderr);
            refused(&bed.switch, name, words);
        }
        assert!(devices(&bed.ns).contains_key("vz"), "not ours to delete");
    });
    // All at once gone again.
    let names = "ghost sixteen-bytes-xx a/b lo tunnel0 nopeer self inmac vz".split(' ');
    let deletions: Vec<String> = names.map(|name| format!("del-port {name}")).collect();
    done(&bed.switch, &deletions.join(" -- "));
    assert_eq!(status(&bed.switch).problems, Vec::<String>::new());
    assert!(devices(&bed.ns).contains_key("vz"));
}

#[test]
fn settings_that_make_no_sense_are_noted_and_left_out() {
    let mut bed = Bed::new("settings");
    bed.undisturbed(|bed| {
        for setting in [
            "mac-aging-time=soon",
            "mac-table-size=-1",
            "hwaddr=nonsense",
            "datapath-id=x",
            "forward-bpdu=perhaps",
            "of-another-program=1",
        ] {
            done(
                &bed.switch,
                &format!("set Bridge br0 other_config:{setting}"),
            );
        }
        let problems = status(&bed.switch).problems;
        assert_eq!(problems.len(), 4, "{problems:?}");
        for key in ["mac-aging-time", "mac-table-size", "hwaddr", "datapath-id"] {
            let told = problems.iter().filter(|p| p.contains(key)).count();
            assert_eq!(told, 1, "{key}: {problems:?}");
        }
        let refused = vsctl(&bed.switch, "set Port va tag=4096");
        assert_eq!(refused.status, 1);
        assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
        assert_eq!(column(&bed.switch, "Port", "va", "tag"), "[]");
        done(&bed.switch, "clear Bridge br0 other_config");
        assert_eq!(status(&bed.switch).problems, Vec::<String>::new());
    });
}

#[test]
fn a_device_in_a_linux_bridge_stays_there_until_it_is_released() {
    let mut bed = Bed::new("master");
    let third = station(&bed.ns, "vc", "192.0.2.3/24");
    bed.ns.linux_bridge("lbr", &["vc"]).unwrap();
    let before = devices(&bed.ns);
    bed.undisturbed(|bed| {
        let added = vsctl(&bed.switch, "add-port br0 vc");
        assert_eq!(added.status, 65);
        refused(&bed.switch, "vc", &["Linux bridge lbr", "nomaster"]);
        assert_eq!(devices(&bed.ns)["vc"], before["vc"]);
        // What the line says is what helps.
        bed.ns
            .ip(&["link", "set", "dev", "vc", "nomaster"])
            .unwrap();
        wait_interface(&bed.switch, "vc", "error", "[]");
        eventually("the released station reaches left", || {
            pings(&third, "192.0.2.1")
        });
    });
}

#[test]
fn a_port_of_one_bridge_is_refused_to_another() {
    let mut bed = Bed::new("twice");
    done(&bed.switch, "add-br br1");
    bed.undisturbed(|bed| {
        let again = vsctl(&bed.switch, "add-port br1 va");
        assert_eq!(again.status, 1);
        assert!(
            again.stderr.contains("va") && again.stderr.contains("br0"),
            "{}",
            again.stderr
        );
        // Past the tool, the same row in both bridges.
        let row = column(&bed.switch, "Port", "va", "_uuid");
        done(&bed.switch, &format!("add Bridge br1 ports {row}"));
        let told = status(&bed.switch).problems;
        assert_eq!(told.len(), 1, "{told:?}");
        for word in ["va", "br1"] {
            assert!(told[0].contains(word), "{told:?}");
        }
        done(&bed.switch, &format!("remove Bridge br1 ports {row}"));
        assert_eq!(status(&bed.switch).problems, Vec::<String>::new());
    });
}

#[test]
fn a_device_that_vanishes_at_any_moment_harms_nobody() {
    let mut bed = Bed::new("vanish");
    bed.undisturbed(|bed| {
        for round in 0..6 {
            let name = format!("t{round:02}");
            bed.ns.tap(&name).unwrap();
            std::thread::scope(|scope| {
                let (switch, name) = (&bed.switch, &name);
                let add = scope.spawn(move || vsctl(switch, &format!("add-port br0 {name}")));
                bed.ns.ip(&["link", "del", "dev", name]).unwrap();
                let added = add.join().unwrap();
                assert!([0, 65].contains(&added.status), "{added:?}");
            });
            wait_interface(&bed.switch, &name, "ofport", "-1");
        }
        for round in 0..6 {
            refused(&bed.switch, &format!("t{round:02}"), &["No such device"]);
        }
    });
}

#[test]
fn fifty_taps_come_and_go_in_one_transaction_each() {
    let mut bed = Bed::new("fifty");
    let names: Vec<String> = (0..50).map(|n| format!("m{n}")).collect();
    let wires: Vec<Wire> = names
        .iter()
        .map(|name| Wire::new(&bed.ns, name).unwrap())
        .collect();
    let each = |what: &str| -> String {
        let all: Vec<String> = names.iter().map(|name| format!("{what} {name}")).collect();
        all.join(" -- ")
    };
    bed.undisturbed(|bed| {
        for _ in 0..2 {
            done(&bed.switch, &each("add-port br0"));
            wires.iter().for_each(|wire| drop(wire.receive_all()));
            wires[0].send(&frame(0xff, 9, None)).unwrap();
            for wire in &wires[1..] {
                wire.wait_frame("the flooded frame", common::LIMIT, is_ours)
                    .unwrap();
            }
            done(&bed.switch, &each("del-port br0"));
            wires[0].send(&frame(0xff, 9, None)).unwrap();
            let left_over = wires[1..].iter().flat_map(Wire::receive_all);
            assert_eq!(left_over.filter(|f| is_ours(f)).count(), 0);
        }
    });
    assert_eq!(status(&bed.switch).bridges[0].ports.len(), 3);
}

/// Attaches so many programs to a device that its hook is full. They go with the value.
struct FullHook(Vec<OwnedFd>);

impl FullHook {
    fn of(ns: &Netns, device: &str) -> FullHook {
        let shown = ns.ip(&["-j", "link", "show", "dev", device]).unwrap();
        let shown: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
        let index = u32::try_from(shown[0]["ifindex"].as_u64().unwrap()).unwrap();
        let mut hook = FullHook(Vec::new());
        std::thread::scope(|scope| {
            let attach = || {
                ns.enter().unwrap();
                let program = Program::parse(PASS_ON).unwrap();
                let mut loader = Loader::new();
                for _ in 0..MANY_PROGRAMS {
                    // A device takes each program once.
                    let loaded = loader.load(&program, |_| None).unwrap();
                    match loaded.attach(index) {
                        Ok(link) => hook.0.push(link),
                        Err(_) => return,
                    }
                }
                panic!("{device} takes {MANY_PROGRAMS} programs");
            };
            scope.spawn(attach).join().unwrap();
        });
        hook
    }
}

#[test]
fn a_hook_that_the_kernel_refuses_is_told_and_tried_again() {
    let mut bed = Bed::new("hook");
    let wire = Wire::new(&bed.ns, "tf").unwrap();
    let full = FullHook::of(&bed.ns, "tf");
    bed.undisturbed(|bed| {
        let added = vsctl(&bed.switch, "add-port br0 tf");
        assert_eq!(added.status, 65, "{added:?}");
        refused(&bed.switch, "tf", &["attach to tcx", "63 programs"]);
        assert_eq!(port(&bed.switch, "tf").hook, "none");
        drop(full);
        // Any change has it tried again.
        done(&bed.switch, "set Port tf tag=5 -- clear Port tf tag");
        done(&bed.switch, "set Port tf trunks=0,7");
        wait_interface(&bed.switch, "tf", "error", "[]");
        assert_ne!(column(&bed.switch, "Interface", "tf", "ofport"), "-1");
        assert_eq!(port(&bed.switch, "tf").hook, "tcx");
    });
    drop(wire);
}
