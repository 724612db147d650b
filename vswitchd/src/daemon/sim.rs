//! Orders about devices in memory.

use aorta_flow::PortName;
use aorta_kernel::netdev::{Link, LinkBatch, LinkEvent};

use super::Daemon;
use crate::clock;
use crate::config::DummyKind;
use crate::control::{SimAnswer, SimOrder};
use crate::reconcile::{Datapath, DatapathError, Effects};
use crate::sim::SimNet;

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
            SimOrder::Wires { device } => wires(&net, device.as_deref()),
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

/// Whether wires lead to another end: of a device, or of all that connect by themselves.
fn wires(net: &SimNet, device: Option<&str>) -> SimAnswer {
    let state = |connected: bool| {
        if connected {
            "connected"
        } else {
            "disconnected"
        }
    };
    let all = net.connections();
    let Some(device) = device else {
        let lines = all.iter();
        let lines = lines.map(|(name, connected)| format!("{name}: {}\n", state(*connected)));
        return Ok(lines.collect());
    };
    if net.dummy(device).is_none() {
        return Err("Unknown Dummy Interface".to_owned());
    }
    let found = all.iter().find(|(name, _)| name == device);
    let told = found.map_or("unknown", |(_, connected)| state(*connected));
    Ok(format!("{device}: {told}"))
}
