use aorta_flow::{Attachment, IfIndex};
use aorta_ovsdb::{DatabaseSchema, Datum};

use super::*;
use crate::testing::{FakeDatapath, FakeHost, Rows, link};

type TestSwitch = Switch<FakeHost, FakeDatapath>;

/// A switch with br0 and the system ports given, on a host with the devices given.
async fn switch(ports: &[&str], devices: &[Link]) -> TestSwitch {
    let mut host = FakeHost::default();
    devices.iter().for_each(|device| host.add(device.clone()));
    let actual = Actual::new("run-test".into());
    let mut switch = Switch::new(actual, host, FakeDatapath::default());
    let mut rows = Rows::default();
    let br0 = rows.bridge("br0");
    for port in ports {
        rows.simple(br0, port, "");
    }
    switch.model = rows.model;
    switch.read_devices().await.unwrap();
    switch
}

fn tap(ifindex: u32, name: &str) -> Link {
    Link {
        kind: Some("tun".into()),
        ..link(ifindex, name)
    }
}

fn column<'a>(
    switch: &TestSwitch,
    updates: &'a [RowUpdate],
    name: &str,
    column: &str,
) -> Option<&'a Datum> {
    let uuid = switch
        .model
        .interfaces
        .values()
        .find(|i| i.name == name)
        .unwrap()
        .uuid;
    let update = updates
        .iter()
        .find(|u| u.uuid == uuid && u.table == "Interface")?;
    update
        .columns
        .iter()
        .find(|(c, _)| *c == column)
        .map(|(_, datum)| datum)
}

fn attachment(switch: &TestSwitch, port: &str) -> Attachment {
    let newest = switch.datapath.snapshots.last().unwrap();
    let mut ports = newest.bridges.iter().flat_map(|b| &b.ports);
    ports
        .find(|p| p.name.as_str() == port)
        .unwrap()
        .attachment
        .clone()
}

fn attached(switch: &TestSwitch, port: &str) -> bool {
    matches!(attachment(switch, port), Attachment::Netdev { .. })
}

#[tokio::test]
async fn number_and_cur_cfg_are_written_together() {
    let mut switch = switch(&["tap0"], &[tap(3, "tap0")]).await;
    switch.model.root.as_mut().unwrap().next_cfg = 7;
    let updates = switch.configure().await;
    assert_eq!(
        column(&switch, &updates, "tap0", "ofport"),
        Some(&Datum::scalar(1))
    );
    assert_eq!(
        column(&switch, &updates, "tap0", "error"),
        Some(&Datum::empty())
    );
    let cfg = updates.iter().find(|u| u.table == "Open_vSwitch").unwrap();
    assert_eq!(cfg.columns, [("cur_cfg", Datum::scalar(7))]);
    let ifindex = IfIndex::new(3).unwrap();
    let wanted = Attachment::Netdev {
        ifindex,
        up: true,
        mtu_bytes: 1500,
    };
    assert_eq!(attachment(&switch, "tap0"), wanted);
}

#[tokio::test]
async fn a_missing_device_fails_alone_and_is_taken_when_it_comes() {
    let mut switch = switch(&["tap0", "tap1"], &[tap(3, "tap1")]).await;
    let updates = switch.configure().await;
    assert_eq!(
        column(&switch, &updates, "tap0", "ofport"),
        Some(&Datum::scalar(-1))
    );
    let why = Datum::scalar("could not open network device tap0 (No such device)");
    assert_eq!(column(&switch, &updates, "tap0", "error"), Some(&why));
    assert_eq!(
        column(&switch, &updates, "tap1", "ofport"),
        Some(&Datum::scalar(2))
    );
    assert_eq!(attachment(&switch, "tap0"), Attachment::Absent);

    let comes = LinkEvent::Changed(Box::new(tap(4, "tap0")));
    let updates = switch.devices_changed(LinkBatch::Events(vec![comes])).await;
    assert_eq!(
        column(&switch, &updates, "tap0", "ofport"),
        Some(&Datum::scalar(1))
    );
    assert_eq!(
        column(&switch, &updates, "tap0", "error"),
        Some(&Datum::empty())
    );
    assert!(attached(&switch, "tap0"));
    assert_eq!(updates.len(), 1, "nothing else is written: {updates:?}");

    let goes = LinkEvent::Gone(IfIndex::new(4).unwrap());
    let updates = switch.devices_changed(LinkBatch::Events(vec![goes])).await;
    assert_eq!(
        column(&switch, &updates, "tap0", "ofport"),
        Some(&Datum::scalar(-1))
    );
    assert_eq!(
        column(&switch, &updates, "tap0", "ifindex"),
        Some(&Datum::empty())
    );
    assert!(!attached(&switch, "tap0"));
    let back = LinkEvent::Changed(Box::new(tap(9, "tap0")));
    let updates = switch.devices_changed(LinkBatch::Events(vec![back])).await;
    assert_eq!(
        column(&switch, &updates, "tap0", "ofport"),
        Some(&Datum::scalar(1)),
        "kept"
    );
}

#[tokio::test]
async fn a_device_is_taken_when_its_bridge_releases_it() {
    let master = Link {
        kind: Some("bridge".into()),
        ..link(9, "br9")
    };
    let slave = Link {
        master: Some(master.ifindex),
        ..tap(3, "tap0")
    };
    let mut switch = switch(&["tap0"], &[master, slave]).await;
    switch.configure().await;
    assert!(!attached(&switch, "tap0"));
    let free = LinkEvent::Changed(Box::new(tap(3, "tap0")));
    switch.devices_changed(LinkBatch::Events(vec![free])).await;
    assert!(attached(&switch, "tap0"));
}

#[tokio::test]
async fn foreign_devices_and_counters_cause_no_work() {
    let mut switch = switch(&["tap0"], &[tap(3, "tap0")]).await;
    switch.configure().await;
    let snapshots = switch.datapath.snapshots.len();
    let mut counted = tap(3, "tap0");
    counted.stats.rx_packets = 9;
    let events = vec![
        LinkEvent::Changed(Box::new(tap(50, "docker0"))),
        LinkEvent::Changed(Box::new(counted)),
    ];
    assert_eq!(switch.devices_changed(LinkBatch::Events(events)).await, []);
    assert_eq!(switch.configure().await, []);
    assert_eq!(switch.datapath.snapshots.len(), snapshots);
}

#[tokio::test]
async fn one_more_port_costs_one_question() {
    let mut switch = switch(&["tap0"], &[tap(3, "tap0")]).await;
    switch.configure().await;
    let dumps = switch.effects.dumps;
    // The device is there, but its event has not arrived.
    switch.effects.add(tap(4, "tap1"));
    let mut rows = Rows {
        model: switch.model.clone(),
        next: 100,
    };
    let br0 = *rows.model.bridges.keys().next().unwrap();
    rows.simple(br0, "tap1", "");
    switch.model = rows.model;
    let updates = switch.configure().await;
    assert!(attached(&switch, "tap1"));
    assert_eq!(switch.effects.dumps, dumps);
    let tables: Vec<_> = updates.iter().map(|u| u.table).collect();
    assert_eq!(tables, ["Interface"]);
}

#[tokio::test]
async fn lost_events_are_made_up_for() {
    let mut switch = switch(&["tap0"], &[tap(3, "tap0")]).await;
    switch.configure().await;
    switch.effects.links.get_mut(&3).unwrap().mtu = 1300;
    let updates = switch.devices_changed(LinkBatch::Lost).await;
    assert_eq!(
        column(&switch, &updates, "tap0", "mtu"),
        Some(&Datum::scalar(1300))
    );
}

#[tokio::test]
async fn a_port_that_the_datapath_refuses_tells_why() {
    let mut switch = switch(&["tap0", "tap1"], &[tap(3, "tap0"), tap(4, "tap1")]).await;
    switch
        .datapath
        .failing
        .insert("tap0".into(), "tap0: no hook".into());
    let updates = switch.configure().await;
    assert_eq!(
        column(&switch, &updates, "tap0", "ofport"),
        Some(&Datum::scalar(-1))
    );
    assert_eq!(
        column(&switch, &updates, "tap0", "error"),
        Some(&Datum::scalar("tap0: no hook"))
    );
    assert_eq!(
        column(&switch, &updates, "tap1", "ofport"),
        Some(&Datum::scalar(2))
    );
    let (bridges, problems) = switch.status();
    assert_eq!(problems, ["tap0: no hook"]);
    let ports: Vec<_> = bridges[0]
        .ports
        .iter()
        .map(|p| (p.name.as_str(), p.ofport))
        .collect();
    assert_eq!(ports, [("tap1", 2), ("br0", 65534), ("tap0", -1)]);
}

#[tokio::test]
async fn a_refused_snapshot_fails_only_new_ports() {
    let mut switch = switch(&["tap0"], &[tap(3, "tap0"), tap(4, "tap1")]).await;
    switch.configure().await;
    switch.datapath.refuses = Some("program refused".into());
    let mut rows = Rows {
        model: switch.model.clone(),
        next: 100,
    };
    let br0 = *rows.model.bridges.keys().next().unwrap();
    rows.simple(br0, "tap1", "");
    switch.model = rows.model;
    let updates = switch.configure().await;
    let refused = Datum::scalar("program refused");
    assert_eq!(column(&switch, &updates, "tap1", "error"), Some(&refused));
    assert_eq!(column(&switch, &updates, "tap0", "error"), None);
    assert_eq!(switch.status().1, ["program refused"]);
}

#[tokio::test]
async fn statistics_are_written_when_they_change() {
    let mut switch = switch(&["tap0"], &[tap(3, "tap0")]).await;
    switch.configure().await;
    assert_eq!(switch.collect_statistics().await.len(), 1);
    assert_eq!(switch.collect_statistics().await, []);
    switch.effects.links.get_mut(&3).unwrap().stats.tx_bytes = 5;
    let updates = switch.collect_statistics().await;
    let statistics = column(&switch, &updates, "tap0", "statistics").unwrap();
    assert!(
        statistics
            .pairs()
            .any(|(k, v)| *k == "tx_bytes".into() && *v == 5.into())
    );
}

#[tokio::test]
async fn link_changes_are_counted() {
    let mut switch = switch(&["tap0"], &[tap(3, "tap0")]).await;
    switch.configure().await;
    let down = Link {
        carrier: false,
        ..tap(3, "tap0")
    };
    let event = LinkEvent::Changed(Box::new(down));
    let updates = switch.devices_changed(LinkBatch::Events(vec![event])).await;
    assert_eq!(
        column(&switch, &updates, "tap0", "link_state"),
        Some(&Datum::scalar("down"))
    );
    assert_eq!(
        column(&switch, &updates, "tap0", "link_resets"),
        Some(&Datum::scalar(1))
    );
}

#[tokio::test]
async fn cleaning_up_gives_every_device_back() {
    let mut switch = switch(&["eth0"], &[link(2, "eth0")]).await;
    switch.configure().await;
    assert!(switch.effects.links.len() == 3 && switch.effects.links[&2].promisc);
    switch.clean_up().await;
    assert_eq!(
        switch.effects.links.values().cloned().collect::<Vec<_>>(),
        [link(2, "eth0")]
    );
}

#[tokio::test]
async fn a_deleted_bridge_takes_its_device_along() {
    let mut switch = switch(&[], &[]).await;
    switch.configure().await;
    assert_eq!(switch.effects.links.len(), 2);
    let bridge = *switch.model.bridges.keys().next().unwrap();
    let schema = DatabaseSchema::vswitch();
    let row = Row::new(
        schema.table("Open_vSwitch").unwrap(),
        Uuid::nil(),
        Uuid::nil(),
    );
    assert!(switch.row("Open_vSwitch", Uuid::nil(), Some(&row)));
    assert!(switch.row("Bridge", bridge, None));
    switch.configure().await;
    assert!(switch.effects.links.is_empty());
    assert_eq!(switch.datapath.snapshots.last(), Some(&Snapshot::default()));
}

#[tokio::test]
async fn a_host_end_that_comes_back_from_another_namespace_is_known_again() {
    let mut switch = switch(&[], &[]).await;
    switch.configure().await;
    let host = switch
        .effects
        .links
        .values()
        .find(|l| l.name == "br0")
        .unwrap()
        .clone();
    let hidden = host.peer.unwrap().get();
    // It leaves: the kernel tells only that it is gone.
    switch.effects.links.remove(&host.ifindex.get());
    switch.effects.links.get_mut(&hidden).unwrap().peer_netns = Some(0);
    let gone = LinkEvent::Gone(host.ifindex);
    switch.devices_changed(LinkBatch::Events(vec![gone])).await;
    assert_eq!(
        switch.status().0[0].ports[0].ofport,
        65534,
        "it goes on switching"
    );
    // It comes back under another index.
    let back = Link {
        ifindex: IfIndex::new(500).unwrap(),
        ..host
    };
    switch.effects.add(back.clone());
    let end = switch.effects.links.get_mut(&hidden).unwrap();
    (end.peer, end.peer_netns) = (Some(back.ifindex), None);
    let event = LinkEvent::Changed(Box::new(back));
    switch.devices_changed(LinkBatch::Events(vec![event])).await;
    assert_eq!(switch.status().0[0].ports[0].ifindex, 500);
}
