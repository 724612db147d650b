//! Reading the list of all devices, one datagram at a time: a message is ten times as large in
//! memory as what is kept of it, so a long list must never be there as messages.

use std::io;

use rtnetlink::packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::{RouteNetlinkMessage, link::LinkMessage};
use rtnetlink::sys::{
    AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE,
};

use super::Link;

/// Largest datagram of a dump.
const DATAGRAM: usize = 64 << 10;

/// All devices of the calling thread's network namespace.
pub async fn dump() -> io::Result<Vec<Link>> {
    let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
    socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::GetLink(LinkMessage::default()));
    request.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    socket.send_to(&bytes, &SocketAddr::new(0, 0)).await?;
    let mut links = Vec::new();
    let mut buffer = Vec::with_capacity(DATAGRAM);
    loop {
        buffer.clear();
        socket.recv(&mut buffer).await?;
        if take(&buffer, &mut links)? {
            return Ok(links);
        }
    }
}

/// Adds the devices of one datagram. True if it ends the dump.
fn take(mut bytes: &[u8], links: &mut Vec<Link>) -> io::Result<bool> {
    let damaged = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    if bytes.is_empty() {
        return Err(damaged("an empty datagram".to_owned()));
    }
    while !bytes.is_empty() {
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes)
            .map_err(|e| damaged(e.to_string()))?;
        let length = (message.header.length as usize).next_multiple_of(4);
        bytes = bytes.get(length..).unwrap_or_default();
        match message.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => {
                links.extend(Link::from_message(&link));
            }
            NetlinkPayload::Done(_) => return Ok(true),
            NetlinkPayload::Error(error) => return Err(error.to_io()),
            _ => {}
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_that_does_not_decode_is_an_error() {
        assert!(take(&[], &mut Vec::new()).is_err());
        assert!(take(&[1, 2, 3, 4, 5], &mut Vec::new()).is_err());
    }
}
