//! The boundary: requests about filters, and who answers them.

use std::fmt;
use std::io;

use aorta_flow::IfIndex;
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::io::Errno;

use super::netlink::{Answer, answers, encode, get_filter, get_filters};
use super::{Filter, FilterCounters, Listed, Place, Side};

/// Something that is asked of a device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// Give it the discipline that filters hang on; refused with `EEXIST` if it has one.
    AddClsact(IfIndex),
    /// Take that away, with all filters.
    DeleteClsact(IfIndex),
    /// Have this filter, in place of the one at its place: each packet meets one of the two.
    Put(Filter),
    /// Remove the filter at a place.
    Delete(Place),
}

/// A request wasn't done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The kernel's error number.
    pub errno: i32,
    /// What the kernel or the card's driver says about it, or what the number means.
    pub text: String,
}

impl Refusal {
    /// With the words that came along, if there were any.
    pub fn new(errno: i32, told: Option<String>) -> Refusal {
        let text = told.filter(|text| !text.is_empty());
        let text = text.unwrap_or_else(|| io::Error::from_raw_os_error(errno).to_string());
        Refusal { errno, text }
    }

    /// One of the switch's own: the card wasn't asked.
    pub fn unsupported(text: impl Into<String>) -> Refusal {
        Refusal {
            errno: Errno::OPNOTSUPP.raw_os_error(),
            text: text.into(),
        }
    }

    /// Whether it is this error.
    pub fn is(&self, errno: Errno) -> bool {
        self.errno == errno.raw_os_error()
    }

    /// Whether there is no room for more.
    pub fn is_full(&self) -> bool {
        self.is(Errno::NOSPC) || self.is(Errno::NOMEM)
    }

    /// Whether the device isn't there any more.
    pub fn is_gone(&self) -> bool {
        self.is(Errno::NODEV)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Refusal {}

/// Answers requests about filters: the kernel, or a card in memory.
pub trait TcSocket {
    /// Does requests in order, each whatever became of those before it. One result for each.
    ///
    /// # Errors
    /// When the exchange broke: it isn't known which were done.
    fn ask(&mut self, requests: &[Request]) -> io::Result<Vec<Result<(), Refusal>>>;

    /// All filters on a side of a device, none if it isn't there.
    ///
    /// # Errors
    /// When they can't be listed.
    fn list(&mut self, device: IfIndex, side: Side) -> io::Result<Vec<Listed>>;

    /// The filters on the ingress of a device, for what they have counted; when the last packet came
    /// needn't be told. Filters of other kinds can end the list.
    ///
    /// # Errors
    /// When they can't be listed.
    fn list_counters(&mut self, device: IfIndex) -> io::Result<Vec<Listed>> {
        self.list(device, Side::Ingress)
    }

    /// What flower filters of the switch's have counted; none for those that aren't there.
    ///
    /// # Errors
    /// When they can't be read.
    fn read(&mut self, places: &[Place]) -> io::Result<Vec<Option<FilterCounters>>>;
}

/// Requests of a datagram, at most: what all of them may be answered fits the socket's memory.
const BATCH: usize = 64;
/// Bytes of a datagram at which it is sent.
const BATCH_BYTES: usize = 32 << 10;
/// Filters that are read with one datagram; the answers fit the socket's memory.
const READ_BATCH: usize = 16;
/// Largest datagram of an answer.
const ANSWER_BYTES: usize = 64 << 10;
/// Memory of the socket for answers, in bytes.
const MEMORY_BYTES: i32 = 1 << 20;

/// The kernel's, for the network namespace of the thread that opened it.
pub struct KernelTc {
    socket: Socket,
    sequence: u32,
    answer: Vec<u8>,
    request: Vec<u8>,
}

impl KernelTc {
    /// Opens a socket.
    ///
    /// # Errors
    /// When the kernel gives none.
    pub fn open() -> io::Result<KernelTc> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, 0))?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_ext_ack(true)?;
        socket.set_cap_ack(true)?;
        socket.set_rx_buf_sz(MEMORY_BYTES)?;
        Ok(KernelTc {
            socket,
            sequence: 0,
            answer: Vec::with_capacity(ANSWER_BYTES),
            request: Vec::new(),
        })
    }

    fn receive(&mut self) -> io::Result<Vec<Answer>> {
        self.answer.clear();
        self.socket.recv(&mut self.answer, 0)?;
        answers(&self.answer)
    }

    /// Sends the requests that are encoded and reads the answers: of each that was refused, and of the
    /// last in any case.
    fn exchange(&mut self, first: u32, results: &mut [Result<(), Refusal>]) -> io::Result<()> {
        let last = first.wrapping_add(results.len() as u32 - 1);
        self.socket.send(&self.request, 0)?;
        loop {
            for answer in self.receive()? {
                // Answers to an exchange that broke have other numbers.
                let Answer::Done { sequence, result } = answer else {
                    continue;
                };
                if let Some(slot) = results.get_mut(sequence.wrapping_sub(first) as usize) {
                    *slot = result;
                }
                if sequence == last {
                    return Ok(());
                }
            }
        }
    }

    /// All filters on a side of a device.
    fn dump(&mut self, device: IfIndex, side: Side, brief: bool) -> io::Result<Vec<Listed>> {
        self.sequence = self.sequence.wrapping_add(1);
        let asked = self.sequence;
        let request = get_filters(device, side, asked, brief);
        self.socket.send(&request, 0)?;
        let mut found = Vec::new();
        loop {
            for answer in self.receive()? {
                match answer {
                    Answer::Filter { sequence, listed } if sequence == asked => {
                        found.push(listed);
                    }
                    Answer::Done { sequence, result } | Answer::End { sequence, result }
                        if sequence == asked =>
                    {
                        return match result {
                            Err(refusal) if !refusal.is_gone() => Err(io::Error::other(refusal)),
                            _ => Ok(found),
                        };
                    }
                    _ => {}
                }
            }
        }
    }
}

impl TcSocket for KernelTc {
    fn ask(&mut self, requests: &[Request]) -> io::Result<Vec<Result<(), Refusal>>> {
        let mut results: Vec<Result<(), Refusal>> = vec![Ok(()); requests.len()];
        let mut done = 0;
        while done < requests.len() {
            self.request.clear();
            let first = self.sequence.wrapping_add(1);
            let mut count = 0;
            for (at, request) in requests[done..].iter().enumerate().take(BATCH) {
                self.sequence = self.sequence.wrapping_add(1);
                let start = self.request.len();
                encode(&mut self.request, request, self.sequence, false);
                count += 1;
                let ends = at + 1 == BATCH
                    || done + at + 1 == requests.len()
                    || self.request.len() >= BATCH_BYTES;
                if ends {
                    self.request.truncate(start);
                    encode(&mut self.request, request, self.sequence, true);
                    break;
                }
            }
            self.exchange(first, &mut results[done..done + count])?;
            done += count;
        }
        Ok(results)
    }

    fn list(&mut self, device: IfIndex, side: Side) -> io::Result<Vec<Listed>> {
        self.dump(device, side, false)
    }

    fn list_counters(&mut self, device: IfIndex) -> io::Result<Vec<Listed>> {
        self.dump(device, Side::Ingress, true)
    }
    fn read(&mut self, places: &[Place]) -> io::Result<Vec<Option<FilterCounters>>> {
        let mut found = vec![None; places.len()];
        for (places, found) in places.chunks(READ_BATCH).zip(found.chunks_mut(READ_BATCH)) {
            self.request.clear();
            let first = self.sequence.wrapping_add(1);
            for place in places {
                self.sequence = self.sequence.wrapping_add(1);
                get_filter(&mut self.request, *place, self.sequence);
            }
            let last = self.sequence;
            self.socket.send(&self.request, 0)?;
            let mut ended = false;
            while !ended {
                for answer in self.receive()? {
                    let (sequence, counters) = match answer {
                        Answer::Filter { sequence, listed } => {
                            (sequence, listed.own.map(|own| own.counters))
                        }
                        Answer::Done { sequence, .. } | Answer::End { sequence, .. } => {
                            (sequence, None)
                        }
                    };
                    if let Some(slot) = found.get_mut(sequence.wrapping_sub(first) as usize) {
                        *slot = counters;
                    }
                    ended |= sequence == last;
                }
            }
        }
        Ok(found)
    }
}
