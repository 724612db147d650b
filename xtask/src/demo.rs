//! The switch at work, for people to watch.

use std::time::Duration;

use aorta_integration::lab::{
    Guest, GuestConfig, Netns, Output, Switch, SwitchOptions, wait_until,
};

use crate::error::TaskError;
use crate::proc::{build_programs, root, say};
use crate::setup;

/// Name of the bridge that the guests are attached to.
const BRIDGE: &str = "br0";

/// Sets up, builds, and shows two guests talking: one on an access port of VLAN 10, the other
/// on a trunk with an interface of its own in VLAN 10.
pub fn run() -> Result<(), TaskError> {
    setup::run()?;
    say("build");
    build_programs(&["--release"])?;
    setup::image()?;

    say("a network namespace with two taps, and the switch");
    let ns = Netns::new("demo")?;
    ns.tap("tap-a")?;
    ns.tap("tap-b")?;
    let options = SwitchOptions {
        bin_dir: Some(root().join("target/release")),
        ..Default::default()
    };
    let switch = Switch::start_with(Some(&ns), options)?;
    show(&switch, &["add-br", BRIDGE])?;
    show(&switch, &["add-port", BRIDGE, "tap-a", "tag=10"])?;
    show(&switch, &["add-port", BRIDGE, "tap-b", "trunks=10,20"])?;

    say("two guests");
    let guests = Guest::boot_all(
        &ns,
        &[
            GuestConfig::new("a", "tap-a", "52:54:00:00:00:0a"),
            GuestConfig::new("b", "tap-b", "52:54:00:00:00:0b"),
        ],
    )?;
    talk(&guests)?;

    say("the switch's own view");
    show(&switch, &["show"])?;
    show(&switch, &["status"])?;
    show(&switch, &["fdb", BRIDGE])?;
    say("cleaning up");
    drop(guests);
    drop(switch);
    drop(ns);
    println!("done");
    Ok(())
}

/// Addresses, ping and throughput.
fn talk(guests: &[Guest]) -> Result<(), TaskError> {
    let [a, b] = guests else {
        return Ok(());
    };
    in_guest(
        a,
        "ip link set eth0 up && ip addr add 192.0.2.1/24 dev eth0",
    )?;
    in_guest(
        b,
        "ip link set eth0 up && ip link add link eth0 name eth0.10 type vlan id 10 && \
         ip link set eth0.10 up && ip addr add 192.0.2.2/24 dev eth0.10",
    )?;
    in_guest(b, "iperf3 -s -D")?;
    wait_until("guest a reaches guest b", Duration::from_secs(30), || {
        a.run("ping -c 1 -W 1 192.0.2.2")
            .is_ok_and(|output| output.status == 0)
    })?;
    in_guest(a, "ping -c 5 -i 0.2 192.0.2.2")?;
    in_guest(a, "iperf3 -c 192.0.2.2 -t 5 -f m")
}

fn in_guest(guest: &Guest, command: &str) -> Result<(), TaskError> {
    println!("{}# {command}", guest.name());
    print_output(&guest.run(command)?.ok()?);
    Ok(())
}

fn show(switch: &Switch, args: &[&str]) -> Result<(), TaskError> {
    println!("$ vsctl {}", args.join(" "));
    print_output(&switch.vsctl(args)?.ok()?);
    Ok(())
}

fn print_output(output: &Output) {
    print!("{}{}", output.stdout, output.stderr);
}
