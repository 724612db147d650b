//! A switch that only listens: what the real `ovs-ofctl` sends, as bytes.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use aorta_openflow::message::{Hello, MultipartReply, MultipartRequest, SwitchDesc};
use aorta_openflow::{Context, Envelope, Framer, Header, Message, Version, Versions};
use aorta_openflow::{decode, encode};
use tempfile::TempDir;

/// What a command complained about, and the messages that it sent.
pub struct Session {
    pub stderr: String,
    pub messages: Vec<Vec<u8>>,
}

/// Runs `ovs-ofctl -O VERSION ARGUMENTS` with `SWITCH` replaced by a switch that answers hellos,
/// echoes and barriers.
pub fn ofctl(version: Version, arguments: &[&str], input: &str) -> Session {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("switch");
    let listener = UnixListener::bind(&path).unwrap();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            let sender = sender.clone();
            std::thread::spawn(move || serve(stream, version, &sender));
        }
    });
    let remote = format!("unix:{}", path.display());
    let words = arguments.iter().map(|word| match *word {
        "SWITCH" => remote.as_str(),
        word => word,
    });
    let name = aorta_openflow::version::name(version);
    let mut child = Command::new("ovs-ofctl")
        .args(["--timeout=20", "--no-names", "-O", name])
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("ovs-ofctl (of Open vSwitch) runs");
    // It may end before it has read all.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Session {
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        messages: receiver.try_iter().collect(),
    }
}

fn serve(mut stream: UnixStream, version: Version, sender: &mpsc::Sender<Vec<u8>>) {
    let mut framer = Framer::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(len) => framer.push(&buffer[..len]),
        }
        while let Some(message) = framer.next_message().unwrap() {
            sender.send(message.to_vec()).unwrap();
            if let Some(reply) = answer(message, version)
                && stream.write_all(&reply).is_err()
            {
                return;
            }
        }
    }
}

fn answer(request: &[u8], version: Version) -> Option<Vec<u8>> {
    let header = Header::read(request).unwrap();
    let read = decode(request, Context::default()).ok();
    let message = match read.map(|envelope| envelope.message)? {
        Message::Hello(_) => Message::Hello(Hello {
            versions: Versions::only(version),
        }),
        Message::EchoRequest(data) => Message::EchoReply(data),
        Message::BarrierRequest => Message::BarrierReply,
        Message::Request(MultipartRequest::Desc) => Message::Reply {
            reply: MultipartReply::Desc(SwitchDesc::default()),
            more: false,
        },
        _ => return None,
    };
    let envelope = Envelope {
        version,
        xid: header.xid,
        message,
    };
    Some(encode(&envelope, Context::default()).unwrap())
}

/// The same message with another transaction.
pub fn with_xid(message: &[u8], xid: u32) -> Vec<u8> {
    let mut message = message.to_vec();
    message[4..8].copy_from_slice(&xid.to_be_bytes());
    message
}

pub fn hex(bytes: &[u8]) -> String {
    let words = bytes.chunks(8).map(|word| {
        let digits = word.iter().map(|byte| format!("{byte:02x}"));
        digits.collect::<String>()
    });
    words.collect::<Vec<_>>().join(" ")
}
