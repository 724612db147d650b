//! What a peer says over a connection of OpenFlow.

use std::time::Duration;

use aorta_openflow::message::Hello;
use aorta_openflow::session::{Input, Session};
use aorta_openflow::{Context, Envelope, Message, OptionLengths, Version, Versions, encode};
use tokio::sync::oneshot;

use super::lab::{self, Lab};
use crate::openflow::{Batch, ConnId, Connected, Incoming, Kind, Order, Outbox, Outgoing};

/// The bridge that is spoken with.
const BRIDGE: &str = "br0";
/// Bytes of a message's header.
const HEADER: usize = 8;

/// The first byte says which version is spoken, and whether this is a controller. What follows is
/// what the peer says behind its HELLO. Every barrier is answered once, errors can be told in the
/// version that is spoken, and the flow tables can be kept over a restart.
pub fn openflow(bytes: &[u8]) {
    let Some((kind, stream)) = bytes.split_first() else {
        return;
    };
    let version = Version::ALL[usize::from(kind & 0x7f) % Version::ALL.len()];
    let kind = match kind & 0x80 {
        0 => Kind::Service,
        _ => Kind::Controller,
    };
    lab::block_on(talk(version, kind, stream));
}

async fn talk(version: Version, kind: Kind, stream: &[u8]) -> Option<()> {
    let mut talk = Talk::new(version, kind).await?;
    talk.say(&greeting(version)).await;
    let mut rest = stream;
    while !rest.is_empty() {
        // One message at a time, as far as its length is right, and all of the rest otherwise.
        let length = rest
            .get(2..4)
            .map_or(0, |l| usize::from(l[0]) << 8 | usize::from(l[1]));
        let whole = (HEADER..=rest.len()).contains(&length);
        let (message, behind) = rest.split_at(if whole { length } else { rest.len() });
        if !talk.say(message).await {
            break;
        }
        rest = behind;
    }
    talk.end().await;
    Some(())
}

fn greeting(version: Version) -> Vec<u8> {
    let hello = Envelope {
        version,
        xid: 0,
        message: Message::Hello(Hello {
            versions: Versions::only(version),
        }),
    };
    encode(&hello, Context::default()).unwrap_or_default()
}

/// A connection with a switch.
struct Talk {
    switch: Lab,
    session: Session,
    kind: Kind,
    outbox: Outbox,
    options: Option<OptionLengths>,
    /// Barriers that are to be answered.
    barriers: Vec<u32>,
}

impl Talk {
    async fn new(version: Version, kind: Kind) -> Option<Talk> {
        Some(Talk {
            switch: lab::switch().await?,
            session: Session::new(Versions::only(version), None, Duration::ZERO),
            kind,
            outbox: Outbox::new(),
            options: None,
            barriers: Vec::new(),
        })
    }

    /// Whether the connection goes on.
    async fn say(&mut self, bytes: &[u8]) -> bool {
        let (mut incoming, mut agreed) = (Vec::new(), None);
        let done = self
            .session
            .receive(bytes, Duration::ZERO, &mut |input| match input {
                Input::Agreed(version) => agreed = Some(version),
                Input::Message { envelope, bytes } => {
                    let quote = bytes[..bytes.len().min(aorta_openflow::QUOTE_LEN)].into();
                    incoming.push(Incoming::Message(envelope, quote));
                }
                Input::Unreadable { reply, .. } => incoming.push(Incoming::Unreadable(reply)),
                Input::Handled { .. } => {}
            });
        if let Some(version) = agreed {
            self.connect(version).await;
        }
        let barriers = incoming.iter().filter_map(|message| match message {
            Incoming::Message(envelope, _) => {
                matches!(envelope.message, Message::BarrierRequest).then_some(envelope.xid)
            }
            Incoming::Unreadable(_) => None,
        });
        self.barriers.extend(barriers);
        self.order(incoming).await;
        self.listen();
        assert_eq!(self.barriers, [0; 0], "barriers without an answer");
        done.is_ok()
    }

    async fn connect(&mut self, version: Version) {
        let connected = Connected {
            id: ConnId(1),
            bridge: BRIDGE.to_owned(),
            version,
            kind: self.kind,
            name: "br0<->fuzz".to_owned(),
            outbox: self.outbox.clone(),
        };
        let order = Order::Connected(Box::new(connected));
        self.switch.openflow(order).await;
    }

    async fn order(&mut self, messages: Vec<Incoming>) {
        let (done, _over) = oneshot::channel();
        let batch = Batch {
            conn: ConnId(1),
            messages,
            done,
        };
        self.switch.openflow(Order::Messages(batch)).await;
        self.switch.take_upcalls();
    }

    /// Reads what the switch says.
    fn listen(&mut self) {
        for outgoing in self.outbox.take(usize::MAX) {
            match outgoing {
                Outgoing::Message(envelope) | Outgoing::PacketIn(envelope, _) => {
                    self.hear(&envelope);
                }
                Outgoing::TunnelOptions(options) => {
                    self.session.set_options(*options);
                    self.options = Some(*options);
                }
                Outgoing::Role(_) | Outgoing::Close(_) => {}
            }
        }
    }

    fn hear(&mut self, envelope: &Envelope) {
        let context = Context {
            options: self.options.as_ref(),
            ..Context::default()
        };
        let written = encode(envelope, context);
        match &envelope.message {
            Message::Error(_) => assert!(written.is_ok(), "{envelope:?}: {written:?}"),
            Message::BarrierReply => {
                let at = self.barriers.iter().position(|xid| *xid == envelope.xid);
                assert!(
                    at.is_some(),
                    "nobody asked for the barrier {}",
                    envelope.xid
                );
                at.map(|at| self.barriers.remove(at));
            }
            _ => {}
        }
    }

    async fn end(mut self) {
        self.switch.expire_flows();
        let kept = self.switch.flows_as_text();
        super::journal(kept.as_bytes());
        self.switch.openflow(Order::Disconnected(ConnId(1))).await;
    }
}
