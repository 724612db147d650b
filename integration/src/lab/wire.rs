//! The guest's side of a tap, frame by frame: what a virtual machine's network card would do,
//! without the machine.

use std::time::Duration;

use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use super::{LabError, Netns, wait_for};

/// Room for the longest frame that a tap hands over without offloads, in bytes.
const MAX_FRAME: usize = 66_000;

/// A tap that this process holds. The tap is up as long as the value lives, and gone afterwards.
pub struct Wire {
    device: SyncDevice,
}

impl Wire {
    /// Makes the tap `name` in a namespace, up, without offloads.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn new(ns: &Netns, name: &str) -> Result<Wire, LabError> {
        let make = || {
            ns.enter()?;
            let device = DeviceBuilder::new()
                .name(name)
                .layer(Layer::L2)
                .build_sync()
                .map_err(LabError::system("make a tap"))?;
            device
                .set_nonblocking(true)
                .map_err(LabError::system("make a tap non-blocking"))?;
            Ok(device)
        };
        // A thread of its own, because it stays in the namespace.
        let device = std::thread::scope(|scope| scope.spawn(make).join())
            .unwrap_or_else(|_| Err(LabError::Agent("making a tap panicked".to_owned())))?;
        ns.ip(&["link", "set", "dev", name, "up"])?;
        Ok(Wire { device })
    }

    /// Sends a frame as the guest; the switch has dealt with it when this returns.
    ///
    /// # Errors
    /// When the tap is down.
    pub fn send(&self, frame: &[u8]) -> Result<(), LabError> {
        self.device
            .send(frame)
            .map(drop)
            .map_err(LabError::system("send a frame"))
    }

    /// A frame that has come to the guest, if there is one.
    pub fn receive(&self) -> Option<Vec<u8>> {
        let mut frame = vec![0; MAX_FRAME];
        let length = self.device.recv(&mut frame).ok()?;
        frame.truncate(length);
        Some(frame)
    }

    /// Every frame that has come so far.
    pub fn receive_all(&self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.receive()).collect()
    }

    /// Waits for a frame of which `wanted` holds; others are passed over.
    ///
    /// # Errors
    /// [`LabError::Timeout`], naming `what`.
    pub fn wait_frame(
        &self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<u8>, LabError> {
        wait_for(what, limit, || {
            std::iter::from_fn(|| self.receive()).find(|frame| wanted(frame))
        })
    }
}
