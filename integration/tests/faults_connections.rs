//! Crowds of clients: they cost little, and leave nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aorta_integration::lab::wait_until;
use common::eventually;
use common::python::Served;
use common::rpc::{CROWD, Client, PROMPT, descriptors, everything, inside, rss_kb, transaction};
use rustix::event::epoll;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;

/// How long a busy machine may need for a crowd to be accepted or let go.
const CROWD_LIMIT: Duration = Duration::from_secs(60);
/// What a connection that asks for nothing may cost, in kB.
const IDLE_KB: u64 = 10;

/// Clients that ask for nothing, but answer the daemon's questions for signs of life.
struct Crowd {
    clients: Mutex<Vec<Client>>,
    poll: OwnedFd,
    gone: AtomicBool,
}

impl Crowd {
    fn new() -> Crowd {
        Crowd {
            clients: Mutex::default(),
            poll: epoll::create(epoll::CreateFlags::CLOEXEC).unwrap(),
            gone: AtomicBool::new(false),
        }
    }

    fn connect(&self, remote: &str) {
        let client = Client::connect(remote).unwrap();
        let mut clients = self.clients.lock().unwrap();
        let data = epoll::EventData::new_u64(clients.len() as u64);
        epoll::add(&self.poll, &client.stream, data, epoll::EventFlags::IN).unwrap();
        clients.push(client);
    }

    /// Answers until everybody leaves; returns how often.
    fn answer(&self) -> usize {
        let timeout = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: 50_000_000,
        };
        let (mut events, mut answers) = (Vec::with_capacity(1024), 0);
        while !self.gone.load(Ordering::Relaxed) {
            let room = rustix::buffer::spare_capacity(&mut events);
            epoll::wait(&self.poll, room, Some(&timeout)).unwrap();
            let mut clients = self.clients.lock().unwrap();
            for event in events.drain(..) {
                let client = &mut clients[usize::try_from(event.data.u64()).unwrap()];
                let probe = client.next().expect("the connection stays");
                assert_eq!(probe["method"], "echo");
                let answer = json!({"id": probe["id"], "result": probe["params"], "error": null});
                let answer = answer.to_string();
                client.stream.write_all(answer.as_bytes()).unwrap();
                answers += 1;
            }
        }
        answers
    }
}

/// Has a crowd's answers end, also when the test fails.
struct Leave<'a>(&'a Crowd);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.gone.store(true, Ordering::Relaxed);
    }
}

/// Connects a crowd, lets it sit there, and sends it away: the daemon's memory with it.
fn a_crowd_comes_and_goes(served: &Served, remote: &str, open: usize, stays: bool) -> u64 {
    let (switch, crowd) = (&served.switch, Crowd::new());
    let during = std::thread::scope(|scope| {
        let leave = Leave(&crowd);
        let answering = scope.spawn(|| crowd.answer());
        let start = Instant::now();
        (0..CROWD).for_each(|_| crowd.connect(remote));
        let all = || descriptors(switch) >= open + CROWD;
        wait_until("all are accepted", CROWD_LIMIT, all).unwrap();
        let accepted = start.elapsed();
        if stays {
            // Long enough for each to be asked for a sign of life, and for the silent to be sent
            // away.
            let start = Instant::now();
            eventually("a round of probes", || start.elapsed().as_secs() >= 12);
        }
        let took = transaction(remote);
        let during = rss_kb(switch);
        assert!(descriptors(switch) >= open + CROWD, "all are still there");
        drop(leave);
        let answers = answering.join().unwrap();
        println!(
            "{CROWD} clients accepted in {accepted:.1?}, {answers} probes answered; {during} kB; \
             a transaction among them: {took:?}"
        );
        assert!(took < PROMPT, "{took:?}");
        during
    });
    drop(crowd);
    wait_until("they are gone", CROWD_LIMIT, || descriptors(switch) == open).unwrap();
    during
}

/// An idle crowd costs little, and the next one has the room of the one before.
fn an_idle_crowd(served: &Served, remote: &str) {
    let open = descriptors(&served.switch);
    transaction(remote);
    let before = rss_kb(&served.switch);
    let first = a_crowd_comes_and_goes(served, remote, open, remote.starts_with("tcp"));
    let between = rss_kb(&served.switch);
    let second = a_crowd_comes_and_goes(served, remote, open, false);
    let after = rss_kb(&served.switch);
    let each = (first - before) as f64 / CROWD as f64;
    println!(
        "{remote}: {before} kB before, {first} kB with them ({each:.1} kB each), {between} kB when \
         they left; once more: {second} kB, {after} kB"
    );
    assert!(first - before < IDLE_KB * CROWD as u64, "{each:.1} kB each");
    assert!(second < first + first / 10, "{first} kB, then {second} kB");
    assert!(
        after < between + between / 10,
        "{between} kB, then {after} kB"
    );
}

#[test]
fn ten_thousand_idle_clients_of_the_socket_cost_little() {
    inside("idle", |served| an_idle_crowd(served, &served.socket()));
}

#[test]
fn ten_thousand_idle_clients_of_tcp_cost_little() {
    inside("idletcp", |served| {
        an_idle_crowd(served, &served.remotes()[1])
    });
}

#[test]
fn ten_thousand_clients_that_come_and_go_leave_nothing() {
    inside("cycles", |served| {
        let switch = &served.switch;
        for remote in served.remotes() {
            // What the first clients make the daemon keep is no leak.
            let cycle = |number: usize| {
                let mut client = Client::connect(&remote).unwrap();
                match number % 4 {
                    0 => {}
                    1 => client.stream.write_all(b"{\"method\":\"ec").unwrap(),
                    2 => assert_eq!(client.ask("echo", &json!([number])), json!([number])),
                    _ => drop(client.ask("monitor", &everything(number))),
                }
            };
            let open = descriptors(switch);
            (0..250).for_each(cycle);
            eventually("they are gone", || descriptors(switch) == open);
            let before = rss_kb(switch);
            let start = Instant::now();
            (0..CROWD / 2).for_each(cycle);
            let took = start.elapsed();
            eventually("they are gone", || descriptors(switch) == open);
            let after = rss_kb(switch);
            println!(
                "{} clients of {remote} came and went in {took:.1?}: {before} kB before, \
                 {after} kB after, {open} descriptors",
                CROWD / 2
            );
            assert!(after < before + 4_000, "{before} kB, then {after} kB");
        }
    });
}

#[test]
fn more_clients_than_descriptors_wait_for_their_turn() {
    inside("full", |served| {
        let (switch, remote) = (&served.switch, served.socket());
        let open = descriptors(switch);
        let most = (open + 20) as u64;
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        let pid = Pid::from_raw(i32::try_from(switch.pid().unwrap()).unwrap());
        prlimit(pid, Resource::Nofile, limit).unwrap();
        let mut clients: Vec<Client> = (0..40).map(|_| Client::connect(&remote).unwrap()).collect();
        assert_eq!(clients[0].ask("echo", &json!([1])), json!([1]));
        eventually("the log tells why", || {
            switch.log().contains("can't be accepted")
        });
        let lines = switch.log().lines().count();
        // The last in the queue is served when the first have gone.
        let mut last = clients.pop().unwrap();
        clients.drain(..30);
        assert_eq!(last.ask("echo", &json!([2])), json!([2]));
        let told = switch.log().lines().count() - lines;
        assert!(told < 20, "{told} lines of log in a moment");
        drop((last, clients));
        eventually("they are gone", || descriptors(switch) == open);
        transaction(&remote);
    });
}
