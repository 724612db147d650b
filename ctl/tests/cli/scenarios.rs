//! Commands by family, good and bad ones.

use super::compare;

#[test]
fn bridges() {
    compare(&[
        "list-br",
        "init",
        "add-br br0",
        "add-br br0",
        "--may-exist add-br br0",
        "add-br br1 -- list-br",
        "list-br",
        "br-exists br0",
        "br-exists nope",
        "br-exists nope -- add-br br9",
        "br-to-vlan br0",
        "br-to-parent br0",
        "br-to-vlan nope",
        "br-set-external-id br0 k v",
        "br-set-external-id br0 k2 v2",
        "br-get-external-id br0",
        "br-get-external-id br0 k",
        "br-get-external-id br0 none",
        "br-set-external-id br0 k",
        "br-get-external-id br0",
        "del-br nope",
        "--if-exists del-br nope",
        "del-br br0 -- add-br br0 -- set bridge br0 datapath_type=netdev",
        "show",
        "del-br br0",
        "list-br",
        "del-br br1",
        "show",
    ]);
}

#[test]
fn fake_bridges() {
    compare(&[
        "add-br br0",
        "add-port br0 p1",
        "add-br vl br0 9",
        "br-to-vlan vl",
        "br-to-parent vl",
        "--fake list-br",
        "--real list-br",
        "--real --fake list-br",
        "list-br",
        "add-port vl pv",
        "add-port br0 pt tag=9",
        "list-ports br0",
        "list-ports vl",
        "list-ifaces vl",
        "get port pv tag",
        "port-to-br pt",
        "iface-to-br pv",
        "add-br vl2 vl 8",
        "add-br vl2 br0 9",
        "add-br vl2 br0",
        "add-br vl2 br0 4096",
        "add-br vl2 nope 9",
        "--may-exist add-br vl br0 9",
        "--may-exist add-br vl br0 8",
        "--may-exist add-br vl br1 9",
        "--may-exist add-br vl",
        "--may-exist add-br br0 br1 9",
        "br-set-external-id vl k v",
        "br-get-external-id vl",
        "br-get-external-id vl k",
        "br-get-external-id br0",
        "del-port br0 pv",
        "del-port vl p1",
        "set-controller vl tcp:1.1.1.1",
        "set-fail-mode vl secure",
        "get-controller vl",
        "get-fail-mode vl",
        "show",
        "del-port vl pv",
        "del-br vl",
        "list-ports br0",
        "port-to-br pt",
        "add-br vl br0 0",
        "list-ports vl",
        "del-br br0",
        "list-br",
    ]);
}

#[test]
fn ports() {
    compare(&[
        "add-br br0",
        "add-br br1",
        "add-port br0 p1",
        "add-port br0 p1",
        "add-port br0 br1",
        "add-port nope p2",
        "--may-exist add-port br0 p1 tag=77",
        "--may-exist add-port br1 p1",
        "add-port br0 p2 tag=10 trunks=1,2,5 vlan_mode=native-tagged other-config:priority-tags=true",
        "add-port br0 p3 nonsense=1",
        "add-port br0 p3 tag=9999",
        "add-port br0 p3 name=p4",
        "list-ports br0",
        "list-ifaces br0",
        "port-to-br p2",
        "port-to-br p9",
        "port-to-br br0",
        "iface-to-br br0",
        "iface-to-br p2",
        "list-ports nope",
        "show",
        "del-port br1 p2",
        "del-port br0 p2",
        "del-port p2",
        "--if-exists del-port p2",
        "del-port br0",
        "--if-exists del-port br0",
        "add-port br0 a -- add-port br0 b -- add-port br1 c -- del-port a -- list-ports br0",
        "add-port br0 d -- add-port nope e",
        "list-ports br0",
        "add-port br0 p5 -- set Interface p5 type=patch options:peer=p6 -- get Interface p5 type",
        "del-br br0 -- list-ports br1",
    ]);
}

#[test]
fn bonds() {
    compare(&[
        "add-br br0",
        "add-bond br0 bond0 e1 e2 bond_mode=balance-slb lacp=active",
        "--may-exist add-bond br0 bond0 e2 e1",
        "--may-exist add-bond br0 bond0 e2 e3",
        "--fake-iface add-bond br0 bond1 e3 e4",
        "add-bond br0 bond2 e5",
        "add-bond br0 bond2 e5 e1",
        "add-bond br0 bond2 e5 e6=1",
        "list-ifaces br0",
        "list-ports br0",
        "show",
        "iface-to-br e1",
        "del-port e1",
        "--with-iface del-port nope",
        "--with-iface del-port e1",
        "--with-iface --if-exists del-port e1",
        "list-ports br0",
    ]);
}

#[test]
fn bond_interfaces() {
    compare(&[
        "add-br br0 -- add-port br0 p1 -- add-bond br0 bo i1 i2",
        "add-bond-iface bo i3",
        "list-ifaces br0",
        "add-bond-iface bo i3",
        "--may-exist add-bond-iface bo i3",
        "--may-exist add-bond-iface p1 i3",
        "add-bond-iface nope i9",
        "add-bond-iface bo p1",
        "add-bond-iface p1 br0",
        "del-bond-iface bo i3",
        "del-bond-iface i2",
        "list-ifaces br0",
        "del-bond-iface i1",
        "del-bond-iface nope",
        "--if-exists del-bond-iface nope",
        "--if-exists del-bond-iface bo nope",
        "del-bond-iface p1 i1",
        "del-bond-iface bo nope",
        "del-bond-iface nope i1",
        "add-bond-iface p1 p2 -- list-ifaces br0",
        "del-bond-iface p1 p1 -- iface-to-br p2",
    ]);
}

#[test]
fn keys() {
    compare(&[
        "get-ssl",
        "set-ssl /a/key /a/cert /a/ca",
        "get-ssl",
        "--bootstrap set-ssl k c ca -- get-ssl",
        "list ssl",
        "get ssl . private_key",
        "set-ssl a b",
        "del-ssl",
        "list ssl",
        "get-ssl",
    ]);
}

#[test]
fn emergency_reset() {
    compare(&[
        "add-br br0 -- add-port br0 p1 -- set bridge br0 other_config:hwaddr=00:11:22:33:44:55",
        "set bridge br0 other_config:x=y fail_mode=secure external_ids:a=b datapath_type=netdev",
        "set open . other_config:a=b external_ids:c=d -- set-manager ptcp:1 -- set-ssl a b c",
        "set port p1 other_config:a=b tag=5 -- set interface p1 other_config:a=b type=patch",
        "-- set-controller br0 tcp:1.1.1.1 -- --id=@m create mirror name=m -- set bridge br0 \
         mirrors=@m",
        "emer-reset",
        "show",
        "emer-reset",
    ]);
}

#[test]
fn controllers_and_managers() {
    compare(&[
        "add-br br0",
        "get-controller br0",
        "set-controller br0 tcp:1.2.3.4:6653 tcp:2.2.3.4",
        "get-controller br0",
        "show",
        "--inactivity-probe=9000 set-controller br0 tcp:1.2.3.4",
        "list controller",
        "get controller br0 target inactivity_probe",
        "set controller br0 max_backoff=5000",
        "get-fail-mode br0",
        "set-fail-mode br0 secure",
        "get-fail-mode br0",
        "set-fail-mode br0 open",
        "del-fail-mode br0",
        "del-controller br0",
        "get-controller br0",
        "set-controller nope tcp:1.1.1.1",
        "get-manager",
        "set-manager ptcp:6640:127.0.0.1 ptcp:6641",
        "get-manager",
        "set manager ptcp:6641 is_connected=true",
        "show",
        "set-manager ptcp:6641",
        "list manager",
        "del-manager",
        "get-manager",
    ]);
}

#[test]
fn command_lines() {
    compare(&[
        "",
        "--",
        "-- list-br --",
        "-- -- list-br",
        "foo",
        "--foo list-br",
        "-Z list-br",
        "add-br",
        "add-br a b c d e",
        "--if-exists add-br x",
        "--may-exist=1 add-br x",
        "--may-exist --may-exist add-br x",
        "--may-exist",
        "--columns list port",
        "--columns name list bridge",
        "list-br -x",
        "--timeout=x list-br",
        "-t5 list-br",
        "-vconsole:off -v list-br",
        "--verbose=off --no-syslog list-br",
        "--dry-run add-br br0 -- list-br",
        "list-br",
        "--oneline add-br br0 -- list-br",
        "status",
        "--json list-br",
        "-- --may-exist add-br br0 -- --if-exists del-br br7",
    ]);
}
