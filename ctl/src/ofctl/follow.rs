//! Printing what comes, and doing meanwhile what the control socket says.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use aorta_openflow::text::show;
use aorta_openflow::{Header, Message};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use super::background::{self, Kept};
use super::client::{Client, Received};
use super::control::{Call, Caller, Control};
use super::error::OfctlError;
use super::switch::{bytes_of, one_text};
use super::{Done, OK, Ofctl, PROGRAM};
use crate::log::{Level, plain, time::Time};

/// Prints messages until the connection ends, or somebody ends it. Packets that wait for a
/// controller go on, if `resumes`.
pub fn follow(ofctl: &Ofctl, client: &mut Client<'_>, resumes: bool) -> Done {
    // Names are asked for over a connection of their own, which nobody may be able to make later.
    ofctl.names_to_show(&client.target)?;
    let control = open_control(ofctl)?;
    let kept = background::settle(ofctl)?;
    remove_at_end(&kept, control.as_ref());
    background::ready(ofctl)?;
    let mut follower = Follower {
        ofctl,
        client,
        output: None,
        blocked: false,
        resumes,
        barrier: None,
    };
    match control {
        Some(control) => follower.run(control),
        None => loop {
            let received = follower.client.recv()?;
            follower.tell(&received)?;
        },
    }
}

/// The control socket. One that nobody asked for needn't be there.
fn open_control(ofctl: &Ofctl) -> Result<Option<Control>, OfctlError> {
    let asked = ofctl.settings.background.unixctl.as_deref();
    let usual = PathBuf::from(format!("{PROGRAM}.{}.ctl", std::process::id()));
    if asked == Some(Path::new("none")) {
        return Ok(None);
    }
    let path = ofctl.rundir.join(asked.unwrap_or(&usual));
    match Control::open(&path) {
        Ok(control) => Ok(Some(control)),
        Err(cause) => {
            let text = format!(
                "could not initialize control socket {} ({})",
                path.display(),
                plain(&cause)
            );
            if asked.is_some() {
                return Err(OfctlError::Other(text));
            }
            ofctl.log.message("unixctl", Level::Info, &text);
            Ok(None)
        }
    }
}

/// Has files be removed when a signal ends the program.
fn remove_at_end(kept: &Kept, control: Option<&Control>) {
    let mut files = kept.files();
    files.extend(control.map(|control| control.path().to_owned()));
    if files.is_empty() {
        return;
    }
    std::thread::spawn(move || {
        let Ok(runtime) = Builder::new_current_thread().enable_io().build() else {
            return;
        };
        let number = runtime.block_on(async {
            let wait = |kind: SignalKind| signal(kind).ok();
            let mut terminate = wait(SignalKind::terminate())?;
            let mut interrupt = wait(SignalKind::interrupt())?;
            let mut hangup = wait(SignalKind::hangup())?;
            Some(tokio::select! {
                _ = terminate.recv() => SignalKind::terminate(),
                _ = interrupt.recv() => SignalKind::interrupt(),
                _ = hangup.recv() => SignalKind::hangup(),
            })
        });
        if let Some(number) = number {
            for file in files {
                let _ = std::fs::remove_file(file);
            }
            std::process::exit(128 + number.as_raw_value());
        }
    });
}

struct Follower<'a, 'c> {
    ofctl: &'a Ofctl,
    client: &'a mut Client<'c>,
    /// Where it prints to instead of standard error.
    output: Option<File>,
    /// Nothing is read from the switch for the time being.
    blocked: bool,
    resumes: bool,
    /// The barrier that somebody waits for.
    barrier: Option<(u32, Caller)>,
}

impl Follower<'_, '_> {
    fn run(&mut self, mut control: Control) -> Done {
        loop {
            while !self.blocked
                && let Some(received) = self.client.recv_now()?
            {
                self.tell(&received)?;
                self.pass_barrier(&mut control, &received);
            }
            let fd = (!self.blocked).then(|| self.client.fd());
            let waited = control.wait(fd, self.client.left());
            waited.map_err(|cause| OfctlError::other(format!("poll ({})", plain(&cause))))?;
            if self.client.is_late() {
                return Err(OfctlError::TimedOut);
            }
            for Call {
                name,
                arguments,
                to,
            } in control.calls()
            {
                if name == "exit" {
                    control.answer(&to, Ok(String::new()));
                    return Ok(OK);
                }
                if name == "ofctl/barrier" && self.barrier.is_none() {
                    let xid = self.client.send(Message::BarrierRequest)?;
                    self.barrier = Some((xid, to));
                    continue;
                }
                let answer = self.order(&name, &arguments);
                control.answer(&to, answer);
            }
        }
    }

    fn pass_barrier(&mut self, control: &mut Control, received: &Received) {
        if let Some((_, to)) = self.barrier.take_if(|(xid, _)| *xid == received.xid) {
            control.answer(&to, Ok(String::new()));
        }
    }

    fn print(&mut self, text: &str) -> Result<(), OfctlError> {
        let written = match &mut self.output {
            Some(file) => file.write_all(text.as_bytes()),
            None => io::stderr().lock().write_all(text.as_bytes()),
        };
        written.map_err(OfctlError::Output)
    }

    fn tell(&mut self, received: &Received) -> Result<(), OfctlError> {
        let text = self.ofctl.text(self.client, received, 2)?;
        match self.ofctl.settings.timestamp {
            true => {
                let time = Time::of(SystemTime::now()).milliseconds();
                self.print(&format!("{time}: {text}"))?;
            }
            false => self.print(&text)?,
        }
        if self.resumes {
            self.resume(received)?;
        }
        Ok(())
    }

    /// Has a packet go on that waits for this.
    fn resume(&mut self, received: &Received) -> Result<(), OfctlError> {
        let Ok(envelope) = self.client.read(received) else {
            return Ok(());
        };
        let Message::PacketIn(packet) = envelope.message else {
            return Ok(());
        };
        if packet.continuation.is_none() {
            return Ok(());
        }
        let xid = self.client.next_xid();
        let bytes = self.client.encode(xid, Message::Resume(packet))?;
        self.show(&bytes, 2, "send: ")?;
        self.client.send_bytes(&bytes)
    }

    /// Prints a message of this side.
    fn show(&mut self, bytes: &[u8], more: u8, before: &str) -> Result<(), OfctlError> {
        let names = self.ofctl.names_to_show(&self.client.target)?;
        let text = show(bytes, self.client.context, self.ofctl.style(names, more));
        self.print(&format!("{before}{text}"))
    }

    fn order(&mut self, name: &str, arguments: &[String]) -> Result<String, String> {
        match name {
            "ofctl/barrier" => Err("already waiting for barrier reply\n".to_owned()),
            "ofctl/send" => self.send_all(arguments),
            "ofctl/packet-out" => {
                let sent = self.packet_out(&arguments[0]);
                sent.map_err(|error| format!("{error}\n"))?;
                Ok(String::new())
            }
            "ofctl/set-output-file" => {
                let file = File::create(&arguments[0]);
                self.output = Some(file.map_err(|cause| format!("{}\n", plain(&cause)))?);
                Ok(String::new())
            }
            "ofctl/block" if self.blocked => Ok("already blocking\n".to_owned()),
            "ofctl/unblock" if !self.blocked => Ok("already unblocked\n".to_owned()),
            "ofctl/block" | "ofctl/unblock" => {
                self.blocked = name == "ofctl/block";
                Ok(String::new())
            }
            _ => Err(String::new()),
        }
    }

    /// Sends messages that are given in hexadecimal digits.
    fn send_all(&mut self, messages: &[String]) -> Result<String, String> {
        let (mut told, mut all) = (String::new(), true);
        for digits in messages {
            match self.send(digits) {
                Ok(()) => told.push_str("sent\n"),
                Err(why) => {
                    told.push_str(&format!("{why}\n"));
                    all = false;
                }
            }
        }
        if all { Ok(told) } else { Err(told) }
    }

    fn send(&mut self, digits: &str) -> Result<(), String> {
        let bytes = bytes_of(digits).ok_or("Trailing garbage in hex data")?;
        let header = Header::read(&bytes).ok_or("Message too short for OpenFlow")?;
        if usize::from(header.length) != bytes.len() {
            return Err("Message size does not match length in OpenFlow header".to_owned());
        }
        let shown = self.show(&bytes, 0, "send: ");
        let sent = shown.and_then(|()| self.client.send_bytes(&bytes));
        sent.map_err(|error| error.to_string())
    }

    fn packet_out(&mut self, text: &str) -> Result<(), OfctlError> {
        let packet = one_text(self.ofctl, &self.client.target, text)?;
        let xid = self.client.next_xid();
        let bytes = self.client.encode(xid, Message::PacketOut(packet))?;
        self.show(&bytes, 0, "")?;
        self.client.send_bytes(&bytes)
    }
}
