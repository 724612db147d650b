//! A real database server, and what is in it.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use aorta_ctl::session::{Deadline, Session, Ways};
use aorta_ctl::view::View;
use aorta_ovsdb::{DatabaseSchema, Remote, Tls};
use serde_json::{Value, json};

const SERVER: &str = "ovsdb-server";
const TOOL: &str = "ovsdb-tool";
/// Name of a server's database file.
pub const FILE: &str = "conf.db";

/// A program of Open vSwitch, which the set-up installs. A test without it would prove nothing.
pub fn need(program: &str) -> PathBuf {
    find(program).unwrap_or_else(|| panic!("{program} is not installed: run `cargo xtask setup`"))
}

/// Where a program is: on the path, or in the `sbin` beside a directory of the path.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let beside = dirs.iter().map(|dir| dir.join("../sbin"));
    let mut files = dirs
        .iter()
        .cloned()
        .chain(beside)
        .map(|dir| dir.join(program));
    files.find(|file| file.is_file())
}

/// A database server with an empty database.
pub struct Server {
    process: Child,
    dir: PathBuf,
    /// How to connect to it.
    pub remote: String,
}

impl Server {
    /// Starts one with its files in a directory that doesn't exist yet.
    pub fn start(dir: &Path) -> Server {
        std::fs::create_dir(dir).unwrap();
        Server::create(dir);
        Server::serve(dir, &[], Stdio::null()).0
    }

    /// Starts one with more options; what it tells on standard error can be read.
    pub fn start_with(dir: &Path, options: &[String]) -> (Server, ChildStderr) {
        std::fs::create_dir(dir).unwrap();
        Server::create(dir);
        let (server, told) = Server::serve(dir, options, Stdio::piped());
        (server, told.unwrap())
    }

    /// Ends it and starts it again with the same database.
    pub fn restart(self) -> Server {
        let dir = self.dir.clone();
        drop(self);
        let _ = std::fs::remove_file(dir.join("db.sock"));
        Server::serve(&dir, &[], Stdio::null()).0
    }

    /// Waits until so many clients are connected.
    pub fn wait_for_clients(&self, n: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let output = Command::new(need("ovs-appctl"))
                .args([
                    "-t",
                    &self.dir.join("ctl").display().to_string(),
                    "memory/show",
                ])
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            if text
                .split(' ')
                .any(|word| word.trim() == format!("sessions:{n}"))
            {
                return;
            }
            assert!(Instant::now() < deadline, "{text}");
            std::thread::yield_now();
        }
    }

    /// Starts one with a copy of another's database file.
    pub fn start_copy(dir: &Path, file: &Path) -> Server {
        std::fs::create_dir(dir).unwrap();
        std::fs::copy(file, dir.join(FILE)).unwrap();
        Server::serve(dir, &[], Stdio::null()).0
    }

    fn create(dir: &Path) {
        let schema = dir.join("schema");
        std::fs::write(&schema, DatabaseSchema::vswitch().to_json().to_string()).unwrap();
        let file = dir.join(FILE);
        let tool = need(TOOL);
        let made = Command::new(tool)
            .arg("create")
            .args([&file, &schema])
            .status()
            .unwrap();
        assert!(made.success());
    }

    fn serve(dir: &Path, options: &[String], told: Stdio) -> (Server, Option<ChildStderr>) {
        let file = dir.join(FILE);
        let socket = dir.join("db.sock");
        let mut process = Command::new(need(SERVER))
            .arg(&file)
            .arg(format!("--remote=punix:{}", socket.display()))
            .arg(format!("--unixctl={}", dir.join("ctl").display()))
            .arg("--no-chdir")
            .args(options)
            .stderr(told)
            .spawn()
            .unwrap();
        let told = process.stderr.take();
        let server = Server {
            process,
            dir: dir.to_owned(),
            remote: format!("unix:{}", socket.display()),
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        while UnixStream::connect(&socket).is_err() {
            assert!(
                Instant::now() < deadline,
                "no {} after 20 s",
                socket.display()
            );
            std::thread::yield_now();
        }
        (server, told)
    }

    /// Connects to it.
    pub fn session(&self) -> Session {
        let remote: Remote = self.remote.parse().unwrap();
        let view = View::new(&DatabaseSchema::vswitch());
        let ways = Ways::open(&[remote], &Tls::default()).unwrap();
        Session::connect(&ways, true, Some(Deadline::after(600)), view).unwrap()
    }

    /// All rows by table, with references replaced by what they refer to.
    pub fn dump(&self) -> BTreeMap<String, Vec<String>> {
        let schema = DatabaseSchema::vswitch();
        let mut session = self.session();
        let select = |table: &str| json!({"op": "select", "table": table, "where": []});
        let selects: Vec<Value> = schema
            .tables
            .iter()
            .map(|table| select(&table.name))
            .collect();
        let results = session.transact(&selects).unwrap();
        let rows = |result: &Value| result["rows"].as_array().unwrap().clone();
        let all: BTreeMap<String, Value> = results
            .iter()
            .flat_map(rows)
            .map(|row| (row["_uuid"][1].as_str().unwrap().to_owned(), row))
            .collect();
        let expanded = |result: &Value| {
            let mut rows: Vec<String> = rows(result)
                .iter()
                .map(|row| expand(row, &all).to_string())
                .collect();
            rows.sort();
            rows
        };
        let names = schema.tables.iter().map(|table| table.name.to_string());
        names.zip(results.iter().map(expanded)).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Replaces each row id by the row, and sorts the sets that this mixes up.
fn expand(value: &Value, all: &BTreeMap<String, Value>) -> Value {
    match value {
        Value::Array(items) => match items.as_slice() {
            [tag, Value::String(id)] if tag == "uuid" => {
                all.get(id).map_or(Value::Null, |row| expand(row, all))
            }
            [tag, Value::Array(members)] if tag == "set" => {
                let mut members: Vec<Value> =
                    members.iter().map(|member| expand(member, all)).collect();
                members.sort_by_key(Value::to_string);
                json!(["set", members])
            }
            items => items.iter().map(|item| expand(item, all)).collect(),
        },
        Value::Object(members) => {
            let empty = [json!(["set", []]), json!(["map", []])];
            let kept = members.iter().filter(|(name, value)| {
                *name != "_uuid" && *name != "_version" && !empty.contains(value)
            });
            kept.map(|(name, member)| (name.clone(), expand(member, all)))
                .collect()
        }
        other => other.clone(),
    }
}
