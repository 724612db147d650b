//! The daemon as a whole, with unmodified clients (needs root, ovs-vsctl and ovs-appctl).

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::process::Command;

use common::{Host, fails, run};

#[test]
fn ports_come_and_go_with_their_devices() {
    let host = Host::new("ports");
    let _daemon = host.start();
    host.vsctl("add-br br0");
    assert_eq!(host.vsctl("get interface br0 ofport"), "65534");
    assert!(host.ip("link show br0").contains("br0@aobr0"));
    host.vsctl("add-port br0 v0");
    assert_eq!(host.vsctl("get interface v0 ofport"), "-1");
    let error = host.vsctl("get interface v0 error");
    assert_eq!(
        error,
        "\"could not open network device v0 (No such device)\""
    );

    host.ip("link add v0 type veth peer name v1");
    host.vsctl("wait-until interface v0 ofport=1");
    host.vsctl("wait-until interface v0 admin_state=down");
    host.ip("link set v0 up mtu 1400");
    host.vsctl("wait-until interface v0 admin_state=up mtu=1400");
    host.vsctl("wait-until interface br0 mtu=1400");
    assert_eq!(host.vsctl("get interface v0 status:aorta-hook"), "tcx");
    host.ip("link del v0");
    host.vsctl("wait-until interface v0 ofport=-1");
    host.ip("link add v0 type veth peer name v1");
    host.vsctl("wait-until interface v0 ofport=1");

    host.vsctl("del-br br0");
    assert!(
        !host.ip("link").contains("br0"),
        "the bridge's device went with it"
    );
    assert!(host.ip("link").contains("v0"), "a foreign device stays");
}

#[test]
fn devices_of_others_are_refused_until_they_are_free() {
    let host = Host::new("taken");
    host.ip("link add br9 type bridge");
    host.ip("link add v0 type veth peer name v1");
    host.ip("link set v0 master br9");
    host.ip("link add br1 type veth peer name other");
    let _daemon = host.start();
    host.vsctl("add-br br0 -- add-port br0 v0 -- add-port br0 lo");
    let error = |port: &str| host.vsctl(&format!("get interface {port} error"));
    assert!(
        error("v0").contains("already a port of the Linux bridge br9"),
        "{}",
        error("v0")
    );
    assert!(error("lo").contains("loopback"));
    host.vsctl("add-br br1");
    assert!(
        error("br1").contains("there is a device of that name already"),
        "{}",
        error("br1")
    );
    host.ip("link set v0 nomaster");
    host.vsctl("wait-until interface v0 error=[]");
    host.ip("link del br1");
    host.vsctl("wait-until interface br1 ofport=65534");
}

/// Addresses of br0, whether the kernel has already found that no one else has them or not.
fn addresses(host: &Host) -> String {
    host.ip("-o addr show br0").replace(" tentative", "")
}

#[test]
fn everything_outlives_the_daemon_and_is_adopted() {
    let host = Host::new("adopt");
    let daemon = host.start();
    host.ip("link add v0 type veth peer name v1");
    host.vsctl("add-br br0 -- add-port br0 v0 -- set interface v0 ofport_request=7");
    host.ip("addr add 10.1.2.3/24 dev br0");
    host.ip("link set br0 up");
    let before = addresses(&host);
    assert_eq!(host.vsctl("get interface v0 ofport"), "7");

    let again = fails(&mut host.vswitchd(&[]));
    assert!(
        again.contains(&format!("already runs here: process {}", daemon.pid())),
        "{again}"
    );
    let refused = fails(&mut host.vswitchd(&["--teardown"]));
    assert!(refused.contains("already runs here"), "{refused}");
    daemon.stop();
    let left = fs::read_dir(host.rundir()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["aorta-flows.journal"], "no socket is left");
    assert_eq!(addresses(&host), before);

    let daemon = host.start();
    assert_eq!(addresses(&host), before);
    assert_eq!(host.vsctl("get interface v0 ofport"), "7");
    daemon.kill();
    let daemon = host.start();
    assert_eq!(addresses(&host), before);
    assert_eq!(host.vsctl("get interface v0 ofport"), "7");
    daemon.stop();

    run(&mut host.vswitchd(&["--teardown"]));
    let links = host.ip("link");
    assert!(!links.contains("br0") && links.contains("v0"), "{links}");
    run(&mut host.vswitchd(&["--teardown"]));
}

#[test]
fn control_sockets_serve_ovs_appctl() {
    let host = Host::new("appctl");
    let daemon = host.start();
    host.vsctl("add-br br0");
    let appctl = |arguments: &str| run(&mut host.client("ovs-appctl", arguments));
    assert!(appctl("version").starts_with("vswitchd (Aorta)"));
    assert_eq!(appctl("ofproto/list"), "br0");
    assert_eq!(
        appctl("-t ovsdb-server ovsdb-server/list-dbs"),
        "Open_vSwitch\n_Server"
    );
    assert_eq!(appctl("fdb/show br0"), "port  VLAN  MAC                Age");
    let bad = fails(&mut host.client("ovs-appctl", "fdb/show br7"));
    assert!(bad.starts_with("no such bridge"), "{bad}");
    appctl("exit --cleanup");
    daemon.wait();
    assert!(!host.ip("link").contains("br0"));
}

#[test]
fn a_background_start_returns_when_clients_can_connect() {
    let host = Host::new("detach");
    let log = host.path("log");
    let log_option = format!("--log-file={}", log.display());
    let ready = run(&mut host.vswitchd(&["--detach", &log_option]));
    assert!(ready.starts_with("vswitchd is ready"), "{ready}");
    assert!(
        host.vsctl("get open_vswitch . ovs_version")
            .contains("3.1.0")
    );
    assert!(
        fs::read_to_string(&log)
            .unwrap()
            .contains("vswitchd is ready")
    );
    let again = fails(&mut host.vswitchd(&["--detach", &log_option]));
    assert!(again.contains("already runs here"), "{again}");
    run(&mut host.client("ovs-appctl", "exit"));
}

#[test]
fn what_can_not_work_is_said_in_one_line() {
    let host = Host::new("refuse");
    let database = fails(&mut host.vswitchd(&["tcp:127.0.0.1:1"]));
    assert!(
        database.contains("serves its database itself") && database.lines().count() == 1,
        "{database}"
    );
    let remote = fails(&mut host.vswitchd(&["--remote", "carrier-pigeon:1"]));
    assert!(
        remote.contains("carrier-pigeon:1") && remote.lines().count() == 1,
        "{remote}"
    );
    fs::create_dir_all(host.path("etc")).unwrap();
    fs::write(host.path("etc/conf.db"), "not a database\n").unwrap();
    let damaged = fails(&mut host.vswitchd(&[]));
    assert!(
        damaged.contains("conf.db") && damaged.lines().count() == 1,
        "{damaged}"
    );
    assert_eq!(
        fs::read_to_string(host.path("etc/conf.db")).unwrap(),
        "not a database\n"
    );
}

#[test]
fn malformed_rows_disturb_nothing() {
    let host = Host::new("rows");
    let _daemon = host.start();
    host.ip("link add v0 type veth peer name v1");
    host.vsctl("add-br br0 -- set bridge br0 other_config:hwaddr=nonsense");
    host.vsctl(
        "add-port br0 a-very-long-device-name -- add-port br0 vx -- set interface vx type=vxlan",
    );
    host.vsctl("add-port br0 v0 tag=5 trunks=6");
    assert_eq!(host.vsctl("get interface v0 ofport error"), "1\n[]");
    let error = |port: &str| host.vsctl(&format!("get interface {port} error"));
    assert!(error("a-very-long-device-name").contains("at most 15 bytes"));
    assert!(error("vx").contains("not supported"));
    host.vsctl("set interface vx type=patch options:peer=nobody");
    assert_eq!(
        host.vsctl("get interface vx ofport error"),
        "2\n[]",
        "as OVS numbers them"
    );
}

#[test]
fn a_damaged_database_is_kept_and_its_intact_part_can_be_saved() {
    let host = Host::new("salvage");
    let daemon = host.start();
    host.vsctl("add-br br0");
    daemon.stop();
    let db = host.path("etc/conf.db");
    let mut bytes = fs::read(&db).unwrap();
    bytes.extend_from_slice(b"OVSDB JSON 5 0000000000000000000000000000000000000000\ngarb\n{}\n");
    fs::write(&db, &bytes).unwrap();
    let refused = fails(&mut host.vswitchd(&[]));
    assert!(
        refused.contains("--salvage-db") && refused.lines().count() == 1,
        "{refused}"
    );
    assert_eq!(fs::read(&db).unwrap(), bytes, "never overwritten");

    let saved = host.path("etc/saved.db");
    run(&mut host.vswitchd(&["--salvage-db", saved.to_str().unwrap()]));
    fs::rename(&saved, &db).unwrap();
    let _daemon = host.start();
    assert_eq!(host.vsctl("list-br"), "br0");
}

#[test]
fn patch_ports_join_bridges_also_when_a_host_end_is_elsewhere() {
    let host = Host::new("patch");
    let guest = Host::new("patch-guest");
    let daemon = host.start();
    host.vsctl("add-br br0 -- add-br br1");
    host.vsctl("add-port br0 p0 -- set interface p0 type=patch options:peer=p1");
    host.vsctl("add-port br1 p1 -- set interface p1 type=patch options:peer=p0");
    assert_eq!(
        host.vsctl("get interface p0 ofport status:aorta-hook"),
        "1\npatch"
    );
    host.ip(&format!("link set br1 netns {}", guest.ns()));
    host.ip("addr add 10.3.0.1/24 dev br0");
    host.ip("link set br0 up");
    guest.ip("addr add 10.3.0.2/24 dev br1");
    guest.ip("link set br1 up");
    let ping = || {
        run(Command::new("ip").args([
            "netns",
            "exec",
            host.ns(),
            "ping",
            "-q",
            "-c",
            "1",
            "-w",
            "10",
            "10.3.0.2",
        ]))
    };
    ping();
    daemon.stop();
    ping();
    let _daemon = host.start();
    ping();
    assert_eq!(host.vsctl("get interface br1 ofport error"), "65534\n[]");
    host.vsctl("del-br br1");
    assert!(
        !guest.ip("link").contains("br1"),
        "the pair goes with the port, wherever it is"
    );
}
