//! Devices in memory as the reconciler's effects.

use aorta_kernel::netdev::{DeviceRef, HardwareInfo, Link, LinkEvent};

use super::{SimError, SimNet};
use crate::reconcile::{Effect, EffectError, Effects};

/// Devices in memory.
#[derive(Debug)]
pub struct SimHost(SimNet);

impl SimHost {
    /// Makes and changes these.
    pub fn new(net: SimNet) -> SimHost {
        SimHost(net)
    }

    fn change(&self, device: &DeviceRef, change: impl FnOnce(&mut Link)) -> Vec<LinkEvent> {
        let changed = self.0.change(&device.name, change).map(Box::new);
        changed.map(LinkEvent::Changed).into_iter().collect()
    }
}

impl Effects for SimHost {
    async fn run(&mut self, effect: &Effect) -> Result<Vec<LinkEvent>, EffectError> {
        Ok(match effect {
            Effect::MakeDummy(name, dummy) => {
                let link = self.0.make(name, dummy)?;
                vec![LinkEvent::Changed(Box::new(link))]
            }
            Effect::DropDummy(name) => {
                let gone = self.0.remove(name).map(LinkEvent::Gone);
                gone.into_iter().collect()
            }
            Effect::SetMtu(device, mtu) => self.change(device, |link| link.mtu = *mtu),
            Effect::SetMac(device, mac) => self.change(device, |link| link.mac = Some(*mac)),
            Effect::SetUp(device, up) => self.change(device, |link| link.up = *up),
            other => return Err(SimError::Unsupported(other.to_string()).into()),
        })
    }

    async fn link(&mut self, name: &str) -> Result<Option<Link>, EffectError> {
        Ok(self.0.link(name))
    }

    async fn links(&mut self) -> Result<Vec<Link>, EffectError> {
        Ok(self.0.links())
    }

    fn hardware(&mut self, _name: &str) -> HardwareInfo {
        HardwareInfo::default()
    }
}
