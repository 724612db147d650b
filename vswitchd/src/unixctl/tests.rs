//! Commands and their sockets.

use aorta_ovsdb::Store;
use aorta_packet::{MacAddr, Vid};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc::Receiver;

use super::*;
use crate::control::{FdbError, Request};
use crate::reconcile::Fdb;
use crate::switch::FdbReport;

fn commands(target: Target) -> (Commands, Receiver<Request>) {
    let (control, requests) = Control::new();
    let commands = Commands::new(target, control, Store::in_memory(), LogControl::none());
    (commands, requests)
}

/// Words of a command line; what the command answers.
async fn run(commands: &Commands, line: &str) -> Answer {
    let mut words = line.split(' ').map(str::to_owned);
    let name = words.next().unwrap();
    commands.run(&name, &words.collect::<Vec<_>>()).await
}

#[tokio::test]
async fn each_target_lists_its_own_commands() {
    let (switch, _keep) = commands(Target::Switch);
    let text = run(&switch, "list-commands").await.unwrap();
    assert!(
        text.contains("\n  fdb/show                bridge\n"),
        "{text}"
    );
    assert!(text.contains("\n  coverage/show           \n"), "{text}");
    let (database, _keep) = commands(Target::Database);
    let text = run(&database, "list-commands").await.unwrap();
    assert!(text.contains("ovsdb-server/list-dbs") && !text.contains("fdb/show"));
}

#[tokio::test]
async fn what_devices_in_memory_can_do_is_there_with_them_only() {
    let (host, _keep) = commands(Target::Switch);
    let list = run(&host, "list-commands").await.unwrap();
    assert!(
        !list.contains("time/") && !list.contains("netdev-dummy/"),
        "{list}"
    );
    assert_eq!(
        run(&host, "time/stop").await.unwrap_err(),
        "time/stop: needs `vswitchd --datapath sim`\n"
    );
    assert_eq!(
        run(&host, "stp/show").await.unwrap_err(),
        "stp/show: spanning trees are not supported\n"
    );
    let list = run(&host.simulated(true), "list-commands").await.unwrap();
    assert!(
        list.contains("\n  time/warp               [large_msecs] msecs\n"),
        "{list}"
    );
}

#[tokio::test]
async fn bad_commands_are_refused_in_open_vswitch_words() {
    let (switch, _keep) = commands(Target::Switch);
    let (database, _keep) = commands(Target::Database);
    for (target, line, words) in [
        (
            &switch,
            "nonsense",
            "\"nonsense\" is not a valid command (use \"list-commands\" to see a list of valid commands)\n",
        ),
        (
            &switch,
            "fdb/show",
            "\"fdb/show\" command requires at least 1 arguments\n",
        ),
        (
            &switch,
            "version x",
            "\"version\" command takes at most 0 arguments\n",
        ),
        (
            &switch,
            "exit --now",
            "\"--now\" is not an option of exit (only --cleanup)\n",
        ),
        (&switch, "vlog/reopen", "Logging to file not configured\n"),
        (
            &switch,
            "vlog/set foo",
            "no destination, level, or module \"foo\"\n",
        ),
        (&switch, "vlog/enable-rate-limit foo", "unknown module\n"),
        (&switch, "coverage/read-counter x", "No such counter\n"),
        (
            &database,
            "exit --cleanup",
            "\"exit\" command takes at most 0 arguments\n",
        ),
        (
            &database,
            "ovsdb-server/remove-db x",
            "Failed to find the database.\n",
        ),
        (
            &database,
            "ovsdb-server/remove-db _Server",
            "Cannot remove reserved database.\n",
        ),
        (
            &database,
            "ovsdb-server/memory-trim-on-compaction x",
            "invalid argument\n",
        ),
        (
            &database,
            "ovsdb-server/tlog-set Bridge on",
            "invalid DB:TABLE argument\n",
        ),
    ] {
        assert_eq!(run(target, line).await.unwrap_err(), words, "{line}");
    }
    for line in [
        "ovsdb-server/add-db /x",
        "ovsdb-server/remove-db Open_vSwitch",
        "ovsdb-server/set-active-ovsdb-server tcp:1.2.3.4:6640",
        "ovsdb-server/connect-active-ovsdb-server",
    ] {
        let refusal = run(&database, line).await.unwrap_err();
        assert!(
            refusal.len() > 20 && refusal.ends_with('\n'),
            "{line}: {refusal}"
        );
    }
}

#[tokio::test]
async fn the_database_tells_about_itself() {
    let (database, _keep) = commands(Target::Database);
    for (line, text) in [
        ("ovsdb-server/list-dbs", "Open_vSwitch\n_Server\n"),
        ("ovsdb-server/sync-status", "state: active\n"),
        ("ovsdb-server/get-active-ovsdb-server", ""),
        ("ovsdb-server/memory-trim-on-compaction on", ""),
        ("vlog/set jsonrpc:console:off", ""),
        ("vlog/close", ""),
    ] {
        assert_eq!(run(&database, line).await.unwrap(), text, "{line}");
    }
    let memory = run(&database, "memory/show").await.unwrap();
    assert!(
        memory.contains(" cells:") && memory.contains(" monitors:0 "),
        "{memory}"
    );
    let coverage = run(&database, "coverage/show").await.unwrap();
    assert!(coverage.contains("\nunixctl_received "), "{coverage}");
    let counted = |text: Answer| text.unwrap().trim().parse::<u64>().unwrap();
    let before = counted(run(&database, "coverage/read-counter unixctl_replied").await);
    let after = counted(run(&database, "coverage/read-counter unixctl_replied").await);
    assert!(after > before);
    let list = run(&database, "vlog/list").await.unwrap();
    assert!(list.contains("\njsonrpc            OFF "), "{list}");
}

/// A learned address, and one that an administrator has put there.
fn entries() -> Vec<Fdb> {
    let entry = |port: &str, ofport, vlan, mac: &str| Fdb {
        port: port.to_owned(),
        ofport,
        vlan,
        mac: mac.to_owned(),
        age_s: 7,
    };
    vec![
        entry("br0", 65534, 10, "02:00:00:00:00:01"),
        entry("p3", 3, 0, "02:00:00:00:00:02"),
    ]
}

#[tokio::test]
async fn addresses_are_printed_in_ovs_columns() {
    let (switch, mut requests) = commands(Target::Switch);
    let answer = tokio::spawn(async move {
        while let Some(request) = requests.recv().await {
            let unknown = |bridge: String| Err(FdbError::NoBridge(bridge));
            match request {
                Request::Fdb(bridge, to) if bridge == "br0" => to.send(Ok(entries())).unwrap(),
                Request::Fdb(bridge, to) => to.send(unknown(bridge)).unwrap(),
                Request::FdbReport(bridge, to) if bridge == "br0" => {
                    let report = FdbReport {
                        fixed: vec![(Vid::new(0).unwrap(), MacAddr([2, 0, 0, 0, 0, 2]))],
                        ..FdbReport::default()
                    };
                    to.send(Ok(report)).unwrap();
                }
                Request::FdbReport(bridge, to) => {
                    to.send(Err(FdbError::NoBridge(bridge))).unwrap();
                }
                other => panic!("{other:?}"),
            }
        }
    });
    assert_eq!(
        run(&switch, "fdb/show br0").await.unwrap(),
        " port  VLAN  MAC                Age\nLOCAL    10  02:00:00:00:00:01    7\n    \
         3     0  02:00:00:00:00:02  static\n"
    );
    assert_eq!(
        run(&switch, "fdb/show br1").await.unwrap_err(),
        "no such bridge\n"
    );
    drop(switch);
    answer.await.unwrap();
}

/// A socket of a directory of its own, and a connection to it.
async fn connected() -> (
    tempfile::TempDir,
    ControlSocket,
    Receiver<Request>,
    UnixStream,
) {
    let dir = tempfile::tempdir().unwrap();
    let (switch, requests) = commands(Target::Switch);
    let socket = serve(&socket_path(dir.path(), "x"), switch).unwrap();
    let stream = UnixStream::connect(path(&dir)).await.unwrap();
    (dir, socket, requests, stream)
}

fn path(dir: &tempfile::TempDir) -> std::path::PathBuf {
    dir.path().join(format!("x.{}.ctl", std::process::id()))
}

#[tokio::test]
async fn a_socket_answers_pipelined_requests_and_drops_garbage() {
    let (dir, socket, _keep, mut stream) = connected().await;
    let request =
        br#"{"id":0,"method":"version","params":[]} {"id":1,"method":"no","params":[]}{"id":"#;
    stream.write_all(request).await.unwrap();
    let rest = br#"2,"method":"version","params":[]}]"#;
    stream.write_all(rest).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let replies: Vec<Value> = serde_json::Deserializer::from_str(&text)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(replies.len(), 3, "then the bracket ends the connection");
    let version = replies[0]["result"].as_str().unwrap();
    assert!(version.starts_with("vswitchd (Aorta)"));
    assert_eq!(replies[1]["result"], Value::Null);
    assert_eq!(replies[2]["id"], 2);
    drop(socket);
    assert!(!path(&dir).exists());
}

#[tokio::test]
async fn what_is_no_request_ends_the_connection() {
    let (dir, _socket, _keep, _) = connected().await;
    let long = format!("{{\"id\":0,\"method\":\"{}", "x".repeat(1 << 20));
    let deep = format!("{{\"id\":{}", "[".repeat(1 << 10));
    let wrong = r#"{"id":0,"method":"version","params":{"a":1}}"#;
    for garbage in [
        "GET / HTTP/1.1\r\n\r\n",
        "\u{0}\u{1}",
        "[]",
        &long,
        &deep,
        wrong,
    ] {
        let mut stream = UnixStream::connect(path(&dir)).await.unwrap();
        // The end may come before all is written.
        let _ = stream.write_all(garbage.as_bytes()).await;
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text).await;
        assert!(text.is_empty(), "{:?}", &garbage[..9.min(garbage.len())]);
    }
}

#[tokio::test]
async fn there_is_room_for_so_many_and_the_next_is_told() {
    let (dir, _socket, _keep, first) = connected().await;
    let mut more = Vec::new();
    for _ in 0..63 {
        more.push(UnixStream::connect(path(&dir)).await.unwrap());
    }
    let mut refused = UnixStream::connect(path(&dir)).await.unwrap();
    let mut text = String::new();
    refused.read_to_string(&mut text).await.unwrap();
    assert!(text.contains("too many connections: 64"), "{text}");
    drop(first);
    loop {
        let mut stream = UnixStream::connect(path(&dir)).await.unwrap();
        stream
            .write_all(br#"{"id":7,"method":"version","params":[]}"#)
            .await
            .unwrap();
        stream.shutdown().await.unwrap();
        let mut text = String::new();
        // A refused connection may be reset, as its request is never read.
        if stream.read_to_string(&mut text).await.is_ok() && text.contains("\"id\":7") {
            return;
        }
    }
}

#[tokio::test]
async fn only_its_owner_may_use_a_socket() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, _socket, _keep, _) = connected().await;
    let mode = std::fs::metadata(path(&dir)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
