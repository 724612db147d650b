//! Orders about devices in memory.

use aorta_flow::PortName;
use aorta_kernel::netdev::{Link, LinkBatch, LinkEvent};

use super::Daemon;
use crate::clock;
use crate::config::DummyKind;
use crate::control::{SimAnswer, SimOrder};
use crate::reconcile::{Datapath, DatapathError, Effects};

/// What only devices in memory can do.
const NO_SIM: &str =
    "the switch works on the host's devices; this is for `vswitchd --datapath sim`";

impl<E: Effects, D: Datapath> Daemon<E, D> {
    /// Follows an order. The effects are visible at the return.
    pub(super) async fn follow_sim(&mut self, order: SimOrder) -> SimAnswer {
        let Some(net) = self.net.clone() else {
            return Err(NO_SIM.to_owned());
        };
        match order {
            SimOrder::Receive {
                device,
                queue,
                frames,
            } => {
                let Some(dummy) = net.dummy(&device) else {
                    return Err("no such dummy netdev".to_owned());
                };
                if queue > 0 && dummy.kind != DummyKind::Pmd {
                    return Err("bad rx queue id.".to_owned());
                }
                let port = PortName::from(device.as_str());
                for frame in &frames {
                    let received = self.switch.receive(&port, frame);
                    received.map_err(|DatapathError(why)| why)?;
                }
                Ok(String::new())
            }
            SimOrder::SetUp { device, up } => {
                let names = match device {
                    Some(name) if net.link(&name).is_none() => {
                        return Err("Unknown Dummy Interface".to_owned());
                    }
                    Some(name) => vec![name],
                    None => net.links().into_iter().map(|link| link.name).collect(),
                };
                let set = |link: &mut Link| (link.up, link.running) = (up, up);
                let changed = names.iter().filter_map(|name| net.change(name, set));
                let events = changed.map(|link| LinkEvent::Changed(Box::new(link)));
                let events = LinkBatch::Events(events.collect());
                let updates = self.switch.devices_changed(events).await;
                self.write(updates).await;
                Ok("OK".to_owned())
            }
            SimOrder::Wires { device } => match device {
                Some(name) => match net.dummy(&name) {
                    None => Err("Unknown Dummy Interface".to_owned()),
                    Some(_) => Ok(format!("{name}: unknown")),
                },
                None => Ok(String::new()),
            },
            SimOrder::StopTime => {
                clock::stop();
                Ok(String::new())
            }
            SimOrder::Warp(by) => {
                clock::warp(by);
                self.switch.expire_flows();
                if self.next_statistics <= clock::now() {
                    self.statistics().await;
                }
                Ok(String::new())
            }
        }
    }
}
