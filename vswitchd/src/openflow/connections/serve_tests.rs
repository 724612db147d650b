//! Peers that take their time, by a clock that only these tests move.

use std::sync::Arc;
use std::time::Duration;

use aorta_openflow::Versions;
use aorta_stream::{Peer, RemoteOptions, Service};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::super::desired::Settings;
use super::super::hub::{BridgeHub, Endpoint, Hub, Peers, Side};
use crate::control::{Control, Request};
use crate::openflow::{Envelope, Incoming, Order, Outgoing};
use aorta_openflow::Message;

const HELLO: [u8; 8] = [4, 0, 0, 8, 0, 0, 0, 1];
const BARRIER: [u8; 8] = [4, 20, 0, 8, 0, 0, 0, 2];
const ECHO_REQUEST: [u8; 8] = [4, 2, 0, 8, 0, 0, 0, 0];

const CONTROLLER: Side = Side::Controller(Settings {
    primary: true,
    silent: false,
});

/// A peer whose connection is served, with room for so many bytes each way.
struct Bed {
    peer: DuplexStream,
    served: JoinHandle<Result<(), String>>,
    begun: Instant,
    _options: watch::Sender<RemoteOptions>,
}

/// Answers barriers.
async fn switch(mut requests: mpsc::Receiver<Request>) {
    let mut outbox = None;
    while let Some(Request::OpenFlow(order)) = requests.recv().await {
        match order {
            Order::Connected(connected) => outbox = Some(connected.outbox.clone()),
            Order::Messages(batch) => {
                let answers = batch.messages.into_iter().map(|message| match message {
                    Incoming::Message(request, _) => Outgoing::Message(Envelope {
                        message: Message::BarrierReply,
                        ..request
                    }),
                    Incoming::Unreadable(error) => Outgoing::Message(error),
                });
                outbox.as_ref().unwrap().answer(answers);
            }
            _ => {}
        }
    }
}

fn bed(side: Side, probe: Option<Duration>, room: usize) -> Bed {
    let (control, requests) = Control::new();
    tokio::spawn(switch(requests));
    let endpoint = Endpoint {
        hub: Arc::new(Hub::new(control)),
        bridge: Arc::new(BridgeHub::new("br0", Versions::ALL)),
        side,
        limit: watch::Sender::new(None).subscribe(),
        peers: Peers::new(Arc::new(Notify::new())),
    };
    let max_backoff = Duration::from_secs(8);
    let (options, receiver) = watch::channel(RemoteOptions { probe, max_backoff });
    let peer = Peer {
        id: 1,
        name: "br0<->test".to_owned(),
        options: receiver,
        asked: Arc::default(),
    };
    let (ours, theirs) = duplex(room);
    Bed {
        peer: theirs,
        served: tokio::spawn(async move { endpoint.serve(ours, peer).await }),
        begun: Instant::now(),
        _options: options,
    }
}

impl Bed {
    async fn greet(&mut self) {
        self.peer.write_all(&HELLO).await.unwrap();
        self.read().await;
    }

    async fn read(&mut self) -> [u8; 8] {
        let mut bytes = [0; 8];
        self.peer.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    /// Why the connection ended, and after how many seconds.
    async fn end(self) -> (String, u64) {
        let why = self.served.await.unwrap().unwrap_err();
        (why, self.begun.elapsed().as_secs())
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_and_does_not_read_is_given_up() {
    for (side, seconds) in [(CONTROLLER, 30), (Side::Client, 600)] {
        let mut bed = bed(side, None, 512);
        bed.greet().await;
        let asking = async {
            while bed.peer.write_all(&BARRIER.repeat(64)).await.is_ok() {}
            (&mut bed.served).await.unwrap().unwrap_err()
        };
        let why = asking.await;
        let words = format!("it has read nothing for {seconds} s");
        assert!(why.ends_with(&words), "{why}");
        // The last bytes are offered for one more second.
        assert_eq!(bed.begun.elapsed().as_secs(), seconds + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn who_reads_slowly_is_not() {
    let mut bed = bed(CONTROLLER, None, 64);
    bed.greet().await;
    bed.peer.write_all(&BARRIER.repeat(8)).await.unwrap();
    for _ in 0..8 {
        bed.peer.write_all(&BARRIER.repeat(2)).await.unwrap();
    }
    let mut answers = 0;
    while answers < 24 {
        tokio::time::sleep(Duration::from_secs(9)).await;
        answers += u32::from(bed.read().await[1] == 21);
    }
    assert!(!bed.served.is_finished());
    assert!(bed.begun.elapsed() > Duration::from_secs(200));
}

#[tokio::test(start_paused = true)]
async fn who_is_silent_is_asked_and_then_given_up() {
    let mut silent = bed(CONTROLLER, Some(Duration::from_secs(5)), 512);
    silent.greet().await;
    assert_eq!(silent.read().await, ECHO_REQUEST);
    let (why, seconds) = silent.end().await;
    assert_eq!(why, "no response to inactivity probe after 5 seconds");
    assert_eq!(seconds, 10);
    let mut answering = bed(CONTROLLER, Some(Duration::from_secs(5)), 512);
    answering.greet().await;
    for _ in 0..10 {
        assert_eq!(answering.read().await, ECHO_REQUEST);
        let reply = [4, 3, 0, 8, 0, 0, 0, 0];
        answering.peer.write_all(&reply).await.unwrap();
    }
    assert_eq!(answering.begun.elapsed().as_secs(), 50);
    assert!(!answering.served.is_finished());
}

#[tokio::test(start_paused = true)]
async fn half_a_greeting_and_half_a_message_have_an_end() {
    let mute = bed(Side::Client, None, 512);
    let (why, seconds) = mute.end().await;
    assert_eq!((&*why, seconds), ("no HELLO came within 10 s", 10));
    let mut half = bed(Side::Client, None, 512);
    half.greet().await;
    half.peer.write_all(&BARRIER[..5]).await.unwrap();
    let (why, seconds) = half.end().await;
    assert_eq!(why, "the rest of a message didn't come within 60 s");
    assert_eq!(seconds, 60);
}
