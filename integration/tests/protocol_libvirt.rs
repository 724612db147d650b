//! The command lines that libvirt 9.0 issues for its guests, against the running switch.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::client::with_both;
use common::eventually;
use serde_json::Value;

/// libvirt's words for a new network card of a guest.
fn attach<'a>(port: &'a str, vlan: &[&'a str]) -> Vec<&'a str> {
    let mut words = vec![
        "--timeout=5",
        "--",
        "--may-exist",
        "add-port",
        "br-int",
        port,
    ];
    words.extend(vlan);
    for setting in [
        "external-ids:attached-mac=\"52:54:00:11:22:33\"",
        "external-ids:iface-id=\"de305d54-75b4-431b-adb2-eb6b9e546014\"",
        "external-ids:vm-id=\"6ba7b810-9dad-11d1-80b4-00c04fd430c8\"",
        "external-ids:iface-status=active",
    ] {
        words.extend(["--", "set", "Interface", port, setting]);
    }
    words
}

#[test]
fn libvirt_attaches_changes_and_detaches_a_guest() {
    with_both("libvirt", |client| {
        client.done("add-br br-int");
        let must = |words: &[&str]| {
            let (status, stdout) = client.run(words);
            assert_eq!(status, 0, "{words:?}");
            stdout
        };
        must(&attach("tap0", &["tag=42"]));
        // libvirtd starts again: the same command, of which only the last part counts.
        must(&attach("tap0", &["tag=43"]));
        assert_eq!(must(&["get", "Port", "tap0", "tag"]), "42");
        let get = |what: &str| must(&["get", "Interface", "tap0", what]);
        assert_eq!(get("external_ids:attached-mac"), "\"52:54:00:11:22:33\"");
        assert_ne!(get("ofport"), "-1");
        assert_eq!(get("status:aorta-hook"), "tcx");

        let retag = "--timeout=5 -- --if-exists clear Port tap0 tag -- --if-exists clear Port \
                     tap0 trunk -- --if-exists clear Port tap0 vlan_mode -- --if-exists set Port \
                     tap0 tag=43";
        client.done(retag);
        assert_eq!(must(&["get", "Port", "tap0", "tag"]), "43");

        let data = "--timeout=5 --if-exists get Interface tap0 external_ids:PortData";
        assert_eq!(client.done(data), "");
        client.done("--timeout=5 set Interface tap0 external_ids:PortData=\"blob\"");
        assert_eq!(client.done(data), "blob");

        // The first statistics may be a moment away.
        let statistics = "--if-exists --format=list --data=json --no-headings \
                          --columns=statistics list Interface tap0";
        eventually("statistics are there", || {
            let printed = client.done(statistics);
            let value: Value = serde_json::from_str(&printed).unwrap();
            assert_eq!(value[0], "map");
            let pairs = value[1].as_array().unwrap();
            pairs.iter().any(|pair| pair[0] == "rx_packets")
        });

        must(&["--timeout=5", "--", "--if-exists", "del-port", "tap0"]);
        must(&["--timeout=5", "--", "--if-exists", "del-port", "tap0"]);
        for vlan in [
            &["trunk=42,123"][..],
            &["vlan_mode=native-untagged", "tag=123", "trunk=42,123"],
            &["vlan_mode=native-tagged", "tag=123", "trunk=42,123"],
        ] {
            must(&attach("tap1", vlan));
            assert_eq!(must(&["get", "Port", "tap1", "trunks"]), "[42, 123]");
            assert_eq!(must(&["get", "Interface", "tap1", "error"]), "[]");
            must(&["--timeout=5", "--", "--if-exists", "del-port", "tap1"]);
        }
        assert!(
            common::devices(&client.ns).contains_key("tap0"),
            "the guest's"
        );
    });
}

#[test]
fn libvirt_sets_and_clears_bandwidth() {
    with_both("bandwidth", |client| {
        client.done("add-br br-int -- add-port br-int tap0");
        let find = |table: &str| {
            let vm = "external-ids:vm-id=\"6ba7b810-9dad-11d1-80b4-00c04fd430c8\"";
            let words = [
                "--timeout=5",
                "--no-heading",
                "--columns=_uuid",
                "find",
                table,
                vm,
            ];
            let (status, found) =
                client.run(&[&words[..], &["external-ids:ifname=\"tap0\""]].concat());
            assert_eq!(status, 0);
            found
        };
        assert_eq!((find("queue"), find("qos")), (String::new(), String::new()));
        let ids = "external-ids:vm-id=\"6ba7b810-9dad-11d1-80b4-00c04fd430c8\" \
                   external-ids:ifname=\"tap0\"";
        let rates = "other_config:min-rate=8000000 other_config:burst=4096000 \
                     other_config:max-rate=16000000";
        client.done(&format!(
            "--timeout=5 set port tap0 qos=@qos1 {ids} -- --id=@qos1 create qos type=linux-htb \
             {rates} queues:0=@queue0 {ids} -- --id=@queue0 create queue {rates} {ids}"
        ));
        let (queue, qos) = (find("queue"), find("qos"));
        assert!(!queue.is_empty() && !qos.is_empty());
        client.done(&format!(
            "--timeout=5 set queue {queue} other_config:max-rate=1"
        ));
        client.done(
            "--timeout=5 set Interface tap0 ingress_policing_rate=6400 ingress_policing_burst=3200",
        );
        let listed =
            client.done("--timeout=5 --no-heading --columns=_uuid --if-exists list port tap0 qos");
        assert!(!listed.is_empty());
        client.done(&format!("--timeout=5 remove port tap0 qos {qos}"));
        client.done(&format!("--timeout=5 destroy qos {qos}"));
        client.done(&format!("--timeout=5 destroy queue {queue}"));
        assert_eq!((find("queue"), find("qos")), (String::new(), String::new()));
    });
}
