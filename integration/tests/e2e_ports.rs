//! Ports come, change and go with their devices.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use aorta_integration::lab::{Netns, Switch};
use common::{
    Bed, RIGHT, column, devices, done, eventually, pings, port, station, status, vsctl,
    wait_interface,
};

/// A device's index as ip(8) tells it.
fn ifindex(ns: &Netns, device: &str) -> String {
    let shown = ns.ip(&["-j", "link", "show", "dev", device]).unwrap();
    let shown: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    shown[0]["ifindex"].to_string()
}

#[test]
fn a_device_is_attached_when_it_appears_and_taken_back_when_it_returns() {
    let mut bed = Bed::new("appear");
    let added = vsctl(&bed.switch, "add-port br0 vc");
    assert_eq!(added.status, 65, "the database is written: {added:?}");
    assert_eq!(column(&bed.switch, "Interface", "vc", "ofport"), "-1");
    let error = column(&bed.switch, "Interface", "vc", "error");
    assert!(
        error.contains("vc") && error.contains("No such device"),
        "{error}"
    );

    bed.undisturbed(|bed| {
        let mut number = None;
        for _ in 0..2 {
            let third = station(&bed.ns, "vc", "192.0.2.3/24");
            wait_interface(&bed.switch, "vc", "error", "[]");
            let index = ifindex(&bed.ns, "vc");
            wait_interface(&bed.switch, "vc", "ifindex", &index);
            let ofport = column(&bed.switch, "Interface", "vc", "ofport");
            assert_eq!(number.get_or_insert(ofport.clone()), &ofport);
            assert_ne!(ofport, "-1");
            // This way round: left's ARP table may still know the station's former address.
            eventually("the new station reaches left", || {
                pings(&third, "192.0.2.1")
            });
            bed.ns.ip(&["link", "del", "dev", "vc"]).unwrap();
            wait_interface(&bed.switch, "vc", "ofport", "-1");
            wait_interface(&bed.switch, "vc", "link_state", "[]");
            assert!(column(&bed.switch, "Interface", "vc", "error").contains("No such device"));
            drop(third);
        }
    });
}

#[test]
fn what_becomes_of_a_device_is_written_back() {
    let bed = Bed::new("states");
    let (switch, ns) = (&bed.switch, &bed.ns);
    let set = |args: &[&str]| {
        ns.ip(&[&["link", "set", "dev", "vb"], args].concat())
            .unwrap();
    };
    wait_interface(switch, "vb", "ifindex", &ifindex(ns, "vb"));
    set(&["down"]);
    wait_interface(switch, "vb", "admin_state", "down");
    wait_interface(switch, "vb", "link_state", "down");
    set(&["up"]);
    wait_interface(switch, "vb", "admin_state", "up");
    wait_interface(switch, "vb", "link_state", "up");
    wait_interface(switch, "vb", "link_resets", "2");
    bed.wait_connected();

    // The other end alone takes the carrier away.
    let other = |state| {
        bed.right
            .ip(&["link", "set", "dev", "eth0", state])
            .unwrap()
    };
    other("down");
    wait_interface(switch, "vb", "link_state", "down");
    assert_eq!(column(switch, "Interface", "vb", "admin_state"), "up");
    other("up");
    wait_interface(switch, "vb", "link_state", "up");

    set(&["mtu", "1400"]);
    wait_interface(switch, "vb", "mtu", "1400");
    set(&["address", "02:11:22:33:44:55"]);
    wait_interface(switch, "vb", "mac_in_use", "\"02:11:22:33:44:55\"");
    bed.wait_connected();
}

#[test]
fn a_requested_mtu_is_set_and_the_bridge_follows_its_smallest_port() {
    let bed = Bed::new("mtu");
    done(&bed.switch, "set Interface vb mtu_request=1300");
    wait_interface(&bed.switch, "vb", "mtu", "1300");
    wait_interface(&bed.switch, "br0", "mtu", "1300");
    let fits = |size: &str| {
        let args = ["ping", "-c", "1", "-W", "1", "-M", "do", "-s", size, RIGHT];
        bed.left.run(&args).unwrap().status == 0
    };
    eventually("a ping of 1300 bytes passes", || fits("1272"));
    // As Linux bridges do, the switch leaves room for a VLAN tag beyond the MTU.
    assert!(!fits("1277"), "more than the port takes");
    let drops = port(&bed.switch, "va").drops;
    assert_eq!(drops.values().sum::<u64>(), 1, "{drops:?}");
}

#[test]
fn statistics_are_those_of_the_device() {
    let bed = Bed::new("stats");
    done(
        &bed.switch,
        "set Open_vSwitch . other_config:stats-update-interval=200",
    );
    let before = port(&bed.switch, "va");
    for _ in 0..5 {
        assert!(pings(&bed.left, RIGHT));
    }
    let after = port(&bed.switch, "va");
    assert!(
        after.rx_packets >= before.rx_packets + 5,
        "{before:?} {after:?}"
    );
    assert!(after.tx_bytes >= before.tx_bytes + 5 * 98);
    for (key, name) in [("rx_packets", "rx_packets"), ("tx_bytes", "tx_bytes")] {
        eventually("the column has the device's counter", || {
            let path = format!("/sys/class/net/va/statistics/{name}");
            // A mount of its own shows the namespace's devices.
            let script = format!("mount -t sysfs sysfs /sys && cat {path}");
            let args = ["unshare", "-m", "sh", "-c", &script];
            let device = bed.ns.run(&args).unwrap().ok().unwrap().stdout;
            let stored = done(
                &bed.switch,
                &format!("--if-exists get Interface va statistics:{key}"),
            );
            stored == device.trim()
        });
    }
}

#[test]
fn internal_ports_carry_addresses_of_the_host() {
    let bed = Bed::new("internal");
    done(
        &bed.switch,
        "add-port br0 in0 -- set Interface in0 type=internal",
    );
    for (device, address) in [("br0", "192.0.2.10/24"), ("in0", "198.51.100.10/24")] {
        bed.ns.address(device, address).unwrap();
        bed.ns.ip(&["link", "set", "dev", device, "up"]).unwrap();
        wait_interface(&bed.switch, device, "link_state", "up");
    }
    bed.left.address("eth0", "198.51.100.1/24").unwrap();
    eventually("left reaches LOCAL", || pings(&bed.left, "192.0.2.10"));
    eventually("the host reaches right", || pings(&bed.ns, RIGHT));
    eventually("left reaches in0", || pings(&bed.left, "198.51.100.10"));
    assert_eq!(column(&bed.switch, "Interface", "br0", "ofport"), "65534");

    // The device can be given to a container, and is still the port.
    let container = Netns::new("container").unwrap();
    bed.ns
        .ip(&["link", "set", "dev", "in0", "netns", container.name()])
        .unwrap();
    container.address("in0", "198.51.100.11/24").unwrap();
    container.ip(&["link", "set", "dev", "in0", "up"]).unwrap();
    eventually("left reaches the container", || {
        pings(&bed.left, "198.51.100.11")
    });
    done(&bed.switch, "del-port in0");
    eventually("the device is gone", || {
        !devices(&container).contains_key("in0")
    });
}

/// Left on the bridge `brl` and right on `brr`, which nothing connects yet.
fn two_bridges(label: &str) -> Bed {
    let ns = Netns::new(label).unwrap();
    ns.disable_ipv6().unwrap();
    let bed = Bed {
        left: station(&ns, "va", "192.0.2.1/24"),
        right: station(&ns, "vb", "192.0.2.2/24"),
        switch: Switch::start(&ns).unwrap(),
        ns,
    };
    done(
        &bed.switch,
        "add-br brl -- add-port brl va -- add-br brr -- add-port brr vb",
    );
    assert!(!pings(&bed.left, RIGHT));
    bed
}

#[test]
fn patch_ports_connect_two_bridges_as_soon_as_both_are_there() {
    let bed = two_bridges("patch");
    let make = |bridge: &str, name: &str, peer: &str| {
        format!("add-port {bridge} {name} -- set Interface {name} type=patch options:peer={peer}")
    };
    let both = format!("{} -- {}", make("brl", "pl", "pr"), make("brr", "pr", "pl"));
    done(&bed.switch, &both);
    bed.wait_connected();
    let counted = port(&bed.switch, "pr");
    assert!(counted.rx_packets > 0, "{counted:?}");

    // Without its peer a patch port is still a port, and no error.
    done(&bed.switch, "del-port pr");
    assert_eq!(column(&bed.switch, "Interface", "pl", "error"), "[]");
    assert_ne!(column(&bed.switch, "Interface", "pl", "ofport"), "-1");
    assert!(!pings(&bed.left, RIGHT));
    done(&bed.switch, &make("brr", "pr", "pl"));
    bed.wait_connected();

    // Anew, each end in a transaction of its own.
    done(&bed.switch, "del-port pl -- del-port pr");
    assert!(!pings(&bed.left, RIGHT));
    done(&bed.switch, &make("brr", "pr", "pl"));
    assert!(!pings(&bed.left, RIGHT));
    done(&bed.switch, &make("brl", "pl", "pr"));
    bed.wait_connected();
    assert!(status(&bed.switch).problems.is_empty());
}

#[test]
fn a_released_device_is_as_it_was_given() {
    let mut bed = Bed::new("release");
    let set = |args: &[&str]| {
        bed.ns
            .ip(&[&["link", "set", "dev"], args].concat())
            .unwrap();
    };
    for device in ["p0", "p1"] {
        bed.ns.tap(device).unwrap();
    }
    set(&["p0", "promisc", "on", "mtu", "1450"]);
    set(&["p0", "address", "02:00:00:00:0a:0b"]);
    set(&["p1", "down"]);
    bed.ns.address("p0", "203.0.113.1/24").unwrap();
    let before = devices(&bed.ns);
    bed.undisturbed(|bed| {
        done(&bed.switch, "add-port br0 p0 -- add-port br0 p1");
        done(&bed.switch, "del-port br0 p0 -- del-port br0 p1");
        let after = devices(&bed.ns);
        for device in ["p0", "p1"] {
            assert_eq!(after[device], before[device], "{device}");
        }
        done(&bed.switch, "add-br br1 -- add-port br1 p0");
        assert!(devices(&bed.ns).contains_key("br1"));
        done(&bed.switch, "del-br br1");
        let names = |of: &std::collections::BTreeMap<String, _>| -> Vec<String> {
            of.keys().cloned().collect()
        };
        let after = devices(&bed.ns);
        assert_eq!(names(&after), names(&before));
        assert_eq!(after["p0"], before["p0"]);
    });
}

#[test]
fn a_port_that_moves_to_another_bridge_leaves_the_first() {
    let bed = two_bridges("moves");
    done(&bed.switch, "del-port vb -- add-port brl vb");
    bed.wait_connected();
    done(&bed.switch, "del-port vb -- add-port brr vb");
    assert!(!pings(&bed.left, RIGHT));
}
