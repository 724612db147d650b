//! A connection to a switch: blocking, with one deadline for everything.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use aorta_openflow::message::Hello;
use aorta_openflow::{
    Context, Envelope, Framer, Header, Message, Version, Versions, decode, encode,
};
use aorta_ovsdb::Tls;

use super::Ofctl;
use super::error::OfctlError;
use super::target::{Socket, find};
use crate::session::{SessionError, Transport, Ways};

/// A connection to a switch.
pub struct Client<'a> {
    ofctl: &'a Ofctl,
    transport: Box<dyn Transport>,
    framer: Framer,
    /// The name of the switch, as it was given.
    pub target: String,
    /// Its address.
    address: String,
    /// The version that both sides speak.
    pub version: Version,
    /// What messages depend on besides.
    pub context: Context<'static>,
    deadline: Option<Instant>,
}

/// A message as it came.
pub struct Received {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its transaction.
    pub xid: u32,
    /// Its type.
    pub kind: u8,
}

/// Type of errors, the same in all versions.
pub const ERROR: u8 = 1;
const ECHO_REQUEST: u8 = 2;
/// What comes within this time comes at once: it may be half-way through a cipher.
const AT_ONCE: Duration = Duration::from_millis(5);

impl Ofctl {
    /// Connects to a switch and agrees on a version.
    pub fn open(&self, target: &str) -> Result<Client<'_>, OfctlError> {
        self.open_with(target, Socket::Management, self.settings.versions)
    }

    /// The same with a choice of sockets and versions.
    pub fn open_with(
        &self,
        target: &str,
        socket: Socket,
        versions: Versions,
    ) -> Result<Client<'_>, OfctlError> {
        let remote = find(&self.rundir, target, socket)?;
        let limit = self.settings.timeout_s.map(Duration::from_secs);
        let tls = Tls::new(self.settings.tls.clone());
        let connected = Ways::open(std::slice::from_ref(&remote), &tls)
            .and_then(|ways| ways.connect_first(limit));
        let transport = connected.map_err(|error| refused(target, error))?;
        let mut client = Client {
            ofctl: self,
            transport,
            framer: Framer::new(),
            target: target.to_owned(),
            address: remote.to_string(),
            version: versions.highest().unwrap_or(Version::OpenFlow10),
            context: Context::default(),
            deadline: limit.map(|limit| Instant::now() + limit),
        };
        client.agree(versions)?;
        Ok(client)
    }
}

fn refused(target: &str, error: SessionError) -> OfctlError {
    let target = target.to_owned();
    match error {
        SessionError::Connect { cause, .. } | SessionError::NotRunning { cause, .. } => {
            OfctlError::Connect { target, cause }
        }
        other => OfctlError::Negotiation {
            target,
            cause: causes(&other),
        },
    }
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

impl Client<'_> {
    /// Exchanges HELLOs.
    fn agree(&mut self, versions: Versions) -> Result<(), OfctlError> {
        self.send(Message::Hello(Hello { versions }))?;
        let received = self.recv()?;
        let envelope = decode(&received.bytes, Context::default()).ok();
        let theirs = match envelope.map(|envelope| envelope.message) {
            Some(Message::Hello(hello)) => hello.versions,
            _ => return Err(self.not_the_protocol()),
        };
        match versions.agree(theirs) {
            Some(version) => {
                self.version = version;
                Ok(())
            }
            None => Err(OfctlError::Negotiation {
                target: self.target.clone(),
                cause: "Protocol error".to_owned(),
            }),
        }
    }

    pub fn not_the_protocol(&self) -> OfctlError {
        OfctlError::Protocol {
            target: self.address.clone(),
        }
    }

    fn lost(&self, cause: io::Error) -> OfctlError {
        match cause.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => OfctlError::TimedOut,
            ErrorKind::InvalidData => OfctlError::Refusal {
                target: self.address.clone(),
                cause,
            },
            _ => OfctlError::Lost {
                target: self.address.clone(),
                cause,
            },
        }
    }

    /// Sends a message as a transaction of its own; answers its number.
    pub fn send(&mut self, message: Message) -> Result<u32, OfctlError> {
        let xid = self.ofctl.next_xid();
        let bytes = self.encode(xid, message)?;
        self.send_bytes(&bytes)?;
        Ok(xid)
    }

    /// A message's bytes.
    pub fn encode(&self, xid: u32, message: Message) -> Result<Vec<u8>, OfctlError> {
        let envelope = Envelope {
            version: self.version,
            xid,
            message,
        };
        Ok(encode(&envelope, self.context)?)
    }

    /// The number of a transaction that is to come.
    pub fn next_xid(&self) -> u32 {
        self.ofctl.next_xid()
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), OfctlError> {
        self.limit()?;
        self.transport
            .write_all(bytes)
            .map_err(|cause| self.lost(cause))
    }

    /// Limits what comes next to the time that is left.
    fn limit(&self) -> Result<(), OfctlError> {
        let left = self.left();
        if left == Some(Duration::ZERO) {
            return Err(OfctlError::TimedOut);
        }
        self.transport
            .set_timeout(left)
            .map_err(|cause| self.lost(cause))
    }

    /// The next message, whatever it is. Requests for an echo are answered.
    pub fn recv(&mut self) -> Result<Received, OfctlError> {
        let mut piece = vec![0; 64 << 10];
        loop {
            if let Some(received) = self.next_whole()? {
                return Ok(received);
            }
            self.limit()?;
            match self.transport.read(&mut piece) {
                Ok(0) => return Err(OfctlError::Ended(self.address.clone())),
                Ok(len) => self.framer.push(&piece[..len]),
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                Err(cause) => return Err(self.lost(cause)),
            }
        }
    }

    /// The next message of those that have come whole.
    fn next_whole(&mut self) -> Result<Option<Received>, OfctlError> {
        loop {
            let next = self.framer.next_message();
            let next = next.map(|found| found.map(<[u8]>::to_vec));
            let Some(bytes) = next.map_err(|_| self.not_the_protocol())? else {
                return Ok(None);
            };
            let Some(header) = Header::read(&bytes) else {
                return Err(self.not_the_protocol());
            };
            if header.kind == ECHO_REQUEST {
                self.echo(&bytes, header)?;
                continue;
            }
            return Ok(Some(Received {
                bytes,
                xid: header.xid,
                kind: header.kind,
            }));
        }
    }

    /// The next message, if it comes at once.
    pub fn recv_now(&mut self) -> Result<Option<Received>, OfctlError> {
        let mut piece = vec![0; 64 << 10];
        loop {
            if let Some(received) = self.next_whole()? {
                return Ok(Some(received));
            }
            let limited = self.transport.set_timeout(Some(AT_ONCE));
            limited.map_err(|cause| self.lost(cause))?;
            match self.transport.read(&mut piece) {
                Ok(0) => return Err(OfctlError::Ended(self.address.clone())),
                Ok(len) => self.framer.push(&piece[..len]),
                Err(cause) => match cause.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => return Ok(None),
                    ErrorKind::Interrupted => {}
                    _ => return Err(self.lost(cause)),
                },
            }
        }
    }

    /// What is readable when something has come.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.transport.fd()
    }

    /// Whether the time that the command line allows is over.
    pub fn is_late(&self) -> bool {
        self.left() == Some(Duration::ZERO)
    }

    /// The time that is left.
    pub fn left(&self) -> Option<Duration> {
        let left = |at: Instant| at.saturating_duration_since(Instant::now());
        self.deadline.map(left)
    }

    fn echo(&mut self, request: &[u8], header: Header) -> Result<(), OfctlError> {
        let mut reply = request.to_vec();
        reply[..Header::LEN].copy_from_slice(
            &Header {
                kind: ECHO_REQUEST + 1,
                ..header
            }
            .bytes(),
        );
        self.send_bytes(&reply)
    }

    /// The next message of a transaction; others are passed over.
    pub fn recv_of(&mut self, xid: u32) -> Result<Received, OfctlError> {
        loop {
            let received = self.recv()?;
            if received.xid == xid {
                return Ok(received);
            }
        }
    }

    /// Sends a request and waits for its reply, or the error.
    pub fn transact(&mut self, message: Message) -> Result<Received, OfctlError> {
        let xid = self.send(message)?;
        self.recv_of(xid)
    }

    /// What a message of the switch says.
    pub fn read(&self, received: &Received) -> Result<Envelope, OfctlError> {
        decode(&received.bytes, self.context).map_err(|_| self.not_the_protocol())
    }

    /// Sends a request that has no reply, and waits until it is done.
    ///
    /// # Errors
    /// With the switch's message if it refuses.
    pub fn command(&mut self, message: Message) -> Result<Result<(), Received>, OfctlError> {
        let xid = self.send(message)?;
        let barrier = self.send(Message::BarrierRequest)?;
        let mut refusal = None;
        loop {
            let received = self.recv()?;
            if received.xid == barrier {
                return Ok(match (refusal, received.kind) {
                    (Some(refusal), _) => Err(refusal),
                    (None, ERROR) => Err(received),
                    (None, _) => Ok(()),
                });
            }
            if received.xid == xid && received.kind == ERROR {
                refusal = Some(received);
            }
        }
    }
}
