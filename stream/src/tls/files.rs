//! The files that say who we are and whom we trust.
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls;

use super::TlsError;
use super::der::{is_self_issued, issuer_and_subject};

/// Where key and certificates are; PEM all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Our private key.
    pub private_key: Option<PathBuf>,
    /// Our certificate, and those between it and the CA's if there are any.
    pub certificate: Option<PathBuf>,
    /// The CA certificate that peers' certificates must chain to.
    pub ca_cert: Option<PathBuf>,
    /// Further certificates to send to peers, such as that of our own CA if peers are to get it
    /// from us.
    pub peer_ca_cert: Option<PathBuf>,
    /// If there is no file `ca_cert`, trust the CA that the first peer we connect to has, and
    /// write its certificate there. Whoever is between us and that peer on this first occasion is
    /// trusted for good.
    pub bootstrap: bool,
}

/// The contents of the files.
#[derive(Debug)]
pub(super) struct Loaded {
    /// Our certificate first, then those that sign it.
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    /// `None` if the CA certificate is to come with the first connection.
    pub(super) cas: Option<Vec<CertificateDer<'static>>>,
}

/// What tells one version of a file from the next.
type Stamp = Option<(u64, u64, i64, i64)>;

const KEY: &str = "private key";
const CERTIFICATE: &str = "certificate";
const CA: &str = "CA certificate";

impl TlsFiles {
    pub(super) fn key_path(&self) -> Result<&Path, TlsError> {
        named(self.private_key.as_deref(), KEY, "--private-key")
    }

    pub(super) fn certificate_path(&self) -> Result<&Path, TlsError> {
        named(self.certificate.as_deref(), CERTIFICATE, "--certificate")
    }

    pub(super) fn ca_path(&self) -> Result<&Path, TlsError> {
        named(self.ca_cert.as_deref(), CA, "--ca-cert")
    }

    /// Changes when a file does.
    pub(super) fn stamps(&self) -> [Stamp; 4] {
        [
            &self.private_key,
            &self.certificate,
            &self.ca_cert,
            &self.peer_ca_cert,
        ]
        .map(|path| {
            let data = fs::metadata(path.as_deref()?).ok()?;
            Some((data.ino(), data.size(), data.mtime(), data.mtime_nsec()))
        })
    }

    /// Reads everything.
    pub(super) fn load(&self) -> Result<Loaded, TlsError> {
        let (key, certificate) = (self.key_path()?, self.certificate_path()?);
        let key = PrivateKeyDer::from_pem_file(key).map_err(|e| unreadable(KEY, key, e))?;
        let mut chain = certificates(CERTIFICATE, certificate)?;
        let ca = self.ca_path()?;
        let cas = if self.bootstrap && !ca.exists() {
            None
        } else {
            Some(certificates(CA, ca)?)
        };
        let mut more = cas.clone().unwrap_or_default();
        if let Some(path) = &self.peer_ca_cert {
            more.extend(certificates("CA certificate for peers", path)?);
        }
        complete(&mut chain, &more);
        Ok(Loaded { chain, key, cas })
    }

    /// Keeps the CA certificate that a first connection has brought.
    pub(super) fn keep_ca(&self, ca: &CertificateDer<'_>) -> Result<(), TlsError> {
        let path = self.ca_path()?;
        let written = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(path)
            .and_then(|mut file| file.write_all(to_pem(ca).as_bytes()));
        written.map_err(|source| TlsError::Write {
            path: path.to_owned(),
            source,
        })
    }
}

fn named<'a>(
    path: Option<&'a Path>,
    what: &'static str,
    option: &'static str,
) -> Result<&'a Path, TlsError> {
    path.ok_or(TlsError::Unset { what, option })
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(|e| unreadable(what, path, e))?
        .collect();
    let all = all.map_err(|e| unreadable(what, path, e))?;
    if all.is_empty() {
        return Err(unreadable(what, path, pem::Error::NoItemsFound));
    }
    Ok(all)
}

fn unreadable(what: &'static str, path: &Path, error: pem::Error) -> TlsError {
    let path = path.to_owned();
    let content = |reason| TlsError::Content {
        what,
        path: path.clone(),
        reason,
    };
    match error {
        pem::Error::Io(source) => TlsError::Read {
            what,
            path: path.clone(),
            source,
        },
        pem::Error::NoItemsFound => content(format!("there is no {what} in PEM in it")),
        other => content(format!("damaged PEM: {other}")),
    }
}

/// Adds to a chain the certificates that sign its last one, up to a self-signed one, so that peers
/// may learn of the CA.
fn complete(chain: &mut Vec<CertificateDer<'static>>, known: &[CertificateDer<'static>]) {
    while let Some(last) = chain.last().filter(|last| !is_self_issued(last)) {
        let Some((issuer, _)) = issuer_and_subject(last) else {
            return;
        };
        let signer = known.iter().find(|ca| {
            !chain.contains(ca)
                && issuer_and_subject(ca).is_some_and(|(_, subject)| subject == issuer)
        });
        let Some(signer) = signer else { return };
        chain.push(signer.clone());
    }
}

/// RFC 7468 §5.
fn to_pem(certificate: &CertificateDer<'_>) -> String {
    let text = STANDARD.encode(certificate);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = next;
    }
    pem + "-----END CERTIFICATE-----\n"
}

/// For errors of the kind "the peer sent nonsense".
pub(super) fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
