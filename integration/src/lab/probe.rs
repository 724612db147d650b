//! A steady stream of numbered UDP datagrams that tells how many were lost.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_recv_buffer_size_force;

use super::{LabError, Netns, wait_until};

/// How long the receiver waits for a datagram after the sender has stopped.
const LINGER: Duration = Duration::from_millis(500);

/// Receive buffer in bytes: a busy machine may keep the receiver waiting for seconds, and what
/// its own socket drops would count as lost on the way.
const RECEIVE_BUFFER: usize = 16 << 20;

/// What came of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeReport {
    /// Datagrams sent.
    pub sent: u64,
    /// Different datagrams received.
    pub received: u64,
    /// Datagrams received again.
    pub duplicates: u64,
    /// Longest time between two datagrams that came in.
    pub longest_gap: Duration,
}

impl ProbeReport {
    /// Datagrams that never came.
    pub fn lost(&self) -> u64 {
        self.sent - self.received
    }
}

/// A running probe: one thread sends from one namespace, another receives in another.
pub struct UdpProbe {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    received: Arc<AtomicU64>,
    sender: JoinHandle<Result<(), LabError>>,
    receiver: JoinHandle<Result<ProbeReport, LabError>>,
}

impl UdpProbe {
    /// Starts sending `rate` datagrams a second from `from` to `to`, an address in `at`.
    ///
    /// # Errors
    /// When a thread can't enter its namespace or have its socket.
    pub fn start(
        from: &Netns,
        at: &Netns,
        to: SocketAddr,
        rate: u32,
    ) -> Result<UdpProbe, LabError> {
        let receive = socket_in(at, to)?;
        receive
            .set_read_timeout(Some(LINGER))
            .map_err(LabError::system("set a time limit"))?;
        set_socket_recv_buffer_size_force(&receive, RECEIVE_BUFFER)
            .map_err(LabError::system("enlarge a receive buffer"))?;
        let any: SocketAddr = if to.is_ipv4() {
            ([0, 0, 0, 0], 0).into()
        } else {
            ([0u16; 8], 0).into()
        };
        let send = socket_in(from, any)?;
        let stop = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicU64::new(0));
        let received = Arc::new(AtomicU64::new(0));
        let sender = {
            let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
            std::thread::spawn(move || send_all(&send, to, rate, &stop, &sent))
        };
        let receiver = {
            let (stop, sent, received) =
                (Arc::clone(&stop), Arc::clone(&sent), Arc::clone(&received));
            std::thread::spawn(move || receive_all(&receive, &stop, &sent, &received))
        };
        Ok(UdpProbe {
            stop,
            sent,
            received,
            sender,
            receiver,
        })
    }

    /// Datagrams sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Different datagrams received so far.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Waits until `count` more datagrams than now have arrived.
    ///
    /// # Errors
    /// [`LabError::Timeout`] when they don't within `limit`.
    pub fn wait_received(&self, count: u64, limit: Duration) -> Result<(), LabError> {
        let target = self.received() + count;
        wait_until(&format!("{count} probe datagrams arrive"), limit, || {
            self.received() >= target
        })
    }

    /// Stops sending, waits for what is under way and counts.
    ///
    /// # Errors
    /// When sending or receiving failed for another reason than loss.
    pub fn finish(self) -> Result<ProbeReport, LabError> {
        self.stop.store(true, Ordering::Relaxed);
        let panicked = || LabError::Agent("a probe thread panicked".to_owned());
        self.sender.join().map_err(|_| panicked())??;
        self.receiver.join().map_err(|_| panicked())?
    }
}

/// A socket that belongs to another namespace: it keeps the one of the thread that made it.
fn socket_in(ns: &Netns, address: SocketAddr) -> Result<UdpSocket, LabError> {
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                ns.enter()?;
                UdpSocket::bind(address).map_err(LabError::system(&format!(
                    "bind {address} in {}",
                    ns.name()
                )))
            })
            .join()
            .unwrap_or_else(|_| Err(LabError::Agent("a probe thread panicked".to_owned())))
    })
}

fn send_all(
    socket: &UdpSocket,
    to: SocketAddr,
    rate: u32,
    stop: &AtomicBool,
    sent: &AtomicU64,
) -> Result<(), LabError> {
    let interval = Duration::from_secs(1) / rate.max(1);
    let mut next = Instant::now();
    let mut number: u64 = 0;
    while !stop.load(Ordering::Relaxed) {
        match socket.send_to(&number.to_be_bytes(), to) {
            Ok(_) => {
                number += 1;
                sent.store(number, Ordering::Relaxed);
            }
            // A refusal on the way is told by ICMP to the next send; that one wasn't sent.
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => {}
            Err(e) => return Err(LabError::system("send a probe datagram")(e)),
        }
        next += interval;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

fn receive_all(
    socket: &UdpSocket,
    stop: &AtomicBool,
    sent: &AtomicU64,
    received: &AtomicU64,
) -> Result<ProbeReport, LabError> {
    let mut seen = Seen::default();
    let mut buffer = [0u8; 64];
    let mut last: Option<Instant> = None;
    let mut longest_gap = Duration::ZERO;
    loop {
        match socket.recv(&mut buffer) {
            Ok(length) => {
                let now = Instant::now();
                longest_gap = longest_gap.max(last.map_or(Duration::ZERO, |l| now - l));
                last = Some(now);
                if let Ok(number) = buffer[..length].try_into() {
                    seen.add(u64::from_be_bytes(number));
                    received.store(seen.count, Ordering::Relaxed);
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
            Err(e) => return Err(LabError::system("receive a probe datagram")(e)),
        }
    }
    let sent = sent.load(Ordering::Relaxed);
    Ok(ProbeReport {
        sent,
        received: seen.count,
        duplicates: seen.duplicates,
        longest_gap,
    })
}

/// Which numbers came, remembered as the next expected one and the stragglers beyond it.
#[derive(Default)]
struct Seen {
    missing: BTreeSet<u64>,
    next: u64,
    count: u64,
    duplicates: u64,
}

impl Seen {
    fn add(&mut self, number: u64) {
        if number >= self.next {
            self.missing.extend(self.next..number);
            self.next = number + 1;
            self.count += 1;
        } else if self.missing.remove(&number) {
            self.count += 1;
        } else {
            self.duplicates += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_matter_and_duplicates_do_not_count() {
        let mut seen = Seen::default();
        for number in [0, 3, 1, 3, 1, 5] {
            seen.add(number);
        }
        assert_eq!((seen.count, seen.duplicates), (4, 2));
        assert_eq!(seen.missing.into_iter().collect::<Vec<_>>(), [2, 4]);
    }
}
