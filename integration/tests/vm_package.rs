//! The package on a host of Debian's that has its libvirt and its Open vSwitch, with guests that
//! run meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;
use std::time::Instant;

use aorta_integration::lab::{Card, Domain, Guest, GuestAgent, Machine};
use common::eventually;
use common::libvirt::{address, guest_pings, reaches, said as answers};
use common::package::{install, package, said};

/// What Debian calls libvirt, its guests' machines, and the switch that is replaced.
const PACKAGES: [&str; 4] = [
    "libvirt-daemon-system",
    "libvirt-clients",
    "qemu-system-x86",
    "openvswitch-switch",
];
/// Where the host has the guests' kernel and initramfs, for every user to read.
const BOOT_FILES: [&str; 2] = [
    "/var/lib/libvirt/images/vmlinuz",
    "/var/lib/libvirt/images/initramfs",
];
/// Address of the second guest.
const B: &str = "192.0.2.2";

/// A host with two guests.
struct Scene {
    // Dropped first: connections to the guests.
    guest_a: GuestAgent,
    guest_b: GuestAgent,
    host: Machine,
    a: Domain,
    b: Domain,
}

/// Something that an operator does. The guests reach each other before and after.
type Step = fn(&mut Scene);

/// What operators do once the package is there, one after the other.
const STEPS: [(&str, Step); 8] = [
    ("systemctl restart aorta", switch_restarted),
    ("systemctl restart libvirtd", libvirtd_restarted),
    ("virsh update-device: VLANs", vlans_change),
    ("virsh attach-device, detach-device", plugged),
    ("virsh domiftune", bandwidth),
    ("virsh managedsave, start", saved),
    ("virsh destroy, start", destroyed),
    ("apt-get purge openvswitch-switch", purged),
];

#[test]
fn guests_of_debians_libvirt_stay_when_the_package_takes_open_vswitchs_place() {
    let dir = tempfile::tempdir().unwrap();
    let package = package(dir.path(), "1.0");
    let mut scene = told("guests on Open vSwitch", Scene::on_open_vswitch);
    told("apt-get install aorta", || replaced(&mut scene, &package));
    for (name, step) in STEPS {
        told(name, || step(&mut scene));
        reaches(&scene.guest_a, B);
    }
    println!("{}", said(&scene.host, "ovs-vsctl show; virsh list --all"));
    said(&scene.host, "virsh destroy a && virsh destroy b");
    assert_eq!(said(&scene.host, "ovs-vsctl list-ports br-int"), "");
}

/// Does a step and tells how long it took.
fn told<T>(name: &str, step: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let result = step();
    println!("{name}: {:.1} s", begin.elapsed().as_secs_f64());
    result
}

impl Scene {
    /// Two guests that libvirt attached to a bridge of Open vSwitch's.
    fn on_open_vswitch() -> Scene {
        let host = Machine::boot_with(&PACKAGES).unwrap();
        let image = Guest::image().unwrap();
        for (from, to) in [&image.kernel, &image.initramfs]
            .into_iter()
            .zip(BOOT_FILES)
        {
            host.put(from, to).unwrap();
        }
        // The kernel may have no datapath of Open vSwitch's.
        said(
            &host,
            "ovs-vsctl add-br br-int -- set Bridge br-int datapath_type=netdev external_ids:kept=yes",
        );
        let (mut a, b) = (Domain::new("a", "lva", 0x0a), Domain::new("b", "lvb", 0x0b));
        a.cards[0].more =
            "<vlan trunk='yes'><tag id='42'/><tag id='7' nativeMode='untagged'/></vlan>".to_owned();
        let mut b = b;
        b.cards[0].more = "<vlan><tag id='7'/></vlan>".to_owned();
        let start = |domain: &Domain| {
            let xml = domain.xml_booting(image, BOOT_FILES.map(Path::new));
            put_text(&host, &format!("{}.xml", domain.name), &xml);
            let name = &domain.name;
            said(
                &host,
                &format!("virsh define /root/{name}.xml && virsh start {name}"),
            );
            GuestAgent::on(&host, name).unwrap()
        };
        let (guest_a, guest_b) = (start(&a), start(&b));
        for (guest, at) in [(&guest_a, "192.0.2.1/24"), (&guest_b, "192.0.2.2/24")] {
            guest.wait_ready().unwrap();
            address(guest, "eth0", at);
        }
        reaches(&guest_a, B);
        Scene {
            guest_a,
            guest_b,
            host,
            a,
            b,
        }
    }

    /// Runs a line on the host, which must succeed.
    #[track_caller]
    fn said(&self, line: &str) -> String {
        said(&self.host, line)
    }

    /// What `get` prints of the first guest's port.
    #[track_caller]
    fn port(&self, column: &str) -> String {
        self.said(&format!("ovs-vsctl get Port lva {column}"))
    }

    /// `virsh attach-device`, `update-device` or `detach-device` with a card of the first guest's.
    fn device(&self, verb: &str, card: &Card) {
        put_text(&self.host, "card.xml", &card.xml());
        self.said(&format!("virsh {verb}-device a /root/card.xml --live"));
    }

    /// Pings that go on while something is done, and how many of them are lost.
    fn lost_pings(&self, seconds: u32, what: impl FnOnce(&Scene)) -> u32 {
        let count = seconds * 5;
        let ping = format!("ping -c {count} -i 0.2 {B} || true");
        std::thread::scope(|scope| {
            let pings = scope.spawn(|| answers(&self.guest_a, &ping));
            what(self);
            let told = pings.join().unwrap();
            let received = told.split(" packets received").next().unwrap();
            let received = received.split_whitespace().next_back().unwrap();
            count - received.parse::<u32>().unwrap_or_else(|_| panic!("{told}"))
        })
    }
}

/// Writes a file into the host's `/root`.
fn put_text(host: &Machine, name: &str, text: &str) {
    std::fs::write(host.path(&format!("/root/{name}")), text).unwrap();
}

/// The guests run on; their ports and what else the database has are the new switch's.
fn replaced(scene: &mut Scene, package: &Path) {
    let lost = scene.lost_pings(30, |scene| {
        let told = install(&scene.host, &[package]);
        assert!(told.contains("Removing openvswitch-switch"), "{told}");
    });
    println!(
        "the guests had no network for {:.1} s",
        f64::from(lost) / 5.0
    );
    reaches(&scene.guest_a, B);
    let state = "dpkg-query -W -f '${Package} ${db:Status-Status}\\n' | grep -E '^(openv|aorta|libvirt-daemon-s)'";
    assert_eq!(
        scene.said(state),
        "aorta installed\nlibvirt-daemon-system installed\nlibvirt-daemon-system-systemd installed\n\
         openvswitch-common installed\nopenvswitch-switch config-files"
    );
    assert_eq!(
        scene.said("virsh list --name | sort | xargs"),
        "a b",
        "the guests run"
    );
    assert_eq!(
        scene.said("ovs-vsctl get Bridge br-int external_ids:kept"),
        "yes"
    );
    assert_eq!(
        ["tag", "trunks", "vlan_mode"].map(|column| scene.port(column)),
        ["7", "[7, 42]", "native-untagged"]
    );
    // Where Open vSwitch had a tap.
    eventually("the bridge's own port is there", || {
        scene.said("ovs-vsctl get Interface br-int error") == "[]"
    });
    assert!(!scene.said("ip -br link").contains("ovs-netdev"));
    let hook = scene.said("ovs-vsctl get Interface lva status:aorta-hook");
    assert_eq!(hook, "tcx");
    let status = scene.said("vsctl status");
    assert!(status.contains("datapath kernel: ok"), "{status}");
}

fn switch_restarted(scene: &mut Scene) {
    let lost = scene.lost_pings(6, |scene| {
        scene.said("systemctl restart openvswitch-switch && systemctl is-active aorta");
    });
    assert_eq!(lost, 0);
}

fn libvirtd_restarted(scene: &mut Scene) {
    let lost = scene.lost_pings(6, |scene| {
        scene.said("systemctl restart libvirtd && virsh domstate a");
    });
    assert_eq!(lost, 0);
}

fn vlans_change(scene: &mut Scene) {
    scene.device(
        "update",
        &Card::new("lva", 0x0a).with("<vlan><tag id='8'/></vlan>"),
    );
    assert_eq!(scene.port("tag"), "8");
    assert!(!guest_pings(&scene.guest_a, B), "not in VLAN 7");
    let card = &scene.a.cards[0];
    scene.device("update", card);
    assert_eq!(scene.port("vlan_mode"), "native-untagged");
}

fn plugged(scene: &mut Scene) {
    let card = Card::new("lva1", 0x1a).with("<vlan><tag id='7'/></vlan>");
    scene.device("attach", &card);
    eventually("the guest has the card", || {
        scene
            .guest_a
            .run("test -e /sys/class/net/eth1")
            .unwrap()
            .status
            == 0
    });
    answers(&scene.guest_a, "ip link set eth0 down");
    address(&scene.guest_a, "eth1", "192.0.2.3/24");
    reaches(&scene.guest_a, B);
    scene.device("detach", &card);
    eventually("the port is gone", || {
        !scene.said("ovs-vsctl list-ports br-int").contains("lva1")
    });
    answers(&scene.guest_a, "ip link set eth0 up");
}

fn bandwidth(scene: &mut Scene) {
    let classes = |scene: &Scene| scene.said("ovs-appctl qos/show lva");
    scene.said("virsh domiftune a lva --inbound 1500,3000,600 --outbound 800,0,400 --live");
    eventually("the tap has the rates", || {
        classes(scene).contains("max-rate: 24000000")
    });
    let get = "ovs-vsctl get Interface lva ingress_policing_rate";
    assert_eq!(scene.said(get), "6400");
    reaches(&scene.guest_a, B);
    scene.said("virsh domiftune a lva --inbound 0 --outbound 0 --live");
    assert_eq!(scene.port("qos"), "[]");
    assert_eq!(scene.said(get), "0");
}

fn saved(scene: &mut Scene) {
    scene.said("virsh managedsave a");
    assert_eq!(scene.said("ovs-vsctl list-ports br-int"), "lvb");
    scene.said("virsh start a");
    scene.guest_a = GuestAgent::on(&scene.host, "a").unwrap();
}

fn destroyed(scene: &mut Scene) {
    scene.said("virsh destroy b");
    assert_eq!(scene.said("ovs-vsctl list-ports br-int"), "lva");
    scene.said("virsh start b");
    scene.guest_b = GuestAgent::on(&scene.host, &scene.b.name).unwrap();
    scene.guest_b.wait_ready().unwrap();
    address(&scene.guest_b, "eth0", "192.0.2.2/24");
}

/// What is left of Open vSwitch's package goes, and the database stays.
fn purged(scene: &mut Scene) {
    scene.said("apt-get purge -y openvswitch-switch");
    scene.said("systemctl restart aorta");
    assert_eq!(
        scene.said("ovs-vsctl get Bridge br-int external_ids:kept"),
        "yes"
    );
}
