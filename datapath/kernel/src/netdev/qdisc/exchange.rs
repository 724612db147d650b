//! Reading and changing disciplines.

use std::collections::BTreeMap;
use std::io;

use aorta_flow::IfIndex;
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rustix::io::Errno;

use super::super::{DeviceRef, NetdevError, Netdevs, request};
use super::{Class, Mark, Qdisc, Root, decode, encode};

/// What is at the roots of devices, without what the kernel put there.
pub type RootQdiscs = BTreeMap<IfIndex, Root>;

/// What a queue has counted since it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueStats {
    /// Bytes that were sent.
    pub bytes: u64,
    /// Packets that were sent.
    pub packets: u64,
    /// Packets for which there was no room.
    pub dropped: u64,
}

impl Netdevs {
    /// The disciplines of all devices, with the classes of those that bear the mark.
    pub async fn root_qdiscs(&self, mark: Mark) -> Result<RootQdiscs, NetdevError> {
        let messages = exchange(&encode::get_qdiscs()).await;
        let messages = messages.map_err(NetdevError::Qdiscs)?;
        let found = messages.iter().filter_map(|m| decode::root(m, mark));
        let mut roots: RootQdiscs = found.collect();
        for (device, root) in &mut roots {
            if let Root::Own(qdisc @ (Qdisc::Htb(_) | Qdisc::Hfsc(_))) = root {
                let messages = exchange(&encode::get_classes(*device)).await;
                let messages = messages.map_err(NetdevError::Qdiscs)?;
                let found = messages.iter().filter_map(|m| decode::class(m, mark));
                found.for_each(|(number, class, _)| qdisc.set_class(number, class));
            }
        }
        Ok(roots)
    }

    /// What the classes of a device have counted, by number.
    pub async fn class_stats(
        &self,
        device: IfIndex,
        mark: Mark,
    ) -> Result<BTreeMap<u16, QueueStats>, NetdevError> {
        let messages = exchange(&encode::get_classes(device)).await;
        let messages = messages.map_err(NetdevError::Qdiscs)?;
        let found = messages.iter().filter_map(|m| decode::class(m, mark));
        Ok(found.map(|(number, _, stats)| (number, stats)).collect())
    }

    /// Makes a discipline the device's, or changes that of the same kind; one of another kind has
    /// to be deleted first. It has no classes at first.
    ///
    /// # Errors
    /// [`NetdevError::NoQdisc`] if the kernel doesn't have the kind.
    pub async fn set_root_qdisc(
        &self,
        device: &DeviceRef,
        qdisc: &Qdisc,
        mark: Mark,
    ) -> Result<(), NetdevError> {
        let request = encode::set_root(device.ifindex, qdisc, mark);
        let kind = qdisc.kind();
        match exchange(&request).await {
            Ok(_) => Ok(()),
            Err(source) if source.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => {
                Err(NetdevError::NoQdisc {
                    device: device.name.clone(),
                    kind,
                })
            }
            Err(source) => Err(failed(device, format!("set the discipline {kind}"), source)),
        }
    }

    /// Gives a device the kernel's own discipline back. Nothing to delete is no error.
    pub async fn delete_root_qdisc(&self, device: &DeviceRef) -> Result<(), NetdevError> {
        let result = exchange(&encode::delete_root(device.ifindex)).await;
        match result {
            Err(error) if !is_gone(&error) => Err(failed(
                device,
                "delete its queueing discipline".to_owned(),
                error,
            )),
            _ => Ok(()),
        }
    }

    /// Makes or changes a class of the device's discipline.
    pub async fn set_class(
        &self,
        device: &DeviceRef,
        number: u16,
        class: &Class,
        mark: Mark,
    ) -> Result<(), NetdevError> {
        let result = exchange(&encode::set_class(device.ifindex, number, class, mark)).await;
        let action = || format!("set the class 1:{number:x}");
        result
            .map(drop)
            .map_err(|source| failed(device, action(), source))
    }

    /// Deletes a class of the device's discipline, which isn't the default one. One that is gone
    /// already is no error.
    pub async fn delete_class(&self, device: &DeviceRef, number: u16) -> Result<(), NetdevError> {
        match exchange(&encode::delete_class(device.ifindex, number)).await {
            Err(error) if !is_gone(&error) => Err(failed(
                device,
                format!("delete the class 1:{number:x}"),
                error,
            )),
            _ => Ok(()),
        }
    }
}

/// Whether what was to be deleted isn't there: the discipline, the class or the device.
fn is_gone(error: &io::Error) -> bool {
    let gone = [Errno::NOENT, Errno::NODEV].map(Errno::raw_os_error);
    error
        .raw_os_error()
        .is_some_and(|errno| gone.contains(&errno))
}

fn failed(device: &DeviceRef, action: String, source: io::Error) -> NetdevError {
    NetdevError::Device {
        device: device.name.clone(),
        action,
        source,
    }
}

async fn exchange(message: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    request::exchange(NETLINK_ROUTE, message).await
}
