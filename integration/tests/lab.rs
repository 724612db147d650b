//! The lab itself, with a Linux bridge in the switch's place.

use std::time::Duration;

use aorta_integration::lab::{Guest, GuestConfig, Netns, UdpProbe, run};

#[test]
fn guests_reach_each_other_through_a_linux_bridge() {
    let ns = Netns::new("lab").unwrap();
    for tap in ["ta", "tb"] {
        ns.tap(tap).unwrap();
    }
    ns.linux_bridge("br", &["ta", "tb"]).unwrap();
    let guests = Guest::boot_all(
        &ns,
        &[
            GuestConfig::new("a", "ta", "52:54:00:00:00:0a"),
            GuestConfig::new("b", "tb", "52:54:00:00:00:0b"),
        ],
    )
    .unwrap();
    let [a, b] = &guests[..] else {
        panic!("two guests")
    };
    for (guest, address) in [(a, "192.0.2.1/24"), (b, "192.0.2.2/24")] {
        guest.run("ip link set eth0 up").unwrap().ok().unwrap();
        guest
            .run(&format!("ip addr add {address} dev eth0"))
            .unwrap()
            .ok()
            .unwrap();
    }

    let ping = a.run("ping -c 3 -W 5 192.0.2.2").unwrap().ok().unwrap();
    assert!(
        ping.stdout.contains("3 packets received"),
        "{}",
        ping.stdout
    );

    b.run("iperf3 -s -D").unwrap().ok().unwrap();
    let iperf = a
        .run_within("iperf3 -c 192.0.2.2 -t 2 -J", Duration::from_secs(60))
        .unwrap();
    let report: serde_json::Value = serde_json::from_str(&iperf.ok().unwrap().stdout).unwrap();
    let bits = report["end"]["sum_received"]["bits_per_second"]
        .as_f64()
        .unwrap();
    assert!(bits > 1e6, "{bits} bit/s");

    // The same cards on VLAN 10.
    for (guest, address) in [(a, "198.51.100.1/24"), (b, "198.51.100.2/24")] {
        let script = format!(
            "ip link add link eth0 name eth0.10 type vlan id 10 && ip link set eth0.10 up && \
             ip addr add {address} dev eth0.10"
        );
        guest.run(&script).unwrap().ok().unwrap();
    }
    a.run("ping -c 1 -W 5 198.51.100.2").unwrap().ok().unwrap();
}

#[test]
fn commands_in_a_guest_return_outputs_and_status() {
    let ns = Netns::new("agent").unwrap();
    ns.tap("t").unwrap();
    let guest = Guest::boot(&ns, &GuestConfig::new("g", "t", "52:54:00:00:00:01")).unwrap();

    let output = guest.run("echo out; echo err >&2; exit 3").unwrap();
    assert_eq!(
        (
            output.status,
            output.stdout.as_str(),
            output.stderr.as_str()
        ),
        (3, "out\n", "err\n")
    );
    assert_eq!(guest.run("no-such-program").unwrap().status, 127);
    let slow = guest
        .run_within("sleep 100", Duration::from_secs(1))
        .unwrap();
    assert_eq!(slow.status, 137);

    // Kernel messages go elsewhere, and a long answer comes whole.
    let long = guest
        .run("echo noise >/dev/kmsg; seq 1 50000")
        .unwrap()
        .ok()
        .unwrap();
    assert_eq!(long.stdout.lines().count(), 50_000);
    assert!(long.stdout.ends_with("\n50000\n"));

    // What stays in the background doesn't hold the next command up.
    guest.run("sleep 100 & echo started").unwrap().ok().unwrap();
    let release = guest.run("uname -r").unwrap().ok().unwrap();
    assert_eq!(
        release.stdout.trim(),
        Guest::image().unwrap().manifest.kernel_release
    );
}

#[test]
fn probe_counts_what_a_closed_road_loses() {
    let (left, right) = (Netns::new("left").unwrap(), Netns::new("right").unwrap());
    left.veth("v", &right, "v").unwrap();
    left.address("v", "192.0.2.1/24").unwrap();
    right.address("v", "192.0.2.2/24").unwrap();
    left.run(&["ping", "-c", "1", "-W", "5", "192.0.2.2"])
        .unwrap()
        .ok()
        .unwrap();

    let to = "192.0.2.2:7000".parse().unwrap();
    let clean = UdpProbe::start(&left, &right, to, 1000).unwrap();
    clean.wait_received(300, Duration::from_secs(20)).unwrap();
    let report = clean.finish().unwrap();
    assert_eq!((report.lost(), report.duplicates), (0, 0), "{report:?}");
    assert!(report.sent >= 300);

    let closed = UdpProbe::start(&left, &right, to, 1000).unwrap();
    closed.wait_received(50, Duration::from_secs(20)).unwrap();
    let block = ["qdisc", "add", "dev", "v", "root", "netem", "loss", "100%"];
    let tc = |args: &[&str]| left.run(&[&["tc"], args].concat()).unwrap().ok().unwrap();
    if left.run(&[&["tc"], &block[..]].concat()).unwrap().status != 0 {
        // No netem in this kernel: a queue that holds nothing does the same.
        tc(&[
            "qdisc", "add", "dev", "v", "root", "tbf", "rate", "8bit", "burst", "10", "limit", "1",
        ]);
    }
    let sent = closed.sent();
    aorta_integration::lab::wait_until("100 are sent", Duration::from_secs(20), || {
        closed.sent() >= sent + 100
    })
    .unwrap();
    tc(&["qdisc", "del", "dev", "v", "root"]);
    closed.wait_received(50, Duration::from_secs(20)).unwrap();
    let report = closed.finish().unwrap();
    assert!(report.lost() >= 90, "{report:?}");
    assert!(
        report.longest_gap >= Duration::from_millis(80),
        "{report:?}"
    );
}

#[test]
fn namespace_takes_its_processes_and_itself_away() {
    let ns = Netns::new("gone").unwrap();
    let name = ns.name().to_owned();
    let mut child = ns.command("sleep").arg("600").spawn().unwrap();
    let listed = || {
        run(std::process::Command::new("ip").args(["netns", "list"]))
            .unwrap()
            .stdout
            .contains(&name)
    };
    assert!(listed());
    let bpffs = ns
        .run(&["stat", "-f", "-c", "%T", "/sys"])
        .unwrap()
        .ok()
        .unwrap();
    assert_eq!(
        bpffs.stdout.trim(),
        "sysfs",
        "the host's mounts are seen inside"
    );
    drop(ns);
    assert!(!child.wait().unwrap().success());
    assert!(!listed());
}
