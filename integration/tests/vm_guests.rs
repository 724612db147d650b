//! Guests at the switch: what their cards can do, what becomes of them, and what they may do to
//! each other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use aorta_integration::lab::{Guest, GuestConfig, Netns, Nic, Switch, wait_until};
use common::{column, done, eventually, port, wait_interface};

/// Time for what guests do, emulated on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Larger than any frame that isn't cut into segments later, with an MTU of 1500 bytes.
const LARGE: &str = "3000";
const HOST: &str = "192.0.2.254";

/// What a command in a guest that must succeed printed.
fn said(guest: &Guest, command: &str) -> String {
    guest.run(command).unwrap().ok().unwrap().stdout
}

/// Gives a guest's card its address.
fn address(guest: &Guest, last: u8) {
    let script = format!("ip link set eth0 up && ip addr add 192.0.2.{last}/24 dev eth0");
    said(guest, &script);
}

fn reaches(from: &Guest, to: &str, size: u32) {
    let ping = format!("ping -c 1 -W 2 -s {size} {to}");
    let answered = || from.run(&ping).is_ok_and(|output| output.status == 0);
    wait_until(&format!("{} reaches {to}", from.name()), PATIENCE, answered).unwrap();
}

/// tcpdump, until it has seen a few frames that it looks for.
struct Watch {
    tcpdump: Child,
    what: String,
}

impl Watch {
    fn new(ns: &Netns, device: &str, filter: &str) -> Watch {
        let mut command = ns.command("tcpdump");
        command.args([
            "-i",
            device,
            "-nn",
            "-q",
            "-c",
            "5",
            "--immediate-mode",
            filter,
        ]);
        let tcpdump = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let watch = Watch {
            tcpdump,
            what: format!("{filter} on {device}"),
        };
        watch.wait_listening();
        watch
    }

    /// It has its socket once it has opened one for packets.
    fn wait_listening(&self) {
        let fds = format!("/proc/{}/fd", self.tcpdump.id());
        eventually("tcpdump listens", || {
            let listed = std::fs::read_dir(&fds).into_iter().flatten().flatten();
            let mut targets = listed.filter_map(|fd| std::fs::read_link(fd.path()).ok());
            targets.any(|target| target.to_string_lossy().starts_with("socket:"))
        });
    }

    /// Waits until it has seen them, and shows the first.
    fn seen(mut self) {
        let mut status = None;
        let ended = wait_until("", PATIENCE, || {
            status = self.tcpdump.try_wait().unwrap();
            status.is_some()
        });
        if ended.is_err() {
            self.tcpdump.kill().unwrap();
        }
        let output = self.tcpdump.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(ended.is_ok(), "not seen: {}; only\n{text}", self.what);
        println!("{}: {}", self.what, text.lines().next().unwrap_or_default());
    }
}

/// Sends over TCP for a moment; how much came, in bit/s.
fn tcp(from: &Guest, to: &str, options: &str) -> f64 {
    let report = said(from, &format!("iperf3 -c {to} -t 1 -J {options}"));
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    report["end"]["sum_received"]["bits_per_second"]
        .as_f64()
        .unwrap()
}

/// Descriptors of /dev/net/tun that a process has: one for each queue.
fn queues_open(pid: u32) -> usize {
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .flatten();
    let targets = fds.filter_map(|fd| std::fs::read_link(fd.path()).ok());
    targets
        .filter(|path| path == Path::new("/dev/net/tun"))
        .count()
}

fn config(name: &str, tap: &str, last: u8) -> GuestConfig {
    GuestConfig {
        reboots: true,
        ..GuestConfig::new(name, tap, &format!("52:54:00:00:00:{last:02x}"))
    }
}

/// Two guests on br0, the first with two queues; the host has an address there.
fn two_guests() -> (Netns, Switch, Guest, Guest) {
    let ns = Netns::new("guests").unwrap();
    ns.disable_ipv6().unwrap();
    let add = [
        "tuntap",
        "add",
        "dev",
        "ta",
        "mode",
        "tap",
        "vnet_hdr",
        "multi_queue",
    ];
    ns.ip(&add).unwrap();
    ns.ip(&["link", "set", "dev", "ta", "up"]).unwrap();
    ns.tap("tb").unwrap();
    let switch = Switch::start(&ns).unwrap();
    done(&switch, "add-br br0 -- add-port br0 ta -- add-port br0 tb");
    ns.address("br0", &format!("{HOST}/24")).unwrap();
    ns.ip(&["link", "set", "dev", "br0", "up"]).unwrap();

    let vhost = Path::new("/dev/vhost-net").exists();
    if !vhost {
        println!("skipped: vhost-net, because this machine has no /dev/vhost-net");
    }
    let mut a = config("a", "ta", 0x0a);
    a.cpus = 2;
    a.nics[0].queues = 2;
    a.nics[0].vhost = vhost;
    let guests = Guest::boot_all(&ns, &[a, config("b", "tb", 0x0b)]).unwrap();
    let [a, b] = <[Guest; 2]>::try_from(guests).ok().unwrap();
    address(&a, 1);
    address(&b, 2);
    reaches(&a, "192.0.2.2", 56);
    (ns, switch, a, b)
}

#[test]
fn offloads_queues_jumbo_frames_reboots_and_deaths() {
    let (ns, switch, a, b) = two_guests();
    offloads_are_kept(&a, &b, &ns);
    queues_are_used(&a, &switch);
    jumbo_frames_pass(&a, &switch, &ns);
    a_reboot_is_survived(&a, &b, &switch);
    drop(b);
    a_death_is_survived(&a, &switch, &ns);
}

fn offloads_are_kept(a: &Guest, b: &Guest, ns: &Netns) {
    for tap in ["ta", "tb"] {
        let features = ns
            .run(&["ethtool", "-k", tap])
            .unwrap()
            .ok()
            .unwrap()
            .stdout;
        for feature in ["tcp-segmentation-offload: on", "tx-checksumming: on"] {
            assert!(features.contains(feature), "{tap}: {features}");
        }
    }
    // Frames that leave the switch larger than any wire takes are cut by nobody on the way.
    let large = format!("tcp and greater {LARGE}");
    said(b, "iperf3 -s -D");
    let watch = Watch::new(ns, "tb", &large);
    let between = tcp(a, "192.0.2.2", "");
    watch.seen();
    let server = ns
        .command("iperf3")
        .args(["-s", "-1"])
        .stdout(Stdio::null())
        .spawn();
    let mut server = server.unwrap();
    eventually("the server listens", || listens(ns));
    let watch = Watch::new(ns, "br0", &large);
    let to_host = tcp(a, HOST, "");
    watch.seen();
    server.wait().unwrap();
    println!(
        "between guests {:.0} Mbit/s, to the host {:.0}",
        between / 1e6,
        to_host / 1e6
    );
}

fn listens(ns: &Netns) -> bool {
    let sockets = ns
        .run(&["cat", "/proc/net/tcp6", "/proc/net/tcp"])
        .unwrap()
        .stdout;
    // Port 5201 in state LISTEN.
    sockets
        .lines()
        .any(|line| line.contains(":1451 ") && line.contains(" 0A "))
}

fn queues_are_used(a: &Guest, switch: &Switch) {
    assert_eq!(queues_open(a.qemu_pid()), 2);
    let queues = said(a, "ls /sys/class/net/eth0/queues");
    assert!(
        queues.contains("rx-1") && queues.contains("tx-1"),
        "{queues}"
    );
    let bits = tcp(a, "192.0.2.2", "-P 4");
    assert!(bits > 1e6, "{bits} bit/s");
    // Both of the card's transmit queues have interrupted the guest, or both have been notified.
    let interrupts = said(a, "grep -E 'virtio[0-9]+-(input|output)' /proc/interrupts");
    assert!(interrupts.contains("input.1"), "{interrupts}");
    assert_eq!(column(switch, "Interface", "ta", "error"), "[]");
}

fn jumbo_frames_pass(a: &Guest, switch: &Switch, ns: &Netns) {
    done(
        switch,
        "set Interface ta mtu_request=9000 -- set Interface tb mtu_request=9000",
    );
    for tap in ["ta", "tb"] {
        wait_interface(switch, tap, "mtu", "9000");
    }
    // The bridge's own port follows its smallest.
    wait_interface(switch, "br0", "mtu", "9000");
    said(a, "ip link set eth0 mtu 9000");
    let watch = Watch::new(ns, "br0", "icmp and greater 8000");
    let ping = || {
        a.run(&format!("ping -c 6 -i 0.1 -W 2 -s 8972 {HOST}"))
            .unwrap()
            .status
            == 0
    };
    wait_until("the host answers jumbo frames", PATIENCE, ping).unwrap();
    watch.seen();
}

fn a_reboot_is_survived(a: &Guest, b: &Guest, switch: &Switch) {
    let before = port(switch, "tb");
    b.reboot().unwrap();
    address(b, 2);
    reaches(a, "192.0.2.2", 56);
    let after = port(switch, "tb");
    assert_eq!(before.ofport, after.ofport);
    wait_interface(switch, "tb", "link_state", "up");
}

fn a_death_is_survived(a: &Guest, switch: &Switch, ns: &Netns) {
    // The tap was made for the guest: it stays, without a carrier.
    wait_interface(switch, "tb", "link_state", "down");
    wait_interface(switch, "tb", "error", "[]");
    // One that QEMU makes comes and goes with the guest.
    let absent = switch.vsctl(&["add-port", "br0", "tc"]).unwrap();
    assert!(absent.stderr.contains("No such device"), "{absent:?}");
    let mut again = config("again", "tb", 0x0b);
    again.nics.push(Nic::new("tc", "52:54:00:00:00:0c"));
    let again = Guest::boot(ns, &again).unwrap();
    ns.ip(&["link", "set", "dev", "tc", "up"]).unwrap();
    wait_interface(switch, "tc", "error", "[]");
    address(&again, 2);
    reaches(a, "192.0.2.2", 56);
    let other = |guest, device, last| {
        let script =
            format!("ip link set {device} up && ip addr add 198.51.100.{last}/24 dev {device}");
        said(guest, &script);
    };
    other(a, "eth0", 1);
    other(&again, "eth1", 2);
    reaches(a, "198.51.100.2", 56);
    drop(again);
    wait_interface(switch, "tb", "link_state", "down");
    let gone = "\"could not open network device tc (No such device)\"";
    wait_interface(switch, "tc", "error", gone);
    reaches(a, HOST, 56);
}
