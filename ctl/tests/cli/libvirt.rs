//! Every command line that libvirt 9.0 issues, word for word.

use super::{Lab, compare_words};

const ID: &str = "de305d54-75b4-431b-adb2-eb6b9e546014";

fn attach<'a>(vlan: &[&'a str], profile: bool) -> Vec<&'a str> {
    let mut words = vec![
        "--timeout=5",
        "--",
        "--may-exist",
        "add-port",
        "br-int",
        "vif1",
    ];
    words.extend(vlan);
    let mut set = |argument: &'a str| words.extend(["--", "set", "Interface", "vif1", argument]);
    set("external-ids:attached-mac=\"52:54:00:11:22:33\"");
    set("external-ids:iface-id=\"de305d54-75b4-431b-adb2-eb6b9e546014\"");
    set("external-ids:vm-id=\"6ba7b810-9dad-11d1-80b4-00c04fd430c8\"");
    if profile {
        set("external-ids:port-profile=\"prof1\"");
        set("external-ids:ifname=\"vif1\"");
    }
    set("external-ids:iface-status=active");
    words
}

fn words(line: &'static str) -> Vec<&'static str> {
    line.split_whitespace().collect()
}

#[test]
fn ports_are_attached_changed_and_detached() {
    compare_words(&[
        words("add-br br-int"),
        attach(&[], false),
        // Again for a guest that runs when libvirtd restarts: other settings are ignored.
        attach(&["tag=42"], true),
        words("--timeout=5 -- --if-exists del-port vif1"),
        words("--timeout=5 -- --if-exists del-port vif1"),
        attach(&["tag=42"], true),
        words(
            "--timeout=5 -- --if-exists clear Port vif1 tag -- --if-exists clear Port vif1 trunk \
             -- --if-exists clear Port vif1 vlan_mode -- --if-exists set Port vif1 tag=43",
        ),
        words(
            "--timeout=5 -- --if-exists clear Port nope tag -- --if-exists clear Port nope trunk \
             -- --if-exists clear Port nope vlan_mode",
        ),
        words("--timeout=5 -- --if-exists del-port vif1"),
        attach(&["trunk=42,123"], false),
        words("get Port vif1 trunks"),
        words("--timeout=5 -- --if-exists del-port vif1"),
        attach(
            &["vlan_mode=native-untagged", "tag=123", "trunk=42,123"],
            false,
        ),
        words("--timeout=5 -- --if-exists del-port vif1"),
        attach(
            &["vlan_mode=native-tagged", "tag=123", "trunk=42,123"],
            false,
        ),
        words("iface-to-br vif1"),
        words("iface-to-br vif2"),
    ]);
}

#[test]
fn migration_carries_port_data() {
    compare_words(&[
        words("add-br br-int"),
        attach(&[], false),
        words("--timeout=5 --if-exists get Interface vif1 external_ids:PortData"),
        words("--timeout=5 set Interface vif1 external_ids:PortData=\"blob\""),
        words("--timeout=5 --if-exists get Interface vif1 external_ids:PortData"),
        words("--timeout=5 --if-exists get Interface nope external_ids:PortData"),
    ]);
}

/// The rows that libvirt finds by the guest and device they are for.
fn owned(ifname: &'static str) -> [&'static str; 2] {
    let device = match ifname {
        "vif1" => "external-ids:ifname=\"vif1\"",
        _ => "external-ids:ifname=\"vif2\"",
    };
    [
        "external-ids:vm-id=\"de305d54-75b4-431b-adb2-eb6b9e546014\"",
        device,
    ]
}

fn find_owned(table: &'static str, ifname: &'static str) -> Vec<&'static str> {
    let mut line = words("--timeout=5 --no-heading --columns=_uuid find");
    line.push(table);
    line.extend(owned(ifname));
    line
}

#[test]
fn bandwidth_limits_become_queues() {
    assert!(owned("vif1")[0].contains(ID));
    let mut create = words("--timeout=5 set port vif1 qos=@qos1");
    create.extend(owned("vif1"));
    create.extend(words(
        "-- --id=@qos1 create qos type=linux-htb other_config:min-rate=8000000 \
         other_config:burst=4096000 other_config:max-rate=16000000 queues:0=@queue0",
    ));
    create.extend(owned("vif1"));
    create.extend(words(
        "-- --id=@queue0 create queue other_config:min-rate=8000000 other_config:burst=4096000 \
         other_config:max-rate=16000000",
    ));
    create.extend(owned("vif1"));
    compare_words(&[
        words("add-br br-int"),
        attach(&[], false),
        find_owned("queue", "vif1"),
        create,
        find_owned("queue", "vif1"),
        find_owned("qos", "vif1"),
        find_owned("qos", "vif2"),
        words("--timeout=5 set qos vif1 other_config:min-rate=9000000"),
        words(
            "--timeout=5 set Interface vif1 ingress_policing_rate=6400 ingress_policing_burst=3200",
        ),
        words("--timeout=5 set Interface vif1 ingress_policing_rate=0 ingress_policing_burst=0"),
        words("--timeout=5 --no-heading --columns=_uuid --if-exists list port vif1 qos"),
    ]);
}

/// The steps that name rows by the ids that earlier ones printed.
#[test]
fn bandwidth_limits_are_changed_and_cleared_by_row_id() {
    let lab = Lab::start();
    for line in ["add-br br-int", "add-port br-int vif1"] {
        lab.step(&words(line));
    }
    lab.step(&words(
        "set port vif1 qos=@qos1 -- --id=@qos1 create qos type=linux-htb queues:0=@queue0 -- \
         --id=@queue0 create queue other_config:max-rate=16000000",
    ));
    lab.step_with_ids(
        &["queue"],
        "--timeout=5 set queue {queue} other_config:min-rate=7",
    );
    lab.step_with_ids(
        &["qos"],
        "--timeout=5 set qos {qos} other_config:min-rate=7",
    );
    lab.step_with_ids(&["qos"], "--timeout=5 remove port vif1 qos {qos}");
    lab.step_with_ids(&["qos"], "--timeout=5 destroy qos {qos}");
    lab.step_with_ids(&["queue"], "--timeout=5 destroy queue {queue}");
}

#[test]
fn vhost_user_ports_are_found_and_their_statistics_read() {
    compare_words(&[
        words("add-br br-int"),
        words(
            "add-port br-int vhost1 -- set Interface vhost1 type=dpdkvhostuserclient \
             options:vhost-server-path=/tmp/vhost1 statistics={collisions=0,rx_bytes=5}",
        ),
        words("--no-headings --columns=name find Interface options:vhost-server-path=/tmp/vhost1"),
        words("--no-headings --columns=name find Interface options:vhost-server-path=/nope"),
        words(
            "--if-exists --format=list --data=json --no-headings --columns=statistics list \
             Interface vhost1",
        ),
        words(
            "--if-exists --format=list --data=json --no-headings --columns=statistics list \
             Interface nope",
        ),
    ]);
}
