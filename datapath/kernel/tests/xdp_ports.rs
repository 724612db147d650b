//! Ports with XDP on real veths: traffic between two namespaces, settings that change, flows that
//! change, daemons that come and go. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod flow_lab;
mod lab;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};

use aorta_flow::{
    Attachment, IfIndex, OfPort, Port, PortGuard, PortHook, PriorityTags, Restrictions,
};
use aorta_kernel::Datapath;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use flow_lab::{Flows, apply, bridge};
use lab::{Lab, run};

const ADDRESSES: [&str; 2] = ["10.99.0.1", "10.99.0.2"];
const FORWARDING: [&str; 2] = [
    "cookie=1,in_port=1 actions=output:2",
    "cookie=2,in_port=2 actions=output:1",
];

/// Two namespaces, each behind a veth whose other end is a port.
struct Veths {
    lab: Lab,
    far: [String; 2],
    near: [IfIndex; 2],
}

impl Veths {
    fn new(test: &str) -> Veths {
        let lab = Lab::new(test);
        let pid = std::process::id();
        let far = [1, 2].map(|n| format!("aox{pid}-{test}{n}"));
        let near = [0, 1].map(|n| {
            let (here, there) = (name(n), format!("far{n}"));
            run("ip", &["netns", "add", &far[n]]);
            let peer = ["peer", "name", &there, "netns", &far[n]];
            run(
                "ip",
                &[&["link", "add", &here, "type", "veth"], &peer[..]].concat(),
            );
            run("ip", &["link", "set", &here, "up"]);
            let address = format!("{}/24", ADDRESSES[n]);
            run(
                "ip",
                &["-n", &far[n], "addr", "add", &address, "dev", &there],
            );
            run("ip", &["-n", &far[n], "link", "set", &there, "up"]);
            let offloads = ["tx", "off", "tso", "off", "txvlan", "off", "gro", "on"];
            let ethtool = [
                &["netns", "exec", &far[n], "ethtool", "-K", &there],
                &offloads[..],
            ];
            run("ip", &ethtool.concat());
            index_of(&here)
        });
        Veths { lab, far, near }
    }

    fn port(&self, n: usize, hook: PortHook) -> Port {
        Port {
            hook,
            ..Port::new(
                name(n).as_str().into(),
                OfPort(n as u16 + 1),
                Attachment::Netdev {
                    ifindex: self.near[n],
                    up: true,
                    mtu_bytes: 1500,
                },
            )
        }
    }

    fn apply(&self, datapath: &mut Datapath, hooks: [PortHook; 2]) {
        let ports = [0, 1].map(|n| self.port(n, hooks[n]));
        apply(datapath, vec![bridge("br0", ports.to_vec())]);
    }

    /// Pings from the first namespace to the second, so many times.
    fn ping(&self, count: u32) -> Child {
        let count = count.to_string();
        let args = [
            "netns",
            "exec",
            &self.far[0],
            "ping",
            "-q",
            "-n",
            "-i",
            "0.01",
            "-W",
            "1",
        ];
        Command::new("ip")
            .args(args)
            .args(["-c", &count, ADDRESSES[1]])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn lost(&self, ping: Child) -> u32 {
        let output = ping.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let loss = text.split(',').find(|part| part.contains("packet loss"));
        let percent = loss.unwrap().split('%').next().unwrap().trim().to_owned();
        percent.parse::<f64>().unwrap().ceil() as u32
    }

    /// Sends bytes by TCP from the first namespace to the second.
    fn tcp(&self, bytes: usize) -> usize {
        let enter = |far: &str| {
            let netns = std::fs::File::open(format!("/run/netns/{far}")).unwrap();
            move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        };
        std::thread::scope(|scope| {
            let (ready, port) = std::sync::mpsc::channel();
            let taker = scope.spawn(move || {
                enter(&self.far[1]);
                let listener = TcpListener::bind((ADDRESSES[1], 0)).unwrap();
                ready.send(listener.local_addr().unwrap().port()).unwrap();
                let mut all = Vec::new();
                listener.accept().unwrap().0.read_to_end(&mut all).unwrap()
            });
            scope.spawn(move || {
                enter(&self.far[0]);
                let to = (ADDRESSES[1], port.recv().unwrap());
                let mut stream = TcpStream::connect(to).unwrap();
                stream.write_all(&vec![7; bytes]).unwrap();
            });
            taker.join().unwrap()
        })
    }
}

impl Drop for Veths {
    fn drop(&mut self) {
        for far in &self.far {
            let _ = Command::new("ip").args(["netns", "del", far]).status();
        }
    }
}

fn index_of(device: &str) -> IfIndex {
    let output = Command::new("ip")
        .args(["-o", "link", "show", device])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    IfIndex::new(text.split(':').next().unwrap().parse().unwrap()).unwrap()
}

fn name(n: usize) -> String {
    format!("near{n}")
}

/// Frames that XDP programs of a port redirected, as its driver counts them.
fn redirected(n: usize) -> u64 {
    let output = Command::new("ethtool")
        .args(["-S", &name(n)])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| line.contains("xdp_redirect:"));
    lines
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}

fn hook(datapath: &Datapath, n: usize) -> (&'static str, String) {
    let hook = datapath.hook(&name(n).as_str().into()).unwrap();
    (hook.name, hook.reason)
}

/// Gives all ports programs with the tables in them.
fn tailor(datapath: &mut Datapath) {
    while datapath.tailor_port().unwrap() {}
}

const NATIVE: [PortHook; 2] = [PortHook::XdpNative; 2];

#[test]
fn native_xdp_forwards_between_veths() {
    let veths = Veths::new("xn");
    let mut datapath = veths.lab.datapath();
    veths.apply(&mut datapath, NATIVE);
    let (at, why) = hook(&datapath, 0);
    assert_eq!(at, "tcx", "{why}");
    assert!(why.contains("NORMAL"), "{why}");
    let mut flows = Flows::new("br0");
    flows.change(&mut datapath, &FORWARDING);
    for n in [0, 1] {
        let (at, why) = hook(&datapath, n);
        assert_eq!(at, "xdp-native", "{why}");
        assert!(why.contains("txvlan off"), "{why}");
    }
    assert_eq!(veths.lost(veths.ping(50)), 0);
    let (to, from) = (redirected(0), redirected(1));
    assert!(to >= 50 && from >= 50, "{to} {from}");
    assert!(flows.packets(&datapath, 1) >= 50);
    let own = |datapath: &Datapath| datapath.is_xdp_tailored(&name(0).as_str().into());
    assert!(!own(&datapath));
    let ping = veths.ping(100);
    tailor(&mut datapath);
    assert_eq!(veths.lost(ping), 0);
    assert!(own(&datapath));
    let (to, from) = (redirected(0) - to, redirected(1) - from);
    assert!(to >= 100 && from >= 100, "{to} {from}");
    let to = redirected(0);
    assert!(flows.packets(&datapath, 1) >= 150);
    assert_eq!(veths.tcp(1 << 20), 1 << 20);
    assert!(redirected(0) > to);
    // What XDP can't do, tcx does: the same packets, counted once.
    let before = redirected(0);
    let counted = flows.packets(&datapath, 1);
    flows.change(
        &mut datapath,
        &["modify cookie=1/-1,in_port=1 actions=set_queue:0,output:2"],
    );
    assert_eq!(veths.lost(veths.ping(50)), 0);
    let now = flows.packets(&datapath, 1);
    assert!((50..60).contains(&(now - counted)), "{counted} {now}");
    assert_eq!(redirected(0), before);
    assert!(!own(&datapath));
    tailor(&mut datapath);
    assert_eq!(veths.lost(veths.ping(20)), 0);
    assert_eq!(redirected(0), before);
    // A change in place, and one that takes other programs.
    for drop in ["modify actions=drop", "modify ip,actions=drop"] {
        flows.change(&mut datapath, &[drop]);
    }
    assert!(veths.lost(veths.ping(3)) > 0);
    flows.change(
        &mut datapath,
        &[
            "modify in_port=1 actions=output:2",
            "modify in_port=2 actions=output:1",
        ],
    );
    assert_eq!(veths.lost(veths.ping(50)), 0);
    assert!(redirected(0) > before);
}

#[test]
fn settings_change_while_packets_are_on_their_way() {
    let veths = Veths::new("xs");
    let mut datapath = veths.lab.datapath();
    veths.apply(&mut datapath, [PortHook::Auto; 2]);
    let mut flows = Flows::new("br0");
    flows.change(&mut datapath, &FORWARDING);
    assert_eq!(veths.lost(veths.ping(5)), 0);
    for (hooks, says) in [
        (NATIVE, ["xdp-native"; 2]),
        ([PortHook::XdpNative, PortHook::Tc], ["xdp-native", "tcx"]),
        ([PortHook::Auto; 2], ["tcx"; 2]),
        ([PortHook::XdpGeneric; 2], ["xdp-generic"; 2]),
        ([PortHook::Tc; 2], ["tcx"; 2]),
    ] {
        veths.apply(&mut datapath, hooks);
        for n in [0, 1] {
            let (at, why) = hook(&datapath, n);
            assert_eq!(at, says[n], "{why}");
        }
        assert_eq!(veths.lost(veths.ping(20)), 0, "{hooks:?}");
        let ping = veths.ping(20);
        tailor(&mut datapath);
        assert_eq!(veths.lost(ping), 0, "{hooks:?}");
    }
    veths.apply(&mut datapath, NATIVE);
    flows.change(&mut datapath, &["delete table=0", "add actions=NORMAL"]);
    assert_eq!(hook(&datapath, 0).0, "tcx");
    assert_eq!(veths.lost(veths.ping(20)), 0);
    let links = veths.lab.config().pin_dir.join("links");
    let names = std::fs::read_dir(links).unwrap();
    let xdp = names.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_str().unwrap().starts_with("xdp")
    });
    assert_eq!(xdp.count(), 0);
}

#[test]
fn a_restart_loses_nothing() {
    let veths = Veths::new("xr");
    let mut datapath = veths.lab.datapath();
    veths.apply(&mut datapath, NATIVE);
    let mut flows = Flows::new("br0");
    flows.change(&mut datapath, &FORWARDING);
    assert_eq!(veths.lost(veths.ping(5)), 0);
    tailor(&mut datapath);
    let before = redirected(0);
    let ping = veths.ping(150);
    drop(datapath);
    let mut datapath = veths.lab.datapath();
    datapath
        .apply_flows(&flows.bridge, &flows.tables, None)
        .unwrap();
    veths.apply(&mut datapath, NATIVE);
    assert_eq!(veths.lost(ping), 0);
    assert_eq!(hook(&datapath, 1).0, "xdp-native");
    let after = redirected(0);
    assert!(after > before);
    assert_eq!(veths.lost(veths.ping(20)), 0);
    assert!(redirected(0) >= after + 20);
    // A port that goes while no daemon looks takes its program along.
    drop(datapath);
    let mut datapath = veths.lab.datapath();
    datapath
        .apply_flows(&flows.bridge, &flows.tables, None)
        .unwrap();
    veths.apply(&mut datapath, [PortHook::Tc; 2]);
    let after = redirected(0);
    assert_eq!(veths.lost(veths.ping(20)), 0);
    assert_eq!(redirected(0), after);
}

#[test]
fn a_tap_stays_at_tcx_and_says_why() {
    let lab = Lab::new("xt");
    let tap = lab.tap("xt1", 1500);
    let mut datapath = lab.datapath();
    let port = Port {
        hook: PortHook::XdpNative,
        guard: PortGuard::default(),
        priority_tags: PriorityTags::Never,
        restrictions: Restrictions::default(),
        ..flow_lab::port(&tap, 1)
    };
    apply(&mut datapath, vec![bridge("br0", vec![port])]);
    let mut flows = Flows::new("br0");
    flows.change(&mut datapath, &["actions=drop"]);
    let hook = datapath.hook(&tap.name).unwrap();
    assert_eq!(hook.name, "tcx");
    assert!(hook.reason.contains("checksums"), "{}", hook.reason);
}
