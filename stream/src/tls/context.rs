//! The configuration in use, renewed when files change.
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, ConfigBuilder, ConfigSide, RootCertStore, ServerConfig,
    ServerConnection, StreamOwned, WantsVerifier,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, TlsConnector, rustls};

use super::TlsError;
use super::files::{Loaded, TlsFiles, invalid};
use super::verify::{Anchor, AnyName, Clients, Found};
use crate::describe;

/// A connection with TLS for programs without a runtime.
pub type BlockingStream = StreamOwned<ClientConnection, TcpStream>;

/// The same, on the side of the server.
pub type BlockingServerStream = StreamOwned<ServerConnection, TcpStream>;

/// What TLS connections are made with. Clones share it; [`Tls::set_files`] changes it for all
/// connections to come, and so does a change of a file.
#[derive(Debug, Clone, Default)]
pub struct Tls(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    files: TlsFiles,
    /// The files when they were last read.
    stamps: Option<Stamps>,
    /// What was last read without fault from these files.
    ready: Option<Ready>,
    problem: Option<Arc<TlsError>>,
}

type Stamps = [Option<(u64, u64, i64, i64)>; 4];

#[derive(Debug, Clone)]
struct Ready {
    loaded: Arc<Loaded>,
    /// `None` before the CA certificate is there.
    server: Option<Arc<ServerConfig>>,
    client: Option<Arc<ClientConfig>>,
}

/// The name in the hello of clients; it means nothing.
const ANY_NAME: &str = "switch";

impl Tls {
    /// TLS with these files, which are read when they are needed.
    pub fn new(files: TlsFiles) -> Self {
        let tls = Self::default();
        tls.set_files(files);
        tls
    }

    /// Uses other files from now on; connections that exist stay as they are.
    pub fn set_files(&self, files: TlsFiles) {
        let mut state = self.lock();
        if state.files != files {
            *state = State {
                files,
                ..State::default()
            };
        }
    }

    /// What is wrong with the files as they are now. The last ones without fault stay in use.
    pub fn problem(&self) -> Option<Arc<TlsError>> {
        let mut state = self.lock();
        state.renew();
        state.problem.clone()
    }

    /// Whether everything is there that connecting needs on our side.
    ///
    /// # Errors
    /// If a file is missing or damaged.
    pub fn check_client(&self) -> Result<(), Arc<TlsError>> {
        self.client().map(drop)
    }

    /// Makes an accepted connection one with TLS, and demands a certificate of the client.
    ///
    /// # Errors
    /// If a file is missing or damaged, or the client has no certificate of the CA.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> Result<tokio_rustls::server::TlsStream<S>, Arc<TlsError>> {
        let config = self.server()?;
        let accepted = TlsAcceptor::from(config).accept(stream).await;
        accepted.map_err(|e| Arc::new(TlsError::Handshake(e)))
    }

    /// Makes a connection to a server one with TLS.
    ///
    /// # Errors
    /// If a file is missing or damaged, or the server has no certificate of the CA.
    pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> Result<tokio_rustls::client::TlsStream<S>, Arc<TlsError>> {
        let (config, found) = self.client()?;
        let connector = TlsConnector::from(config);
        let stream = connector.connect(any_name()?, stream).await;
        let stream = stream.map_err(|e| Arc::new(TlsError::Handshake(e)))?;
        self.keep(&found)?;
        Ok(stream)
    }

    /// Makes a connection to a server one with TLS, and blocks until that is done.
    ///
    /// # Errors
    /// As [`Tls::connect`].
    pub fn connect_blocking(&self, mut stream: TcpStream) -> Result<BlockingStream, Arc<TlsError>> {
        let (config, found) = self.client()?;
        let connection = ClientConnection::new(config, any_name()?);
        let mut connection = connection.map_err(|e| Arc::new(TlsError::Setup(e)))?;
        while connection.is_handshaking() {
            let done = connection.complete_io(&mut stream);
            done.map_err(|e| Arc::new(TlsError::Handshake(e)))?;
        }
        self.keep(&found)?;
        Ok(StreamOwned::new(connection, stream))
    }

    /// Makes an accepted connection one with TLS, and blocks until that is done.
    ///
    /// # Errors
    /// As [`Tls::accept`].
    pub fn accept_blocking(
        &self,
        mut stream: TcpStream,
    ) -> Result<BlockingServerStream, Arc<TlsError>> {
        let connection = ServerConnection::new(self.server()?);
        let mut connection = connection.map_err(|e| Arc::new(TlsError::Setup(e)))?;
        while connection.is_handshaking() {
            let done = connection.complete_io(&mut stream);
            done.map_err(|e| Arc::new(TlsError::Handshake(e)))?;
        }
        Ok(StreamOwned::new(connection, stream))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn server(&self) -> Result<Arc<ServerConfig>, Arc<TlsError>> {
        let mut state = self.lock();
        let ready = state.current()?;
        ready.server.ok_or_else(|| {
            let path = state.files.ca_cert.clone().unwrap_or_default();
            Arc::new(TlsError::NotBootstrapped { path })
        })
    }

    /// The configuration of clients, and where the peer's CA certificate will be if there is none
    /// yet.
    fn client(&self) -> Result<(Arc<ClientConfig>, Found), Arc<TlsError>> {
        let (ready, found) = (self.lock().current()?, Found::default());
        if let Some(config) = ready.client {
            return Ok((config, found));
        }
        let anchor = Anchor::First(Arc::clone(&found));
        let config = client_config(&ready.loaded, anchor).map_err(TlsError::Setup)?;
        Ok((Arc::new(config), found))
    }

    fn keep(&self, found: &Found) -> Result<(), Arc<TlsError>> {
        let ca = found.lock().unwrap_or_else(PoisonError::into_inner).take();
        match ca {
            Some(ca) => {
                let files = self.lock().files.clone();
                files.keep_ca(&ca).map_err(Arc::new)?;
                let path = files.ca_cert.unwrap_or_default();
                tracing::warn!("the peer's CA is trusted from now on: {}", path.display());
                Ok(())
            }
            None => Ok(()),
        }
    }
}

fn any_name() -> Result<ServerName<'static>, Arc<TlsError>> {
    ServerName::try_from(ANY_NAME).map_err(|e| Arc::new(TlsError::Handshake(invalid(e))))
}

impl State {
    fn current(&mut self) -> Result<Ready, Arc<TlsError>> {
        self.renew();
        match (&self.ready, &self.problem) {
            (Some(ready), _) => Ok(ready.clone()),
            (None, Some(problem)) => Err(Arc::clone(problem)),
            // Renewing leaves one of them.
            (None, None) => Err(Arc::new(TlsError::Unset {
                what: "private key",
                option: "--private-key",
            })),
        }
    }

    /// Reads the files if they changed since they were last read.
    fn renew(&mut self) {
        let stamps = self.files.stamps();
        if self.stamps == Some(stamps) {
            return;
        }
        self.stamps = Some(stamps);
        match Ready::load(&self.files) {
            Ok(ready) => {
                self.ready = Some(ready);
                self.problem = None;
            }
            Err(error) => {
                let kept = if self.ready.is_some() {
                    "; what was read before stays in use"
                } else {
                    ""
                };
                if matches!(error, TlsError::Unset { .. }) {
                    // Nothing to complain of where no remote wants TLS; one that does tells it.
                    tracing::debug!("TLS: {}{kept}", describe(&error));
                } else {
                    tracing::warn!("TLS: {}{kept}", describe(&error));
                }
                self.problem = Some(Arc::new(error));
            }
        }
    }
}

impl Ready {
    fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        let loaded = files.load()?;
        let identity = |source| TlsError::Identity {
            key: files.private_key.clone().unwrap_or_default(),
            certificate: files.certificate.clone().unwrap_or_default(),
            source,
        };
        // Says what is wrong with key and certificate, whether or not there is a CA.
        client_config(&loaded, Anchor::First(Found::default())).map_err(identity)?;
        let (mut server, mut client) = (None, None);
        if let Some(cas) = &loaded.cas {
            let mut roots = RootCertStore::empty();
            for ca in cas {
                roots.add(ca.clone()).map_err(|e| TlsError::Content {
                    what: "CA certificate",
                    path: files.ca_cert.clone().unwrap_or_default(),
                    reason: e.to_string(),
                })?;
            }
            let anchor = Anchor::Known(roots.clone(), cas.clone());
            client = Some(Arc::new(client_config(&loaded, anchor).map_err(identity)?));
            server = Some(Arc::new(server_config(&loaded, roots)?));
        }
        Ok(Self {
            loaded: Arc::new(loaded),
            server,
            client,
        })
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn versions<S: ConfigSide>(
    builder: ConfigBuilder<S, rustls::WantsVersions>,
) -> Result<ConfigBuilder<S, WantsVerifier>, rustls::Error> {
    builder.with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
}

fn client_config(loaded: &Loaded, anchor: Anchor) -> Result<ClientConfig, rustls::Error> {
    let provider = provider();
    let verifier = AnyName {
        anchor,
        provider: Arc::clone(&provider),
    };
    let mut config = versions(ClientConfig::builder_with_provider(provider))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(loaded.chain.clone(), loaded.key.clone_key())?;
    config.enable_sni = false;
    Ok(config)
}

fn server_config(loaded: &Loaded, roots: RootCertStore) -> Result<ServerConfig, TlsError> {
    let provider = provider();
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|e| TlsError::Setup(rustls::Error::General(e.to_string())))?;
    let clients = Clients {
        chains: clients,
        cas: loaded.cas.clone().unwrap_or_default(),
    };
    versions(ServerConfig::builder_with_provider(provider))
        .map_err(TlsError::Setup)?
        .with_client_cert_verifier(Arc::new(clients))
        .with_single_cert(loaded.chain.clone(), loaded.key.clone_key())
        .map_err(TlsError::Setup)
}
