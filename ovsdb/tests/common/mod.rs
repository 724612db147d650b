//! A served database in a directory of its own, and the programs of Open vSwitch to use it with.
#![allow(dead_code)]

pub mod twin;

use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use aorta_ovsdb::{Client, Listener, Remote, Store, StoreHandle};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

/// Nothing here takes so long unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Lab {
    pub directory: TempDir,
    pub store: StoreHandle,
    listener: Listener,
}

impl Lab {
    /// An empty database, served on a socket.
    pub async fn new() -> Self {
        Self::with_file(|_| {}).await
    }

    /// Lets `prepare` write the database's file before it is opened.
    pub async fn with_file(prepare: impl FnOnce(&std::path::Path)) -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("conf.db");
        prepare(&path);
        let store = Store::open(&path).unwrap();
        let socket = Remote::ListenUnix(directory.path().join("db.sock"));
        let listener = store.listen(&socket).await.unwrap();
        Self {
            directory,
            store,
            listener,
        }
    }

    pub fn clients(&self) -> usize {
        self.listener.clients()
    }

    pub fn file(&self) -> PathBuf {
        self.directory.path().join("conf.db")
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("db.sock")
    }

    pub fn remote(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    pub async fn client(&self) -> Client {
        Client::connect(&self.remote()).await.unwrap()
    }

    /// Runs ovs-vsctl without waiting for a switch, and returns what it prints.
    pub async fn vsctl(&self, args: &[&str]) -> String {
        let db = format!("--db={}", self.remote());
        let output = run(
            "ovs-vsctl",
            &[&[&*db, "--no-wait", "--timeout=30"], args].concat(),
        )
        .await;
        success("ovs-vsctl", args, output)
    }

    /// Runs an ovsdb-client command, and returns what it prints.
    pub async fn ovsdb_client(&self, command: &str, args: &[&str]) -> String {
        let remote = self.remote();
        let args = [&["--timeout=30", command, &*remote], args].concat();
        success("ovsdb-client", &args, run("ovsdb-client", &args).await)
    }

    /// Stops the store, so that its file is free.
    pub async fn close(self) -> TempDir {
        self.store.close().await.unwrap();
        let Self {
            directory,
            store,
            listener,
        } = self;
        drop((store, listener));
        directory
    }
}

/// Runs a program that must be installed.
pub async fn run(program: &str, args: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(args).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output());
    let output = output
        .await
        .unwrap_or_else(|_| panic!("{program} {args:?} hangs"));
    output.unwrap_or_else(|e| {
        panic!("{program}: {e}; the package openvswitch-switch must be installed")
    })
}

pub fn success(program: &str, args: &[&str], output: Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {args:?}: {}: {errors}",
        output.status
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Runs ovsdb-tool, and returns what it prints.
pub async fn ovsdb_tool(args: &[&str]) -> String {
    success("ovsdb-tool", args, run("ovsdb-tool", args).await)
}

/// Waits for something that happens in the background.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = tokio::time::Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Replaces what differs between two servers by nature: uuids by the order in which they first
/// appear in `seen`, errors by their names, and the order of rows.
pub fn normal(json: &Value, seen: &mut Vec<String>) -> Value {
    match json {
        Value::Object(object) if object.contains_key("error") && object.len() > 1 => {
            object.get("error").cloned().unwrap_or_default()
        }
        Value::Object(object) => {
            let mut members: Vec<_> = object.iter().collect();
            members.sort_by_key(|(name, _)| name.as_str());
            let members = members
                .into_iter()
                .map(|(k, v)| (k.clone(), normal(v, seen)));
            Value::Object(members.collect())
        }
        Value::Array(elements) => Value::Array(elements.iter().map(|e| normal(e, seen)).collect()),
        Value::String(s) if s.len() == 36 && s.bytes().filter(|b| *b == b'-').count() == 4 => {
            let at = seen.iter().position(|known| known == s).unwrap_or_else(|| {
                seen.push(s.clone());
                seen.len() - 1
            });
            Value::String(format!("uuid {at}"))
        }
        other => other.clone(),
    }
}
