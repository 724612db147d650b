//! Rows of the database that configure the switch.

use serde_json::Value;

use super::lab;
use crate::config::{AllOfPorts, Desired, Wanted, desired};
use crate::openflow::connections;

/// An array of operations (RFC 7047 §5.2) on an empty database. What the switch makes of the rows
/// is the same when it looks again, and its own doing leaves nothing to do.
pub fn configuration(bytes: &[u8]) {
    let Ok(Value::Array(operations)) = serde_json::from_slice(bytes) else {
        return;
    };
    let Some(db) = lab::database(&operations) else {
        return;
    };
    let model = lab::model(&db);
    let (first, numbers) = desired(&model, &AllOfPorts::new());
    let (second, again) = desired(&model, &numbers);
    assert_eq!(first, second, "looking again changes what is wanted");
    assert_eq!(numbers, again, "looking again changes ports' numbers");
    let who = connections::desired(&model, lab::rundir());
    assert_eq!(who, connections::desired(&model, lab::rundir()));
    if touches_nothing(&first) {
        lab::block_on(async {
            let mut switch = lab::unconfigured(&db)?;
            switch.configure().await;
            let _ = (switch.status(), switch.report());
            Some(())
        });
    }
}

/// Whether devices in memory would open no file and no socket.
fn touches_nothing(desired: &Desired) -> bool {
    let mut ports = desired.bridges.iter().flat_map(|bridge| &bridge.ports);
    ports.all(|port| match &port.wanted {
        Wanted::Dummy(dummy) => {
            let files = [&dummy.pcap, &dummy.rx_pcap, &dummy.tx_pcap];
            dummy.wire.is_none() && files.iter().all(|file| file.is_none())
        }
        _ => true,
    })
}
