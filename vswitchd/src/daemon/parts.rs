//! What a daemon is made of, for each datapath.

use std::path::Path;

use aorta_kernel::netdev::{LinkBatch, LinkEvents, NetdevError, Netdevs};
use aorta_kernel::{Config, Datapath};

use super::DaemonError;
use crate::cards::HostCards;
use crate::config::Devices;
use crate::devices::qdisc_mark;
use crate::expedite::Expedite;
use crate::kernel::KernelDatapath;
use crate::offload::Offloading;
use crate::ofproto::Journal;
use crate::place::Place;
use crate::promisc::PromiscFile;
use crate::reconcile::{self, Actual, Effects, HostDevices};
use crate::sim::{SimDatapath, SimHost, SimNet};
use crate::switch::Switch;

/// A switch with what it works on.
pub struct Parts<E, D> {
    /// The switch, with the flow tables of before.
    pub switch: Switch<E, D>,
    /// News of the host's devices, if these are used.
    pub events: Option<LinkEvents>,
    /// The devices in memory, if those are used.
    pub net: Option<SimNet>,
}

/// The kernel's datapath, with the host's network cards in front of it.
type KernelParts = Offloading<KernelDatapath, HostCards>;

/// The kernel's datapath with the host's devices.
pub fn kernel(place: &Place) -> Result<Parts<HostDevices, KernelParts>, DaemonError> {
    let kernel = Datapath::open(&Config {
        pin_dir: place.pin_dir.clone(),
    })?;
    let promisc = PromiscFile::open(&place.rundir)?;
    // Before the list is read, so that no change falls between.
    let events = LinkEvents::open()?;
    let mut actual = Actual::new(place.instance.clone());
    actual.promisc = promisc.names().clone();
    let mark = qdisc_mark(&place.instance);
    let devices = HostDevices::new(Netdevs::open()?, promisc, mark);
    let datapath = KernelDatapath::new(kernel, Expedite::open(&place.rundir));
    let cards = HostCards::open(&place.rundir, &place.instance);
    let datapath = Offloading::new(datapath, cards);
    Ok(Parts {
        switch: continued(Switch::new(actual, devices, datapath), &place.rundir)?,
        events: Some(events),
        net: None,
    })
}

/// A datapath and devices in memory.
pub fn sim(place: &Place, devices: Devices) -> Result<Parts<SimHost, SimDatapath>, DaemonError> {
    let net = SimNet::default();
    let datapath = SimDatapath::new(net.clone()).map_err(|e| DaemonError::Upcalls(e.into()))?;
    let actual = Actual::new(place.instance.clone());
    let mut switch = Switch::new(actual, SimHost::new(net.clone()), datapath);
    switch.use_devices(devices);
    Ok(Parts {
        switch: continued(switch, &place.rundir)?,
        events: None,
        net: Some(net),
    })
}

/// The switch, with the flow tables that an earlier daemon had.
fn continued<E: Effects, D: reconcile::Datapath>(
    mut switch: Switch<E, D>,
    rundir: &Path,
) -> Result<Switch<E, D>, DaemonError> {
    let (journal, restored) = Journal::open(rundir)?;
    switch.restore_flows(journal, restored);
    Ok(switch)
}

/// Waits for news of the host's devices; for ever if these are not used.
pub async fn next_batch(events: Option<&mut LinkEvents>) -> Result<LinkBatch, NetdevError> {
    match events {
        Some(events) => events.next().await,
        None => std::future::pending().await,
    }
}
