//! Sockets that peers connect to.
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::describe;
use crate::remote::Remote;
use crate::service::{Admission, Peer, RemoteOptions, Service, Setup, Stream};
use crate::socket::{ListenError, Socket, bind};
use crate::tls::Tls;

/// How long a client may take to agree on TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Clients that are refused or can't be accepted are logged at most so often.
const QUIET: Duration = Duration::from_secs(10);

/// How a listener does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListenerStatus {
    /// How many clients are connected.
    pub clients: usize,
    /// The TCP port.
    pub bound_port: Option<u16>,
    /// Why clients can't connect, or the last of them could not.
    pub problem: Option<String>,
}

/// A socket that is being listened on; dropping it closes it and its connections.
#[derive(Debug)]
pub struct Listener {
    task: JoinHandle<()>,
    shared: Arc<Shared>,
    options: watch::Sender<RemoteOptions>,
    address: Option<SocketAddr>,
    path: Option<PathBuf>,
    tls: Option<Tls>,
}

/// What the listener and its connections have in common.
#[derive(Debug)]
struct Shared {
    clients: AtomicUsize,
    refused: Mutex<Refused>,
    restart: Notify,
    activity: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Refused {
    why: Option<String>,
    logged: Option<tokio::time::Instant>,
}

impl Listener {
    /// How many clients are connected through it.
    pub fn clients(&self) -> usize {
        self.shared.clients.load(Ordering::Relaxed)
    }

    /// The address of a TCP socket.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// How it does.
    pub fn status(&self) -> ListenerStatus {
        let tls = self.tls.as_ref().and_then(Tls::problem);
        let refused = || self.shared.lock().why.clone();
        ListenerStatus {
            clients: self.clients(),
            bound_port: self.address.map(|a| a.port()),
            problem: tls.map(|e| describe(&*e)).or_else(refused),
        }
    }

    /// Treats its clients otherwise from now on.
    pub fn set_options(&self, options: RemoteOptions) {
        self.options.send_if_modified(|known| {
            let changed = *known != options;
            *known = options;
            changed
        });
    }

    /// Closes all its connections.
    pub fn disconnect(&self) {
        self.shared.restart.notify_one();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(path) = &self.path {
            // It may have been removed already.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Refused> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note that a client was sent away, and why.
    fn refuse(&self, remote: &str, name: &str, why: &str) {
        let now = tokio::time::Instant::now();
        let mut refused = self.lock();
        refused.why = Some(why.to_owned());
        if refused.logged.is_none_or(|logged| logged + QUIET <= now) {
            refused.logged = Some(now);
            tracing::warn!("{remote}: client {name} is refused: {why}");
        }
    }
}

/// What every accepted connection gets.
struct Acceptor<V> {
    remote: String,
    service: V,
    shared: Arc<Shared>,
    options: watch::Receiver<RemoteOptions>,
    tls: Option<Tls>,
}

/// Starts to listen, and has the service talk to whoever connects until the listener is dropped.
///
/// # Errors
/// If the socket can't be had.
pub async fn listen(
    remote: &Remote,
    service: impl Service,
    setup: Setup,
) -> Result<Listener, ListenError> {
    let socket = bind(remote, setup.group).await?;
    let name = setup.name(remote);
    let (options, receiver) = watch::channel(setup.options);
    let shared = Arc::new(Shared {
        clients: AtomicUsize::new(0),
        refused: Mutex::default(),
        restart: Notify::new(),
        activity: setup.activity,
    });
    let tls = remote.is_tls().then_some(setup.tls);
    let (address, path) = match &socket {
        Socket::Tcp(listener) => (listener.local_addr().ok(), None),
        Socket::Unix(_, path) => (None, Some(path.clone())),
    };
    let acceptor = Acceptor {
        remote: name,
        service,
        shared: Arc::clone(&shared),
        options: receiver,
        tls: tls.clone(),
    };
    Ok(Listener {
        task: tokio::spawn(acceptor.run(socket)),
        shared,
        options,
        address,
        path,
        tls,
    })
}

impl<V: Service> Acceptor<V> {
    async fn run(self, socket: Socket) {
        let (mut clients, mut told) = (JoinSet::new(), None::<tokio::time::Instant>);
        loop {
            let accepted = tokio::select! {
                accepted = self.accept(&socket, &mut clients) => accepted,
                () = self.shared.restart.notified() => {
                    clients.shutdown().await;
                    continue;
                }
            };
            if let Err(error) = accepted {
                // Such as for want of file descriptors: others may go meanwhile.
                let now = tokio::time::Instant::now();
                if told.is_none_or(|told| told + QUIET <= now) {
                    told = Some(now);
                    tracing::warn!("{}: a client can't be accepted: {error}", self.remote);
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            while clients.try_join_next().is_some() {}
        }
    }

    async fn accept(&self, socket: &Socket, clients: &mut JoinSet<()>) -> io::Result<()> {
        match socket {
            Socket::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                let pid = stream.peer_cred().ok().and_then(|peer| peer.pid());
                let name = pid.map_or("unix".to_owned(), |pid| format!("process {pid}"));
                self.admit(stream, name, clients);
            }
            Socket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!("TCP_NODELAY: {error}");
                }
                match &self.tls {
                    None => self.admit(stream, peer.to_string(), clients),
                    Some(tls) => self.admit_tls(stream, peer.to_string(), tls.clone(), clients),
                }
            }
        }
        Ok(())
    }

    fn guest(&self, name: String) -> Option<Guest<V>> {
        match self.service.admit() {
            Ok(admission) => Some(Guest {
                name,
                remote: self.remote.clone(),
                service: self.service.clone(),
                shared: Arc::clone(&self.shared),
                options: self.options.clone(),
                admission,
            }),
            Err(why) => {
                self.shared.refuse(&self.remote, &name, &why);
                None
            }
        }
    }

    fn admit(&self, stream: impl Stream, name: String, clients: &mut JoinSet<()>) {
        if let Some(guest) = self.guest(name) {
            clients.spawn(guest.serve(stream));
        }
    }

    fn admit_tls(&self, stream: TcpStream, name: String, tls: Tls, clients: &mut JoinSet<()>) {
        let Some(guest) = self.guest(name) else {
            return;
        };
        clients.spawn(async move {
            let why = match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                Ok(Ok(stream)) => return guest.serve(stream).await,
                Ok(Err(error)) => describe(&*error),
                Err(_) => "TLS handshake took too long".to_owned(),
            };
            guest.shared.refuse(&guest.remote, &guest.name, &why);
        });
    }
}

/// A client for as long as it is connected.
struct Guest<V> {
    name: String,
    remote: String,
    service: V,
    shared: Arc<Shared>,
    options: watch::Receiver<RemoteOptions>,
    admission: Admission,
}

impl<V: Service> Guest<V> {
    async fn serve(self, stream: impl Stream) {
        let _count = Count::new(&self.shared);
        self.shared.lock().why = None;
        let peer = Peer {
            id: self.admission.id,
            name: format!("{} of {}", self.name, self.remote),
            options: self.options.clone(),
            asked: Arc::default(),
        };
        // Whatever ended it has been logged.
        let _ = self.service.serve(stream, peer).await;
    }
}

/// Counts a client for as long as it is served.
struct Count(Arc<Shared>);

impl Count {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.clients.fetch_add(1, Ordering::Relaxed);
        shared.activity.notify_one();
        Self(Arc::clone(shared))
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.clients.fetch_sub(1, Ordering::Relaxed);
        self.0.activity.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::UnixStream;
    use tokio::sync::Semaphore;

    use super::*;

    /// Waits for its peers to go; so many at a time.
    #[derive(Clone)]
    struct Patient(Arc<Semaphore>);

    impl Service for Patient {
        fn admit(&self) -> Result<Admission, String> {
            let place = Arc::clone(&self.0).try_acquire_owned();
            let place = Some(place.map_err(|_| "it is full".to_owned())?);
            Ok(Admission { id: 1, place })
        }

        async fn serve<S: Stream>(&self, mut stream: S, _: Peer) -> Result<(), String> {
            stream.read(&mut [0; 9]).await.map(drop).unwrap();
            Ok(())
        }
    }

    #[tokio::test]
    async fn when_all_places_are_taken_nobody_is_served_until_somebody_goes() {
        let directory = tempfile::tempdir().unwrap();
        let remote = Remote::ListenUnix(directory.path().join("s"));
        let service = Patient(Arc::new(Semaphore::new(1)));
        let setup = Setup::usual(&remote);
        let listener = listen(&remote, service, setup).await.unwrap();
        let path = directory.path().join("s");
        let first = UnixStream::connect(&path).await.unwrap();
        while listener.clients() == 0 {
            tokio::task::yield_now().await;
        }
        let mut second = UnixStream::connect(&path).await.unwrap();
        assert_eq!(second.read(&mut [0; 9]).await.unwrap(), 0);
        assert_eq!(listener.status().problem.unwrap(), "it is full");
        drop(first);
        while listener.clients() > 0 {
            tokio::task::yield_now().await;
        }
        let _third = UnixStream::connect(&path).await.unwrap();
        while listener.clients() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(listener.status().problem, None);
    }
}
