use super::*;
use crate::config::QosRow;
use crate::testing::{FakeDatapath, FakeHost, Rows, link};

type TestSwitch = Switch<FakeHost, FakeDatapath>;

/// A switch with the NIC eth0, which is shaped to 20 Gbit/s.
fn switch(host: FakeHost) -> TestSwitch {
    let mut host = host;
    host.add(link(3, "eth0"));
    let mut rows = Rows::default();
    let bridge = rows.bridge("br0");
    let port = rows.simple(bridge, "eth0", "");
    let rate = ("max-rate".to_owned(), "20000000000".to_owned());
    let row = QosRow {
        kind: "linux-htb".to_owned(),
        other_config: BTreeMap::from([rate]),
        ..QosRow::default()
    };
    let id = rows.id();
    rows.model.qos.insert(id, row);
    if let Some(port) = rows.model.ports.get_mut(&port) {
        port.qos = Some(id);
    }
    let actual = Actual::new("run-test".into());
    Switch::with_model(rows.model, actual, host, FakeDatapath::default())
}

/// What is told of eth0, once it is a port that works.
async fn problem(host: FakeHost) -> Option<String> {
    let mut switch = switch(host);
    switch.read_devices().await.unwrap();
    let updates = switch.configure().await;
    let mut columns = updates.iter().flat_map(|update| &update.columns);
    let number = columns.find(|(column, _)| *column == "ofport");
    assert_eq!(number, Some(&("ofport", aorta_ovsdb::Datum::scalar(1))));
    let ports = switch.desired.bridges.iter().flat_map(|b| &b.ports);
    let mut ports = ports.filter(|port| port.name.as_str() == "eth0");
    switch.qos_problem(ports.next().unwrap())
}

#[tokio::test]
async fn a_rate_beyond_the_link_is_told() {
    let nic = |speed_bps| FakeHost {
        speed_bps: Some(speed_bps),
        ..FakeHost::default()
    };
    let told = problem(nic(10_000_000_000)).await.unwrap();
    assert!(
        told.contains("20000000000") && told.contains("10000000000 bit/s"),
        "{told}"
    );
    assert_eq!(problem(nic(25_000_000_000)).await, None);
    assert_eq!(problem(FakeHost::default()).await, None);
}

#[tokio::test]
async fn what_the_kernel_refuses_is_told() {
    let host = FakeHost {
        broken: BTreeSet::from(["Shape".to_owned()]),
        ..FakeHost::default()
    };
    let told = problem(host).await.unwrap();
    assert!(told.contains("Shape: cannot: broken"), "{told}");
}
