//! Connections to the database byte by byte, and what they cost the daemon.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use aorta_integration::lab::Switch;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};

use super::LIMIT;
use super::python::Served;

/// How many clients a crowd is.
pub const CROWD: usize = 10_000;
/// How long a client may wait for an answer while others misbehave.
pub const PROMPT: Duration = Duration::from_secs(2);

/// A stream of either kind.
pub trait Stream: Read + Write + AsFd + Send {}
impl<T: Read + Write + AsFd + Send> Stream for T {}

/// One client's connection.
pub struct Client {
    pub stream: Box<dyn Stream>,
    unread: Vec<u8>,
    /// How much of it was no whole message.
    tried: usize,
}

impl Client {
    /// Connects to `unix:PATH` or `tcp:ADDRESS:PORT`.
    pub fn connect(remote: &str) -> io::Result<Client> {
        let stream: Box<dyn Stream> = match remote.split_once(':').unwrap() {
            ("unix", path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(LIMIT))?;
                stream.set_write_timeout(Some(LIMIT))?;
                Box::new(stream)
            }
            (_, address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_read_timeout(Some(LIMIT))?;
                stream.set_write_timeout(Some(LIMIT))?;
                Box::new(stream)
            }
        };
        Ok(Client::of(stream))
    }

    /// A client with this stream.
    pub fn of(stream: Box<dyn Stream>) -> Client {
        Client {
            stream,
            unread: Vec::new(),
            tried: 0,
        }
    }

    /// Sends a request.
    pub fn send(&mut self, method: &str, params: &Value, id: &Value) -> io::Result<()> {
        let request = json!({"method": method, "params": params, "id": id});
        self.stream.write_all(request.to_string().as_bytes())
    }

    /// The next message, of whatever kind; `None` at the end of the stream.
    pub fn next(&mut self) -> Option<Value> {
        loop {
            // Not after each piece of a long message: that would take the square of its length.
            if self.unread.ends_with(b"}") || self.unread.len() > 2 * self.tried {
                let mut messages = serde_json::Deserializer::from_slice(&self.unread).into_iter();
                if let Some(Ok(message)) = messages.next() {
                    let length = messages.byte_offset();
                    self.unread.drain(..length);
                    self.tried = 0;
                    return Some(message);
                }
                self.tried = self.unread.len();
            }
            let mut bytes = [0; 1 << 16];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.unread.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Asks, and waits for the answer; what comes before it is left out.
    pub fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.send(method, params, &json!("ask")).unwrap();
        loop {
            let message = self.next().expect("the connection stays");
            if message["id"] == "ask" {
                return message["result"].clone();
            }
        }
    }
}

/// Changes a row, and tells how long that took.
pub fn transaction(remote: &str) -> Duration {
    let start = Instant::now();
    let operation = json!({"op": "insert", "table": "Queue", "row": {}});
    let reply = Client::connect(remote).unwrap();
    let reply = { reply }.ask("transact", &json!(["Open_vSwitch", operation]));
    assert!(reply[0]["uuid"].is_array(), "{reply}");
    start.elapsed()
}

/// Room for a crowd's descriptors, here and in daemons that are started after this.
pub fn allow_descriptors() {
    let wanted = 2 * CROWD as u64;
    let now = getrlimit(Resource::Nofile);
    let maximum = now.maximum.map(|m| m.max(wanted));
    let current = Some(wanted);
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
}

/// A figure of the daemon's memory, in kB: VmRSS now, VmHWM at most so far.
pub fn memory_kb(switch: &Switch, what: &str) -> u64 {
    let path = format!("/proc/{}/status", switch.pid().unwrap());
    let status = std::fs::read_to_string(path).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    let figure = line.and_then(|line| line.trim_start_matches(':').split_whitespace().next());
    figure.unwrap().parse().unwrap()
}

/// The daemon's memory now, in kB.
pub fn rss_kb(switch: &Switch) -> u64 {
    memory_kb(switch, "VmRSS")
}

/// How many descriptors the daemon has.
pub fn descriptors(switch: &Switch) -> usize {
    let path = format!("/proc/{}/fd", switch.pid().unwrap());
    std::fs::read_dir(path).unwrap().count()
}

/// A daemon, and the test's thread in its namespace.
pub fn inside(label: &str, test: impl Fn(&Served) + Send + Sync) {
    allow_descriptors();
    let served = Served::new(label);
    std::thread::scope(|scope| {
        let test = || {
            served.ns.enter().unwrap();
            test(&served);
        };
        scope.spawn(test).join().unwrap();
    });
}

/// Parameters of a monitor of all that changes.
pub fn everything(id: impl Into<Value>) -> Value {
    let id: Value = id.into();
    let tables = [
        "Open_vSwitch",
        "Bridge",
        "Port",
        "Interface",
        "Queue",
        "QoS",
    ];
    let tables: Value = tables
        .iter()
        .map(|t| ((*t).to_owned(), json!({})))
        .collect();
    json!(["Open_vSwitch", id, tables])
}
