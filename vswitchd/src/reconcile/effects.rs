//! What the reconciler does to the host's devices, and what it asks about them.

use std::collections::BTreeMap;
use std::future::Future;

use aorta_flow::IfIndex;
use aorta_kernel::netdev::qdisc::{Mark, QueueStats, RootQdiscs};
use aorta_kernel::netdev::{
    DeviceRef, HardwareInfo, Link, LinkEvent, NetdevError, Netdevs, hardware_info,
};

use super::{Effect, Shaping};
use crate::promisc::{PromiscError, PromiscFile};
use crate::sim::SimError;

/// An effect that failed.
#[derive(Debug, thiserror::Error)]
pub enum EffectError {
    /// The kernel refused.
    #[error(transparent)]
    Netdev(#[from] NetdevError),
    /// The memory of promiscuous NICs could not be written.
    #[error(transparent)]
    Promisc(#[from] PromiscError),
    /// A device in memory can't be had.
    #[error(transparent)]
    Sim(#[from] SimError),
    /// A test says so.
    #[cfg(test)]
    #[error("{0}")]
    Fake(String),
}

impl EffectError {
    /// The error and its causes in one line.
    pub fn line(&self) -> String {
        crate::errors::line(self)
    }
}

/// Every effect and every question of the reconciler, so that it can be tested without a kernel.
pub trait Effects: Send {
    /// Makes one change; what became of the devices that it touched.
    fn run(
        &mut self,
        effect: &Effect,
    ) -> impl Future<Output = Result<Vec<LinkEvent>, EffectError>> + Send;

    /// The device of that name.
    fn link(
        &mut self,
        name: &str,
    ) -> impl Future<Output = Result<Option<Link>, EffectError>> + Send;

    /// All devices.
    fn links(&mut self) -> impl Future<Output = Result<Vec<Link>, EffectError>> + Send;

    /// The queueing disciplines of all devices.
    fn qdiscs(&mut self) -> impl Future<Output = Result<RootQdiscs, EffectError>> + Send {
        std::future::ready(Ok(RootQdiscs::new()))
    }

    /// What the classes of a device have counted.
    fn queue_stats(
        &mut self,
        _device: IfIndex,
    ) -> impl Future<Output = Result<BTreeMap<u16, QueueStats>, EffectError>> + Send {
        std::future::ready(Ok(BTreeMap::new()))
    }

    /// What is known about a NIC's hardware.
    fn hardware(&mut self, name: &str) -> HardwareInfo;
}

/// The host's devices.
pub struct HostDevices {
    netdevs: Netdevs,
    promisc: PromiscFile,
    mark: Mark,
}

impl HostDevices {
    /// Works on the current network namespace; queueing disciplines bear the mark.
    pub fn new(netdevs: Netdevs, promisc: PromiscFile, mark: Mark) -> HostDevices {
        HostDevices {
            netdevs,
            promisc,
            mark,
        }
    }

    async fn shape(&self, device: &DeviceRef, shaping: &Shaping) -> Result<(), EffectError> {
        let netdevs = &self.netdevs;
        let done = match shaping {
            Shaping::Drop => netdevs.delete_root_qdisc(device).await,
            Shaping::Set(qdisc) => netdevs.set_root_qdisc(device, qdisc, self.mark).await,
            Shaping::DropClass(class) => netdevs.delete_class(device, *class).await,
            Shaping::SetClass(class, settings) => {
                let set = netdevs.set_class(device, *class, settings, self.mark);
                set.await
            }
        };
        Ok(done?)
    }

    /// Leaves no memory behind, if nothing is left to remember.
    pub fn forget(&self) -> Result<(), PromiscError> {
        self.promisc.forget()
    }

    async fn changed(&self, device: &DeviceRef) -> Result<Vec<LinkEvent>, EffectError> {
        let event = match self.netdevs.link_by_index(device.ifindex).await? {
            Some(link) => LinkEvent::Changed(Box::new(link)),
            None => LinkEvent::Gone(device.ifindex),
        };
        Ok(vec![event])
    }

    async fn delete_pair(&self, device: &DeviceRef) -> Result<Vec<LinkEvent>, EffectError> {
        let link = self.netdevs.link_by_index(device.ifindex).await?;
        self.netdevs.delete(device).await?;
        let peer = link.filter(|l| l.peer_netns.is_none()).and_then(|l| l.peer);
        Ok([Some(device.ifindex), peer]
            .into_iter()
            .flatten()
            .map(LinkEvent::Gone)
            .collect())
    }
}

impl Effects for HostDevices {
    async fn run(&mut self, effect: &Effect) -> Result<Vec<LinkEvent>, EffectError> {
        match effect {
            Effect::DeletePair(device) => self.delete_pair(device).await,
            Effect::CreatePair(pair) => {
                let (host, hidden) = self.netdevs.create_veth(pair).await?;
                Ok([host, hidden]
                    .map(|link| LinkEvent::Changed(Box::new(link)))
                    .into())
            }
            Effect::Mark(device, alias) => {
                self.netdevs.mark(device, alias).await?;
                self.changed(device).await
            }
            Effect::SetMtu(device, mtu) => {
                self.netdevs.set_mtu(device, *mtu).await?;
                self.changed(device).await
            }
            Effect::SetMac(device, mac) => {
                self.netdevs.set_mac(device, *mac).await?;
                self.changed(device).await
            }
            Effect::SetUp(device, up) => {
                self.netdevs.set_up(device, *up).await?;
                self.changed(device).await
            }
            Effect::BeginPromisc(device) => {
                // Remembered first: after a crash, better one flag too many cleared than left.
                self.promisc.add(&device.name)?;
                self.netdevs.set_promisc(device, true).await?;
                self.changed(device).await
            }
            Effect::EndPromisc(name, device) => {
                let mut events = Vec::new();
                if let Some(device) = device {
                    self.netdevs.set_promisc(device, false).await?;
                    events = self.changed(device).await?;
                }
                self.promisc.remove(name)?;
                Ok(events)
            }
            Effect::Shape(device, shaping) => {
                self.shape(device, shaping).await?;
                Ok(Vec::new())
            }
            Effect::DropDummy(name) | Effect::MakeDummy(name, _) => {
                Err(SimError::Host(name.clone()).into())
            }
        }
    }

    async fn link(&mut self, name: &str) -> Result<Option<Link>, EffectError> {
        Ok(self.netdevs.link_by_name(name).await?)
    }

    async fn links(&mut self) -> Result<Vec<Link>, EffectError> {
        Ok(self.netdevs.links().await?)
    }

    async fn qdiscs(&mut self) -> Result<RootQdiscs, EffectError> {
        Ok(self.netdevs.root_qdiscs(self.mark).await?)
    }

    async fn queue_stats(
        &mut self,
        device: IfIndex,
    ) -> Result<BTreeMap<u16, QueueStats>, EffectError> {
        Ok(self.netdevs.class_stats(device, self.mark).await?)
    }

    fn hardware(&mut self, name: &str) -> HardwareInfo {
        hardware_info(name)
    }
}
