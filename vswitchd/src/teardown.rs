//! Removing everything, while no daemon runs.

use aorta_kernel::netdev::{NetdevError, Netdevs};
use aorta_kernel::{Config, Datapath};

use crate::cards::HostCards;
use crate::config::Desired;
use crate::daemon::DaemonError;
use crate::devices::qdisc_mark;
use crate::expedite::Expedite;
use crate::ofproto::Journal;
use crate::place::Place;
use crate::promisc::PromiscFile;
use crate::reconcile::{Actual, Cards, Effects, HostDevices, settle};

/// Ends forwarding, deletes the switch's devices and gives the others back.
pub async fn teardown(place: &Place) -> Result<(), DaemonError> {
    // Cards first: what they don't decide any more, the programs still do.
    let left = HostCards::open(&place.rundir, &place.instance).sweep(&[]);
    let expedite = Expedite::open(&place.rundir);
    let expedited = expedite.begin();
    Datapath::teardown(&Config {
        pin_dir: place.pin_dir.clone(),
    })?;
    drop(expedited);
    Journal::remove_from(&place.rundir)?;
    let promisc = PromiscFile::open(&place.rundir)?;
    let mut actual = Actual::new(place.instance.clone());
    actual.promisc = promisc.names().clone();
    let mark = qdisc_mark(&place.instance);
    let mut devices = HostDevices::new(Netdevs::open()?, promisc, mark);
    actual.replace(devices.links().await?);
    actual.qdiscs = devices.qdiscs().await?;
    settle(&Desired::default(), &mut actual, &mut devices).await;
    devices.forget()?;
    match left.into_iter().chain(actual.failed.into_values()).next() {
        None => Ok(()),
        Some(why) => Err(DaemonError::Incomplete(why)),
    }
}

/// Deletes the datapaths that an Open vSwitch left in the kernel; answers their names.
pub async fn release_open_vswitch() -> Result<Vec<String>, NetdevError> {
    Netdevs::open()?.delete_ovs_datapaths().await
}
