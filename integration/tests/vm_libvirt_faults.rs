//! What libvirt's guests keep when libvirtd, the switch or a tap ends while a card is plugged.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::process::Child;
use std::time::{Duration, Instant};

use aorta_integration::lab::{Card, Domain, GuestAgent, Netns};
use common::libvirt::{Host, address, attach_line, detach_line, unlimited_lines};
use common::{done, eventually, pings, station, wait_interface};
use rustix::process::{Pid, Signal, kill_process};

/// The guest's address at its first card, and at the one that is plugged.
const FIRST: &str = "192.0.2.1";
const SECOND: &str = "198.51.100.1";
/// libvirt gives `ovs-vsctl` five seconds; a busy machine some more.
const GIVEN_UP: std::ops::Range<Duration> = Duration::from_secs(5)..Duration::from_secs(20);

/// What a row says whose tap there isn't.
const NO_DEVICE: &str = "\"could not open network device lva1 (No such device)\"";

/// A guest and a station on one switch.
struct Scene {
    guest: GuestAgent,
    host: Host,
    station: Netns,
    domain: Domain,
    card: Card,
}

/// A fault. The guest is reached before and after, at its first card.
type Step = fn(&mut Scene);

const STEPS: [(&str, Step); 7] = [
    ("the switch is away", switch_is_away),
    ("the switch stalls", switch_stalls),
    ("the switch is killed in mid-plug", switch_killed),
    ("libvirtd killed in mid-plug", libvirtd_killed),
    ("libvirtd killed in mid-unplug", libvirtd_killed_unplugging),
    ("the tap goes in mid-plug", tap_goes),
    ("the interface is on another bridge", on_another_bridge),
];

#[test]
fn faults_in_mid_plug() {
    let host = Host::new("faults");
    let domain = Domain::new("a", "lva", 0x0a);
    let guest = host.boot(&[&domain]).pop().unwrap();
    address(&guest, "eth0", "192.0.2.1/24");
    let station = station(&host.ns, "st", "192.0.2.9/24");
    station.address("eth0", "198.51.100.9/24").unwrap();
    done(&host.switch, "add-port br-int st");
    let card = Card::new("lva1", 0x1a);
    let mut scene = Scene {
        guest,
        host,
        station,
        domain,
        card,
    };
    for (name, step) in STEPS {
        let begin = Instant::now();
        scene.host.libvirt.take_calls().unwrap();
        step(&mut scene);
        eventually("the guest is reached", || pings(&scene.station, FIRST));
        println!("{name}: {:.1} s", begin.elapsed().as_secs_f64());
    }
}

/// Nothing listens: the plug fails, and nothing is left of it.
fn switch_is_away(scene: &mut Scene) {
    scene.host.switch.kill().unwrap();
    let plug = scene.begin("attach");
    assert!(!plug.wait_with_output().unwrap().status.success());
    assert!(pings(&scene.station, FIRST), "the kernel goes on");
    scene.host.switch.restart().unwrap();
    assert!(!scene.host.has_port("lva1"));
    scene.host.libvirt.take_calls().unwrap();
    scene.plug_and_unplug();
}

/// The switch takes the connection and doesn't answer: libvirt's time is over, and the switch
/// is killed.
fn switch_stalls(scene: &mut Scene) {
    scene.stall();
    let begin = Instant::now();
    let plug = scene.begin("attach");
    assert!(!plug.wait_with_output().unwrap().status.success());
    let took = begin.elapsed();
    assert!(GIVEN_UP.contains(&took), "{took:?}");
    assert!(pings(&scene.station, FIRST), "the kernel goes on");
    scene.host.switch.kill().unwrap();
    scene.host.switch.restart().unwrap();
    assert!(!scene.host.has_port("lva1"));
    scene.host.libvirt.take_calls().unwrap();
    scene.plug_and_unplug();
}

/// The switch has taken the connection and is killed: the plug fails at once.
fn switch_killed(scene: &mut Scene) {
    scene.stall();
    let plug = scene.begin("attach");
    scene.wait_call();
    scene.host.switch.kill().unwrap();
    scene.expect_refused(plug);
    scene.host.switch.restart().unwrap();
    assert!(!scene.host.has_port("lva1"));
    scene.plug_and_unplug();
}

/// The tap goes with libvirtd; the row stays behind, says so, and serves the next plug.
fn libvirtd_killed(scene: &mut Scene) {
    scene.host.libvirt.hold().unwrap();
    let plug = scene.begin("attach");
    scene.wait_call();
    scene.host.libvirt.kill().unwrap();
    assert!(!plug.wait_with_output().unwrap().status.success());
    scene.host.libvirt.release().unwrap();
    scene.host.take_calls(1);
    assert!(scene.host.has_port("lva1"));
    wait_interface(&scene.host.switch, "lva1", "error", NO_DEVICE);
    assert_eq!(scene.host.interface("lva1", "ofport"), "-1");
    scene.host.libvirt.restart().unwrap();
    scene
        .host
        .expect_calls(&[attach_line(&scene.domain, &scene.domain.cards[0], "")]);
    scene.plug_and_unplug();
}

/// libvirtd finds out by itself whether the card has gone meanwhile.
fn libvirtd_killed_unplugging(scene: &mut Scene) {
    scene.plug();
    scene.host.libvirt.hold().unwrap();
    let unplug = scene.begin("detach");
    scene.wait_call();
    scene.host.libvirt.kill().unwrap();
    // Whether virsh had waited for the guest to let the card go decides what it says.
    unplug.wait_with_output().unwrap();
    scene.host.libvirt.release().unwrap();
    scene.host.libvirt.restart().unwrap();
    eventually("the card is gone", || !scene.has_second_card());
    eventually("the port is gone", || !scene.host.has_port("lva1"));
    assert!(!scene.host.virsh("domiflist a").contains("lva1"));
    eventually("all calls have ended", || {
        let calls = scene.host.libvirt.calls().unwrap();
        calls.iter().all(|call| call.status.is_some())
    });
    scene.host.take_calls(1);
    scene.plug_and_unplug();
}

/// Somebody takes the tap away before the switch is told of it. libvirt leaves the row behind,
/// which says what is wrong and serves the next plug.
fn tap_goes(scene: &mut Scene) {
    scene.host.libvirt.hold().unwrap();
    let plug = scene.begin("attach");
    scene.wait_call();
    scene.host.ns.ip(&["link", "del", "lva1"]).unwrap();
    scene.host.libvirt.release().unwrap();
    assert!(!plug.wait_with_output().unwrap().status.success());
    scene.host.take_calls(1);
    wait_interface(&scene.host.switch, "lva1", "error", NO_DEVICE);
    scene.plug_and_unplug();
}

fn on_another_bridge(scene: &mut Scene) {
    let switch = &scene.host.switch;
    done(switch, "add-br br-other");
    // There is no such device, for which the tool would complain.
    done(switch, "--no-wait add-port br-other lva1");
    let plug = scene.begin("attach");
    scene.expect_refused(plug);
    let switch = &scene.host.switch;
    assert_eq!(done(switch, "list-ports br-other"), "lva1");
    assert!(!scene.host.has_port("lva1"));
    assert_eq!(scene.host.interface("lva1", "external_ids"), "{}");
    done(switch, "del-br br-other");
    scene.plug_and_unplug();
}

impl Scene {
    /// Has virsh do something with the second card, and doesn't wait for its end.
    fn begin(&self, verb: &str) -> Child {
        self.host.begin_device(verb, "a", &self.card)
    }

    /// Waits until `ovs-vsctl` has been called.
    fn wait_call(&self) {
        eventually("ovs-vsctl is called", || {
            !self.host.libvirt.calls().unwrap().is_empty()
        });
    }

    /// Requires that a plug fails, and that it is `ovs-vsctl` that refuses.
    #[track_caller]
    fn expect_refused(&mut self, plug: Child) {
        let output = plug.wait_with_output().unwrap();
        assert!(!output.status.success());
        let stderr = String::from_utf8(output.stderr).unwrap();
        let refused = "Unable to add port lva1 to OVS bridge br-int";
        assert!(stderr.contains(refused), "{stderr}");
        let calls = self.host.libvirt.take_calls().unwrap();
        let statuses: Vec<Option<i32>> = calls.iter().map(|call| call.status).collect();
        assert_eq!(statuses, [Some(1)]);
    }

    /// Stops the switch's daemon in its tracks.
    fn stall(&self) {
        let pid = i32::try_from(self.host.switch.pid().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::STOP).unwrap();
    }

    fn has_second_card(&self) -> bool {
        self.guest
            .run("test -e /sys/class/net/eth1")
            .unwrap()
            .status
            == 0
    }

    fn plug(&mut self) {
        self.host.device("attach", "a", &self.card);
        self.check_plugged();
    }

    fn check_plugged(&mut self) {
        self.host
            .expect_calls(&[attach_line(&self.domain, &self.card, "")]);
        let switch = &self.host.switch;
        wait_interface(switch, "lva1", "error", "[]");
        let mac = format!("\"{}\"", self.card.mac);
        wait_interface(switch, "lva1", "external_ids:attached-mac", &mac);
        wait_interface(switch, "lva1", "external_ids:iface-status", "active");
        eventually("the guest has the card", || self.has_second_card());
        address(&self.guest, "eth1", "198.51.100.1/24");
        eventually("the second card is reached", || {
            pings(&self.station, SECOND)
        });
    }

    fn unplug(&mut self) {
        self.host.device("detach", "a", &self.card);
        let mut lines = unlimited_lines(&self.domain, "lva1");
        lines.push(detach_line("lva1"));
        self.host.expect_calls(&lines);
        assert!(!self.host.has_port("lva1"));
        eventually("the card is gone", || !self.has_second_card());
    }

    fn plug_and_unplug(&mut self) {
        self.plug();
        self.unplug();
    }
}
