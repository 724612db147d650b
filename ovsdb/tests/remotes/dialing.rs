//! Connections that the server makes.
use std::sync::Arc;
use std::time::Duration;

use aorta_ovsdb::{DialState, Dialer, Remote, RemoteOptions, Setup, Store, Tls};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::Instant;

use crate::common::{Lab, PATIENCE, until};
use crate::pki::Ca;

/// A peer's side of a connection.
struct Peer<S> {
    stream: S,
    text: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    fn new(stream: S) -> Self {
        let text = Vec::new();
        Self { stream, text }
    }

    async fn send(&mut self, message: Value) {
        let text = message.to_string();
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next message; `None` at the end.
    async fn receive(&mut self) -> Option<Value> {
        loop {
            let mut values = serde_json::Deserializer::from_slice(&self.text).into_iter();
            if let Some(Ok(value)) = values.next() {
                let used = values.byte_offset();
                self.text.drain(..used);
                return Some(value);
            }
            let read = self.stream.read_buf(&mut self.text);
            let read = tokio::time::timeout(PATIENCE, read).await.unwrap();
            if read.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.send(json!({"method": method, "params": params, "id": method}))
            .await;
        self.receive().await.unwrap()["result"].clone()
    }
}

async fn listener(port: u16) -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(([127, 0, 0, 1], port).into()).unwrap();
    socket.listen(8).unwrap()
}

fn dial(lab: &Lab, remote: &str, options: Option<RemoteOptions>) -> Dialer {
    let remote: Remote = remote.parse().unwrap();
    let mut setup = Setup::usual(&remote);
    setup.options = options.unwrap_or(setup.options);
    lab.store.dial(&remote, setup)
}

#[tokio::test]
async fn a_peer_is_served_like_a_client_and_again_after_its_restart() {
    let lab = Lab::new().await;
    let first = listener(0).await;
    let port = first.local_addr().unwrap().port();
    let dialer = dial(&lab, &format!("tcp:127.0.0.1:{port}"), None);
    let (stream, _) = first.accept().await.unwrap();
    let mut peer = Peer::new(stream);
    let names = json!(["Open_vSwitch", "_Server"]);
    assert_eq!(peer.ask("list_dbs", json!([])).await, names);
    assert_eq!(peer.ask("steal", json!(["l1"])).await["locked"], true);
    assert_eq!(peer.ask("lock", json!(["l2"])).await["locked"], true);
    let status = dialer.status();
    assert_eq!((status.state, status.problem), (DialState::Active, None));
    let locks = lab.store.locks(&dialer).await.unwrap();
    assert_eq!(locks.held, ["l1", "l2"]);
    let thief = lab.client().await;
    thief.request("steal", json!(["l1"])).await.unwrap();
    let locks = lab.store.locks(&dialer).await.unwrap();
    assert_eq!(
        (&*locks.held, &*locks.lost),
        (&["l2".to_owned()][..], &["l1".to_owned()][..])
    );

    assert_eq!(peer.receive().await.unwrap()["method"], "stolen");
    drop((peer, first));
    until("the end is noticed", || {
        dialer.status().disconnected.is_some()
    })
    .await;
    assert_eq!(dialer.status().problem.as_deref(), Some("End of file"));
    assert_eq!(
        thief.request("lock", json!(["l2"])).await.unwrap()["locked"],
        true
    );
    let again = listener(port).await;
    let (stream, _) = again.accept().await.unwrap();
    assert_eq!(Peer::new(stream).ask("list_dbs", json!([])).await, names);
}

#[tokio::test]
async fn a_dropped_dialer_ends_its_connection_and_frees_its_locks() {
    let lab = Lab::new().await;
    let listener = listener(0).await;
    let remote = format!("tcp:{}", listener.local_addr().unwrap());
    let dialer = dial(&lab, &remote, None);
    let mut peer = Peer::new(listener.accept().await.unwrap().0);
    peer.ask("lock", json!(["l"])).await;
    dialer.disconnect();
    assert_eq!(peer.receive().await, None);
    let mut peer = Peer::new(listener.accept().await.unwrap().0);
    assert_eq!(peer.ask("lock", json!(["l"])).await["locked"], true);
    drop(dialer);
    assert_eq!(peer.receive().await, None);
    let client = lab.client().await;
    let locked = client.request("lock", json!(["l"])).await.unwrap();
    assert_eq!(locked["locked"], true);
}

#[tokio::test]
async fn a_silent_peer_is_idle_and_then_left() {
    let lab = Lab::new().await;
    let listener = listener(0).await;
    let remote = format!("tcp:{}", listener.local_addr().unwrap());
    let probe = Some(Duration::from_millis(50));
    let max_backoff = Duration::from_secs(1);
    let dialer = dial(&lab, &remote, Some(RemoteOptions { probe, max_backoff }));
    let mut peer = Peer::new(listener.accept().await.unwrap().0);
    assert_eq!(peer.receive().await.unwrap()["method"], "echo");
    assert_eq!(peer.receive().await, None);
    until("it is left", || dialer.status().problem.is_some()).await;
    assert_eq!(dialer.status().problem.as_deref(), Some("no sign of life"));
}

#[tokio::test]
async fn tls_works_outwards() {
    let (lab, ca) = (Lab::new().await, Ca::new("ca"));
    let listener = listener(0).await;
    // A name, looked up.
    let port = listener.local_addr().unwrap().port();
    let remote: Remote = format!("ssl:localhost:{port}").parse().unwrap();
    let setup = Setup {
        tls: Tls::new(ca.files("switch")),
        ..Setup::usual(&remote)
    };
    let dialer = lab.store.dial(&remote, setup);
    let controller = Tls::new(ca.files("controller"));
    let (stream, _) = listener.accept().await.unwrap();
    let mut peer = Peer::new(controller.accept(stream).await.unwrap());
    let names = peer.ask("list_dbs", json!([])).await;
    assert_eq!(names[0], "Open_vSwitch");
    assert_eq!(dialer.status().state, DialState::Active);

    let other = Ca::new("other");
    let stranger = Tls::new(other.files("stranger"));
    drop(peer);
    let (stream, _) = listener.accept().await.unwrap();
    assert!(stranger.accept(stream).await.is_err());
    let refused = || {
        dialer
            .status()
            .problem
            .is_some_and(|p| p.contains("UnknownIssuer"))
    };
    until("the stranger is refused", refused).await;
}

#[tokio::test(start_paused = true)]
async fn attempts_become_rarer_up_to_the_limit() {
    let store = Store::in_memory();
    let remote: Remote = "unix:/nowhere/at/all".parse().unwrap();
    let setup = Setup::usual(&remote);
    let activity = Arc::clone(&setup.activity);
    let start = Instant::now();
    let dialer = store.dial(&remote, setup);
    let mut seen = Vec::new();
    while seen.len() < 6 {
        activity.notified().await;
        let at = start.elapsed().as_secs();
        if seen.last() != Some(&at) {
            seen.push(at);
        }
    }
    assert_eq!(seen, [0, 1, 3, 7, 15, 23]);
    let status = dialer.status();
    assert_eq!(status.state, DialState::Backoff);
    let problem = status.problem.unwrap();
    assert!(problem.contains("No such file or directory"), "{problem}");
    let shorter = RemoteOptions {
        probe: None,
        max_backoff: Duration::from_secs(2),
    };
    dialer.set_options(shorter);
    while seen.len() < 9 {
        activity.notified().await;
        let at = start.elapsed().as_secs();
        if seen.last() != Some(&at) {
            seen.push(at);
        }
    }
    assert_eq!(seen[6..], [31, 33, 35]);
}
