//! Against the kernel, each in a network namespace of its own (needs root).

use std::fs::File;
use std::future::Future;
use std::os::fd::AsFd;
use std::process::Command;
use std::time::Duration;

use aorta_packet::MacAddr;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::qdisc::{Burst, Class, Codel, HtbClass, Mark, Qdisc, Root, SHARED_CLASS, Tbf};
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

/// A class with this rate in bytes a second.
fn class(rate_bytes_s: u64) -> HtbClass {
    HtbClass {
        rate_bytes_s,
        ceil_bytes_s: rate_bytes_s * 2,
        burst: Burst::of(20_000, rate_bytes_s),
        ceil_burst: Burst::of(30_000, rate_bytes_s * 2),
        priority: 3,
        quantum_bytes: 1500,
    }
}

#[test]
fn classes_read_as_they_were_set() {
    let ns = Namespace::new("classes");
    inside(&ns, async || {
        let devices = Netdevs::open().unwrap();
        let (_, hidden) = devices.create_veth(&pair("br0", "aobr0")).await.unwrap();
        let device = DeviceRef::from(&hidden);
        let (mark, other) = (Mark::new(7), Mark::new(8));
        let htb = Qdisc::Htb(Default::default());
        devices.set_root_qdisc(&device, &htb, mark).await.unwrap();
        // The last one needs more than 32 bits for its rate.
        let mut wanted = std::collections::BTreeMap::new();
        for (number, rate) in [(SHARED_CLASS, 6_000_000_000), (1, 1500), (9, 5_000_000_000)] {
            wanted.insert(number, class(rate));
            let class = Class::Htb(class(rate));
            let set = devices.set_class(&device, number, &class, mark);
            set.await.unwrap();
        }
        let read = async |mark| devices.root_qdiscs(mark).await.unwrap();
        let own = |classes| Some(Root::Own(Qdisc::Htb(classes)));
        assert_eq!(
            read(mark).await.remove(&hidden.ifindex),
            own(wanted.clone())
        );
        assert_eq!(read(mark).await.len(), 1);
        let foreign = Some(Root::Foreign("htb".to_owned()));
        assert_eq!(read(other).await.remove(&hidden.ifindex), foreign);
        wanted.insert(1, class(4000));
        wanted.remove(&9);
        let slower = Class::Htb(class(4000));
        let set = devices.set_class(&device, 1, &slower, mark);
        set.await.unwrap();
        for _ in 0..2 {
            devices.delete_class(&device, 9).await.unwrap();
        }
        assert_eq!(read(mark).await.remove(&hidden.ifindex), own(wanted));
        let stats = devices.class_stats(hidden.ifindex, mark).await.unwrap();
        assert_eq!(stats.keys().copied().collect::<Vec<_>>(), [1, SHARED_CLASS]);
        for _ in 0..2 {
            devices.delete_root_qdisc(&device).await.unwrap();
        }
        assert!(read(mark).await.is_empty());
    });
}

#[test]
fn disciplines_read_as_they_were_set_where_the_kernel_has_them() {
    let ns = Namespace::new("qdiscs");
    let codel = Codel {
        target_us: 5000,
        interval_us: 100_000,
        limit_packets: 1000,
    };
    let tbf = |rate_bytes_s| {
        Qdisc::Tbf(Tbf {
            rate_bytes_s,
            burst: Burst::of(20_000, rate_bytes_s),
            limit_bytes: 20_000,
        })
    };
    let sfq = Qdisc::Sfq {
        perturb_s: 10,
        quantum_bytes: 1500,
    };
    let fq_codel = Qdisc::FqCodel {
        codel,
        flows: 1024,
        quantum_bytes: 1514,
    };
    let hfsc = Qdisc::Hfsc(Default::default());
    let netem = Qdisc::Netem {
        latency_us: 20,
        limit_packets: 1000,
        loss_percent: 3,
    };
    let changed = [tbf(1_250_000), tbf(9_000_000_000)];
    let others = [sfq, Qdisc::Codel(codel), fq_codel, hfsc, netem];
    inside(&ns, async || {
        let devices = Netdevs::open().unwrap();
        let (_, hidden) = devices.create_veth(&pair("br0", "aobr0")).await.unwrap();
        let device = DeviceRef::from(&hidden);
        let mark = Mark::new(7);
        for (at, qdisc) in changed.iter().chain(&others).enumerate() {
            match devices.set_root_qdisc(&device, qdisc, mark).await {
                Err(NetdevError::NoQdisc { kind, .. }) if at >= changed.len() => {
                    println!("skipped: this kernel has no {kind}");
                    continue;
                }
                set => set.unwrap(),
            }
            let read = devices
                .root_qdiscs(mark)
                .await
                .unwrap()
                .remove(&hidden.ifindex);
            assert_eq!(read, Some(Root::Own(qdisc.as_read())));
            // The next but one is of another kind.
            if at + 1 >= changed.len() {
                devices.delete_root_qdisc(&device).await.unwrap();
            }
        }
        devices.delete(&device).await.unwrap();
        let set = devices.set_root_qdisc(&device, &changed[0], mark).await;
        assert!(set.unwrap_err().is_no_device());
    });
}
