//! The control socket of `monitor` and `snoop`, which `ovs-appctl -t ovs-ofctl` uses: JSON-RPC 1.0,
//! one string back.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Deserialize;
use serde_json::{Value, json};

/// Longest request, in bytes.
const MAX_REQUEST: usize = 1 << 20;
/// So many may be connected at a time.
const MAX_CLIENTS: usize = 16;

/// Commands with their arguments, as they are listed, and the least and greatest number of these.
const COMMANDS: [(&str, &str, usize, usize); 9] = [
    ("exit", "", 0, 0),
    ("list-commands", "", 0, 0),
    ("ofctl/barrier", "", 0, 0),
    ("ofctl/block", "", 0, 0),
    (
        "ofctl/packet-out",
        "\"in_port=<port> packet=<hex data> actions=...\"",
        1,
        1,
    ),
    ("ofctl/send", "OFMSG...", 1, usize::MAX),
    ("ofctl/set-output-file", "FILE", 1, 1),
    ("ofctl/unblock", "", 0, 0),
    ("version", "", 0, 0),
];

/// A command that came.
#[derive(Debug)]
pub struct Call {
    /// Its name, one of those that there are.
    pub name: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Where the answer goes.
    pub to: Caller,
}

/// Who waits for an answer.
#[derive(Debug)]
pub struct Caller {
    client: u64,
    id: Value,
}

#[derive(Debug)]
struct Client {
    number: u64,
    stream: UnixStream,
    buffer: Vec<u8>,
}

/// The socket; its file goes away with the value.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
    listener: UnixListener,
    clients: Vec<Client>,
    newest: u64,
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[derive(Deserialize)]
struct Request {
    method: String,
    #[serde(default)]
    params: Vec<String>,
    id: Value,
}

impl Control {
    /// Listens at a path, for the process's owner alone.
    ///
    /// # Errors
    /// If the socket can't be had.
    pub fn open(path: &Path) -> io::Result<Control> {
        match fs::remove_file(path) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(Control {
            path: path.to_owned(),
            listener,
            clients: Vec::new(),
            newest: 0,
        })
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until something can be read, of a client or from `other`, or the time is over; whether
    /// it is `other`.
    ///
    /// # Errors
    /// If waiting fails.
    pub fn wait(&self, other: Option<BorrowedFd<'_>>, limit: Option<Duration>) -> io::Result<bool> {
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        let mut fds = vec![PollFd::new(&self.listener, PollFlags::IN)];
        let streams = self.clients.iter().map(|client| client.stream.as_fd());
        fds.extend(streams.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        let mine = fds.len();
        fds.extend(other.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        match poll(&mut fds, limit.as_ref()) {
            Err(rustix::io::Errno::INTR) => return Ok(false),
            done => done?,
        };
        Ok(fds[mine..].iter().any(|fd| !fd.revents().is_empty()))
    }

    /// Commands that have come. Those that don't exist are answered at once.
    pub fn calls(&mut self) -> Vec<Call> {
        while let Ok((stream, _)) = self.listener.accept() {
            self.newest += 1;
            if self.clients.len() < MAX_CLIENTS && stream.set_nonblocking(true).is_ok() {
                self.clients.push(Client {
                    number: self.newest,
                    stream,
                    buffer: Vec::new(),
                });
            }
        }
        let mut calls = Vec::new();
        self.clients.retain_mut(|client| client.read(&mut calls));
        let mut known = Vec::new();
        for call in calls {
            match self.check(&call) {
                Some(answer) => self.answer(&call.to, answer),
                None => known.push(call),
            }
        }
        known
    }

    /// What a command is answered that needs nothing else.
    fn check(&self, call: &Call) -> Option<Result<String, String>> {
        let Call {
            name, arguments, ..
        } = call;
        let Some((_, _, least, most)) = COMMANDS.iter().find(|(known, ..)| known == name) else {
            return Some(Err(format!(
                "\"{name}\" is not a valid command (use \"list-commands\" to see a list of valid \
                 commands)\n"
            )));
        };
        if arguments.len() < *least {
            let text = format!("\"{name}\" command requires at least {least} arguments\n");
            return Some(Err(text));
        }
        if arguments.len() > *most {
            let text = format!("\"{name}\" command takes at most {most} arguments\n");
            return Some(Err(text));
        }
        match name.as_str() {
            "list-commands" => Some(Ok(list())),
            "version" => Some(Ok("ovs-ofctl (Open vSwitch) 3.1.0\n".to_owned())),
            _ => None,
        }
    }

    /// Answers a command.
    pub fn answer(&mut self, to: &Caller, answer: Result<String, String>) {
        let reply = match answer {
            Ok(text) => json!({"id": to.id, "result": text, "error": null}),
            Err(text) => json!({"id": to.id, "result": null, "error": text}),
        };
        let client = self.clients.iter_mut().find(|c| c.number == to.client);
        if let Some(client) = client {
            // Whoever asked may be gone.
            let _ = client.stream.write_all(reply.to_string().as_bytes());
        }
    }
}

fn list() -> String {
    let mut text = "The available commands are:\n".to_owned();
    for (name, usage, ..) in COMMANDS {
        // Writing to a string never fails.
        let _ = writeln!(text, "  {name:<23} {usage}");
    }
    text
}

impl Client {
    /// Takes what has come; false at the end.
    fn read(&mut self, calls: &mut Vec<Call>) -> bool {
        let mut piece = [0; 4096];
        let open = loop {
            match self.stream.read(&mut piece) {
                Ok(0) => break false,
                Ok(count) => self.buffer.extend_from_slice(&piece[..count]),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => break e.kind() == ErrorKind::WouldBlock,
            }
        };
        let mut used = 0;
        let mut requests = serde_json::Deserializer::from_slice(&self.buffer).into_iter();
        let sound = loop {
            match requests.next() {
                Some(Ok(Request { method, params, id })) => calls.push(Call {
                    name: method,
                    arguments: params,
                    to: Caller {
                        client: self.number,
                        id,
                    },
                }),
                Some(Err(error)) => break error.is_eof(),
                None => break true,
            }
            used = requests.byte_offset();
        };
        self.buffer.drain(..used);
        open && sound && self.buffer.len() <= MAX_REQUEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_come_one_by_one_and_those_that_are_none_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.ctl");
        let mut control = Control::open(&path).unwrap();
        let mut client = UnixStream::connect(&path).unwrap();
        let request = br#"{"id":0,"method":"nonsense","params":[]}{"id":1,"method":"ofctl/send","params":["00"]}{"id"#;
        client.write_all(request).unwrap();
        assert!(!control.wait(None, None).unwrap());
        let mut calls = control.calls();
        while calls.is_empty() {
            control.wait(None, None).unwrap();
            calls = control.calls();
        }
        assert_eq!((calls.len(), calls[0].name.as_str()), (1, "ofctl/send"));
        control.answer(&calls[0].to, Ok("sent\n".to_owned()));
        let mut answers = serde_json::Deserializer::from_reader(&client).into_iter::<Value>();
        let refused = answers.next().unwrap().unwrap();
        assert!(
            refused["error"]
                .as_str()
                .unwrap()
                .contains("not a valid command")
        );
        assert_eq!(answers.next().unwrap().unwrap()["result"], "sent\n");
        drop(control);
        assert!(!path.exists());
    }
}
