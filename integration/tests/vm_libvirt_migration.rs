//! A guest that moves between two hosts, each with a libvirtd and a switch of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use aorta_integration::lab::{Domain, Netns, Output};
use common::libvirt::{Host, address, attach_line, detach_line, guest_pings};
use common::{done, eventually, fdb, pings, station};
use rustix::process::{Pid, Signal, kill_process};

/// The guest's address.
const GUEST: &str = "192.0.2.1";
/// What a controller keeps with the port, and must come along. It needs quotes on the way.
const PORT_DATA: &str = r#""{\"zone\":7}""#;
/// How many pings of a hundred a second may be lost while a busy machine moves the guest.
const MOST_LOST: u64 = 1000;
/// Longest time, after libvirt has said that the guest has moved, until a switch knows where.
const ANNOUNCED: Duration = Duration::from_secs(1);

/// Two hosts whose switches have a link between them, and beside that another for libvirt.
/// A station is on each switch.
struct Scene {
    hosts: [Host; 2],
    stations: [Netns; 2],
    guest: Domain,
    // Where it is.
    at: usize,
}

impl Scene {
    fn new() -> Scene {
        let hosts = [Host::new("left"), Host::new("right")];
        hosts[0].ns.veth("up0", &hosts[1].ns, "up1").unwrap();
        hosts[0].ns.veth("mg0", &hosts[1].ns, "mg1").unwrap();
        for (n, host) in hosts.iter().enumerate() {
            host.ns
                .address(&format!("mg{n}"), &format!("198.51.100.{n}/24"))
                .unwrap();
        }
        let stations = [0, 1].map(|n: usize| {
            let host = &hosts[n];
            let station = station(&host.ns, "st", &format!("192.0.2.{}/24", 100 + n));
            done(
                &host.switch,
                &format!("add-port br-int up{n} -- add-port br-int st"),
            );
            station
        });
        Scene {
            hosts,
            stations,
            guest: Domain::new("a", "lva", 0x0a),
            at: 0,
        }
    }

    /// Has libvirt migrate the guest to the other host.
    fn try_migrate(&self) -> Output {
        let to = 1 - self.at;
        let (uri, way) = (
            self.hosts[to].libvirt.uri(),
            format!("tcp://198.51.100.{to}"),
        );
        let options = ["migrate", "--live", "--persistent", "--undefinesource"];
        let words = [&options[..], &["a", &uri, "--migrateuri", &way]].concat();
        self.hosts[self.at].libvirt.virsh(&words).unwrap()
    }

    fn migrate(&mut self) {
        self.try_migrate().ok().unwrap();
        self.at = 1 - self.at;
    }

    /// The port at which a host's switch has learned the guest.
    fn learned_at(&self, host: usize) -> Option<String> {
        let mac = &self.guest.cards[0].mac;
        let entries = fdb(&self.hosts[host].switch, "br-int");
        entries
            .into_iter()
            .find(|entry| entry.mac == *mac)
            .map(|entry| entry.port)
    }
}

/// A running ping(8), a hundred times a second.
struct Pings(Child);

impl Pings {
    fn start(from: &Netns) -> Pings {
        let mut command = from.command("ping");
        command
            .args(["-q", "-i", "0.01", GUEST])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        Pings(command.spawn().unwrap())
    }

    /// How many were sent and how many of them got no answer.
    fn finish(self) -> (u64, u64) {
        let pid = i32::try_from(self.0.id())
            .ok()
            .and_then(Pid::from_raw)
            .unwrap();
        kill_process(pid, Signal::INT).unwrap();
        let output = self.0.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let numbers = text
            .lines()
            .find(|line| line.contains("packets transmitted"))
            .unwrap();
        let numbers: Vec<u64> = numbers
            .split([' ', ','])
            .filter_map(|word| word.parse().ok())
            .collect();
        (numbers[0], numbers[0] - numbers[1])
    }
}

#[test]
fn guest_moves_between_hosts() {
    let mut scene = Scene::new();
    let guest = scene.hosts[0].boot(&[&scene.guest]).pop().unwrap();
    address(&guest, "eth0", "192.0.2.1/24");
    drop(guest);
    let attached = attach_line(&scene.guest, &scene.guest.cards[0], "");
    scene.hosts[0].expect_calls(std::slice::from_ref(&attached));
    let set = format!("set Interface lva external_ids:PortData={PORT_DATA}");
    done(&scene.hosts[0].switch, &set);
    stays_where_it_is(&mut scene, &attached);
    moves_under_traffic(&mut scene, &attached);
    announces_itself(&mut scene);
}

/// Where the other host has no running switch the guest doesn't come, and loses nothing.
fn stays_where_it_is(scene: &mut Scene, attached: &str) {
    scene.hosts[1].switch.terminate().unwrap();
    let running = Pings::start(&scene.stations[0]);
    let output = scene.try_migrate();
    assert_ne!(output.status, 0);
    assert!(output.stderr.contains("lva"), "{output:?}");
    let (sent, lost) = running.finish();
    assert!(sent > 0 && lost == 0, "{lost} of {sent} lost");
    scene.hosts[1].switch.restart().unwrap();
    let calls = scene.hosts[1].libvirt.take_calls().unwrap();
    assert_eq!(calls[0].args.join(" "), attached);
    assert!(calls.iter().all(|call| call.status != Some(0)), "{calls:?}");
    assert!(!scene.hosts[1].has_port("lva"));
    scene.hosts[0].expect_calls(&[]);
}

fn moves_under_traffic(scene: &mut Scene, attached: &str) {
    let running = scene.stations.each_ref().map(Pings::start);
    scene.migrate();
    for station in &scene.stations {
        eventually("the guest is reached", || pings(station, GUEST));
    }
    for (n, pings) in running.into_iter().enumerate() {
        let (sent, lost) = pings.finish();
        println!("to a guest that moved, from station {n}: {lost} of {sent} pings lost");
        assert!(lost < MOST_LOST, "{lost} of {sent} lost");
    }
    let get = "--timeout=5 --if-exists get Interface lva external_ids:PortData";
    scene.hosts[0].expect_calls(&[get.to_owned(), detach_line("lva")]);
    let set = format!("--timeout=5 set Interface lva external_ids:PortData={PORT_DATA}");
    scene.hosts[1].expect_calls(&[attached.to_owned(), set]);
    assert!(!scene.hosts[0].has_port("lva"));
    assert_eq!(
        scene.hosts[1].interface("lva", "external_ids:PortData"),
        PORT_DATA
    );
    assert_eq!(scene.learned_at(0).as_deref(), Some("up0"));
    assert_eq!(scene.learned_at(1).as_deref(), Some("lva"));
}

/// Both switches know at once where a guest is that nobody speaks to.
fn announces_itself(scene: &mut Scene) {
    scene.migrate();
    let begin = Instant::now();
    eventually("both switches know", || {
        scene.learned_at(0).as_deref() == Some("lva")
            && scene.learned_at(1).as_deref() == Some("up1")
    });
    let waited = begin.elapsed();
    println!("both switches knew {waited:.1?} after libvirt");
    assert!(waited < ANNOUNCED, "{waited:?}");
    let said = scene.hosts[0].libvirt.agent("a").unwrap();
    assert!(guest_pings(&said, "192.0.2.101"));
}
