//! Requests: read devices, and make the few changes that a switch may make.

use std::io;

use aorta_flow::IfIndex;
use aorta_packet::MacAddr;
use futures::TryStreamExt;
use rtnetlink::packet_route::link::{InfoData, InfoVeth, LinkMessage};
use rtnetlink::{Error, Handle, LinkMessageBuilder, LinkUnspec, LinkVeth};

use super::dump::dump;
use super::{DeviceRef, Link, NetdevError};

/// What a new veth pair should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VethPair {
    /// Name of the host's end.
    pub host: String,
    /// Address of the host's end; the kernel picks one if `None`.
    pub host_mac: Option<MacAddr>,
    /// Name of the other end, which the switch attaches to.
    pub hidden: String,
    /// Alias of the other end, by which it is recognised later.
    pub hidden_alias: String,
    /// MTU of both ends in bytes.
    pub mtu: u32,
}

/// Reads and changes the devices of one network namespace.
#[derive(Clone)]
pub struct Netdevs {
    handle: Handle,
}

impl Netdevs {
    /// Opens the socket in the calling thread's network namespace and serves it on a task of the
    /// current tokio runtime, which ends when the last clone is dropped.
    pub fn open() -> Result<Netdevs, NetdevError> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(NetdevError::Open)?;
        tokio::spawn(connection);
        Ok(Netdevs { handle })
    }

    /// All devices.
    pub async fn links(&self) -> Result<Vec<Link>, NetdevError> {
        dump().await.map_err(NetdevError::Dump)
    }

    /// The device of that name, if there is one.
    pub async fn link_by_name(&self, name: &str) -> Result<Option<Link>, NetdevError> {
        let request = self.handle.link().get().match_name(name).execute();
        Self::one(std::pin::pin!(request).try_next().await, name)
    }

    /// The device of that index, if there is one.
    pub async fn link_by_index(&self, ifindex: IfIndex) -> Result<Option<Link>, NetdevError> {
        let request = self
            .handle
            .link()
            .get()
            .match_index(ifindex.get())
            .execute();
        Self::one(
            std::pin::pin!(request).try_next().await,
            &format!("device {ifindex}"),
        )
    }

    fn one(
        reply: Result<Option<LinkMessage>, Error>,
        device: &str,
    ) -> Result<Option<Link>, NetdevError> {
        match reply.map_err(to_io) {
            Ok(message) => Ok(message.as_ref().and_then(Link::from_message)),
            Err(source) => {
                let action = "read its state".to_owned();
                let error = NetdevError::Device {
                    device: device.to_owned(),
                    action,
                    source,
                };
                if error.is_no_device() {
                    Ok(None)
                } else {
                    Err(error)
                }
            }
        }
    }

    /// Makes a veth pair, marks the hidden end with its alias and sets that end up.
    /// The host's end is left down, as any new device. Returns (host's end, hidden end).
    pub async fn create_veth(&self, pair: &VethPair) -> Result<(Link, Link), NetdevError> {
        let peer = LinkMessageBuilder::<LinkUnspec>::new()
            .name(&pair.hidden)
            .mtu(pair.mtu)
            .build();
        let mut message = LinkVeth::new(&pair.host, &pair.hidden).mtu(pair.mtu);
        if let Some(mac) = pair.host_mac {
            message = message.address(mac.0.to_vec());
        }
        let message = message
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
            .build();
        self.handle
            .link()
            .add(message)
            .execute()
            .await
            .map_err(|e| device_error(&pair.host, "make the device pair".to_owned(), e))?;
        let hidden = self.expect(&pair.hidden).await?;
        self.mark(&DeviceRef::from(&hidden), &pair.hidden_alias)
            .await?;
        Ok((
            self.expect(&pair.host).await?,
            self.expect(&pair.hidden).await?,
        ))
    }

    /// Gives a device an alias and sets it up, in one request.
    pub async fn mark(&self, device: &DeviceRef, alias: &str) -> Result<(), NetdevError> {
        let message = LinkUnspec::new_with_index(device.ifindex.get())
            .alias(alias)
            .up()
            .build();
        self.change(device, message, "mark it as the switch's")
            .await
    }

    async fn expect(&self, name: &str) -> Result<Link, NetdevError> {
        self.link_by_name(name)
            .await?
            .ok_or_else(|| NetdevError::Device {
                device: name.to_owned(),
                action: "find it after it was made".to_owned(),
                source: io::Error::from(rustix::io::Errno::NODEV),
            })
    }

    /// Deletes a device (of a veth, both ends). One that is gone already is no error.
    pub async fn delete(&self, device: &DeviceRef) -> Result<(), NetdevError> {
        let result = self.handle.link().del(device.ifindex.get()).execute().await;
        match result.map_err(|e| device_error(&device.name, "delete it".to_owned(), e)) {
            Err(e) if e.is_no_device() => Ok(()),
            other => other,
        }
    }

    /// Sets a device administratively up or down.
    pub async fn set_up(&self, device: &DeviceRef, up: bool) -> Result<(), NetdevError> {
        let message = LinkUnspec::new_with_index(device.ifindex.get());
        let message = if up { message.up() } else { message.down() };
        self.change(
            device,
            message.build(),
            if up { "set it up" } else { "set it down" },
        )
        .await
    }

    /// Sets a device's MTU in bytes.
    pub async fn set_mtu(&self, device: &DeviceRef, mtu: u32) -> Result<(), NetdevError> {
        let message = LinkUnspec::new_with_index(device.ifindex.get())
            .mtu(mtu)
            .build();
        self.change(device, message, &format!("set the MTU to {mtu}"))
            .await
    }

    /// Sets a device's address.
    pub async fn set_mac(&self, device: &DeviceRef, mac: MacAddr) -> Result<(), NetdevError> {
        let message = LinkUnspec::new_with_index(device.ifindex.get())
            .address(mac.0.to_vec())
            .build();
        self.change(device, message, &format!("set the address to {mac}"))
            .await
    }

    /// Sets the text attached to a device.
    pub async fn set_alias(&self, device: &DeviceRef, alias: &str) -> Result<(), NetdevError> {
        let message = LinkUnspec::new_with_index(device.ifindex.get())
            .alias(alias)
            .build();
        self.change(device, message, "set the alias").await
    }

    /// Sets or clears a device's promiscuous flag.
    pub async fn set_promisc(&self, device: &DeviceRef, on: bool) -> Result<(), NetdevError> {
        let message = LinkUnspec::new_with_index(device.ifindex.get())
            .promiscuous(on)
            .build();
        let action = if on {
            "make it promiscuous"
        } else {
            "end promiscuous mode"
        };
        self.change(device, message, action).await
    }

    async fn change(
        &self,
        device: &DeviceRef,
        message: LinkMessage,
        action: &str,
    ) -> Result<(), NetdevError> {
        let result = self.handle.link().change(message).execute().await;
        result.map_err(|e| device_error(&device.name, action.to_owned(), e))
    }
}

fn device_error(device: &str, action: String, error: Error) -> NetdevError {
    NetdevError::Device {
        device: device.to_owned(),
        action,
        source: to_io(error),
    }
}

/// The kernel's errno where there is one, else the library's text.
fn to_io(error: Error) -> io::Error {
    match error {
        Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other.to_string()),
    }
}
