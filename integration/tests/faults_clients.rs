//! Clients that misbehave: nobody else notices, and memory stays bounded.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use common::python::Served;
use common::rpc::{
    CROWD, Client, PROMPT, descriptors, everything, inside, memory_kb, rss_kb, transaction,
};
use common::{LIMIT, eventually};
use serde_json::{Value, json};

/// How many clients don't read what they asked for.
const DEAF: usize = 3;

/// Clients that monitor everything and read nothing, while another one writes until all of them
/// are dropped. Returns how many writes that took, and the longest.
fn deaf_clients(served: &Served, good: &mut Client, row: &Value) -> (usize, Duration) {
    let dropped = || served.switch.log().matches("is cut off").count();
    let wanted = dropped() + DEAF;
    let mut deaf: Vec<Client> = (0..DEAF)
        .map(|_| Client::connect(&served.socket()).unwrap())
        .collect();
    for client in &mut deaf {
        client.send("monitor", &everything(1), &json!(1)).unwrap();
    }
    let (mut writes, mut slowest) = (0, Duration::ZERO);
    while dropped() < wanted {
        let text = format!("{writes}{}", "x".repeat(1 << 20));
        let update = json!({"op": "update", "table": "Queue", "where": [["_uuid", "==", row]],
            "row": {"external_ids": ["map", [["x", text]]]}});
        let start = Instant::now();
        let reply = good.ask("transact", &json!(["Open_vSwitch", update]));
        slowest = slowest.max(start.elapsed());
        assert_eq!(reply, json!([{"count": 1}]));
        writes += 1;
        assert!(writes < 500, "none is dropped");
    }
    // What was on its way still comes, and then the end.
    for client in &mut deaf {
        while client.next().is_some() {}
    }
    (writes, slowest)
}

#[test]
fn monitors_that_never_read_are_dropped_and_memory_is_bounded() {
    inside("deaf", |served| {
        let (switch, mut good) = (&served.switch, Client::connect(&served.socket()).unwrap());
        let insert = json!({"op": "insert", "table": "Queue", "row": {}});
        let row = good.ask("transact", &json!(["Open_vSwitch", insert]))[0]["uuid"].clone();
        let before = rss_kb(switch);
        let figures = [(); 2].map(|()| {
            let (writes, slowest) = deaf_clients(served, &mut good, &row);
            let most = memory_kb(switch, "VmHWM");
            println!(
                "{DEAF} monitors that never read: dropped after {writes} writes of 1 MiB, the \
                 slowest {slowest:?}; {before} kB before, {most} kB at most, {} kB after",
                rss_kb(switch)
            );
            assert!(slowest < PROMPT, "{slowest:?}");
            most
        });
        // What waits for all of them, and what it takes to make an update.
        assert!(figures[0] < before + 150_000, "{figures:?}");
        assert!(figures[1] < figures[0] + figures[0] / 5, "{figures:?}");
    });
}

/// The daemon's socket.
fn socket(served: &Served) -> UnixStream {
    let path = served.switch.rundir().join("db.sock");
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

#[test]
fn requests_are_not_read_faster_than_their_answers() {
    inside("pipeline", |served| {
        let (switch, remote) = (&served.switch, served.socket());
        transaction(&remote);
        let before = rss_kb(switch);
        let stream = socket(served);
        let mut writer = stream.try_clone().unwrap();
        let text = "x".repeat(5000);
        let requests: String = (0..CROWD)
            .map(|id| json!({"method": "echo", "params": [text], "id": id}).to_string())
            .collect();
        let mut client = Client::of(Box::new(stream));
        std::thread::scope(|scope| {
            // 50 MB of answers, which nobody reads yet.
            scope.spawn(move || writer.write_all(requests.as_bytes()).unwrap());
            let slowest = (0..50).map(|_| transaction(&remote)).max().unwrap();
            assert!(slowest < PROMPT, "{slowest:?}");
            for id in 0..CROWD {
                assert_eq!(client.next().unwrap()["id"], id);
            }
            let most = memory_kb(switch, "VmHWM");
            println!(
                "{CROWD} requests at once: {before} kB before, {most} kB at most; the slowest \
                 transaction meanwhile {slowest:?}"
            );
            assert!(most < before + 20_000, "{most} kB at most");
        });
    });
}

#[test]
fn a_message_may_come_byte_by_byte_and_keeps_nobody_waiting() {
    inside("slow", |served| {
        let remote = served.socket();
        let operation = json!({"op": "insert", "table": "Queue", "row": {"dscp": 5}});
        let request = json!({"method": "transact", "params": ["Open_vSwitch", operation], "id": 1});
        let request = request.to_string();
        for slow_remote in served.remotes() {
            let mut slow = Client::connect(&slow_remote).unwrap();
            for byte in request.bytes() {
                slow.stream.write_all(&[byte]).unwrap();
                slow.stream.flush().unwrap();
                let took = transaction(&remote);
                assert!(took < PROMPT, "{took:?}");
            }
            let reply = slow.next().unwrap();
            assert!(reply["result"][0]["uuid"].is_array(), "{reply}");
        }
    });
}

#[test]
fn halves_of_messages_change_nothing() {
    inside("half", |served| {
        let switch = &served.switch;
        let (open, rows) = (descriptors(switch), common::done(switch, "list Queue"));
        let operation = json!({"op": "insert", "table": "Queue", "row": {}});
        let request = json!({"method": "transact", "params": ["Open_vSwitch", operation], "id": 1});
        let request = request.to_string();
        let mut kept = Vec::new();
        for remote in served.remotes() {
            for length in 1..request.len() {
                let mut client = Client::connect(&remote).unwrap();
                client
                    .stream
                    .write_all(&request.as_bytes()[..length])
                    .unwrap();
                // Every other one stays, the rest of its message unsent.
                if length % 2 == 0 {
                    kept.push(client);
                }
            }
        }
        let took = served.remotes().map(|remote| {
            let mut client = Client::connect(&remote).unwrap();
            let start = Instant::now();
            client.ask("echo", &json!([]));
            start.elapsed()
        });
        assert!(took.iter().all(|took| *took < PROMPT), "{took:?}");
        assert_eq!(common::done(switch, "list Queue"), rows);
        drop(kept);
        eventually("they are gone", || descriptors(switch) == open);
    });
}

#[test]
fn halves_of_long_messages_share_bounded_room() {
    inside("longhalf", |served| {
        let (switch, remote) = (&served.switch, served.socket());
        let before = rss_kb(switch);
        let half = format!("{{\"id\":\"{}", "x".repeat(30 << 20));
        // Half as much again as there is room for.
        let clients: Vec<UnixStream> = (0..12).map(|_| socket(served)).collect();
        for mut client in &clients {
            // It may be cut off before it has written all.
            let _ = client.write_all(half.as_bytes());
        }
        let took = transaction(&remote);
        let cut = || switch.log().matches("no room for its message").count();
        eventually("some are cut off", || cut() > 0);
        let most = memory_kb(switch, "VmHWM");
        println!(
            "12 halves of 30 MiB: {} clients cut off; {before} kB before, {most} kB at most; a \
             transaction meanwhile {took:?}",
            cut()
        );
        assert!(took < PROMPT, "{took:?}");
        // A buffer that grows has twice the room for a moment.
        assert!(most < before + 600_000, "{most} kB at most");
        drop(clients);
        transaction(&remote);
    });
}

#[test]
fn a_client_that_dies_gives_its_locks_back() {
    inside("locks", |served| {
        const LOCKS: usize = 1000;
        for remote in served.remotes() {
            let mut owner = Client::connect(&remote).unwrap();
            let mut waiting = Client::connect(&remote).unwrap();
            for (client, locked) in [(&mut owner, true), (&mut waiting, false)] {
                for lock in 0..LOCKS {
                    let reply = client.ask("lock", &json!([format!("l{lock}")]));
                    assert_eq!(reply, json!({"locked": locked}));
                }
            }
            let assert_lock = json!({"op": "assert", "lock": "l7"});
            let reply = waiting.ask("transact", &json!(["Open_vSwitch", assert_lock]));
            assert_eq!(reply[0]["error"], "not owner");
            // In the midst of a message.
            owner.stream.write_all(b"{\"id\":7,").unwrap();
            drop(owner);
            let mut given: Vec<String> = (0..LOCKS)
                .map(|_| waiting.next().expect("a lock"))
                .inspect(|message| assert_eq!(message["method"], "locked"))
                .map(|message| message["params"][0].as_str().unwrap().to_owned())
                .collect();
            given.sort_unstable();
            given.dedup();
            assert_eq!(given.len(), LOCKS);
            let reply = waiting.ask("transact", &json!(["Open_vSwitch", assert_lock]));
            assert_eq!(reply, json!([{}]));
        }
    });
}
