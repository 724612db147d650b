//! One connection, on the switch's side: agreeing on a version, signs of life, and messages as
//! values. What messages mean is decided elsewhere.
//!
//! Bytes and the time go in, values and bytes come out; times count from any fixed moment.

pub mod fuzzing;
mod greeting;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::error::ErrorCode;
use crate::framing::{Framer, FramingError};
use crate::header::Header;
use crate::message::{Envelope, ErrorMessage, Hello, Message, ReportedError};
use crate::version::{Version, Versions};
use crate::wire::{Context, OptionLengths, QUOTE_LEN, decode, encode_into};

/// How long the other side may take to say its versions.
pub const GREETING: Duration = Duration::from_secs(10);
/// How long a message may take from its first byte to its last.
pub const STALLED: Duration = Duration::from_secs(60);

/// Type of HELLO, ERROR, ECHO_REQUEST and ECHO_REPLY in every version: they may come in another
/// than the agreed one.
const ANY_VERSION: std::ops::RangeInclusive<u8> = 0..=3;
const HELLO: u8 = 0;

/// Something that came.
#[derive(Debug)]
pub enum Input<'a> {
    /// Both sides speak this version from now on.
    Agreed(Version),
    /// A message to be acted on.
    Message {
        /// What it says.
        envelope: Envelope,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// One that can't be understood.
    Unreadable {
        /// The error to answer with.
        reply: Envelope,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// A message that the session has dealt with itself.
    Handled {
        /// Its bytes.
        bytes: &'a [u8],
    },
}

/// Why a connection has to be closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionEnd {
    /// Where the next message begins isn't known any more.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// The first message isn't HELLO.
    #[error("a message of type {kind} came where HELLO was expected")]
    NoGreeting {
        /// Type of the message.
        kind: u8,
    },
    /// The two sides have no version in common; the other side is told in the session's output.
    #[error("{0}")]
    NoCommonVersion(String),
    /// The other side didn't say its versions.
    #[error("no HELLO came within {} s", GREETING.as_secs())]
    Speechless,
    /// The rest of a message didn't come.
    #[error("the rest of a message didn't come within {} s", STALLED.as_secs())]
    Stalled,
    /// The other side doesn't answer.
    #[error("no response to inactivity probe after {} seconds", .0.as_secs())]
    Silent(Duration),
}

/// The state of a connection.
#[derive(Debug)]
pub struct Session {
    ours: Versions,
    framer: Framer,
    agreed: Option<Version>,
    /// What is to be sent and hasn't been taken yet.
    output: Vec<u8>,
    /// Commands of flow changes have the table in their upper byte.
    flow_mod_table_id: bool,
    options: Option<OptionLengths>,
    probe: Option<Duration>,
    begun: Duration,
    /// When something was heard last.
    heard: Duration,
    /// The other side owes a sign of life.
    asked: bool,
    /// When the message under way began to come.
    partial: Option<Duration>,
}

impl Session {
    /// A new connection that may use these versions, at least one; its output has our HELLO.
    /// After `probe` without a word the other side is asked for a sign of life, and has as long
    /// again to answer; `None` is never.
    pub fn new(ours: Versions, probe: Option<Duration>, now: Duration) -> Session {
        let mut session = Session {
            ours,
            framer: Framer::new(),
            agreed: None,
            output: Vec::new(),
            flow_mod_table_id: false,
            options: None,
            probe,
            begun: now,
            heard: now,
            asked: false,
            partial: None,
        };
        let highest = ours.highest().unwrap_or(Version::OpenFlow10);
        session.send(highest, 1, Message::Hello(Hello { versions: ours }));
        session
    }

    /// The version, once there is one.
    pub fn version(&self) -> Option<Version> {
        self.agreed
    }

    /// Whether the other side owes a sign of life.
    pub fn is_asked(&self) -> bool {
        self.asked
    }

    /// Asks for signs of life after another time.
    pub fn set_probe(&mut self, probe: Option<Duration>) {
        self.probe = probe;
    }

    /// How values of the connection are written.
    pub fn context(&self) -> Context<'_> {
        Context {
            flow_mod_table_id: self.flow_mod_table_id,
            options: self.options.as_ref(),
        }
    }

    /// Reads the values of tunnel options as so long from now on.
    pub fn set_options(&mut self, options: OptionLengths) {
        self.options = Some(options);
    }

    /// What is to be sent: HELLO, answers to echoes, questions for a sign of life.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Takes bytes that came, and calls `each` with every message that they complete, in order.
    ///
    /// # Errors
    /// When the connection has to be closed. What is in the output should be sent before.
    pub fn receive(
        &mut self,
        bytes: &[u8],
        now: Duration,
        each: &mut dyn FnMut(Input<'_>),
    ) -> Result<(), SessionEnd> {
        self.alive(now);
        let mut framer = std::mem::take(&mut self.framer);
        framer.push(bytes);
        let mut some = false;
        let done = loop {
            match framer.next_message() {
                Ok(Some(message)) => {
                    some = true;
                    if let Err(end) = self.message(message, each) {
                        break Err(end);
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error.into()),
            }
        };
        if framer.waiting_bytes() == 0 {
            self.partial = None;
        } else if some || self.partial.is_none() {
            self.partial = Some(now);
        }
        self.framer = framer;
        done
    }

    fn message(&mut self, bytes: &[u8], each: &mut dyn FnMut(Input<'_>)) -> Result<(), SessionEnd> {
        // The framer has looked at it.
        let Some(header) = Header::read(bytes) else {
            return Ok(());
        };
        let Some(agreed) = self.agreed else {
            let version = self.greet(header, bytes)?;
            each(Input::Handled { bytes });
            each(Input::Agreed(version));
            return Ok(());
        };
        let refusal = if header.version != agreed.number() && !ANY_VERSION.contains(&header.kind) {
            Some(ErrorCode::OFPBRC_BAD_VERSION)
        } else if header.kind == HELLO {
            Some(ErrorCode::OFPBRC_BAD_TYPE)
        } else {
            None
        };
        if let Some(code) = refusal {
            let reply = refused(bytes, header, code, agreed);
            each(Input::Unreadable { reply, bytes });
            return Ok(());
        }
        match decode(bytes, self.context()) {
            Err(error) => each(Input::Unreadable {
                reply: error.reply(),
                bytes,
            }),
            Ok(envelope) => match self.own(envelope) {
                Some(envelope) => each(Input::Message { envelope, bytes }),
                None => each(Input::Handled { bytes }),
            },
        }
        Ok(())
    }

    /// Does what is a session's own matter; gives back what isn't, or not alone.
    fn own(&mut self, envelope: Envelope) -> Option<Envelope> {
        match envelope.message {
            Message::EchoRequest(data) => {
                self.send(envelope.version, envelope.xid, Message::EchoReply(data));
                return None;
            }
            Message::EchoReply(_) => return None,
            Message::FlowModTableId(on) => self.flow_mod_table_id = on,
            _ => {}
        }
        Some(envelope)
    }

    /// The other side is there, whatever it does.
    pub fn alive(&mut self, now: Duration) {
        self.heard = now;
        self.asked = false;
    }

    /// Does what the time asks for.
    ///
    /// # Errors
    /// When the other side has taken too long.
    pub fn on_time(&mut self, now: Duration) -> Result<(), SessionEnd> {
        if self.partial.is_some_and(|since| now >= since + STALLED) {
            return Err(SessionEnd::Stalled);
        }
        let Some(agreed) = self.agreed else {
            return if now >= self.begun + GREETING {
                Err(SessionEnd::Speechless)
            } else {
                Ok(())
            };
        };
        let Some(probe) = self.probe else {
            return Ok(());
        };
        if self.asked && now >= self.heard + probe * 2 {
            return Err(SessionEnd::Silent(probe));
        }
        if !self.asked && now >= self.heard + probe {
            self.asked = true;
            self.send(agreed, 0, Message::EchoRequest(Vec::new()));
        }
        Ok(())
    }

    /// When [`Session::on_time`] has something to do next, if nothing comes before.
    pub fn next_wake(&self) -> Option<Duration> {
        let partial = self.partial.map(|since| since + STALLED);
        let other = match self.agreed {
            None => Some(self.begun + GREETING),
            Some(_) => {
                let turns = 1 + u32::from(self.asked);
                self.probe.map(|probe| self.heard + probe * turns)
            }
        };
        partial.into_iter().chain(other).min()
    }

    fn send(&mut self, version: Version, xid: u32, message: Message) {
        let envelope = Envelope {
            version,
            xid,
            message,
        };
        // Every version has what a session says of itself; an echo is no longer than its request.
        let written = encode_into(&mut self.output, &envelope, Context::default());
        debug_assert_eq!(written, Ok(()));
    }
}

/// The answer to a message that is refused before it is read.
fn refused(bytes: &[u8], header: Header, code: ErrorCode, agreed: Version) -> Envelope {
    Envelope {
        version: Version::from_number(header.version).unwrap_or(agreed),
        xid: header.xid,
        message: Message::Error(ErrorMessage {
            error: ReportedError::Known(code),
            data: bytes[..bytes.len().min(QUOTE_LEN)].to_vec(),
        }),
    }
}
