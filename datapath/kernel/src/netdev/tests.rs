//! Against the kernel, each in a network namespace of its own (needs root).

use std::fs::File;
use std::future::Future;
use std::os::fd::AsFd;
use std::process::Command;
use std::time::Duration;

use aorta_packet::MacAddr;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::*;

/// A named network namespace that goes away with the value.
struct Namespace(String);

impl Namespace {
    fn new(name: &str) -> Namespace {
        let name = format!("aonet-{name}-{}", std::process::id());
        ip(&["netns", "add", &name]);
        Namespace(name)
    }

    fn ip(&self, arguments: &[&str]) {
        ip(&[&["-n", &self.0], arguments].concat());
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().unwrap();
    assert!(status.success(), "ip {arguments:?}");
}

/// Runs `work` on a thread that has moved into the namespace.
fn inside<F: Future<Output = ()>>(ns: &Namespace, work: impl FnOnce() -> F + Send) {
    let file = File::open(format!("/run/netns/{}", ns.0)).unwrap();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                tokio::time::timeout(Duration::from_secs(20), work())
                    .await
                    .unwrap();
            });
        });
        thread.join().unwrap();
    });
}

fn pair(host: &str, hidden: &str) -> VethPair {
    VethPair {
        host: host.into(),
        host_mac: Some(MacAddr([2, 0, 0, 0, 0, 9])),
        hidden: hidden.into(),
        hidden_alias: format!("aorta: switch side of {host} (test)"),
        mtu: 1450,
    }
}

#[test]
fn a_pair_is_made_changed_and_deleted() {
    let ns = Namespace::new("pair");
    inside(&ns, async || {
        let devices = Netdevs::open().unwrap();
        let (host, hidden) = devices.create_veth(&pair("br0", "aobr0")).await.unwrap();
        assert_eq!(host.kind.as_deref(), Some("veth"));
        assert_eq!(
            (host.mac, host.up, host.mtu),
            (Some(MacAddr([2, 0, 0, 0, 0, 9])), false, 1450)
        );
        assert_eq!(
            (hidden.up, hidden.mtu, hidden.peer),
            (true, 1450, Some(host.ifindex))
        );
        assert_eq!(
            hidden.alias.as_deref(),
            Some("aorta: switch side of br0 (test)")
        );

        let device = DeviceRef::from(&host);
        devices.set_up(&device, true).await.unwrap();
        devices.set_mtu(&device, 1300).await.unwrap();
        devices
            .set_mac(&device, MacAddr([2, 0, 0, 0, 0, 7]))
            .await
            .unwrap();
        devices.set_promisc(&device, true).await.unwrap();
        devices.set_alias(&device, "hello").await.unwrap();
        let changed = devices.link_by_name("br0").await.unwrap().unwrap();
        assert_eq!(
            (changed.up, changed.mtu, changed.promisc),
            (true, 1300, true)
        );
        assert_eq!(changed.mac, Some(MacAddr([2, 0, 0, 0, 0, 7])));
        assert_eq!(changed.alias.as_deref(), Some("hello"));
        assert!(changed.link_up());
        assert_eq!(
            devices.link_by_index(host.ifindex).await.unwrap(),
            Some(changed)
        );

        devices.delete(&device).await.unwrap();
        assert_eq!(devices.link_by_name("br0").await.unwrap(), None);
        assert_eq!(devices.link_by_name("aobr0").await.unwrap(), None);
        devices.delete(&device).await.unwrap();
        let gone = devices.set_mtu(&device, 1400).await.unwrap_err();
        assert!(gone.is_no_device());
        assert_eq!(gone.to_string(), "br0: cannot set the MTU to 1400");
    });
}

#[test]
fn a_taken_name_is_told_apart() {
    let ns = Namespace::new("taken");
    ns.ip(&[
        "link", "add", "br0", "type", "veth", "peer", "name", "other",
    ]);
    inside(&ns, async || {
        let devices = Netdevs::open().unwrap();
        let error = devices
            .create_veth(&pair("br0", "aobr0"))
            .await
            .unwrap_err();
        assert!(error.is_name_taken(), "{error:?}");
        assert_eq!(devices.link_by_name("aobr0").await.unwrap(), None);
    });
}

/// Reads batches until `wanted` says so.
async fn until(events: &mut LinkEvents, mut wanted: impl FnMut(&LinkEvent) -> bool) {
    loop {
        let LinkBatch::Events(batch) = events.next().await.unwrap() else {
            continue;
        };
        if batch.iter().any(&mut wanted) {
            return;
        }
    }
}

#[test]
fn changes_arrive_as_events() {
    let ns = Namespace::new("events");
    inside(&ns, async || {
        let mut events = LinkEvents::open().unwrap();
        ns.ip(&["link", "add", "v0", "type", "veth", "peer", "name", "v1"]);
        let mut index = None;
        until(&mut events, |event| match event {
            LinkEvent::Changed(link) if link.name == "v0" => {
                index = Some(link.ifindex);
                true
            }
            _ => false,
        })
        .await;
        ns.ip(&["link", "set", "v0", "mtu", "1333"]);
        until(
            &mut events,
            |e| matches!(e, LinkEvent::Changed(l) if l.mtu == 1333),
        )
        .await;
        ns.ip(&["link", "del", "v0"]);
        let gone = LinkEvent::Gone(index.unwrap());
        until(&mut events, |e| *e == gone).await;
    });
}

#[test]
fn leaving_a_linux_bridge_keeps_the_device() {
    let ns = Namespace::new("bridge");
    inside(&ns, async || {
        let devices = Netdevs::open().unwrap();
        ns.ip(&["link", "add", "br9", "type", "bridge"]);
        ns.ip(&["link", "add", "v0", "type", "veth", "peer", "name", "v1"]);
        ns.ip(&["link", "set", "v0", "master", "br9"]);
        let bridge = devices.link_by_name("br9").await.unwrap().unwrap();
        let port = devices.link_by_name("v0").await.unwrap().unwrap();
        assert_eq!(bridge.kind.as_deref(), Some("bridge"));
        assert_eq!(port.master, Some(bridge.ifindex));
        let mut events = LinkEvents::open().unwrap();
        ns.ip(&["link", "set", "v0", "nomaster"]);
        until(&mut events, |event| {
            assert_ne!(*event, LinkEvent::Gone(port.ifindex));
            matches!(event, LinkEvent::Changed(l) if l.name == "v0" && l.master.is_none())
        })
        .await;
        let names: Vec<_> = devices
            .links()
            .await
            .unwrap()
            .into_iter()
            .map(|link| link.name)
            .collect();
        assert!(
            ["lo", "br9", "v0", "v1"]
                .iter()
                .all(|name| names.contains(&(*name).to_owned()))
        );
    });
}

#[test]
fn a_storm_of_changes_is_survived() {
    let ns = Namespace::new("storm");
    inside(&ns, async || {
        let mut events = LinkEvents::open().unwrap();
        let mut script = String::new();
        for i in 0..300 {
            script.push_str(&format!("link add s{i} type veth peer name t{i}\n"));
            script.push_str(&format!("link set s{i} up\nlink set t{i} up\n"));
        }
        script.push_str("link add last type veth peer name tsal\n");
        let file = std::env::temp_dir().join(format!("aonet-storm-{}", std::process::id()));
        std::fs::write(&file, script).unwrap();
        ns.ip(&["-batch", file.to_str().unwrap()]);
        std::fs::remove_file(&file).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        let mut batches = 0;
        // Either everything arrives, or the stream says that it lost something.
        while !seen.contains("last") {
            batches += 1;
            match events.next().await.unwrap() {
                LinkBatch::Lost => return,
                LinkBatch::Events(batch) => {
                    seen.extend(batch.into_iter().filter_map(|e| match e {
                        LinkEvent::Changed(link) => Some(link.name),
                        LinkEvent::Gone(_) => None,
                    }))
                }
            }
        }
        assert!(
            (0..300).all(|i| seen.contains(&format!("s{i}"))),
            "{} seen",
            seen.len()
        );
        assert!(
            batches < 300,
            "{batches} batches: changes are not taken together"
        );
    });
}
