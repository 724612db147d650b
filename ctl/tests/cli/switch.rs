//! Waiting for the switch, played by a thread that takes changes over; and what happens without
//! one, without a server, and among several writers.

use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use aorta_ctl::schema::Needs;
use aorta_ctl::session::{Session, SessionError};
use aorta_ctl::txn::Txn;
use aorta_ovsdb::jsonrpc::{Framer, Message};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::server::Server;

/// A server in a directory that goes with it.
struct Site {
    server: Server,
    dir: TempDir,
}

impl Site {
    fn start() -> Site {
        let dir = TempDir::new().unwrap();
        Site {
            server: Server::start(&dir.path().join("db")),
            dir,
        }
    }

    /// Starts `vsctl` under a name.
    fn spawn(&self, name: &str, line: &str) -> Child {
        let program = self.dir.path().join(name);
        if !program.exists() {
            symlink(env!("CARGO_BIN_EXE_vsctl"), &program).unwrap();
        }
        spawn(&program, &self.server.remote, line)
    }

    fn run(&self, line: &str) -> Output {
        self.spawn("vsctl", line).wait_with_output().unwrap()
    }

    fn text(&self, line: &str) -> String {
        let output = self.run(line);
        assert_eq!(output.status.code(), Some(0), "{line}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }
}

fn spawn(program: &Path, remote: &str, line: &str) -> Child {
    Command::new(program)
        .args(["--db", remote])
        .args(line.split_whitespace())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Takes changes over until the server goes: interfaces get a number, those called `bad…` an
/// error.
fn play_switch(server: &Server) {
    let mut session = server.session();
    let mut needs = Needs::whole();
    needs.column("Open_vSwitch", "next_cfg");
    needs.column("Interface", "name");
    session.monitor(&needs).unwrap();
    thread::spawn(move || -> Result<(), SessionError> {
        let mut taken = 0;
        loop {
            let (next, operations) = take_over(&session);
            if next > taken {
                session.transact(&operations)?;
                taken = next;
            } else {
                session.wait_for_update()?;
            }
        }
    });
}

fn take_over(session: &Session) -> (i64, Vec<Value>) {
    let txn = Txn::new(&session.view);
    let root = txn
        .rows("Open_vSwitch")
        .first()
        .copied()
        .unwrap_or_default();
    let next = txn
        .get("Open_vSwitch", root, "next_cfg")
        .as_int_opt()
        .unwrap_or_default();
    let update = |row: aorta_ovsdb::Uuid| {
        let bad = txn
            .str("Interface", row, "name")
            .unwrap_or_default()
            .starts_with("bad");
        let columns = match bad {
            true => json!({"ofport": -1, "error": "could not open network device"}),
            false => json!({"ofport": 7}),
        };
        json!({"op": "update", "table": "Interface", "row": columns,
               "where": [["_uuid", "==", ["uuid", row.to_string()]]]})
    };
    let mut operations: Vec<Value> = txn.rows("Interface").into_iter().map(update).collect();
    operations.push(json!({"op": "update", "table": "Open_vSwitch", "where": [],
                           "row": {"cur_cfg": next}}));
    (next, operations)
}

#[test]
fn changes_are_waited_for_until_the_switch_has_taken_them_over() {
    let site = Site::start();
    play_switch(&site.server);
    site.text("--timeout=60 add-br br0 -- add-port br0 p1");
    assert_eq!(site.text("get Interface p1 ofport"), "7\n");
    assert_eq!(site.text("get Open_vSwitch . next_cfg cur_cfg"), "1\n1\n");
    site.text("--timeout=60 list-ports br0 -- --may-exist add-port br0 p1");
    assert_eq!(site.text("get o . next_cfg"), "1\n", "nothing has changed");
}

#[test]
fn an_interface_that_fails_is_told_and_only_strict_mode_exits_with_0() {
    let site = Site::start();
    play_switch(&site.server);
    site.text("--timeout=60 add-br br0");
    let ours = site.run("--timeout=60 add-port br0 bad0 -- add-port br0 good0");
    assert_eq!(ours.status.code(), Some(65), "{}", said(&ours));
    let line = "Error detected while setting up 'bad0': could not open network device.";
    assert_eq!(said(&ours), format!("vsctl: {line}\n"));
    let strict = site.spawn("ovs-vsctl", "--timeout=60 add-port br0 bad1");
    let strict = strict.wait_with_output().unwrap();
    assert_eq!(strict.status.code(), Some(0));
    assert!(said(&strict).starts_with("ovs-vsctl: Error detected while setting up 'bad1'"));
    assert_eq!(site.text("list-ports br0"), "bad0\nbad1\ngood0\n");
}

#[test]
fn without_a_switch_the_timeout_says_that_the_database_is_written() {
    let site = Site::start();
    let output = site.run("--timeout=1 add-br br0");
    assert_eq!(output.status.code(), Some(142));
    assert!(said(&output).contains("vswitchd did not take the change over within 1 seconds"));
    assert_eq!(site.text("--timeout=60 list-br"), "br0\n");
}

#[test]
fn writers_at_the_same_time_lose_nothing() {
    let site = Site::start();
    site.text("--no-wait add-br br0");
    let started: Vec<Child> = (0..24)
        .map(|n| {
            site.spawn(
                "vsctl",
                &format!("--no-wait --timeout=60 add-port br0 p{n}"),
            )
        })
        .collect();
    for child in started {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    }
    assert_eq!(site.text("list-ports br0").lines().count(), 24);
}

/// A server with a bridge `br0` that refuses the first transaction because the database has just
/// changed, and tells of the change before it says so, or after.
fn refuse_once(listener: &UnixListener, update_first: bool) -> Vec<Value> {
    const BRIDGE: &str = "25ebc6f2-7547-4d93-a409-b9f3df050332";
    const ROOT: &str = "3a4e666f-b52a-4649-97ff-592a0b122623";
    let (mut stream, _) = listener.accept().unwrap();
    let mut framer = Framer::default();
    let mut transactions = Vec::new();
    while transactions.len() < 2 {
        let mut buffer = [0; 4096];
        let n = stream.read(&mut buffer).unwrap();
        framer.push(&buffer[..n]);
        while let Some(Message::Request { method, params, id }) = framer.next_message().unwrap() {
            let rows = json!({
                "Open_vSwitch": {ROOT: {"initial": {"bridges": ["uuid", BRIDGE]}}},
                "Bridge": {BRIDGE: {"initial": {"name": "br0"}}},
            });
            let reply = |result| {
                Message::Reply {
                    id,
                    result,
                    error: Value::Null,
                }
                .to_text()
            };
            if method == "monitor_cond" {
                stream.write_all(reply(rows).as_bytes()).unwrap();
                continue;
            }
            transactions.push(Value::Array(params));
            let refusal = json!([{"error": "timed out", "details": "no longer so"}]);
            let change = json!({"Bridge": {BRIDGE: {"modify": {"name": "br0"}}}});
            let params = vec![json!("vsctl"), change];
            let update = Message::Notification {
                method: "update2".into(),
                params,
            }
            .to_text();
            let answers = match (transactions.len(), update_first) {
                (1, true) => update + &reply(refusal),
                (1, false) => reply(refusal) + &update,
                _ => reply(json!([{}, {}, {}, {}, {}])),
            };
            stream.write_all(answers.as_bytes()).unwrap();
        }
    }
    transactions
}

#[test]
fn a_transaction_that_comes_too_late_is_made_anew() {
    for update_first in [true, false] {
        let dir = TempDir::new().unwrap();
        let socket = dir.path().join("db.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let server = thread::spawn(move || refuse_once(&listener, update_first));
        let program = Path::new(env!("CARGO_BIN_EXE_vsctl"));
        let remote = format!("unix:{}", socket.display());
        let line = "--timeout=60 --no-wait add-port br0 p1";
        let output = spawn(program, &remote, line).wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let transactions = server.join().unwrap();
        assert_eq!(transactions[1][1]["op"], "wait");
        assert_eq!(transactions[0][1], transactions[1][1]);
    }
}

#[test]
fn wait_until_sees_what_others_do() {
    let site = Site::start();
    site.text("--no-wait init");
    let line = "--timeout=60 --no-wait wait-until bridge br0 datapath_type=x -- br-to-parent br0";
    let waiting = site.spawn("vsctl", line);
    site.text("--no-wait add-br br0");
    site.text("--no-wait set bridge br0 datapath_type=x");
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), &*output.stdout),
        (Some(0), &b"br0\n"[..])
    );
}

#[test]
fn retry_waits_for_the_server() {
    let dir = TempDir::new().unwrap();
    let socket = dir.path().join("db/db.sock");
    let program = Path::new(env!("CARGO_BIN_EXE_vsctl"));
    let remote = format!("unix:{}", socket.display());
    let waiting = spawn(
        program,
        &remote,
        "--retry --timeout=60 --no-wait add-br br0 -- list-br",
    );
    let _server = Server::start(&dir.path().join("db"));
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), &*output.stdout),
        (Some(0), &b"br0\n"[..])
    );
}

#[test]
fn a_missing_server_is_one_line_that_says_what_to_do() {
    let dir = TempDir::new().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_vsctl"))
        .env("OVS_RUNDIR", dir.path())
        .arg("show")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = said(&output);
    assert_eq!(said.lines().count(), 1, "{said}");
    let socket = format!(
        "vsctl: unix:{}/db.sock: database connection",
        dir.path().display()
    );
    assert!(
        said.starts_with(&socket) && said.contains("vswitchd must be running"),
        "{said}"
    );
}

#[test]
fn a_server_that_speaks_something_else_is_refused() {
    let dir = TempDir::new().unwrap();
    let socket = dir.path().join("db.sock");
    for (answer, words) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            "doesn't keep to its protocol",
        ),
        (b"", "connection to the database lost"),
        (
            b"{\"id\":0,\"result\":{\"Port\":[]},\"error\":null}",
            "can't be used",
        ),
        (
            b"{\"id\":0,\"error\":\"unknown database\"}",
            "refused monitor_cond",
        ),
    ] {
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // Answering before the question would race with it.
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            stream.write_all(answer).unwrap();
        });
        let program = Path::new(env!("CARGO_BIN_EXE_vsctl"));
        let remote = format!("unix:{}", socket.display());
        let output = spawn(program, &remote, "--timeout=60 list-br")
            .wait_with_output()
            .unwrap();
        server.join().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains(words), "{words}: {}", said(&output));
    }
}
