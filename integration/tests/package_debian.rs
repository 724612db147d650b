//! The Debian package on a clean host: built twice, installed in the place of Open vSwitch, used,
//! upgraded under traffic, removed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use aorta_integration::lab::{Machine, Netns, UdpProbe, binary, own_bin_dir, run};
use common::package::{install, package, said};
use common::{LIMIT, RIGHT, eventually, pings};

/// What the daemon may do: bits of the kernel's capabilities NET_ADMIN, NET_RAW, BPF, PERFMON, CHOWN.
const CAPABILITIES: [u32; 5] = [12, 13, 39, 38, 0];

fn output(program: impl AsRef<std::ffi::OsStr>, words: &[&str]) -> String {
    let output = run(Command::new(program).args(words));
    output.unwrap().ok().unwrap().stdout
}

#[test]
fn the_same_programs_make_the_same_bytes_and_pages_that_know_all_commands() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let package_file = package(first.path(), "1.0");
    let again = package(second.path(), "1.0");
    assert!(
        fs::read(&package_file).unwrap() == fs::read(again).unwrap(),
        "two packages of the same programs differ"
    );

    let root = first.path().join("root");
    let paths = [package_file.to_str().unwrap(), root.to_str().unwrap()];
    output("dpkg-deb", &["-x", paths[0], paths[1]]);
    let page = |name: &str| {
        let path = root.join(format!("usr/share/man/man8/{name}.8.gz"));
        output("gzip", &["-dc", path.to_str().unwrap()])
    };
    let vsctl = binary(&own_bin_dir().unwrap(), "vsctl").unwrap();
    let commands = output(&vsctl, &["--commands"]);
    let text = page("vsctl");
    for line in commands.lines() {
        let mut words = line.split_whitespace();
        let name = words.find(|word| !word.starts_with('[')).unwrap();
        let name = name.replace('-', "\\-");
        assert!(text.contains(&format!(".SS {name}\n")), "{name}");
    }
    let daemon = page("vswitchd");
    for option in ["\\-\\-rundir", "\\-\\-db\\-group", "\\-\\-teardown"] {
        assert!(daemon.contains(option), "{option}: {daemon}");
    }
    for name in [
        "vsctl",
        "vswitchd",
        "ovs-vsctl",
        "vsctl-ofctl",
        "vsctl-appctl",
    ] {
        let source = first.path().join(name);
        fs::write(&source, page(name)).unwrap();
        let groff = [
            "-ww",
            "-b",
            "-man",
            "-Tutf8",
            "-z",
            source.to_str().unwrap(),
        ];
        match run(Command::new("groff").args(groff)) {
            Ok(output) => assert_eq!(output.ok().unwrap().stderr, "", "{name}"),
            Err(error) => eprintln!("{name} isn't formatted: {}", error.report()),
        }
    }
    for script in ["preinst", "postinst", "prerm", "postrm"] {
        let control = first.path().join("control");
        output("dpkg-deb", &["-e", paths[0], control.to_str().unwrap()]);
        output("sh", &["-n", control.join(script).to_str().unwrap()]);
    }
}

/// A package without contents but the files named.
fn stand_in(dir: &Path, name: &str, fields: &str, files: &[&str]) -> PathBuf {
    let root = dir.join(name);
    fs::create_dir_all(root.join("DEBIAN")).unwrap();
    let control = format!(
        "Package: {name}\nVersion: 3.1.0-2\nArchitecture: all\n\
         Maintainer: nobody <nobody@localhost>\nDescription: stand-in\n{fields}"
    );
    fs::write(root.join("DEBIAN/control"), control).unwrap();
    for file in files {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{name}\n")).unwrap();
    }
    let deb = dir.join(format!("{name}.deb"));
    let words = ["--root-owner-group", "-Znone", "--build"];
    let [root, path] = [root.to_str().unwrap(), deb.to_str().unwrap()];
    output("dpkg-deb", &[&words[..], &[root, path]].concat());
    deb
}

/// A database with a bridge and its ports, made by Open vSwitch's own programs.
fn database(dir: &Path) -> PathBuf {
    let file = dir.join("conf.db");
    let schema = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../ovsdb/schema/vswitch.ovsschema"
    );
    output("ovsdb-tool", &["create", file.to_str().unwrap(), schema]);
    let socket = format!("{}/db.sock", dir.display());
    let fill = format!(
        "ovs-vsctl --no-wait --db=unix:{socket} -- init -- add-br br0 -- add-port br0 va \
         -- add-port br0 vb -- set Port vb external_ids:kept=yes"
    );
    let server = [
        &format!("--remote=punix:{socket}"),
        &format!("--unixctl={}/ctl", dir.display()),
        &format!("--run={fill}"),
        "--no-chdir",
        file.to_str().unwrap(),
    ];
    output("ovsdb-server", &server);
    file
}

/// A host with two stations, which becomes a switch's.
struct Bed {
    host: Machine,
    left: Netns,
    right: Netns,
}

impl Bed {
    fn new() -> Bed {
        let bed = Bed {
            host: Machine::boot().unwrap(),
            left: Netns::new("left").unwrap(),
            right: Netns::new("right").unwrap(),
        };
        for (ns, name, address) in [
            (&bed.left, "va", "192.0.2.1/24"),
            (&bed.right, "vb", "192.0.2.2/24"),
        ] {
            ns.disable_ipv6().unwrap();
            bed.host.connect(ns, name).unwrap();
            ns.address("eth0", address).unwrap();
        }
        bed
    }

    /// Runs a line on the host, which must succeed.
    #[track_caller]
    fn done(&self, line: &str) -> String {
        said(&self.host, line)
    }

    /// Has apt install packages on the host.
    #[track_caller]
    fn install(&self, packages: &[&Path]) -> String {
        install(&self.host, packages)
    }

    fn daemon(&self) -> u32 {
        self.done("systemctl show --value -p MainPID aorta")
            .parse()
            .unwrap()
    }

    /// Runs `change` under a steady stream and a flood of pings; answers how many packets there
    /// were, of which none may be lost.
    fn undisturbed(&self, change: impl FnOnce(&Bed)) -> (u64, u64) {
        let to: SocketAddr = (RIGHT.parse::<std::net::IpAddr>().unwrap(), 7000).into();
        let probe = UdpProbe::start(&self.left, &self.right, to, 1000).unwrap();
        probe.wait_received(50, LIMIT).unwrap();
        // Without an end of its own; it is told to end, and tells what it has counted.
        let flood = "trap 'kill -INT $!' TERM; ping -f -q \"$0\" & wait $!; wait $!";
        let mut ping = self.left.command("sh");
        ping.args(["-c", flood, RIGHT]);
        let ping = ping.stdout(std::process::Stdio::piped()).spawn().unwrap();
        change(self);
        probe.wait_received(50, LIMIT).unwrap();
        let pid = rustix::process::Pid::from_child(&ping);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let told = ping.wait_with_output().unwrap();
        let told = String::from_utf8(told.stdout).unwrap();
        let report = probe.finish().unwrap();
        assert_eq!((report.lost(), report.duplicates), (0, 0), "{report:?}");
        let number = |what: &str| -> u64 {
            let before = told.split(what).next().unwrap();
            let word = before.split([' ', '\n']).next_back().unwrap();
            word.parse().unwrap_or_else(|_| panic!("{told}"))
        };
        let (sent, received) = (number(" packets transmitted"), number(" received"));
        // The last one may still be under way when ping is told to end.
        assert!(sent - received <= 1, "{told}");
        (report.sent, sent)
    }
}

#[test]
fn a_clean_host_gets_it_in_the_place_of_open_vswitch_upgrades_and_removes_it() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (package(dir.path(), "1.0"), package(dir.path(), "1.1"));
    let bed = Bed::new();
    let switch = stand_in(
        dir.path(),
        "openvswitch-switch",
        "Depends: openvswitch-common\n",
        &["usr/bin/ovs-vsctl"],
    );
    let tools = stand_in(
        dir.path(),
        "openvswitch-common",
        "",
        &["usr/bin/ovs-ofctl", "usr/bin/ovsdb-client"],
    );
    let agent = "Pre-Depends: openvswitch-switch (>= 2.17.0~)\n";
    let agent = stand_in(dir.path(), "neutron-openvswitch-agent", agent, &[]);
    bed.install(&[&switch, &tools, &agent]);
    // As Open vSwitch's packages leave it when they are purged: without the link in /etc.
    let database = database(dir.path());
    bed.host
        .put(&database, "/var/lib/openvswitch/conf.db")
        .unwrap();

    let told = bed.install(&[&old]);
    let state = "dpkg-query -W -f '${Package} ${db:Status-Status}\\n'";
    let packages = bed.done(&format!("{state} | grep -E 'openvswitch|aorta'"));
    assert_eq!(
        packages,
        "aorta installed\nneutron-openvswitch-agent installed\nopenvswitch-common installed",
        "{told}"
    );
    taken_over(&bed);
    works(&bed);
    confined(&bed);

    let first = bed.daemon();
    let (stream, flood) = bed.undisturbed(|bed| {
        bed.install(&[&new]);
        assert_eq!(bed.done("systemctl is-active aorta"), "active");
    });
    assert_ne!(bed.daemon(), first);
    assert_eq!(bed.done("dpkg-query -W -f '${Version}' aorta"), "1.1");
    println!("upgrade: {stream} datagrams and {flood} pings, none lost");

    bed.undisturbed(|bed| {
        bed.done("systemctl restart openvswitch-switch");
        bed.done("systemctl stop ovsdb-server");
    });
    assert!(pings(&bed.left, RIGHT), "forwarding ends with the daemon");
    bed.done("systemctl start aorta");
    removed(&bed);
}

/// What Open vSwitch had is in use.
fn taken_over(bed: &Bed) {
    assert_eq!(
        bed.done("readlink /etc/openvswitch/conf.db"),
        "/var/lib/openvswitch/conf.db"
    );
    assert_eq!(bed.done("systemctl is-active openvswitch-switch"), "active");
    assert_eq!(bed.done("ovs-vsctl get Port vb external_ids:kept"), "yes");
    let shown = bed.done("ovs-vsctl show");
    assert!(shown.contains("Bridge br0"), "{shown}");
    // Of the package in whose place these are.
    assert_eq!(
        bed.done("cat /usr/bin/ovs-ofctl.openvswitch /usr/bin/ovsdb-client"),
        "openvswitch-common\nopenvswitch-common"
    );
    assert_eq!(bed.done("readlink /usr/bin/ovs-ofctl"), "vsctl");
    eventually("left reaches right", || pings(&bed.left, RIGHT));
}

/// What operators do with it, within what the unit allows.
fn works(bed: &Bed) {
    bed.done("ovs-vsctl add-port br0 i0 -- set Interface i0 type=internal");
    bed.done("ovs-ofctl add-flow br0 priority=7,arp,actions=NORMAL");
    let flows = bed.done("ovs-ofctl dump-flows br0");
    assert!(flows.contains("priority=7,arp"), "{flows}");
    let count = "cat /sys/class/net/vb/statistics/tx_packets";
    let before: u64 = bed.done(count).parse().unwrap();
    bed.done(
        "ovs-ofctl packet-out br0 'in_port=LOCAL \
         packet=ffffffffffff52540011223308060001080006040001525400112233c00002c80000000000\
00c0000263 actions=output:vb'",
    );
    eventually("the controller's packet leaves", || {
        bed.done(count).parse::<u64>().unwrap() > before
    });
    let status = bed.done("vsctl status");
    assert!(status.contains("datapath kernel: ok"), "{status}");
    bed.done("ovs-appctl -t ovsdb-server ovsdb-server/list-dbs");
    bed.done("sed -i 's/^AORTA_OPTIONS=.*/AORTA_OPTIONS=\"--log-file --db-group=adm\"/' /etc/default/aorta");
    bed.done("systemctl restart aorta && test -s /var/log/aorta/ovs-vswitchd.log");
    assert_eq!(bed.done("stat -c %G /run/openvswitch/db.sock"), "adm");
    bed.done("logrotate --force /etc/logrotate.d/aorta");
    eventually("the daemon writes a new log file", || {
        bed.host
            .sh("test -e /var/log/aorta/ovs-vswitchd.log")
            .unwrap()
            .status
            == 0
    });
}

/// The daemon has what it needs, and no more.
fn confined(bed: &Bed) {
    let status = bed.done(&format!("cat /proc/{}/status", bed.daemon()));
    let bounding = status
        .lines()
        .find_map(|l| l.strip_prefix("CapBnd:"))
        .unwrap();
    let wanted: u64 = CAPABILITIES.iter().map(|bit| 1 << bit).sum();
    assert_eq!(bounding.trim(), format!("{wanted:016x}"));
    assert!(
        status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"),
        "{status}"
    );
    // As the daemon sees it.
    let root = format!("/proc/{}/root", bed.daemon());
    let touch = format!("touch {root}/usr/sbin/x 2>&1 || true");
    let refused = bed.done(&touch);
    assert!(refused.contains("Read-only file system"), "{refused}");
}

/// Removal gives all devices back; the operator's files stay, even when the package is purged.
fn removed(bed: &Bed) {
    bed.done("apt-get remove -y aorta");
    assert_eq!(bed.done("ls /sys/fs/bpf | grep aorta || true"), "");
    assert!(!pings(&bed.left, RIGHT));
    assert_eq!(
        bed.done("ip -br link show type veth | grep -c aobr0 || true"),
        "0"
    );
    assert_eq!(bed.done("cat /usr/bin/ovs-ofctl"), "openvswitch-common");
    bed.done("test -f /etc/default/aorta && test -f /etc/openvswitch/conf.db");
    let told = bed.done("dpkg --purge aorta");
    assert!(told.contains("conf.db is kept"), "{told}");
    bed.done("test ! -e /etc/default/aorta && test ! -e /etc/logrotate.d/aorta");
    bed.done("test ! -e /var/log/aorta && test -f /etc/openvswitch/conf.db");
    assert_eq!(bed.done("find /etc/systemd -name '*aorta*'"), "");
}
