//! Wires of simulated devices: stream sockets with another simulated device at the other end, of
//! this switch, another, or Open vSwitch. A frame is two bytes of length, then its bytes.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aorta_stream::{Host, Remote};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::config::Wire;
use crate::control::{Control, Request, SimOrder};
use crate::remotes::anchored;

/// Frames that may wait for a peer that reads slowly; more are lost.
const QUEUE: usize = 1024;
/// Time between two tries to connect.
const PAUSE: Duration = Duration::from_secs(1);
/// Port of TCP where none is given; any, as there is no usual one.
const NO_PORT: u16 = 0;

/// A frame on its way.
type Frame = Arc<[u8]>;

/// The switch's end of a wire; it is closed with the value.
#[derive(Debug)]
pub struct WireEnd {
    frames: broadcast::Sender<Frame>,
    peers: Arc<AtomicUsize>,
    task: AbortHandle,
}

impl Drop for WireEnd {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl WireEnd {
    /// Connects or listens, now and for ever. Needs a runtime.
    pub fn open(device: &str, wire: &Wire, control: Control, rundir: &Path) -> WireEnd {
        let (frames, _) = broadcast::channel(QUEUE);
        let peers = Arc::new(AtomicUsize::new(0));
        let end = End {
            device: device.to_owned(),
            control,
            frames: frames.clone(),
            peers: Arc::clone(&peers),
        };
        let text = match wire {
            Wire::Active(text) | Wire::Passive(text) => text.clone(),
        };
        let remote = Remote::parse(&text, NO_PORT).map(|remote| anchored(remote, rundir));
        let task = tokio::spawn(async move {
            let done = match remote {
                Ok(remote) => end.run(remote).await,
                Err(error) => Err(io::Error::new(io::ErrorKind::InvalidInput, error)),
            };
            if let Err(error) = done {
                warn!("{}: no wire to {text}: {error}", end.device);
            }
        });
        WireEnd {
            frames,
            peers,
            task: task.abort_handle(),
        }
    }

    /// Gives a frame to all peers.
    pub fn send(&self, frame: &[u8]) {
        // Nobody may be there.
        let _ = self.frames.send(frame.into());
    }

    /// Whether a peer is there.
    pub fn is_connected(&self) -> bool {
        self.peers.load(Ordering::Relaxed) > 0
    }
}

/// What the task of a wire knows.
#[derive(Clone)]
struct End {
    device: String,
    control: Control,
    frames: broadcast::Sender<Frame>,
    peers: Arc<AtomicUsize>,
}

/// Counts a peer for as long as it is there.
struct Peer(Arc<AtomicUsize>);

impl Drop for Peer {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl End {
    async fn run(&self, remote: Remote) -> io::Result<()> {
        // They end with this task.
        let mut peers = JoinSet::new();
        match remote {
            Remote::ListenUnix(path) => {
                // One that an earlier process left.
                let _ = std::fs::remove_file(&path);
                let listener = UnixListener::bind(path)?;
                loop {
                    self.serve(listener.accept().await?.0, &mut peers);
                }
            }
            Remote::ListenTcp(ip, port) => {
                let listener = TcpListener::bind((ip, port)).await?;
                loop {
                    self.serve(listener.accept().await?.0, &mut peers);
                }
            }
            Remote::Unix(path) => loop {
                if let Ok(stream) = UnixStream::connect(&path).await {
                    self.converse(stream).await;
                }
                sleep(PAUSE).await;
            },
            Remote::Tcp(to) => loop {
                let connected = match &to.host {
                    Host::Ip(ip) => TcpStream::connect((*ip, to.port)).await,
                    Host::Name(name) => TcpStream::connect((name.as_str(), to.port)).await,
                };
                if let Ok(stream) = connected {
                    self.converse(stream).await;
                }
                sleep(PAUSE).await;
            },
            Remote::ListenTls(..) | Remote::Tls(_) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "wires have no TLS; use unix, tcp, punix or ptcp",
            )),
        }
    }

    /// Serves a peer beside the others.
    fn serve<S>(&self, stream: S, peers: &mut JoinSet<()>)
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        while peers.try_join_next().is_some() {}
        let end = self.clone();
        peers.spawn(async move { end.converse(stream).await });
    }

    /// Takes frames from a peer and gives it frames, until one side ends.
    async fn converse<S: AsyncRead + AsyncWrite>(&self, stream: S) {
        self.peers.fetch_add(1, Ordering::Relaxed);
        let _peer = Peer(Arc::clone(&self.peers));
        let (mut reader, mut writer) = tokio::io::split(stream);
        let frames = self.frames.subscribe();
        let ended = tokio::select! {
            ended = self.read(&mut reader) => ended,
            ended = write(&mut writer, frames) => ended,
        };
        if let Err(error) = ended {
            debug!("{}: the wire's peer left: {error}", self.device);
        }
    }

    async fn read(&self, reader: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
        loop {
            let len = reader.read_u16().await?;
            let mut frame = vec![0; len.into()];
            reader.read_exact(&mut frame).await?;
            let order = SimOrder::Receive {
                device: self.device.clone(),
                queue: 0,
                frames: vec![frame],
            };
            let asked = self.control.ask(|to| Request::Sim(order, to)).await;
            if let Ok(Err(why)) = asked {
                debug!("{}: a frame of the wire is lost: {why}", self.device);
            }
        }
    }
}

/// Ends when the device is gone or the peer reads no more.
async fn write(
    writer: &mut (impl AsyncWrite + Unpin),
    mut frames: broadcast::Receiver<Frame>,
) -> io::Result<()> {
    loop {
        let frame = match frames.recv().await {
            Ok(frame) => frame,
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return Ok(()),
        };
        if let Ok(len) = u16::try_from(frame.len()) {
            let bytes = [&len.to_be_bytes(), &frame[..]].concat();
            writer.write_all(&bytes).await?;
        }
    }
}
