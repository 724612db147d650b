//! What a client may take.
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use aorta_ovsdb::{Remote, Setup};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;

use crate::common::{Lab, until};
use crate::pki::Ca;
use crate::tls::listen;

#[tokio::test]
async fn a_socket_is_for_its_owner_and_a_group_if_one_is_given() {
    let lab = Lab::new().await;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&lab.socket()) & 0o777, 0o600);
    let path = lab.directory.path().join("group.sock");
    let remote = Remote::ListenUnix(path.clone());
    let setup = Setup {
        group: Some(4),
        ..Setup::usual(&remote)
    };
    let _listener = lab.store.listen_with(&remote, setup).await.unwrap();
    assert_eq!(mode(&path) & 0o777, 0o660);
    assert_eq!(std::fs::metadata(&path).unwrap().gid(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_agree_on_tls_is_sent_away() {
    let (lab, ca) = (Lab::new().await, Ca::new("ca"));
    let listener = listen(&lab, ca.files("server")).await;
    let address = listener.address().unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let start = Instant::now();
    assert_eq!(stream.read(&mut [0; 100]).await.unwrap(), 0);
    assert_eq!(start.elapsed().as_secs(), 10);
    let problem = listener.status().problem.unwrap();
    assert_eq!(problem, "TLS handshake took too long");
}

fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages = pages.split(' ').nth(1).unwrap();
    pages.parse::<usize>().unwrap() * rustix::param::page_size()
}

/// Both ends are in this process; the client's costs nothing but the socket.
#[tokio::test]
async fn clients_that_say_little_cost_little() {
    const CLIENTS: usize = 400;
    let lab = Lab::new().await;
    let mut clients = Vec::new();
    let mut before = 0;
    for n in 0..CLIENTS * 2 {
        if n == CLIENTS {
            before = resident_bytes();
        }
        let mut client = UnixStream::connect(lab.socket()).await.unwrap();
        let request = br#"{"method":"echo","params":[],"id":1}"#;
        client.write_all(request).await.unwrap();
        let mut answer = *br#"{"id":1,"result":[],"error":null}"#;
        client.read_exact(&mut answer).await.unwrap();
        clients.push(client);
    }
    assert_eq!(lab.clients(), CLIENTS * 2);
    let each = resident_bytes().saturating_sub(before) / CLIENTS;
    assert!(each < 32 << 10, "{each} bytes for each");
    drop(clients);
    until("all are gone", || lab.clients() == 0).await;
}
