//! Commands by family, good and bad ones.

use super::{compare, compare_words};

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

// Not compared: `add` of a key that is there. ovs-vsctl(8) says that the value stays, as it does
// with vsctl; ovs-vsctl 3.1 replaces it.
#[test]
fn columns() {
    compare(&[
        "add-br br0 -- add-port br0 p1",
        "set port p1 tag=5 -- get port p1 tag",
        "set PORT p1 TAG=6 -- get Port p1 tag",
        "set port p1 t=6",
        "set port p1 foo=6",
        "set p p1 tag=1",
        "set nope p1 tag=1",
        "set port p9 tag=1",
        "--if-exists set port p9 tag=1",
        "set port p1 tag=",
        "set port p1 tag",
        "set port p1 tag=abc",
        "set port p1 tag=1,2",
        "set port p1 tag=[7] -- get port p1 tag",
        "set port p1 tag=[] -- get port p1 tag",
        "set port p1 trunks=1-5,7 -- get port p1 trunks",
        "set port p1 trunks=5-3",
        "set port p1 trunks=1,1",
        "set port p1 trunks=[1,2",
        "set port p1 trunks:1=2",
        "set port p1 vlan_mode=foo",
        "set port p1 vlan_mode=access -- get port p1 vlan-mode",
        "set bridge br0 external-ids=a=b,c=d external-ids:ovn-remote=tcp:127.0.0.1:6642",
        "get bridge br0 external-ids",
        "get bridge br0 external-ids:c external-ids:ovn-remote _uuid",
        "get bridge br0 external-ids:nope",
        "--if-exists get bridge br0 external-ids:nope",
        "--if-exists get bridge nope name",
        "get bridge nope name",
        "get bridge br0 name:x",
        "get bridge br0",
        "set bridge br0 protocols=OpenFlow10,OpenFlow13 -- get bridge br0 protocols",
        "set bridge br0 stp_enable=yes -- get bridge br0 stp_enable",
        "set bridge br0 name=br1",
        "set bridge br0 external-ids={a=b,a=c}",
        "set bridge br0 external-ids=[a=b]",
        "set bridge br0 external-ids={} -- get bridge br0 external-ids",
        "set bridge br0 external-ids:empty=\"\" -- get bridge br0 external-ids",
        "set bridge br0 datapath_type=\"net\"dev",
        "add bridge br0 external_ids a=b c=d",
        "get bridge br0 external_ids",
        "remove bridge br0 external_ids a -- get bridge br0 external_ids",
        "remove bridge br0 external_ids c=x -- get bridge br0 external_ids",
        "remove bridge br0 external_ids c=d q -- get bridge br0 external_ids",
        "add port p1 trunks 100-103 55 -- get port p1 trunks",
        "remove port p1 trunks 100-102 55 9 -- get port p1 trunks",
        "set port p1 tag=7",
        "add port p1 tag 8",
        "remove port p1 tag 7 -- get port p1 tag",
        "clear bridge br0 datapath_type",
        "clear bridge br0 external_ids protocols",
        "clear bridge br0 name",
        "clear port p1 trunk -- get port p1 trunks",
        "set open . external-ids:system-id=x other_config:flow-restore-wait=true",
        "get o . external_ids other_config",
        "set flow_table 1 name=x",
    ]);
}

#[test]
fn values_with_spaces_and_quotes() {
    compare_words(&[
        vec!["add-br", "br0"],
        vec!["set", "bridge", "br0", "external-ids={x=\"a b c\" y=1}"],
        vec!["get", "bridge", "br0", "external-ids", "external_ids:x"],
        vec![
            "set",
            "bridge",
            "br0",
            "external-ids:\"a b\"=c",
            "external-ids:k=\"q\\\"u\\u00e9\"",
        ],
        vec![
            "get",
            "bridge",
            "br0",
            "external-ids:\"a b\"",
            "external-ids:k",
        ],
        vec![
            "set",
            "bridge",
            "br0",
            "external-ids:u=9d7edbef-8d90-417b-b271-5a572166977b",
        ],
        vec![
            "set",
            "bridge",
            "br0",
            "external-ids:t=true",
            "external-ids:é=é é",
        ],
        vec!["--columns=external_ids", "list", "bridge"],
        vec!["--bare", "--columns=external_ids", "list", "bridge"],
        vec![
            "--oneline",
            "get",
            "bridge",
            "br0",
            "name",
            "external_ids",
            "--",
            "list-br",
        ],
        vec!["set", "bridge", "br0", "external-ids= "],
        vec!["set", "bridge", "br0", "flood_vlans=1 2, 3"],
        vec!["get", "bridge", "br0", "flood_vlans"],
        vec!["comment", "hello world"],
    ]);
}

#[test]
fn lists() {
    let mut lines: Vec<String> = vec![
        "add-br br0 -- add-port br0 p1 tag=10 -- add-port br0 eth0-x trunk=1,2,5".into(),
        "set port p1 other_config:a=b,c external_ids={x=y,z=1}".into(),
        "list port p1".into(),
        "list bridge".into(),
        "list mirror".into(),
        "list port nope".into(),
        "--if-exists list port nope p1".into(),
        "--columns=nope list port".into(),
        "--columns=, list port".into(),
        "--columns=name,_uuid list bridge -- --columns=name list bridge -- list-br".into(),
        "--pretty -f json --columns=name,ports list bridge".into(),
        "-f table --max-column-width=5 --columns=name,trunks,tag list port".into(),
        "-f xml list port".into(),
        "-d xml list port".into(),
    ];
    for format in ["table", "list", "csv", "json", "html"] {
        for data in ["string", "bare", "json"] {
            if (format, data) == ("html", "json") {
                continue;
            }
            let columns = "--columns=name,tag,trunks,external_ids,_uuid,interfaces";
            lines.push(format!("-f {format} -d {data} {columns} list port p1"));
            lines.push(format!(
                "-f {format} -d {data} --no-headings {columns} list port p1"
            ));
        }
    }
    compare(&lines.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn finds() {
    let mut lines: Vec<String> = vec![
        "add-br br0 -- add-port br0 p1 tag=10 trunks=1 -- add-port br0 p2 trunks=1,2,5".into(),
        "add-port br0 p3 trunks=2,6 tag=11 -- set port p3 external_ids:k=5 other_config:mtu=9"
            .into(),
        "--columns=name find port nope=1".into(),
        "--columns=name find port tag".into(),
        "--columns=name find port tag:x=1".into(),
        "--columns=name find port tag=10 trunks=1".into(),
        "--columns=name find port interfaces=@x".into(),
    ];
    let operators = [
        "=", "!=", "<", ">", "<=", ">=", "{=}", "{!=}", "{<}", "{>}", "{<=}", "{>=}",
    ];
    for operator in operators.iter().chain(&["{in}", "{not-in}"]) {
        for value in ["1", "1,2", "[]", "2,6"] {
            lines.push(format!("--columns=name find port trunks{operator}{value}"));
        }
        lines.push(format!("--columns=name find port tag{operator}10"));
        lines.push(format!("--columns=name find port name{operator}p2"));
        lines.push(format!(
            "--columns=name find port external_ids:k{operator}5"
        ));
        lines.push(format!(
            "--columns=name find port external_ids{operator}k=5"
        ));
    }
    compare(&lines.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn records() {
    compare(&[
        "add-br br0 -- add-port br0 p1",
        "create qos type=linux-htb",
        "list qos",
        "create queue",
        "create queue dscp=99",
        "create port name=zz",
        "create nope a=b",
        "-- --id=@x get port p1 name -- --id=@m create mirror name=m0 select-dst-port=@x \
         select-src-port=@x -- set bridge br0 mirrors=@m",
        "get mirror m0 name select_all",
        "list mirror",
        "set bridge br0 mirrors=@none",
        "-- --id=x create queue dscp=1",
        "-- --id=@q create queue dscp=1 -- --id=@q create queue dscp=2",
        "-- --id=@q create queue dscp=1 -- --id=@r create qos type=x queues=0=@q,5=@q",
        "-- --if-exists --id=@x get port p1",
        "set bridge br0 controller=@c -- --id=@x get port p1 -- --id=@x get port p1",
        "-- add bridge br0 mirrors @m2 -- --id=@m2 create mirror name=m2",
        "--columns=name list mirror",
        "remove bridge br0 mirrors nope",
        "clear bridge br0 mirrors",
        "list mirror",
        "destroy queue nope",
        "--if-exists destroy queue nope",
        "--all destroy queue 1",
        "--all --if-exists destroy queue",
        "--all destroy qos -- --all destroy queue",
        "list queue",
        "destroy bridge br0",
        "-- --id=@f create flow_table name=f0 -- set bridge br0 flow_tables:1=@f",
        "get flow_table f0 name",
        "get bridge br0 flow_tables:9",
        "--id=11111111-1111-1111-1111-111111111111 create queue dscp=1",
        "get queue 11111111 dscp",
        "get queue 1111 dscp",
        "get queue 111 dscp",
        "destroy queue 11111111",
        "wait-until bridge br0 name=br0 -- get bridge br0 name",
        "--timeout=1 wait-until bridge br0 name=br1",
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
