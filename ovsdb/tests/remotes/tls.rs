//! Who trusts whom.
use aorta_ovsdb::{Client, ClientError, Listener, Remote, Setup, Tls, TlsFiles};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::{Lab, until};
use crate::pki::Ca;

pub async fn listen(lab: &Lab, files: TlsFiles) -> Listener {
    let remote: Remote = "pssl:0:127.0.0.1".parse().unwrap();
    let setup = Setup {
        tls: Tls::new(files),
        ..Setup::usual(&remote)
    };
    lab.store.listen_with(&remote, setup).await.unwrap()
}

pub fn address(listener: &Listener) -> String {
    format!("ssl:{}", listener.address().unwrap())
}

async fn connect(listener: &Listener, files: TlsFiles) -> Result<Client, ClientError> {
    Client::connect_with(&address(listener), &Tls::new(files)).await
}

/// Says hello; fails if either side refuses the other. With TLS 1.3 a client learns only by the
/// first answer whether it was accepted.
async fn greet(listener: &Listener, files: TlsFiles) -> Result<(), String> {
    let client = connect(listener, files).await.map_err(|e| match e {
        ClientError::Tls { source, .. } => format!("{source:?}"),
        other => other.to_string(),
    })?;
    let echo = client.request("echo", json!(["hello"])).await;
    echo.map(drop).map_err(|e| e.to_string())
}

async fn problem(listener: &Listener) -> String {
    until("a refusal", || listener.status().problem.is_some()).await;
    listener.status().problem.unwrap()
}

#[tokio::test]
async fn those_with_certificates_of_one_ca_talk() {
    let (lab, ca) = (Lab::new().await, Ca::new("ca"));
    let listener = listen(&lab, ca.files("server")).await;
    let client = connect(&listener, ca.files("client")).await.unwrap();
    assert_eq!(
        client.request("list_dbs", json!([])).await.unwrap(),
        json!(["Open_vSwitch", "_Server"])
    );
    assert_eq!(listener.clients(), 1);
    assert_eq!(listener.status().problem, None);
    let big = "x".repeat(1 << 20);
    let echo = client.request("echo", json!([big])).await.unwrap();
    assert_eq!(echo, json!([big]));
    drop(client);
    until("it goes", || listener.clients() == 0).await;
}

#[tokio::test]
async fn clients_of_another_ca_are_refused() {
    let (lab, ca, other) = (Lab::new().await, Ca::new("ca"), Ca::new("ca"));
    let listener = listen(&lab, ca.files("server")).await;
    let mut client = other.files("client");
    client.ca_cert = Some(ca.certificate());
    greet(&listener, client).await.unwrap_err();
    let problem = problem(&listener).await;
    assert!(problem.contains("invalid peer certificate"), "{problem}");
    assert_eq!(listener.clients(), 0);
    greet(&listener, ca.files("client")).await.unwrap();
    assert_eq!(listener.status().problem, None);
}

#[tokio::test]
async fn servers_of_another_ca_are_refused() {
    let (lab, ca, other) = (Lab::new().await, Ca::new("ca"), Ca::new("other"));
    let listener = listen(&lab, ca.files("server")).await;
    let mut client = ca.files("client");
    client.ca_cert = Some(other.certificate());
    let refused = greet(&listener, client).await.unwrap_err();
    assert!(refused.contains("UnknownIssuer"), "{refused}");
}

#[tokio::test]
async fn expired_certificates_are_refused() {
    let (lab, ca) = (Lab::new().await, Ca::new("ca"));
    let old = listen(&lab, ca.files_until("server", 2001)).await;
    let refused = greet(&old, ca.files("client")).await.unwrap_err();
    assert!(refused.contains("Expired"), "{refused}");
    let listener = listen(&lab, ca.files("server")).await;
    let expired = ca.files_until("client", 2001);
    greet(&listener, expired).await.unwrap_err();
    let problem = problem(&listener).await;
    assert!(problem.contains("certificate expired"), "{problem}");
}

#[tokio::test]
async fn what_is_not_tls_is_refused() {
    let (lab, ca) = (Lab::new().await, Ca::new("ca"));
    let listener = listen(&lab, ca.files("server")).await;
    let mut stream = TcpStream::connect(listener.address().unwrap())
        .await
        .unwrap();
    let request = br#"{"method":"list_dbs","params":[],"id":0}"#;
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // An alert, or nothing but the end.
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.contains(&b'{'));
    assert!(problem(&listener).await.starts_with("TLS handshake failed"));
}

#[tokio::test]
async fn the_first_connection_brings_the_ca() {
    let (lab, ca, other) = (Lab::new().await, Ca::new("ca"), Ca::new("other"));
    let listener = listen(&lab, ca.files("server")).await;
    let path = ca.path("bootstrapped.pem");
    let files = TlsFiles {
        ca_cert: Some(path.clone()),
        bootstrap: true,
        ..ca.files("client")
    };
    let tls = Tls::new(files.clone());
    // Before that, nobody can be let in.
    let waiting = listen(&lab, files.clone()).await;
    greet(&waiting, ca.files("client")).await.unwrap_err();
    assert!(problem(&waiting).await.contains("not there yet"));

    let client = Client::connect_with(&address(&listener), &tls)
        .await
        .unwrap();
    client.request("echo", json!([])).await.unwrap();
    let written = std::fs::read_to_string(&path).unwrap();
    let original = std::fs::read_to_string(ca.certificate()).unwrap();
    assert_eq!(
        written.replace('\n', ""),
        original.replace(['\r', '\n'], "")
    );
    greet(&waiting, ca.files("client")).await.unwrap();

    let stranger = listen(&lab, other.files("server")).await;
    let refused = greet(&stranger, files).await.unwrap_err();
    assert!(refused.contains("UnknownIssuer"), "{refused}");
}

#[tokio::test]
async fn files_are_read_again_when_they_change() {
    let (lab, ca) = (Lab::new().await, Ca::new("ca"));
    let files = ca.files("server");
    let (key, certificate) = (
        files.private_key.clone().unwrap(),
        files.certificate.clone().unwrap(),
    );
    std::fs::remove_file(&key).unwrap();
    let listener = listen(&lab, files).await;
    greet(&listener, ca.files("client")).await.unwrap_err();
    let problem = listener.status().problem.unwrap();
    let wanted = format!(
        "private key {}: can't be read: No such file or directory",
        key.display()
    );
    assert!(problem.starts_with(&wanted), "{problem}");

    ca.sign("server", 2100, &key, &certificate);
    greet(&listener, ca.files("client")).await.unwrap();
    assert_eq!(listener.status().problem, None);

    std::fs::write(&key, "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANB\n").unwrap();
    let problem = listener.status().problem.unwrap();
    assert!(
        problem.contains("damaged PEM") || problem.contains("no private key"),
        "{problem}"
    );
    // What was good goes on until there is something better.
    greet(&listener, ca.files("client")).await.unwrap();
    ca.sign("server", 2001, &key, &certificate);
    let refused = greet(&listener, ca.files("client")).await.unwrap_err();
    assert!(refused.contains("Expired"), "{refused}");
}

#[tokio::test]
async fn a_key_must_go_with_its_certificate() {
    let (lab, ca) = (Lab::new().await, Ca::new("ca"));
    let (one, two) = (ca.files("one"), ca.files("two"));
    let mixed = TlsFiles {
        private_key: two.private_key,
        ..one.clone()
    };
    let listener = listen(&lab, mixed).await;
    let problem = listener.status().problem.unwrap();
    assert!(
        problem.contains("does not go with certificate"),
        "{problem}"
    );
    let listener = listen(&lab, TlsFiles::default()).await;
    let problem = listener.status().problem.unwrap();
    assert!(
        problem.starts_with("no private key is configured"),
        "{problem}"
    );
    let unread = TlsFiles {
        ca_cert: one.private_key.clone(),
        ..one
    };
    let listener = listen(&lab, unread).await;
    let problem = listener.status().problem.unwrap();
    assert!(
        problem.ends_with("there is no CA certificate in PEM in it"),
        "{problem}"
    );
}

#[tokio::test]
async fn a_certificate_that_is_its_own_ca_is_trusted_where_it_is_configured() {
    let lab = Lab::new().await;
    let (switch, tool, other) = (Ca::new("switch"), Ca::new("tool"), Ca::new("tool"));
    let listener = listen(&lab, switch.own_files(&tool.certificate())).await;
    let files = tool.own_files(&switch.certificate());
    greet(&listener, files).await.unwrap();
    let stranger = other.own_files(&switch.certificate());
    greet(&listener, stranger).await.unwrap_err();
    let doubtful = tool.own_files(&other.certificate());
    greet(&listener, doubtful).await.unwrap_err();

    let old = Ca::until("old", 2001);
    let listener = listen(&lab, switch.own_files(&old.certificate())).await;
    let files = old.own_files(&switch.certificate());
    greet(&listener, files).await.unwrap_err();
    let problem = problem(&listener).await;
    assert!(problem.contains("Expired"), "{problem}");
    let listener = listen(&lab, old.own_files(&tool.certificate())).await;
    let files = tool.own_files(&old.certificate());
    let refused = greet(&listener, files).await.unwrap_err();
    assert!(refused.contains("Expired"), "{refused}");
}
