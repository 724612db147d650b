//! Database commands: rows, columns, values, tables of output.

use super::{compare, compare_words};

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
fn an_argument_that_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_vsctl"))
        .args(["comment".as_ref(), std::ffi::OsStr::from_bytes(b"a\xff")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is not UTF-8"));
}
