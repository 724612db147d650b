//! Connections over real sockets, with a switch that only answers barriers.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aorta_openflow::message::{Message, Role};
use aorta_openflow::{Envelope, Header};
use aorta_ovsdb::{Store, StoreHandle, Uuid, op};
use aorta_stream::Tls;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::time::{Instant, timeout};

use super::*;
use crate::config::{ControllerRow, Model};
use crate::control::{Control, Request};
use crate::openflow::{Batch, Cause, Incoming, Kind, Order, Outbox, Outgoing};
use crate::testing::Rows;

const PATIENCE: Duration = Duration::from_secs(20);

/// What the switch has been told.
#[derive(Default)]
struct Told {
    orders: Mutex<Vec<String>>,
    outboxes: Mutex<Vec<Outbox>>,
    messages: AtomicUsize,
}

struct Lab {
    dir: tempfile::TempDir,
    store: StoreHandle,
    connections: Connections,
    told: Arc<Told>,
    rows: Rows,
    bridge: Uuid,
}

fn answer(batch: Batch, outbox: Option<&Outbox>, told: &Told) {
    told.messages
        .fetch_add(batch.messages.len(), Ordering::Relaxed);
    let answers = batch
        .messages
        .into_iter()
        .filter_map(|message| match message {
            Incoming::Message(request, _) => match request.message {
                Message::BarrierRequest => Some(Outgoing::Message(Envelope {
                    message: Message::BarrierReply,
                    ..request
                })),
                _ => None,
            },
            Incoming::Unreadable(error) => Some(Outgoing::Message(error)),
        });
    if let Some(outbox) = outbox {
        outbox.answer(answers);
    }
}

/// Answers until nobody asks any more.
async fn switch(mut requests: tokio::sync::mpsc::Receiver<Request>, told: Arc<Told>) {
    let mut known = std::collections::HashMap::new();
    while let Some(request) = requests.recv().await {
        let Request::OpenFlow(order) = request else {
            panic!("not asked for: {request:?}");
        };
        let words = match &order {
            Order::Connected(connected) => {
                known.insert(connected.id, connected.outbox.clone());
                told.outboxes.lock().unwrap().push(connected.outbox.clone());
                let kind = match connected.kind {
                    Kind::Controller => "controller",
                    Kind::Service => "service",
                };
                let (bridge, version) = (&connected.bridge, connected.version);
                format!("{kind} of {bridge} speaks {version}")
            }
            Order::Disconnected(id) => {
                known.remove(id);
                "gone".to_owned()
            }
            Order::FailOpen { bridge, open } => format!("{bridge} fails open: {open}"),
            Order::Messages(_) => String::new(),
        };
        if !words.is_empty() {
            told.orders.lock().unwrap().push(words);
        }
        if let Order::Messages(batch) = order {
            let outbox = known.get(&batch.conn).cloned();
            answer(batch, outbox.as_ref(), &told);
        }
    }
}

impl Lab {
    /// With a bridge br0.
    async fn new() -> Lab {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::in_memory();
        let (control, requests) = Control::new();
        let told = Arc::new(Told::default());
        tokio::spawn(switch(requests, Arc::clone(&told)));
        let place = dir.path().to_owned();
        let connections = Connections::start(store.clone(), control, Tls::default(), place);
        let mut rows = Rows::default();
        let bridge = rows.bridge("br0");
        let lab = Lab {
            dir,
            store,
            connections,
            told,
            rows,
            bridge,
        };
        lab.configure().await;
        lab
    }

    async fn configure(&self) {
        let desired = desired(&self.rows.model, self.dir.path());
        self.connections.configure(desired).await;
    }

    fn model(&mut self) -> &mut Model {
        &mut self.rows.model
    }

    /// Has a controller's row in the database, and its bridge name it.
    async fn add_controller(&mut self, row: ControllerRow) -> Uuid {
        let insert = json!({"op": "insert", "table": "Controller", "uuid-name": "c",
            "row": {"target": row.target}});
        let bridge = json!({"op": "insert", "table": "Bridge", "uuid-name": "b",
            "row": {"name": format!("b{}", row.target), "controller": op::named("c")}});
        let root = json!({"op": "insert", "table": "Open_vSwitch",
            "row": {"bridges": op::named("b")}});
        let operations = Value::Array(vec![insert, bridge, root]);
        self.store.transact(operations).await.unwrap();
        let db = self.store.snapshot().await.unwrap();
        let mut stored = db.rows("Controller");
        let stored = stored.find(|r| r.str("target") == Some(&row.target));
        let uuid = stored.unwrap().uuid();
        let bridge = self.bridge;
        self.model().controllers.insert(uuid, row);
        let bridge = self.model().bridges.get_mut(&bridge).unwrap();
        bridge.controllers.push(uuid);
        self.configure().await;
        uuid
    }

    fn path(&self, kind: &str) -> PathBuf {
        self.dir.path().join(format!("br0.{kind}"))
    }

    async fn client(&self, kind: &str) -> Client<UnixStream> {
        Client::new(UnixStream::connect(self.path(kind)).await.unwrap())
    }

    async fn until(&self, what: &str, holds: impl Fn(&Told) -> bool) {
        until(what, async || holds(&self.told)).await;
    }

    async fn until_told(&self, words: &str) {
        self.until(words, |told| {
            told.orders.lock().unwrap().iter().any(|w| w == words)
        })
        .await;
    }

    /// Waits for the status of a controller's row.
    async fn until_row(&self, uuid: Uuid, what: &str, holds: impl Fn(&aorta_ovsdb::Row) -> bool) {
        until(what, async || {
            let db = self.store.snapshot().await.unwrap();
            db.row("Controller", uuid).is_some_and(|row| holds(row))
        })
        .await;
    }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < end, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The other side of a connection.
struct Client<S> {
    stream: S,
    bytes: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    fn new(stream: S) -> Self {
        let bytes = Vec::new();
        Self { stream, bytes }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next message; `None` at the end.
    async fn receive(&mut self) -> Option<(Header, Vec<u8>)> {
        loop {
            if let Some(header) = Header::read(&self.bytes)
                && self.bytes.len() >= usize::from(header.length)
            {
                let message = self.bytes.drain(..usize::from(header.length)).collect();
                return Some((header, message));
            }
            let read = self.stream.read_buf(&mut self.bytes);
            if timeout(PATIENCE, read).await.unwrap().unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// Agrees on a version with a HELLO that has no bitmap.
    async fn greet(&mut self, version: u8) {
        self.send(&header(version, 0, 1)).await;
        assert_eq!(self.receive().await.unwrap().0.kind, 0);
    }

    /// The answer to a barrier.
    async fn barrier(&mut self, xid: u32) {
        self.send(&header(4, 20, xid)).await;
        let (answer, _) = self.receive().await.unwrap();
        assert_eq!((answer.kind, answer.xid), (21, xid));
    }
}

/// A message that is only a header.
fn header(version: u8, kind: u8, xid: u32) -> [u8; 8] {
    let header = Header {
        version,
        kind,
        length: 8,
        xid,
    };
    header.bytes()
}

fn controller(target: String) -> ControllerRow {
    ControllerRow {
        target,
        ..ControllerRow::default()
    }
}

#[tokio::test]
async fn sockets_of_a_bridge_come_and_go_with_it() {
    let mut lab = Lab::new().await;
    let mut client = lab.client("mgmt").await;
    client.greet(4).await;
    client.barrier(7).await;
    lab.until_told("service of br0 speaks 1.3").await;
    lab.model().root.as_mut().unwrap().bridges.clear();
    lab.configure().await;
    assert!(!lab.path("mgmt").exists() && !lab.path("snoop").exists());
    assert_eq!(client.receive().await, None);
    lab.until_told("gone").await;
}

#[tokio::test]
async fn a_bridge_speaks_what_its_row_says() {
    let mut lab = Lab::new().await;
    let mut before = lab.client("mgmt").await;
    before.greet(6).await;
    let bridge = lab.bridge;
    let row = lab.model().bridges.get_mut(&bridge).unwrap();
    row.protocols = vec!["OpenFlow13".to_owned()];
    lab.configure().await;
    assert_eq!(
        before.receive().await,
        None,
        "other versions, other connections"
    );
    let mut client = lab.client("mgmt").await;
    client.send(&header(1, 0, 1)).await;
    assert_eq!(client.receive().await.unwrap().0.version, 4);
    let (error, bytes) = client.receive().await.unwrap();
    assert_eq!((error.kind, &bytes[8..12]), (1, &[0; 4][..]));
    assert_eq!(client.receive().await, None);
}

#[tokio::test]
async fn bytes_that_make_no_messages_end_the_connection_after_earlier_answers() {
    let lab = Lab::new().await;
    let mut client = lab.client("mgmt").await;
    client.greet(4).await;
    client.barrier(1).await;
    client.send(&[4, 5, 0, 7, 0, 0, 0, 2]).await;
    assert_eq!(client.receive().await, None);
    let mut other = lab.client("mgmt").await;
    other.greet(4).await;
    // Of an unknown type: an error in its place among the answers.
    let barriers = [header(4, 20, 1), header(4, 99, 2), header(4, 20, 3)];
    other.send(barriers.as_flattened()).await;
    let mut answers = Vec::new();
    for _ in 0..3 {
        let (answer, _) = other.receive().await.unwrap();
        answers.push((answer.kind, answer.xid));
    }
    assert_eq!(answers, [(21, 1), (1, 2), (21, 3)]);
}

#[tokio::test]
async fn who_stops_sending_still_gets_answers() {
    let lab = Lab::new().await;
    let mut client = lab.client("mgmt").await;
    let stream = [header(4, 0, 1), header(4, 20, 2)];
    client.send(stream.as_flattened()).await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.receive().await.unwrap().0.kind, 0);
    assert_eq!(client.receive().await.unwrap().0.xid, 2);
    assert_eq!(client.receive().await, None);
}

#[tokio::test]
async fn a_controller_s_row_tells_how_it_does() {
    let mut lab = Lab::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let row = controller(format!("tcp:127.0.0.1:{port}"));
    let uuid = lab.add_controller(row).await;
    let mut there = Client::new(listener.accept().await.unwrap().0);
    let state = |row: &aorta_ovsdb::Row| row.map_get("status", "state").map(str::to_owned);
    lab.until_row(uuid, "a connection without a version", |row| {
        !row.bool("is_connected") && state(row).as_deref() == Some("CONNECTING")
    })
    .await;
    there.greet(4).await;
    there.barrier(5).await;
    lab.until_told("controller of br0 speaks 1.3").await;
    lab.until_row(uuid, "a connection", |row| {
        let role = row.str("role") == Some("other");
        role && row.bool("is_connected") && state(row).as_deref() == Some("ACTIVE")
    })
    .await;
    let outbox = lab.told.outboxes.lock().unwrap()[0].clone();
    outbox.add(Outgoing::Role(Role::Primary));
    lab.until_row(uuid, "its role", |row| row.str("role") == Some("master"))
        .await;
    drop(there);
    lab.until_row(uuid, "its end", |row| {
        let ended = row.map_get("status", "last_error").is_some();
        ended && !row.bool("is_connected") && row.str("role").is_none()
    })
    .await;
}

#[tokio::test]
async fn settings_of_a_controller_apply_to_its_connection_or_make_another() {
    let mut lab = Lab::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let uuid = lab
        .add_controller(controller(format!("tcp:127.0.0.1:{port}")))
        .await;
    let mut first = Client::new(listener.accept().await.unwrap().0);
    first.greet(4).await;
    lab.model().controllers.get_mut(&uuid).unwrap().rate_limit = Some(100);
    lab.configure().await;
    first.barrier(1).await;
    let outbox = lab.told.outboxes.lock().unwrap()[0].clone();
    let packet = || Envelope {
        version: aorta_openflow::Version::OpenFlow13,
        xid: 0,
        message: Message::BarrierReply,
    };
    for _ in 0..50 {
        outbox.packet_in(packet(), Cause::NoMatch);
    }
    let begun = Instant::now();
    for _ in 0..50 {
        first.receive().await.unwrap();
    }
    assert!(
        begun.elapsed() >= Duration::from_millis(200),
        "25 wait for 10 ms each"
    );
    lab.model().controllers.get_mut(&uuid).unwrap().silent = true;
    lab.configure().await;
    assert_eq!(first.receive().await, None);
    let mut second = Client::new(listener.accept().await.unwrap().0);
    second.greet(4).await;
    lab.until_told("service of br0 speaks 1.3").await;
}

#[tokio::test]
async fn a_bridge_that_fails_open_is_told_once_and_told_the_end_whatever_changes_between() {
    let mut lab = Lab::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let row = ControllerRow {
        inactivity_probe: Some(1000),
        max_backoff: Some(1000),
        ..controller(format!("tcp:127.0.0.1:{port}"))
    };
    lab.add_controller(row).await;
    // Nobody agrees on a version with it.
    lab.until_told("br0 fails open: true").await;
    let bridge = lab.bridge;
    let row = lab.model().bridges.get_mut(&bridge).unwrap();
    row.protocols = vec!["OpenFlow13".to_owned()];
    lab.configure().await;
    let greeted = async {
        loop {
            let mut there = Client::new(listener.accept().await.unwrap().0);
            // Those of before speak other versions, and may be gone.
            let _ = there.stream.write_all(&header(4, 0, 1)).await;
            let hello = there.receive().await;
            if hello.is_some_and(|(hello, _)| hello.version == 4) {
                return there;
            }
        }
    };
    let _there = timeout(PATIENCE, greeted).await.unwrap();
    lab.until_told("br0 fails open: false").await;
    let told = lab.told.orders.lock().unwrap();
    let open = told.iter().filter(|words| words.contains("fails open"));
    assert_eq!(open.count(), 2);
}

#[tokio::test]
async fn controllers_that_connect_are_clients() {
    let mut lab = Lab::new().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let uuid = lab
        .add_controller(controller(format!("ptcp:{port}:127.0.0.1")))
        .await;
    let mut client = Client::new(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    client.greet(1).await;
    lab.until_told("service of br0 speaks 1.0").await;
    lab.until_row(uuid, "a client", |row| row.bool("is_connected"))
        .await;
    lab.model().controllers.clear();
    lab.configure().await;
    assert_eq!(client.receive().await, None);
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
}

#[tokio::test]
async fn who_watches_hears_what_controllers_say_and_hear() {
    let mut lab = Lab::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    lab.add_controller(controller(format!("tcp:127.0.0.1:{port}")))
        .await;
    let mut there = Client::new(listener.accept().await.unwrap().0);
    there.greet(4).await;
    let mut watcher = lab.client("snoop").await;
    watcher.greet(4).await;
    // Watching begins when the greeting is read, which the watcher can't see.
    until("the first copy", async || {
        there.barrier(1).await;
        let read = watcher.stream.read_buf(&mut watcher.bytes);
        timeout(Duration::from_millis(20), read).await.is_ok()
    })
    .await;
    let (asked, _) = watcher.receive().await.unwrap();
    let (answered, _) = watcher.receive().await.unwrap();
    assert_eq!((asked.kind, answered.kind), (20, 21));
}

#[tokio::test]
async fn reconnecting_ends_connections_of_the_bridge_alone() {
    let lab = Lab::new().await;
    let mut client = lab.client("mgmt").await;
    client.greet(4).await;
    let reconnect = async |name: &str| {
        let (done, answer) = tokio::sync::oneshot::channel();
        lab.connections.reconnect(Some(name.to_owned()), done).await;
        answer.await.unwrap()
    };
    assert!(!reconnect("br1").await);
    client.barrier(1).await;
    assert!(reconnect("br0").await);
    assert_eq!(client.receive().await, None);
}

/// 64 controllers, one of which asks without end and reads nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flooder_that_reads_nothing_stops_nobody_but_itself() {
    let lab = Lab::new().await;
    let mut others = Vec::new();
    for _ in 0..63 {
        let mut client = lab.client("mgmt").await;
        client.greet(4).await;
        others.push(client);
    }
    let mut flooder = lab.client("mgmt").await;
    flooder.greet(4).await;
    let flood = tokio::spawn(async move {
        let burst = [header(4, 20, 9); 1024];
        loop {
            let sent = flooder.stream.write_all(burst.as_flattened());
            if timeout(Duration::from_secs(1), sent).await.is_err() {
                return flooder;
            }
        }
    });
    let mut slowest = Duration::ZERO;
    for round in 0..20 {
        for client in &mut others {
            let begun = Instant::now();
            client.barrier(round).await;
            slowest = slowest.max(begun.elapsed());
        }
    }
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    // What it asks for is not even read from some point on.
    let _flooder = timeout(PATIENCE, flood).await.unwrap().unwrap();
    let read = lab.told.messages.load(Ordering::Relaxed);
    assert!(read < 500_000, "{read} messages were read");
    let before = lab.told.messages.load(Ordering::Relaxed);
    others[0].barrier(77).await;
    assert_eq!(lab.told.messages.load(Ordering::Relaxed), before + 1);
}
