//! Who is trusted: whoever has a certificate that chains to the CA, or that of the CA itself,
//! whatever its name.
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use tokio_rustls::rustls;

use super::der::{as_digits, is_self_issued, validity};

/// Where the CA certificate of a first connection is left.
pub(super) type Found = Arc<Mutex<Option<CertificateDer<'static>>>>;

/// What a server's certificate must chain to.
#[derive(Debug)]
pub(super) enum Anchor {
    /// CA certificates from a file.
    Known(RootCertStore, Vec<CertificateDer<'static>>),
    /// The self-signed certificate at the end of the chain that the peer sends, which is left
    /// there.
    First(Found),
}

/// A certificate that is itself configured as CA certificate is trusted during its time, as OpenSSL
/// does it, though it may say that it is only there to sign others.
fn in_time(certificate: &[u8], now: UnixTime) -> Result<(), Error> {
    let now = as_digits(now.as_secs());
    let fault = match validity(certificate) {
        None => CertificateError::BadEncoding,
        Some((begin, _)) if now < begin => CertificateError::NotValidYet,
        Some((_, end)) if now > end => CertificateError::Expired,
        Some(_) => return Ok(()),
    };
    Err(Error::InvalidCertificate(fault))
}

/// Judges clients; each must show a certificate.
#[derive(Debug)]
pub(super) struct Clients {
    /// Judges chains.
    pub(super) chains: Arc<dyn ClientCertVerifier>,
    pub(super) cas: Vec<CertificateDer<'static>>,
}

impl ClientCertVerifier for Clients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chains.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.cas.contains(end_entity) {
            in_time(end_entity, now)?;
            return Ok(ClientCertVerified::assertion());
        }
        self.chains
            .verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

/// Judges servers without regard to their names.
#[derive(Debug)]
pub(super) struct AnyName {
    pub(super) anchor: Anchor,
    pub(super) provider: Arc<CryptoProvider>,
}

impl AnyName {
    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        roots: &RootCertStore,
        now: UnixTime,
    ) -> Result<(), Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(
            &certificate,
            roots,
            intermediates,
            now,
            algorithms,
        )
    }
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.anchor {
            Anchor::Known(_, cas) if cas.contains(end_entity) => in_time(end_entity, now)?,
            Anchor::Known(roots, _) => self.verify(end_entity, intermediates, roots, now)?,
            Anchor::First(found) => {
                let Some(ca) = intermediates.last().filter(|ca| is_self_issued(ca)) else {
                    let words = "the peer did not send the CA certificate that signed its own";
                    return Err(Error::General(words.to_owned()));
                };
                let mut roots = RootCertStore::empty();
                roots
                    .add(ca.clone().into_owned())
                    .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
                self.verify(end_entity, intermediates, &roots, now)?;
                *found.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(ca.clone().into_owned());
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
