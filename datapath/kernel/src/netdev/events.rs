//! Changes of devices, as they happen.

use std::collections::BTreeMap;
use std::io;

use aorta_flow::IfIndex;
use futures::FutureExt;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage, link::LinkMessage};
use rtnetlink::sys::{
    AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE,
};

use super::{Link, NetdevError};

/// Multicast group of link changes (RTMGRP_LINK).
const LINK_GROUP: u32 = 1;
/// Kernel buffer for changes not yet read, in bytes; a thousand new devices fit.
const RECEIVE_BUFFER: usize = 4 << 20;
/// Largest datagram of rtnetlink.
const DATAGRAM: usize = 64 << 10;
/// Datagrams taken at once, so that a storm of changes can't starve everything else.
const MAX_BATCH: usize = 1024;

/// What happened to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEvent {
    /// It appeared, or something about it changed: its newest state.
    Changed(Box<Link>),
    /// It is gone (deleted, or moved to another namespace).
    Gone(IfIndex),
}

/// What one read of the stream gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkBatch {
    /// The newest state of each device that changed, one event a device.
    Events(Vec<LinkEvent>),
    /// The kernel dropped events: the whole list must be read again.
    Lost,
}

/// The stream of changes of all devices in one namespace.
pub struct LinkEvents {
    socket: TokioSocket,
    buffer: Vec<u8>,
}

impl LinkEvents {
    /// Subscribes. Changes from now on are kept until they are read; open this before the first
    /// dump, so that nothing falls between.
    pub fn open() -> Result<LinkEvents, NetdevError> {
        let subscribe = || -> io::Result<TokioSocket> {
            let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
            // A smaller buffer only means an earlier re-read of the list.
            let _ = socket.socket_mut().set_rx_buf_sz(RECEIVE_BUFFER as u32);
            socket.socket_mut().bind(&SocketAddr::new(0, LINK_GROUP))?;
            Ok(socket)
        };
        let socket = subscribe().map_err(NetdevError::Open)?;
        Ok(LinkEvents {
            socket,
            buffer: Vec::with_capacity(DATAGRAM),
        })
    }

    /// Waits for the next change and takes every other that has already arrived.
    pub async fn next(&mut self) -> Result<LinkBatch, NetdevError> {
        let mut events = BTreeMap::new();
        self.receive().await?;
        for _ in 0..MAX_BATCH {
            match collect(&self.buffer, &mut events) {
                Some(()) => {}
                None => return Ok(LinkBatch::Lost),
            }
            match self.receive().now_or_never() {
                Some(result) => result?,
                None => break,
            }
        }
        Ok(LinkBatch::Events(events.into_values().collect()))
    }

    /// Reads one datagram into the buffer; an overrun leaves it empty.
    async fn receive(&mut self) -> Result<(), NetdevError> {
        self.buffer.clear();
        match self.socket.recv(&mut self.buffer).await {
            Ok(()) => Ok(()),
            Err(e) if e.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error()) => {
                self.buffer.clear();
                Ok(())
            }
            Err(e) => Err(NetdevError::Events(e)),
        }
    }
}

/// Adds the messages of one datagram to `events`. `None` if something can't be trusted: an
/// overrun, or bytes that don't decode.
fn collect(mut bytes: &[u8], events: &mut BTreeMap<IfIndex, LinkEvent>) -> Option<()> {
    if bytes.is_empty() {
        return None;
    }
    while !bytes.is_empty() {
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes).ok()?;
        let aligned = (message.header.length as usize).next_multiple_of(4);
        if aligned == 0 {
            return None;
        }
        bytes = bytes.get(aligned..).unwrap_or_default();
        match message.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(m)) if is_device(&m) => {
                if let Some(link) = Link::from_message(&m) {
                    events.insert(link.ifindex, LinkEvent::Changed(Box::new(link)));
                }
            }
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(m)) if is_device(&m) => {
                let ifindex = IfIndex::new(m.header.index)?;
                events.insert(ifindex, LinkEvent::Gone(ifindex));
            }
            NetlinkPayload::Overrun(_) => return None,
            _ => {}
        }
    }
    Some(())
}

/// Linux bridges announce their ports with the same messages in their own address family; there
/// "deleted" means only that the port left the bridge.
fn is_device(message: &LinkMessage) -> bool {
    message.header.interface_family == AddressFamily::Unspec
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_route::link::LinkAttribute;

    use super::*;

    fn datagram(message: RouteNetlinkMessage) -> Vec<u8> {
        let mut message = NetlinkMessage::from(message);
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes
    }

    fn link(index: u32, name: &str, family: AddressFamily) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.interface_family = family;
        message.header.index = index;
        message.attributes = vec![LinkAttribute::IfName(name.into())];
        message
    }

    #[test]
    fn newest_state_of_each_device_wins() {
        let mut bytes = datagram(RouteNetlinkMessage::NewLink(link(
            2,
            "a",
            AddressFamily::Unspec,
        )));
        bytes.extend(datagram(RouteNetlinkMessage::NewLink(link(
            2,
            "b",
            AddressFamily::Unspec,
        ))));
        bytes.extend(datagram(RouteNetlinkMessage::DelLink(link(
            3,
            "c",
            AddressFamily::Unspec,
        ))));
        let mut events = BTreeMap::new();
        assert_eq!(collect(&bytes, &mut events), Some(()));
        let events: Vec<_> = events.into_values().collect();
        assert!(matches!(&events[0], LinkEvent::Changed(l) if l.name == "b"));
        assert_eq!(events[1], LinkEvent::Gone(IfIndex::new(3).unwrap()));
        assert_eq!(events.len(), 2);
    }

    #[test]
    fn leaving_a_linux_bridge_is_not_going_away() {
        let bytes = datagram(RouteNetlinkMessage::DelLink(link(
            4,
            "p",
            AddressFamily::Bridge,
        )));
        let mut events = BTreeMap::new();
        assert_eq!(collect(&bytes, &mut events), Some(()));
        assert!(events.is_empty());
    }

    #[test]
    fn overrun_and_garbage_ask_for_a_new_list() {
        assert_eq!(collect(&[], &mut BTreeMap::new()), None);
        assert_eq!(collect(&[1, 2, 3], &mut BTreeMap::new()), None);
    }
}
