//! Guests on the ports of a switch.

use std::collections::BTreeSet;
use std::time::Duration;

use aorta_integration::lab::{Guest, GuestConfig, LabError, Netns, Switch, wait_until};

/// A namespace with two taps on the bridge `br0`: `ta` in VLAN 10, `tb` a trunk of 10 and 20.
fn access_and_trunk() -> Result<(Netns, Switch), LabError> {
    let ns = Netns::new("vlan")?;
    ns.tap("ta")?;
    ns.tap("tb")?;
    let switch = Switch::start(&ns)?;
    for args in [
        &["add-br", "br0"][..],
        &["add-port", "br0", "ta", "tag=10"],
        &["add-port", "br0", "tb", "trunks=10,20"],
    ] {
        switch.vsctl(args)?.ok()?;
    }
    Ok((ns, switch))
}

/// One guest for each of the taps. The second has an interface in either VLAN.
fn guests(ns: &Netns) -> Result<Vec<Guest>, LabError> {
    let configs = [
        GuestConfig::new("a", "ta", "52:54:00:00:00:0a"),
        GuestConfig::new("b", "tb", "52:54:00:00:00:0b"),
    ];
    let guests = Guest::boot_all(ns, &configs)?;
    said(
        &guests[0],
        "ip link set eth0 up && ip addr add 192.0.2.1/24 dev eth0",
    )?;
    said(&guests[1], "ip link set eth0 up")?;
    for (vid, address) in [(10, "192.0.2.2/24"), (20, "198.51.100.2/24")] {
        let script = format!(
            "ip link add link eth0 name eth0.{vid} type vlan id {vid} && \
             ip link set eth0.{vid} up && ip addr add {address} dev eth0.{vid}"
        );
        said(&guests[1], &script)?;
    }
    Ok(guests)
}

/// What a command that must succeed printed.
fn said(guest: &Guest, command: &str) -> Result<String, LabError> {
    Ok(guest.run(command)?.ok()?.stdout)
}

#[test]
fn guests_on_access_and_trunk_ports_reach_each_other() {
    let (ns, switch) = access_and_trunk().unwrap();
    let guests = guests(&ns).unwrap();
    let (a, b) = (&guests[0], &guests[1]);
    wait_until(
        "the guests reach each other",
        Duration::from_secs(30),
        || {
            a.run("ping -c 1 -W 1 192.0.2.2")
                .is_ok_and(|output| output.status == 0)
        },
    )
    .unwrap();

    said(b, "iperf3 -s -D").unwrap();
    let report = said(a, "iperf3 -c 192.0.2.2 -t 2 -J").unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let bits = report["end"]["sum_received"]["bits_per_second"]
        .as_f64()
        .unwrap();
    assert!(bits > 1e6, "{bits} bit/s");

    // The other VLAN of the trunk is another network.
    said(a, "ip addr add 198.51.100.1/24 dev eth0").unwrap();
    let other = a.run("ping -c 2 -W 1 198.51.100.2").unwrap();
    assert_ne!(other.status, 0, "{}", other.stdout);

    let learned = switch.vsctl(&["fdb", "br0"]).unwrap().ok().unwrap().stdout;
    for mac in ["52:54:00:00:00:0a", "52:54:00:00:00:0b"] {
        assert!(learned.contains(mac), "{learned}");
    }
    // The same lines: ovs-vsctl puts ports into no particular order.
    let lines = |text: &str| -> BTreeSet<String> { text.lines().map(str::to_owned).collect() };
    let own = switch.vsctl(&["show"]).unwrap().ok().unwrap().stdout;
    let theirs = switch.ovs_vsctl(&["show"]).unwrap().ok().unwrap().stdout;
    assert_eq!(lines(&own), lines(&theirs));
}
