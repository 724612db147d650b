//! Taps of guests that come and go at bad moments, and rows about them that can't be right.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::time::{Duration, Instant};

use aorta_integration::lab::{Netns, Switch, Wire};
use common::{
    LIMIT, column, devices, done, eventually, fdb, frame, is_ours, status, vsctl, wait_interface,
};

/// Guests of a host that starts.
const CROWD: usize = 50;

/// A switch with the bridge br0.
fn switch(label: &str) -> (Netns, Switch) {
    let ns = Netns::new(label).unwrap();
    ns.disable_ipv6().unwrap();
    let switch = Switch::start(&ns).unwrap();
    done(&switch, "add-br br0");
    (ns, switch)
}

fn error(switch: &Switch, interface: &str) -> String {
    column(switch, "Interface", interface, "error")
}

/// Whether a frame from that source passes.
fn passes(from: &Wire, to: &Wire, source: u8) -> bool {
    to.receive_all();
    from.send(&frame(0xff, source, None)).unwrap();
    to.wait_frame("", Duration::from_millis(500), is_ours)
        .is_ok()
}

#[test]
fn fifty_taps_one_after_the_other_and_all_at_once() {
    let (ns, switch) = switch("crowd");
    let wires: Vec<Wire> = (0..CROWD)
        .map(|n| Wire::new(&ns, &format!("t{n}")).unwrap())
        .collect();
    let all_attached = || {
        let attached = |n| column(&switch, "Interface", &format!("t{n}"), "error") == "[]";
        assert!((0..CROWD).all(attached));
        wires[0].send(&frame(0xff, 1, None)).unwrap();
        for wire in &wires[1..] {
            wire.wait_frame("every guest hears it", LIMIT, is_ours)
                .unwrap();
        }
    };
    let mut times: Vec<Duration> = (0..CROWD)
        .map(|n| {
            let words = format!(
                "--timeout=5 -- --may-exist add-port br0 t{n} -- set Interface t{n} \
                 external-ids:attached-mac=\"52:54:00:00:00:{n:02x}\" \
                 -- set Interface t{n} external-ids:iface-status=active"
            );
            let start = Instant::now();
            done(&switch, &words);
            start.elapsed()
        })
        .collect();
    times.sort();
    println!(
        "one after the other, vsctl's own start included: median {:?}, longest {:?}",
        times[CROWD / 2],
        times[CROWD - 1]
    );
    assert!(times[CROWD / 2] < Duration::from_secs(1), "{times:?}");
    all_attached();

    let remove: Vec<String> = (0..CROWD).map(|n| format!("del-port t{n}")).collect();
    done(&switch, &remove.join(" -- "));
    assert_eq!(done(&switch, "list-ports br0"), "");
    let add: Vec<String> = (0..CROWD).map(|n| format!("add-port br0 t{n}")).collect();
    let start = Instant::now();
    done(&switch, &add.join(" -- "));
    println!("all at once: {:?}", start.elapsed());
    all_attached();

    // The host goes down: all taps vanish, rows and numbers stay for when they return.
    let number = column(&switch, "Interface", "t7", "ofport_request");
    drop(wires);
    wait_interface(&switch, "t49", "ofport", "-1");
    assert!(error(&switch, "t7").contains("No such device"));
    assert_eq!(column(&switch, "Interface", "t7", "ofport_request"), number);
}

#[test]
fn a_tap_that_is_gone_before_it_is_attached() {
    let (ns, switch) = switch("race");
    let keeps = Wire::new(&ns, "keeps").unwrap();
    done(&switch, "add-port br0 keeps");
    for round in 0..20 {
        let wire = Wire::new(&ns, "flees").unwrap();
        let command = std::thread::scope(|scope| {
            let command = scope.spawn(|| vsctl(&switch, "--timeout=5 add-port br0 flees"));
            // Rounds end the tap earlier and later than the attach.
            let until = Instant::now() + Duration::from_millis(2 * round);
            while Instant::now() < until {
                std::thread::yield_now();
            }
            drop(wire);
            command.join().unwrap()
        });
        // Attached for a moment, or said to be missing.
        assert!(
            command.status == 0 || command.stderr.contains("No such device"),
            "{command:?}"
        );
        wait_interface(&switch, "flees", "ofport", "-1");
        assert!(error(&switch, "flees").contains("No such device"));
        done(&switch, "del-port flees");
    }
    // One that comes back is attached by itself.
    let absent = vsctl(&switch, "add-port br0 flees");
    assert!(absent.stderr.contains("No such device"), "{absent:?}");
    let wire = Wire::new(&ns, "flees").unwrap();
    wait_interface(&switch, "flees", "error", "[]");
    eventually("frames pass", || passes(&wire, &keeps, 1));
}

#[test]
fn two_guests_with_one_address() {
    let (ns, switch) = switch("mac");
    let [a, b, c] = ["ta", "tb", "tc"].map(|name| Wire::new(&ns, name).unwrap());
    let mac = "external-ids:attached-mac=\"02:00:00:00:00:07\"";
    done(
        &switch,
        &format!(
            "add-port br0 ta -- set Interface ta {mac} -- add-port br0 tb \
             -- set Interface tb {mac} -- add-port br0 tc"
        ),
    );
    for name in ["ta", "tb"] {
        assert_eq!(error(&switch, name), "[]");
    }
    // Whoever spoke last is where frames for the address go, as after a migration.
    for (speaks, silent, port) in [(&a, &b, "ta"), (&b, &a, "tb"), (&a, &b, "ta")] {
        eventually("it speaks", || passes(speaks, &c, 7));
        let learned = fdb(&switch, "br0");
        let entry = learned
            .iter()
            .find(|entry| entry.mac == "02:00:00:00:00:07");
        assert_eq!(entry.unwrap().port, port);
        speaks.receive_all();
        silent.receive_all();
        c.send(&frame(0x07, 0x0c, None)).unwrap();
        speaks.wait_frame("its frame", LIMIT, is_ours).unwrap();
        assert!(!silent.receive_all().iter().any(|frame| is_ours(frame)));
    }
}

#[test]
fn one_interface_in_two_bridges() {
    let (ns, switch) = switch("two");
    let [a, b, c] = ["ta", "tb", "tc"].map(|name| Wire::new(&ns, name).unwrap());
    done(
        &switch,
        "add-br br1 -- add-port br0 ta -- add-port br0 tb -- add-port br1 tc",
    );
    // By command it is refused.
    let refused = vsctl(&switch, "add-port br1 ta");
    assert_ne!(refused.status, 0);
    let says = "already exists on bridge br0";
    assert!(refused.stderr.contains(says), "{}", refused.stderr);
    // By row it belongs to the first, and the row says why.
    done(&switch, "-- --id=@p get Port ta -- add Bridge br1 ports @p");
    let why = error(&switch, "ta");
    assert!(why.contains("in the bridges br0 and br1"), "{why}");
    assert!(
        status(&switch)
            .problems
            .iter()
            .any(|line| line.contains("br0 and br1"))
    );
    eventually("it is in br0", || passes(&a, &b, 1));
    assert!(!passes(&a, &c, 1));
    done(
        &switch,
        "-- --id=@p get Port ta -- remove Bridge br0 ports @p",
    );
    assert_eq!(error(&switch, "ta"), "[]");
    eventually("it is in br1", || passes(&a, &c, 1));
    assert!(!passes(&a, &b, 1));
}

#[test]
fn an_mtu_that_the_device_does_not_take() {
    let (ns, switch) = switch("mtu");
    let [a, b] = ["ta", "tb"].map(|name| Wire::new(&ns, name).unwrap());
    done(&switch, "add-port br0 ta -- add-port br0 tb");
    done(&switch, "set Interface ta mtu_request=65536");
    let why = error(&switch, "ta");
    for part in ["ta: cannot set the MTU to 65536", "stays 1500", "maxmtu"] {
        assert!(why.contains(part), "{part} is not in {why}");
    }
    assert_eq!(column(&switch, "Interface", "ta", "mtu"), "1500");
    assert_ne!(column(&switch, "Interface", "ta", "ofport"), "-1");
    eventually("frames pass", || passes(&a, &b, 1));
    done(&switch, "set Interface ta mtu_request=9000");
    assert_eq!(error(&switch, "ta"), "[]");
    wait_interface(&switch, "ta", "mtu", "9000");
    assert_eq!(devices(&ns)["ta"]["mtu"], 9000);
}
