//! os-vif, by which OpenStack's compute nodes attach guests, against the running switch.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use aorta_integration::lab::{Wire, python};
use common::python::Served;
use common::{
    LIMIT, column, devices, done, eventually, frame, is_ours, vlan_of, vsctl, wait_interface,
};
use serde_json::{Value, json};

/// What a call of os-vif may take in the middle, and at the longest on a busy machine. Its own limit
/// is two minutes.
const USUAL_MS: f64 = 1000.0;
const LONGEST_MS: f64 = 10_000.0;
/// Identity of the guest's port; names of devices begin with its first digits.
const ID: &str = "de305d54-75b4-431b-adb2-eb6b9e546014";
const MAC: &str = "fa:16:3e:00:00:01";

/// os-vif in a process of its own, beside a switch with the station `w0` on br-int.
struct Cloud {
    script: Child,
    requests: ChildStdin,
    answers: std::io::Lines<BufReader<ChildStdout>>,
    station: Wire,
    times_ms: Vec<f64>,
    served: Served,
}

impl Drop for Cloud {
    fn drop(&mut self) {
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

impl Cloud {
    fn new(label: &str) -> Cloud {
        let python = python().unwrap();
        let served = Served::new(label);
        served.ns.disable_ipv6().unwrap();
        let station = Wire::new(&served.ns, "w0").unwrap();
        done(&served.switch, "add-br br-int -- add-port br-int w0");
        let mut command = served.case(&python, "osvif_driver.py", &[]);
        let mut script = command
            .env("PYTHONWARNINGS", "ignore")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut cloud = Cloud {
            requests: script.stdin.take().unwrap(),
            answers: BufReader::new(script.stdout.take().unwrap()).lines(),
            script,
            station,
            times_ms: Vec::new(),
            served,
        };
        // The first call connects, whatever it does.
        cloud.call("unplug", &tap_vif());
        cloud
    }

    /// Has os-vif do something, which must succeed soon.
    fn does(&mut self, what: &str, vif: &Value) {
        let milliseconds = self.call(what, vif);
        let (class, options) = (&vif["class"], &vif["options"]);
        let profile = &vif["profile"];
        println!("{what} {class} {options} {profile}: {milliseconds:.0} ms");
        if what == "plug" {
            let columns = "--columns=name,type,options,mtu_request,ofport,error,external_ids";
            let rows = self.done(&format!(
                "{columns} --format=csv --no-headings list Interface"
            ));
            let made = rows.lines().filter(|row| row.contains(ID));
            made.for_each(|row| println!("  {row}"));
        }
        self.times_ms.push(milliseconds);
        self.times_ms.sort_by(f64::total_cmp);
        let middle = self.times_ms[(self.times_ms.len() - 1) / 2];
        assert!(
            middle < USUAL_MS && milliseconds < LONGEST_MS,
            "{what} {class}: {:?}",
            self.times_ms
        );
    }

    /// Has os-vif do something, which must succeed; how many milliseconds that took.
    fn call(&mut self, what: &str, vif: &Value) -> f64 {
        let mut request = vif.clone();
        request["do"] = what.into();
        writeln!(self.requests, "{request}").unwrap();
        let answer = self.answers.next().unwrap().unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        answer["ms"].as_f64().unwrap_or_else(|| panic!("{answer}"))
    }

    fn done(&self, words: &str) -> String {
        done(&self.served.switch, words)
    }

    fn get(&self, table: &str, record: &str, name: &str) -> String {
        column(&self.served.switch, table, record, name)
    }

    fn exists(&self, port: &str) -> bool {
        vsctl(&self.served.switch, &format!("port-to-br {port}")).status == 0
    }

    /// Whether frames pass between the guest and the station, both ways.
    fn connects(&self, guest: &Wire) {
        eventually("frames pass from the guest", || {
            passes(guest, &self.station, 1)
        });
        eventually("frames pass to the guest", || {
            passes(&self.station, guest, 2)
        });
    }

    /// What must be true of an interface that os-vif has made for the guest.
    fn carries_the_ids(&self, interface: &str) {
        let ids = self.get("Interface", interface, "external_ids");
        for part in ["attached-mac", MAC, ID, "iface-status=active", "vm-uuid"] {
            assert!(ids.contains(part), "{part} is not in {ids}");
        }
        wait_interface(&self.served.switch, interface, "error", "[]");
    }
}

/// Whether a frame of the test's comes from one to the other.
fn passes(from: &Wire, to: &Wire, source: u8) -> bool {
    to.receive_all();
    from.send(&frame(0xff, source, None)).unwrap();
    to.wait_frame("", LIMIT / 120, is_ours).is_ok()
}

/// A VIF of that class, with what every VIF has.
fn vif(class: &str, fields: Value, profile: Value) -> Value {
    json!({
        "class": class, "id": ID, "mac": MAC, "bridge": "br-int", "mtu": 1450,
        "vif": fields, "profile": profile, "options": [],
    })
}

fn tap_vif() -> Value {
    let fields = json!({"vif_name": "tapde305d54-75", "bridge_name": "br-int"});
    let profile = json!({"datapath_type": "system", "create_port": true, "create_tap": true});
    vif("VIFOpenVSwitch", fields, profile)
}

const TAP: &str = "tapde305d54-75";

#[test]
fn port_and_tap_are_made_and_taken_away() {
    let mut cloud = Cloud::new("osvif");
    let vif = tap_vif();
    cloud.does("plug", &vif);
    let guest = Wire::new(&cloud.served.ns, TAP).unwrap();
    cloud.carries_the_ids(TAP);
    wait_interface(&cloud.served.switch, TAP, "mtu", "1450");
    assert_eq!(cloud.get("Bridge", "br-int", "datapath_type"), "system");
    let qos = cloud.get("Port", TAP, "qos");
    assert_eq!(cloud.get("QoS", &qos, "type"), "linux-noop");
    cloud.connects(&guest);

    // The compute service starts again and plugs what is plugged.
    cloud.does("plug", &vif);
    cloud.connects(&guest);
    assert_eq!(cloud.get("Port", TAP, "qos"), qos);

    drop(guest);
    cloud.does("unplug", &vif);
    assert!(!cloud.exists(TAP));
    assert!(!devices(&cloud.served.ns).contains_key(TAP));
    assert_eq!(cloud.done("--columns=_uuid list QoS"), "");
    cloud.does("unplug", &vif);
}

#[test]
fn the_bridge_alone_is_made_and_libvirt_adds_the_port() {
    let mut cloud = Cloud::new("osvif");
    let mut vif = tap_vif();
    vif["bridge"] = "br-ex".into();
    vif["profile"] = json!({"datapath_type": "system"});
    cloud.does("plug", &vif);
    assert_eq!(cloud.done("list-ports br-ex"), "");
    let guest = Wire::new(&cloud.served.ns, TAP).unwrap();
    let other = Wire::new(&cloud.served.ns, "w1").unwrap();
    cloud.done(&format!(
        "--timeout=5 -- --may-exist add-port br-ex {TAP} -- set Interface {TAP} \
         external-ids:attached-mac=\"{MAC}\" -- add-port br-ex w1"
    ));
    eventually("frames pass", || passes(&guest, &other, 1));
    assert!(!passes(&guest, &cloud.station, 1), "another bridge");
    drop(guest);
    cloud.does("unplug", &vif);
    assert!(!cloud.exists(TAP));
}

#[test]
fn an_isolated_port_reaches_nobody_until_it_has_a_vlan() {
    let mut cloud = Cloud::new("osvif");
    let mut vif = tap_vif();
    vif["options"] = json!(["isolate_vif"]);
    cloud.does("plug", &vif);
    let guest = Wire::new(&cloud.served.ns, TAP).unwrap();
    let port = ["tag", "trunks", "vlan_mode"].map(|name| cloud.get("Port", TAP, name));
    assert_eq!(port, ["4095", "[4095]", "trunk"]);
    wait_interface(&cloud.served.switch, TAP, "link_state", "up");
    for frames in [frame(0xff, 1, None), frame(0xff, 1, Some(5))] {
        guest.send(&frames).unwrap();
        cloud.station.send(&frames).unwrap();
    }
    // What is sent later has overtaken nothing.
    let other = Wire::new(&cloud.served.ns, "w1").unwrap();
    cloud.done("add-port br-int w1");
    eventually("others are connected", || passes(&other, &cloud.station, 3));
    assert!(!cloud.station.receive_all().iter().any(|f| is_ours(f)));
    assert!(!passes(&cloud.station, &guest, 2));

    // Neutron's agent gives it its VLAN.
    cloud.done(&format!(
        "set Port {TAP} tag=5 -- clear Port {TAP} vlan_mode -- clear Port {TAP} trunks \
         -- set Port w0 tag=5"
    ));
    cloud.connects(&guest);
    other.receive_all();
    guest.send(&frame(0xff, 1, None)).unwrap();
    let tagged = other.wait_frame("a trunk gets it too", LIMIT, is_ours);
    assert_eq!(vlan_of(&tagged.unwrap()), Some(5));
    cloud.does("unplug", &vif);
}

#[test]
fn a_linux_bridge_between_guest_and_switch() {
    let mut cloud = Cloud::new("osvif");
    let bridge = "qbrde305d54-75";
    let fields = json!({"vif_name": TAP, "bridge_name": bridge});
    let vif = vif("VIFBridge", fields, json!({"datapath_type": "system"}));
    cloud.does("plug", &vif);
    let port = "qvode305d54-75";
    cloud.carries_the_ids(port);
    wait_interface(&cloud.served.switch, port, "mtu", "1450");
    let guest = Wire::new(&cloud.served.ns, TAP).unwrap();
    let enslave = ["link", "set", "dev", TAP, "master", bridge];
    cloud.served.ns.ip(&enslave).unwrap();
    cloud.connects(&guest);
    cloud.does("plug", &vif);
    cloud.connects(&guest);
    cloud.does("unplug", &vif);
    assert!(!cloud.exists(port));
    let left = devices(&cloud.served.ns);
    let hybrid = |name: &String| name.starts_with("qv") || name.starts_with("qbr");
    assert!(!left.keys().any(hybrid), "{:?}", left.keys());
}

#[test]
fn a_trunk_bridge_goes_with_its_port() {
    let mut cloud = Cloud::new("osvif");
    let mut vif = tap_vif();
    vif["bridge"] = "tbr-6c1b1f4e-5".into();
    cloud.does("plug", &vif);
    cloud.carries_the_ids(TAP);
    let ids = cloud.get("Interface", TAP, "external_ids");
    assert!(ids.contains("bridge_name=tbr-6c1b1f4e-5"), "{ids}");
    // Neutron's agent connects it: the parent untagged, a subport in VLAN 7.
    cloud.done(
        "add-port tbr-6c1b1f4e-5 tpt -- set Interface tpt type=patch options:peer=tpi \
         -- add-port br-int tpi -- set Interface tpi type=patch options:peer=tpt",
    );
    let guest = Wire::new(&cloud.served.ns, TAP).unwrap();
    cloud.connects(&guest);
    drop(guest);
    cloud.done("del-port tpi");
    cloud.does("unplug", &vif);
    assert_eq!(cloud.done("list-br"), "br-int");
}

#[test]
fn a_bridge_for_each_port() {
    let mut cloud = Cloud::new("osvif");
    let mut vif = tap_vif();
    vif["options"] = json!(["per_port_bridge"]);
    cloud.does("plug", &vif);
    let guest = Wire::new(&cloud.served.ns, TAP).unwrap();
    assert_eq!(cloud.done("list-br"), "br-int\npbde305d54-75b");
    cloud.carries_the_ids(&format!("ibp{ID}"));
    cloud.connects(&guest);
    drop(guest);
    cloud.does("unplug", &vif);
    assert_eq!(cloud.done("list-br"), "br-int");
    assert_eq!(cloud.done("list-ports br-int"), "w0");
}

#[test]
fn vhost_user_is_refused_with_what_to_use_instead() {
    let mut cloud = Cloud::new("osvif");
    for (mode, kind) in [
        ("client", "dpdkvhostuser"),
        ("server", "dpdkvhostuserclient"),
    ] {
        let name = "vhude305d54-75";
        let fields = json!({"path": "/run/vhu", "mode": mode, "vif_name": name});
        let mut vif = vif("VIFVHostUser", fields, json!({"datapath_type": "netdev"}));
        vif["bridge"] = "br-user".into();
        cloud.does("plug", &vif);
        assert_eq!(cloud.get("Interface", name, "type"), kind);
        assert_eq!(cloud.get("Interface", name, "mtu_request"), "1450");
        assert_eq!(cloud.get("Interface", name, "ofport"), "-1");
        let error = cloud.get("Interface", name, "error");
        assert!(error.contains("tap with vhost-net"), "{error}");
        cloud.does("unplug", &vif);
        assert!(!cloud.exists(name));
    }
}

#[test]
fn a_representor_is_a_port_and_one_in_user_space_is_told_why_not() {
    let mut cloud = Cloud::new("osvif");
    let guest = Wire::new(&cloud.served.ns, "pf0vf3").unwrap();
    let fields = json!({"dev_type": "ethernet", "dev_address": "0000:03:00.5"});
    let mut vif = vif("VIFHostDevice", fields, json!({"datapath_type": "system"}));
    vif["representor"] = "pf0vf3".into();
    cloud.does("plug", &vif);
    cloud.carries_the_ids("pf0vf3");
    cloud.connects(&guest);
    cloud.does("unplug", &vif);
    assert!(!cloud.exists("pf0vf3"));
    assert!(
        devices(&cloud.served.ns).contains_key("pf0vf3"),
        "the NIC's"
    );

    vif["profile"] = json!({"datapath_type": "netdev"});
    vif["bridge"] = "br-user".into();
    cloud.does("plug", &vif);
    let port = cloud.done("list-ports br-user");
    let options = cloud.get("Interface", &port, "options");
    assert!(
        options.contains("0000:03:00.0,representor=[3]"),
        "{options}"
    );
    let error = cloud.get("Interface", &port, "error");
    assert!(error.contains("kernel driver"), "{error}");
    cloud.does("unplug", &vif);
    assert!(!cloud.exists(&port));
}
