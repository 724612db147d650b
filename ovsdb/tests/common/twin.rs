//! The real ovsdb-server and ours side by side, with a connection to each.
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use aorta_ovsdb::{DatabaseSchema, Listener, Remote, Store, StoreHandle};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{PATIENCE, ovsdb_tool, until};

/// Two servers with one schema.
pub struct Twin {
    pub directory: TempDir,
    pub store: StoreHandle,
    listener: Listener,
    server: Child,
}

impl Twin {
    pub async fn start(schema: &Arc<DatabaseSchema>) -> Self {
        let directory = TempDir::new().unwrap();
        let path = |name: &str| directory.path().join(name);
        let text = |name: &str| path(name).to_str().unwrap().to_owned();
        std::fs::write(path("schema"), schema.to_json().to_string()).unwrap();
        ovsdb_tool(&["create", &text("theirs.db"), &text("schema")]).await;
        let server = Command::new("ovsdb-server")
            .arg(format!("--remote=punix:{}", text("theirs.sock")))
            .arg(format!("--unixctl={}", text("ctl")))
            .arg(text("theirs.db"))
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the package openvswitch-switch must be installed");
        let listens = || std::os::unix::net::UnixStream::connect(path("theirs.sock")).is_ok();
        until("ovsdb-server listens", listens).await;
        let store = Store::open_schema(&path("ours.db"), schema).unwrap();
        let socket = Remote::ListenUnix(path("ours.sock"));
        let listener = store.listen(&socket).await.unwrap();
        Self {
            directory,
            store,
            listener,
            server,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A new connection to each server: ours, theirs.
    pub async fn connect(&self) -> (Wire, Wire) {
        let ours = Wire::connect(&self.path("ours.sock")).await;
        (ours, Wire::connect(&self.path("theirs.sock")).await)
    }

    /// Stops both servers, so that their files are free.
    pub async fn stop(self) -> TempDir {
        let Self {
            directory,
            store,
            listener,
            mut server,
        } = self;
        store.close().await.unwrap();
        drop((store, listener));
        server.kill().await.unwrap();
        directory
    }
}

/// What came back for some requests.
#[derive(Default)]
pub struct Exchanges {
    /// For each request, the notifications before the reply, and the reply.
    pub messages: Vec<Vec<Value>>,
    /// The first request without a reply, if the server closed the connection.
    pub closed_at: Option<Value>,
}

/// A connection, as bytes.
pub struct Wire {
    name: String,
    asked: Value,
    reader: OwnedReadHalf,
    writer: Option<OwnedWriteHalf>,
    unread: Vec<u8>,
}

impl Wire {
    pub async fn connect(path: &Path) -> Self {
        let (reader, writer) = UnixStream::connect(path).await.unwrap().into_split();
        Self {
            name: path.display().to_string(),
            asked: Value::Null,
            reader,
            writer: Some(writer),
            unread: Vec::new(),
        }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        // A server that has closed the connection reads no more, which the answers show.
        let _ = self.writer.as_mut().unwrap().write_all(bytes).await;
    }

    /// The next message as text; `None` when the server has closed the connection.
    pub async fn next_text(&mut self) -> Option<String> {
        loop {
            let mut values =
                serde_json::Deserializer::from_slice(&self.unread).into_iter::<Value>();
            match values.next() {
                Some(Ok(_)) => {
                    let end = values.byte_offset();
                    let message: Vec<u8> = self.unread.drain(..end).collect();
                    return Some(String::from_utf8(message).unwrap());
                }
                Some(Err(e)) if !e.is_eof() => {
                    panic!("{e}: {}", String::from_utf8_lossy(&self.unread))
                }
                _ => {}
            }
            let mut buffer = vec![0; 64 << 10];
            let count = timeout(PATIENCE / 4, self.reader.read(&mut buffer));
            match count.await {
                Err(_) => panic!("{} says no more: {}", self.name, self.asked),
                Ok(Ok(0) | Err(_)) => return None,
                Ok(Ok(count)) => self.unread.extend(&buffer[..count]),
            }
        }
    }

    pub async fn next(&mut self) -> Option<Value> {
        let text = self.next_text().await?;
        Some(serde_json::from_str(&text).unwrap())
    }

    /// Sends requests in one go, and returns what comes up to the reply to each.
    pub async fn exchange(&mut self, requests: &[Value]) -> Exchanges {
        let text: String = requests.iter().map(Value::to_string).collect();
        let mut writer = self.writer.take().unwrap();
        // Written beside, for a server that waits until its replies are read.
        let writing = tokio::spawn(async move {
            let _ = writer.write_all(text.as_bytes()).await;
            writer
        });
        let mut exchanges = Exchanges::default();
        for request in requests {
            let mut messages = Vec::new();
            self.asked = request.clone();
            loop {
                let Some(message) = self.next().await else {
                    exchanges.closed_at = Some(request.clone());
                    return exchanges;
                };
                let is_reply = message["id"] == request["id"];
                messages.push(message);
                if is_reply {
                    break;
                }
            }
            exchanges.messages.push(messages);
        }
        self.writer = Some(writing.await.unwrap());
        exchanges
    }
}

pub fn request(id: usize, method: &str, params: Value) -> Value {
    json!({"id": id, "method": method, "params": params})
}
